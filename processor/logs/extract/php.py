"""Composer packages, PHP's extensions, PECL."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[a-z0-9][\w.-]*/[a-z0-9][\w.-]*\w)"
START = r"(?<![\w./-])"


def composer(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a Composer package."""
    return package("composer", regex, weight, cue=cue)


def extension(regex: str, weight: float) -> Pattern:
    """A pattern for an extension of PHP, or PHP itself, which Composer requires and can't install."""
    return package("generic", regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    composer(
        rf"json requires (?:PHP extension )?{NAME}(?: (?P<version>[^,\s]+))?", 1.0, cue="Root composer.json requires "
    ),
    composer(rf"requested package {NAME}(?: (?P<version>\S+))? (?:could not|exists)", 1.0),
    composer(rf"requires {NAME} (?P<version>\S+) -> ", 0.7),
    composer(rf"- {NAME}(?:\[| v?(?P<version>\d\S*)).* requires? php ", 0.85),
    composer(rf"{START}{NAME} is locked to version (?P<version>\S+) and an update", 0.75),
    composer(rf"Required (?:\(in require-dev\) )?package \"{NAME}\" is not present in the lock file", 0.95),
    composer(rf"Could not find package {NAME}", 1.0),
    composer(rf"Could not find a (?:matching )?version of package {NAME}", 1.0),
    composer(rf"Failed to (?:download|clone|extract) {NAME}", 0.9),
    composer(rf"{START}{NAME} contains a Composer plugin which is", 0.95),
    composer(rf"Can only install one of: {NAME}", 0.6),
    composer(rf"[Cc]onclusion: don't install {NAME} (?P<version>[^\s|,]+)", 0.5),
    composer(rf"^\| Package +\| {NAME}", 0.85),
    composer(rf"api\.github\.com/repos/{NAME}/zipball.*could not be downloaded", 0.8),
    composer(rf"Package {NAME} is (?:abandoned|not)", 0.2, cue="Package .*/.* is (abandoned|not)"),
    extension(r"requires? (?:PHP extension )?(?P<name>ext-[\w-]+)\b", 0.95),
    extension(r"requires? (?P<name>php) (?P<version>[^,]*?) (?:->|but) your php version", 0.75),
    extension(r"No releases available for package \"(?:pecl\.php\.net/)?(?P<name>[\w.-]+)\"", 1.0),
    extension(r"/usr/src/php/ext/(?P<name>\w+) does not exist", 0.95),
    extension(r"Unable to load dynamic library '(?:\S*/)?(?P<name>[\w.-]+?)(?:\.so|\.dll)?'", 0.8),
)
