"""RubyGems and Bundler; PHP's Composer."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z0-9_][\w.-]*?)"
DASHED = rf"{NAME}-(?P<version>\d[\w.]*)"
COMPOSER = r"(?P<name>[a-z0-9][\w.-]*/[a-z0-9][\w.-]*)"


def gem(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a gem."""
    return package("gem", cue, regex, weight)


def composer(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a Composer package."""
    return package("composer", cue, regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    gem("Could not find gem '", rf"Could not find gem '{NAME}(?: \((?P<version>[^)]*)\))?(?: [\w-]+)?'", 1.0),
    gem("in any of the (gem )?sources", rf"Could not find {DASHED}(?:,.*)? in any of the", 1.0),
    gem(
        "in (locally installed|rubygems|cached)",
        rf"Could not find {DASHED}(?:,.*)? in (?:locally|rubygems|cached)",
        1.0,
    ),
    gem('compatible versions for gem "', rf"versions for gem \"{NAME}\"", 1.0),
    gem("bundle is locked to ", rf"locked to {NAME} \((?P<version>[^)]*)\)", 1.0),
    gem("occurred while installing ", rf"occurred while installing {NAME} \((?P<version>[^)]*)\)", 0.95),
    gem("requires [Rr]uby version", rf"(?:^|\s){DASHED} requires [Rr]uby version", 1.0),
    gem("requires [Rr]uby version", rf"(?:^|[\s:]){NAME} requires [Rr]uby version", 0.95),
    gem("cannot load such file -- ", r"cannot load such file -- (?P<name>[a-zA-Z][\w-]*)(?:[/\s]|$)", 0.8),
    gem("Could not find a valid gem '", rf"valid gem '{NAME}'(?: \((?P<version>[^)]*)\))?", 1.0),
    gem("is not part of the bundle", rf"(?:LoadError: |^){NAME} is not part of the bundle", 0.95),
    gem("You have already activated ", rf"already activated {NAME} (?P<version>[\w.]*\w)", 0.95),
    gem("ecause every version of ", rf"every version of {NAME} depends on", 0.85),
    gem("ecause every version of ", rf"depends on {NAME} (?P<version>[<>=~]+ [\w.]+)", 0.9),
    gem("ails to build gem native|Failed to build gem native", rf"gems/{DASHED}", 0.7),
    gem("^Name: ", r"^Name: (?P<name>[a-z][\w.-]*)$", 0.85),
    gem("Gem files will remain installed in", rf"/gems/{DASHED}(?: |$)", 0.9),
    composer(
        "Root composer.json requires ", rf"json requires (?:PHP extension )?{COMPOSER}(?: (?P<version>[^,\s]+))?", 1.0
    ),
    composer("requested package ", rf"requested package {COMPOSER}(?: (?P<version>\S+))? (?:could not|exists)", 1.0),
    composer("requires .* -> ", rf"requires {COMPOSER} (?P<version>\S+) -> ", 0.7),
    composer("Could not find package ", rf"Could not find package {COMPOSER}", 1.0),
    composer("Package .*/.* is (abandoned|not)", rf"Package {COMPOSER} is ", 0.2),
)
