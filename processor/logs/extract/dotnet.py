"""NuGet packages, SDKs and assemblies, as restore, MSBuild, the compiler and the runtime name them; Chocolatey."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z_][\w.-]*\w)"
PLAIN = r"(?P<version>\d[\w.+-]*\w)"


def nuget(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a NuGet package."""
    return package("nuget", regex, weight, cue=cue)


def framework(regex: str, weight: float) -> Pattern:
    """A pattern for an SDK or a framework, which is installed as a whole."""
    return package("generic", regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    nuget(rf"Unable to find (?:a stable )?package {NAME}(?: with version \((?P<version>[^)]+)\))?", 1.0),
    nuget(rf"NU1100.*Unable to resolve '{NAME} \((?P<version>[^)]+)\)'", 1.0),
    nuget(rf"downgrade: {NAME} from (?P<version>\S+)", 1.0),
    nuget(rf"Version conflict detected for {NAME}", 1.0),
    nuget(rf"Package {NAME} {PLAIN} is not compatible", 1.0),
    nuget(rf"Package '{NAME}' {PLAIN} has a known", 0.9),
    nuget(rf"NU160[1348].*: {NAME} \S+ (?:depends on|requires) ", 0.7, cue="NU160[1348]"),
    nuget(rf"depends on {NAME} \((?P<version>[^)]+)\) but {NAME.replace('name', 'found')} ", 0.85),
    nuget(rf"constraint: {NAME}", 0.7, cue="NU1608"),
    nuget(rf"retrieve information about '{NAME}'", 0.7),
    nuget(rf"Unable to find version '(?P<version>[^']+)' of package '{NAME}'", 1.0),
    nuget(rf"Unable to resolve dependency '{NAME}'", 1.0),
    nuget(r"Failed to download package '(?P<name>[A-Za-z_][\w.-]*?)\.(?P<version>\d+\.[\w.+-]+)' from", 0.95),
    nuget(rf"Package '{NAME} {PLAIN}' from source .*not signed", 0.9),
    nuget(rf"assembly '{NAME}, Version=(?P<version>[\d.]+)", 0.8, cue="(load file or|reference to) assembly '"),
    nuget(rf"from assembly '{NAME}, Version=(?P<version>[\d.]+)", 0.8),
    nuget(rf"Could not locate the assembly \"{NAME}[\",]", 0.85),
    nuget(rf"different versions of \"{NAME}\"", 0.7),
    nuget(rf"CS0246.*name '{NAME}' could not be found", 0.4),
    nuget(r"Metadata file '(?:.*[\\/])?(?P<name>[\w.-]+)\.dll' could not be found", 0.6),
    nuget(r"imported project \".*[\\/](?P<name>[\w.]+)\.(?:targets|props)\" was not found", 0.85),
    nuget(rf"The SDK '{NAME}(?:/(?P<version>[^']+))?' specified could not be found", 1.0),
    nuget(rf"Tool '{NAME}' failed to (?:install|update)", 0.9),
    nuget(rf"manifest file that has a command named '{NAME}'", 0.85),
    nuget(rf"Could not resolve package {NAME}:", 0.95),
    framework(r"reference assemblies for (?P<name>\.NETFramework),Version=v(?P<version>[\d.]+) were not", 0.95),
    framework(r"NETSDK1045.*targeting (?P<name>\.NET(?: Core)?) (?P<version>\d(?:[\d.]*\d)?)", 0.95),
    framework(r"workloads must be installed: (?P<name>[\w-]+)", 0.9),
    framework(r"[Ff]ramework:? '(?P<name>Microsoft\.\w+\.App)', version '(?P<version>[^']+)'", 0.95),
    framework(r"compatible (?:installed )?(?P<name>\.NET(?: Core)? SDK)\b.*?(?P<version>\d+\.\d+\.\d+)", 0.9),
    framework(r"(?P<name>Microsoft Visual C\+\+) (?P<version>\d[\d.]*\d)[^.]* is required", 0.95),
    package("chocolatey", r"^(?P<name>[\w.-]+) not installed\. The package was not found with the source", 1.0),
    package("chocolatey", r"^\s*- (?P<name>[\w.-]+) \(exited -?\d+\)", 0.85),
    package("generic", r"Couldn't find manifest for '(?P<name>[\w.-]+)'", 0.9),
)
