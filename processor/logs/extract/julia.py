"""Julia packages."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Z]\w*)"


def julia(regex: str, weight: float) -> Pattern:
    """A pattern for a Julia package."""
    return package("julia", regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    julia(rf"Package {NAME} (?:not found in current path|\[\w+\] is required but)", 1.0),
    julia(rf"Package {NAME} does not have \S+ in its dependencies", 0.8),
    julia(rf"[Uu]nsatisfiable requirements detected for package {NAME}", 1.0),
    julia(rf"^\s*\* {NAME} \(not found in project", 1.0),
    julia(rf"Error building `{NAME}`", 0.95),
    julia(rf"[Ff]ailed to precompile {NAME} \[", 0.88),
    julia(rf"expected package `{NAME} \[", 1.0),
    julia(rf"empty intersection between {NAME}@(?P<version>[\d.]+)", 1.0),
)
