"""CocoaPods, Swift packages and Carthage."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z][\w.+/-]*\w)"


def pod(regex: str, weight: float) -> Pattern:
    """A pattern for a pod."""
    return package("cocoapods", regex, weight)


def swift(regex: str, weight: float) -> Pattern:
    """A pattern for a Swift package or module."""
    return package("swift", regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    pod(rf"Unable to find a specification for [`']{NAME}(?: \((?P<version>[^)]+)\))?", 1.0),
    pod(rf"compatible versions for pod \"{NAME}\"", 1.0),
    pod(rf"satisfying the dependency: `{NAME}(?: \((?P<version>[^)]+)\))?", 1.0),
    pod(rf"\[!\] Error installing {NAME}", 0.95),
    pod(rf"The Swift pod `{NAME}` depends upon", 0.9),
    pod(rf"Specs satisfying the `{NAME}(?: \((?P<version>[^)]+)\))?.*` dependency were found", 0.95),
    pod(rf"Failed to download '{NAME}'", 0.95),
    swift(rf"no such module '{NAME}'", 0.88),
    swift(rf"[Pp]roduct '{NAME}' required by package", 0.95),
    swift(rf"Missing package product '{NAME}'", 0.95),
    swift(rf"package '{NAME}' (?:@ \S+ )?is using Swift tools version (?P<version>[\d.]+\d)", 0.95),
    swift(rf"could not be resolved because .*?'{NAME}' (?P<version>\d[^\s']*)", 0.85),
    swift(rf"No tagged versions found for github \"{NAME}\"", 0.95),
    swift(rf"Dependency \"{NAME}\" has no shared framework schemes", 0.95),
    package("generic", r"SDK \"(?P<name>[\w.]+)\" cannot be located", 0.9),
)
