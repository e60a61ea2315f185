"""RubyGems and Bundler."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z0-9_][\w.-]*?)"
DASHED = rf"{NAME}-(?P<version>\d[\w.]*)"
EXACT = r"\((?P<version>[^)]*)\)"


def gem(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a gem."""
    return package("gem", regex, weight, cue=cue)


PATTERNS: tuple[Pattern, ...] = (
    gem(rf"Could not find gem '{NAME}(?: {EXACT})?(?: [\w-]+)?'", 1.0),
    gem(rf"Could not find {DASHED}(?:,.*)? in (?:any of the|locally|rubygems|cached)", 1.0),
    gem(rf"Could not find '{NAME}' {EXACT}", 1.0),
    gem(rf"versions for gem \"{NAME}\"", 1.0),
    gem(rf"locked to {NAME} {EXACT}", 1.0),
    gem(rf"currently has {NAME} locked (?:at|to) (?P<version>[\d.]*\d)", 0.95),
    gem(rf"occurred while installing {NAME} {EXACT}", 0.95),
    gem(rf"[Mm]ake sure that `gem install {NAME} -v '(?P<version>[^']*)'", 0.9),
    gem(rf"(?:^|[\s:]){DASHED} requires (?:[Rr]uby|rubygems) version", 1.0, cue="requires ([Rr]uby|rubygems) version"),
    gem(rf"(?:^|[\s:]){NAME} requires (?:[Rr]uby|rubygems) version", 0.95, cue="requires ([Rr]uby|rubygems) version"),
    gem(r"cannot load such file -- (?P<name>[a-zA-Z][\w-]*)(?:[/\s]|$)", 0.8),
    gem(r"cannot load such file -- (?P<name>[a-zA-Z][\w-]*/[\w./-]*\w)", 0.65),
    gem(rf"valid gem '{NAME}'(?: {EXACT})?", 1.0),
    gem(rf"(?:LoadError: |^){NAME} is not part of the bundle", 0.95),
    gem(rf"can't activate {NAME}(?: {EXACT})?,? already activated", 0.95, cue="can't activate "),
    gem(rf"already activated {NAME} (?P<version>[\w.]*\w)", 0.95),
    gem(rf"Unable to activate {DASHED}, because", 0.9),
    gem(rf"Specified '{NAME}' for database adapter", 0.95),
    gem(rf"trying to load the gem '{NAME}'", 0.9),
    gem(rf"can't find gem {NAME}(?: {EXACT})?(?: with executable|$)", 0.95),
    gem(rf"[Bb]ecause every version of {NAME} depends on", 0.85),
    gem(rf"every version of .* depends on {NAME} (?P<version>[<>=~]+ [\w.]+)", 0.9),
    gem(rf"[Bb]ecause {NAME} (?P<version>[<>=~]+ [\w.]+) depends on (?:ruby|Ruby|RubyGems)", 0.9),
    gem(rf"gems/{DASHED}", 0.7, cue="[Ff]ail(s|ed) to build gem native"),
    gem(r"^Name: (?P<name>[a-z][\w.-]*)$", 0.85),
    gem(rf"Gem files will remain installed in \S*/gems/{DASHED}(?: |$)", 0.9),
    gem(rf"(?:404|[Nn]ot [Ff]ound|FetchError).*/gems/{DASHED}\.gem", 0.9),
    package("generic", r"[Yy]our (?P<name>Ruby) version is \S+, but your Gemfile specified (?P<version>[^\s]+)", 0.95),
    package("generic", r"^(?P<name>lib\w+|\w+) is missing\. Please locate mkmf\.log", 0.9),
)
