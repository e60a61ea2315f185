"""C and C++: headers, libraries, CMake and pkg-config packages."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z0-9_][\w.+-]*)"


def native(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a header, a library or a build-system package: no registry owns its name."""
    return package("generic", cue, regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    native("fatal error: .*: No such file", r"fatal error: (?P<name>[\w./+-]+): No such file", 0.95),
    native("fatal error: '.*' file not found", r"fatal error: '(?P<name>[\w./+-]+)' file not found", 0.95),
    native("Cannot open include file", r"Cannot open include file: '(?P<name>[\w./+-]+)'", 0.95),
    native("cannot find -l", r"cannot find -l(?P<name>[\w.+-]+)", 0.95),
    native("library not found for -l", r"library not found for -l(?P<name>[\w.+-]+)", 0.95),
    native("unable to find library -l", r"unable to find library -l(?P<name>[\w.+-]+)", 0.95),
    native("library '.*' not found", rf"library '{NAME}' not found", 0.9),
    native("cannot open input file", r"cannot open input file '(?P<name>[\w.+-]+)\.lib'", 0.95),
    native("cannot open shared object file", r"(?P<name>lib[\w.+-]+\.so[\d.]*): cannot open shared object", 0.95),
    native(
        "configuration file provided by", rf"provided by \"{NAME}\"(?:.*requested version (?P<version>[\w.]+))?", 1.0
    ),
    native('By not providing "Find', rf"By not providing \"Find{NAME}\.cmake\"", 0.95),
    native("Could NOT find ", rf"Could NOT find {NAME}", 0.9),
    native("Could not find .* using the following names", rf"Could not find {NAME} using the following names", 0.9),
    native("No package '", rf"No package '{NAME}' found", 1.0),
    native("was not found in the pkg-config", rf"Package '?{NAME}'? was not found in the pkg-config", 1.0),
    native(
        "required packages were not found|Package requirements",
        rf"requirements \({NAME}(?: (?P<version>[<>=]+ [\w.]+))?",
        0.8,
    ),
    native("^ +- [A-Za-z0-9_.+-]+([<>=]+.*)?$", rf"^ +- {NAME}(?P<version>[<>=]+\S+)$", 0.5),
    native('Dependency ".*" not found', rf"Dependency \"{NAME}\" not found", 1.0),
    native("Dependency lookup for ", rf"Dependency lookup for {NAME} with method", 0.9),
    native("C.* library '.*' not found", rf"library '{NAME}' not found", 0.9),
    native(
        "or higher is required",
        r"(?P<name>CMake|Meson|Python|Boost|Qt) (?P<version>\d[\w.]*) or higher is required",
        0.95,
    ),
    native(
        "configure: error:",
        rf"configure: error: (?:[Mm]issing )?{NAME}(?: library| headers?)? (?:is |was )?(?:not found|missing|required)",
        0.85,
    ),
    native("configure: error: .*not find", rf"not find (?:the )?{NAME}", 0.7),
    native("cannot find (required )?lib", r"cannot find (?:required )?lib(?:rary )?(?P<name>[\w+-]+)", 0.6),
    package(
        "conan", "Unable to find '", r"Unable to find '(?P<name>[\w.+-]+)/(?P<version>[^'@]+)[^']*' in remotes", 1.0
    ),
    package(
        "conan", "Package '.*' not resolved", r"Package '(?P<name>[\w.+-]+)/(?P<version>[^'@]+)[^']*' not resolved", 1.0
    ),
    package("vcpkg", "building .* failed with", rf"building {NAME}:\S+ failed with", 0.9),
)
