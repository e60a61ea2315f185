"""Perl modules, as perl, cpan, cpanm and Module::Build name them."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z]\w*(?:::\w+)*)"


def from_file(name: str) -> str:
    """`Foo::Bar` for the file `Foo/Bar.pm`."""
    return name.removesuffix(".pm").replace("/", "::")


def cpan(regex: str, weight: float) -> Pattern:
    """A pattern for a Perl module."""
    return package("cpan", regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    package("cpan", r"Can't locate (?P<name>\w+(?:/\w+)*\.pm) in @INC", 1.0, clean=from_file),
    cpan(rf"Couldn't find module or a distribution {NAME}", 1.0),
    cpan(rf"Installing the dependencies failed: (?:Module '|Installed version \S+ of ){NAME}", 1.0),
    cpan(rf"Module '{NAME}' is not installed", 0.95),
    cpan(rf"^! (?:Configure|Installing|Testing) (?:failed for )?{NAME}.*failed", 0.88),
    cpan(
        r"(?:Configure|Installing|Testing) (?:failed for )?"
        r"(?P<name>[A-Z]\w*(?:-[A-Za-z]\w*)*)-(?P<version>v?\d[\d.]*) (?:failed|but)",
        0.9,
    ),
    cpan(rf"prerequisite {NAME} (?P<version>\S+) not found", 0.95),
    cpan(rf"(?<![\w:]){NAME} version (?P<version>[\d.]+) required--this is only", 0.95),
    cpan(rf"Base class package \"{NAME}\" is empty", 0.9),
)
