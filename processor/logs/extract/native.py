"""C and C++: headers, libraries, CMake, pkg-config, Meson, Autotools, Conan, vcpkg, Bazel."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z0-9_][\w.+-]*)"
HEADER = r"(?P<name>[\w./+-]+)"
BOUND = r"(?P<version>[<>=!]+ ?'?[\w.]+)"
RECIPE = r"(?P<name>[\w.+-]+)/(?P<version>[^'@\s:#]+)"


def native(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a header, a library or a build-system package: no registry owns its name."""
    return package("generic", regex, weight, cue=cue)


HEADERS = (
    native(rf"fatal error: {HEADER}: No such file", 0.95),
    native(r"error: (?P<name>[\w./+-]+\.(?:h|hh|hpp|hxx)): No such file", 0.95, cue=r"error: .*\.h.*: No such file"),
    native(rf"fatal error: '{HEADER}' file not found", 0.95),
    native(rf"Cannot open (?:include|source) file:? [\"']{HEADER}[\"']", 0.95),
    native(rf"cannot open source file \"{HEADER}\"", 0.95),
)
LIBRARIES = (
    native(r"cannot find -l:?(?P<name>[\w.+-]*[\w+])", 0.95),
    native(r"library not found for -l(?P<name>[\w.+-]+)", 0.95),
    native(r"unable to find library -l(?P<name>[\w.+-]+)", 0.95),
    native(rf"library '{NAME}' not found", 0.9),
    native(r"framework not found (?P<name>\w+)", 0.95),
    native(r"framework '(?P<name>\w+)' not found", 0.95),
    native(r"cannot open (?:input )?file '(?P<name>[\w.+-]+)\.lib'", 0.95),
    native(r"(?P<name>lib[\w.+-]+\.so[\d.]*): cannot open shared object", 0.95),
    native(r"(?P<name>lib[\w.+-]+\.so[\d.]*), needed by \S+, not found", 0.9),
    native(r"[Ee]rror loading shared library (?P<name>[\w.+-]+?):", 0.95),
    native(r"Library not loaded: (?:\S*/)?(?P<name>[\w.+-]+)", 0.95),
    native(r"No rule to make target ['`]\S*/(?P<name>lib[\w.+-]+\.(?:so|a|dylib)[\d.]*)'", 0.9),
    native(r"no (?P<name>[\w.+-]+) in java\.library\.path", 0.9),
    native(r"Unable to load (?:DLL|shared library|library) '(?P<name>[\w./+-]+)'", 0.88),
    native(r"cannot load library '(?P<name>[\w./+-]+)'", 0.88),
    native(r"cannot find (?:required )?lib(?:rary )?(?P<name>[\w+-]+)", 0.6),
)
CMAKE = (
    native(
        rf"provided by \"{NAME}\"(?:.*requested version (?P<version>[\w.]+))?", 1.0, cue="configuration file provided"
    ),
    native(rf"configuration file for package \"{NAME}\"(?:.* version \"(?P<version>[^\"]+)\")?", 1.0),
    native(rf"so package \"{NAME}\" is considered to be NOT FOUND", 1.0),
    native(rf"By not providing \"Find{NAME}\.cmake\"", 0.95),
    native(
        rf"Could NOT find (?!resource\b){NAME}(?:.*(?:at least|exact|required is) (?:version )?\"(?P<version>[\d.]+))?",
        0.9,
    ),
    native(rf"Could not find {NAME} using the following names", 0.9),
    native(r"^  Could not find (?P<name>[\w+-]+)(?: library| headers?| package)?[.!]?$", 0.62),
    native(r"to target \"(?P<name>\w+)::[\w:]+\" but the target was not found", 0.92),
    native(r"links to:?\s+(?P<name>\w+)::\w+", 0.6, cue="links to"),
    native(r"(?P<name>CMake|Meson|Python|Boost|Qt) (?P<version>\d[\w.]*) or higher is required", 0.95),
    native(r"Unknown CMake command \"(?P<name>\w+)\"", 0.5),
)
PKG_CONFIG = (
    native(rf"No package '{NAME}' found", 1.0),
    native(rf"Package '?{NAME}'? was not found in the pkg-config", 1.0),
    native(rf"Package '{NAME}', required by '[^']*', not found", 1.0),
    native(rf"Requested '{NAME} {BOUND}' but version", 1.0),
    native(rf"containing [`']{NAME}\.pc'", 0.9),
    native(rf"requirements? \(?'?{NAME}(?: {BOUND})?'? ?(?:\) were not met|could not be satisfied)", 0.95),
    native(rf"requirements \({NAME}(?: {BOUND})?", 0.8, cue="required packages were not found|Package requirements"),
    native(rf"^ +- {NAME}(?P<version>[<>=]+\S+)$", 0.5, cue="^ +- [A-Za-z0-9_.+-]+[<>=]+"),
)
MESON = (
    native(rf"Dependency \"{NAME}\" not found", 1.0),
    native(rf"Dependency lookup for {NAME} with method", 0.9),
    native(rf"ependency {NAME} found: NO", 0.7),
    native(rf"Invalid version of dependency, need '{NAME}' \['(?P<version>[^']+)'\]", 1.0),
    native(r"Subproject \"(?P<name>[\w./+-]+)\" .*(?:not found|failed)", 0.85),
)
AUTOTOOLS = (
    native(
        rf"configure: error: (?:[Mm]issing )?{NAME}(?: library| headers?)? (?:is |was )?(?:not found|missing|required)",
        0.85,
    ),
    native(rf"configure: error: .*?not find (?:the )?{NAME}", 0.7),
    native(
        r"configure: error: .*?(?:[Ii]nstall|[Nn]eeds?|[Rr]equires?|[Mm]issing|cannot find) (?:the )?"
        r"(?P<name>[a-zA-Z][\w+.-]*\w)",
        0.62,
    ),
    native(r"possibly undefined macro: (?P<name>A[CMX]_\w+|PKG_\w+|LT_\w+|\w+_PROG_\w+)", 0.62),
    native(r"Unknown module\(s\) in QT: (?P<name>\w+)", 0.95),
    native(r"Project ERROR: (?P<name>[\w.+-]+) development package not found", 0.95),
    native(r"Checking for '?(?P<name>[\w.+-]+)'? +: (?:not found|no)\b", 0.6),
)
MANAGERS = (
    package("conan", rf"Unable to find '{RECIPE}[^']*' in remotes", 1.0),
    package("conan", rf"Package '{RECIPE}[^']*' not resolved", 1.0),
    package("conan", rf"ERROR: {RECIPE}\S*: Error in \w+\(\)", 0.92),
    package("conan", rf"Missing (?:prebuilt package|binary)(?: for)?:? '?{RECIPE}", 0.95),
    package("conan", rf"[Cc]onflict between {RECIPE} and", 0.95),
    package("conan", rf"requirement '?{RECIPE}\S* conflicts with", 0.95),
    package("vcpkg", rf"building {NAME}:\S+ failed with", 0.9),
    package("vcpkg", rf"[Ww]hile (?:loading|building) port {NAME}\b", 0.85),
    package("bazel", r"no such package '@{1,2}(?P<name>[\w.~+-]+)//", 0.95),
    package("bazel", r"no such target '@{1,2}(?P<name>[\w.~+-]+)//", 0.85),
    package("bazel", r"during the fetch of repository '@?(?P<name>[\w.~+-]+)'", 0.92),
    package(
        "bazel",
        r"[Mm]odule (?:not found in registries: )?(?P<name>[\w.-]+)@(?P<version>[\w.+-]+)(?: not found in regis|$)",
        0.9,
        cue="not found in registries",
    ),
    package("bazel", r"Error downloading \[.*?external/(?P<name>[\w.~+-]+)/", 0.88),
)

PATTERNS: tuple[Pattern, ...] = (*HEADERS, *LIBRARIES, *CMAKE, *PKG_CONFIG, *MESON, *AUTOTOOLS, *MANAGERS)
