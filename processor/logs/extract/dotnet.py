"""NuGet packages, as restore and the compiler name them."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z_][\w.-]*\w)"


def nuget(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a NuGet package."""
    return package("nuget", cue, regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    nuget("NU110[123]", rf"Unable to find (?:a stable )?package {NAME}(?: with version \((?P<version>[^)]+)\))?", 1.0),
    nuget("NU1605", rf"downgrade: {NAME} from (?P<version>\S+)", 1.0),
    nuget("NU1107", rf"Version conflict detected for {NAME}", 1.0),
    nuget("NU1202", rf"Package {NAME} (?P<version>\S+) is not compatible", 1.0),
    nuget("NU190[1-4]", rf"Package '{NAME}' (?P<version>\S+) has a known", 0.9),
    nuget("NU1608", rf"constraint: {NAME}", 0.7),
    nuget("NU1301", rf"retrieve information about '{NAME}'", 0.7),
    nuget("Unable to find version '", rf"Unable to find version '(?P<version>[^']+)' of package '{NAME}'", 1.0),
    nuget("Unable to resolve dependency '", rf"Unable to resolve dependency '{NAME}'", 1.0),
    nuget("Could not load file or assembly", rf"assembly '{NAME}, Version=(?P<version>[\d.]+)", 0.8),
    nuget("CS0246", rf"name '{NAME}' could not be found", 0.4),
)
