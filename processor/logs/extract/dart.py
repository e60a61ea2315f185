"""Dart's and Flutter's packages (pub)."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[a-z_]\w*)"


def pub(regex: str, weight: float) -> Pattern:
    """A pattern for a package of pub."""
    return package("pub", regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    pub(rf"could not find package {NAME} at http", 1.0),
    pub(rf"depends on {NAME} (?P<version>any|[\^<>]=?\S+(?: <\S+)?) which (?:doesn't|requires)", 1.0),
    pub(rf"[Bb]ecause {NAME}(?: (?P<version>[<>=^\d]\S*(?: <\S+)?))? requires SDK version", 0.92),
    pub(rf"Could not resolve the package '{NAME}' in", 1.0),
    pub(rf"Target of URI doesn't exist: 'package:{NAME}/", 0.85),
    pub(rf"Not found: 'package:{NAME}/", 0.95),
    pub(r"\.pub-cache/hosted/[^/]+/(?P<name>\w+)-(?P<version>\d+\.\d+\.\d+[\w.+-]*)/\S*: ?Error", 0.88),
    pub(rf"The plugin `?{NAME}`? requires a higher", 0.88),
    package("generic", r"current (?P<name>Dart|Flutter) SDK version is (?P<version>[\d.]+\d)", 0.62),
)
