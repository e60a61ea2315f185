"""Maven and Gradle coordinates: group:artifact[:packaging[:classifier]]:version."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z][\w.-]*:[A-Za-z][\w.-]*)"
VERSION = r"(?P<version>[^\s:,;()\[\]'\"]*[^\s:,;()\[\]'\".])"
TYPE = r"(?:jar|pom|war|aar|apklib|bundle|zip|ear|test-jar|maven-plugin|hpi|eclipse-plugin|so|nbm|swc|tar\.gz|exe|dll)"
GAV = rf"{NAME}:(?:{TYPE}:)?(?:(?:sources|javadoc|tests|linux-[\w-]+|osx-[\w-]+|windows-[\w-]+):)?{VERSION}"


def from_path(path: str) -> str:
    """`org/yaml/snakeyaml` of a repository's layout as `org.yaml:snakeyaml`."""
    group, _, artifact = path.strip("/").rpartition("/")
    return f"{group.replace('/', '.')}:{artifact}" if group else ""


def maven(cue: str, regex: str, weight: float, *, many: bool = False, path: bool = False) -> Pattern:
    """A pattern for Maven coordinates."""
    return package("maven", cue, regex, weight, all=many, clean=from_path if path else None)


PATTERNS: tuple[Pattern, ...] = (
    maven("Could not find artifact ", rf"Could not find artifact {GAV}", 1.0),
    maven("Failure to (find|transfer) ", rf"Failure to (?:find|transfer) {GAV}", 1.0),
    maven("Could not transfer artifact ", rf"Could not transfer artifact {GAV}", 0.95),
    maven("artifacts could not be resolved: ", rf"artifacts could not be resolved: {GAV}", 1.0),
    maven("[Aa]rtifact .* (has not been|was not) ", rf"[Aa]rtifact {GAV} (?:has not been|was not)", 0.95),
    maven("was not found in https?:", rf"{GAV} was not found in http", 1.0),
    maven("Failed to read artifact descriptor for ", rf"artifact descriptor for {GAV}", 0.95),
    maven("Failed to collect dependencies at ", rf"Failed to collect dependencies at (?:.* -> )?{GAV}(?!.* -> )", 0.9),
    maven("Plugin .* could not be resolved", rf"Plugin {GAV} or one of its dependencies could not", 0.9),
    maven("'dependencies.dependency.version' for ", rf"version' for {NAME}(?::{TYPE})?(?: is missing)?", 1.0),
    maven("Could not find .*:.*:", rf"Could not find (?!artifact){GAV}\.?$", 1.0),
    maven("Could not find .*:.*:", rf"Could not find (?!artifact){GAV}", 0.95),
    maven("Could not resolve .*:.*:", rf"Could not resolve (?!dependenc){GAV}", 0.95),
    maven("Could not resolve project|Could not download", rf"Could not download \S+ \({GAV}\)", 0.95),
    maven("No matching variant of ", rf"No matching variant of {GAV}", 1.0),
    maven("Could not find any (matching )?version", rf"any version(?: that matches| matching) {GAV}", 1.0),
    maven("Could not find any matches for ", rf"any matches for {GAV}", 1.0),
    package("maven", r"Plugin \[id: '", r"Plugin \[id: '(?P<name>[\w.-]+)'(?:, version: '(?P<version>[^']+)')?", 1.0),
    maven("Conflict found for ", rf"Conflict(?:\(s\))? found for .*?{NAME}", 0.8),
    maven("upper bound dependencies error for ", rf"bound dependencies error for {GAV}", 0.95),
    maven("ependency convergence error for ", rf"convergence error for {GAV}", 0.95),
    maven("Banned Dependency: ", rf"Banned Dependency: {GAV}", 0.95),
    maven("--> .*<--- banned|banned via", rf"{GAV} <--- banned", 0.95),
    maven("Dependency .*:.* requires ", rf"Dependency {GAV} requires ", 1.0),
    maven(
        "bad class file: .*/repository/",
        r"/repository/(?P<name>(?:[\w.-]+/)+)(?P<version>\d[^/]*)/[^/]+\.jar",
        0.9,
        path=True,
    ),
    maven(
        r"(ERROR|error|rror:).*\.m2/repository/",
        r"\.m2/repository/(?P<name>(?:[\w.-]+/)+)(?P<version>[^/\s]+)/[^/\s]+\.jar",
        0.5,
        path=True,
    ),
    maven("modules-2/files-2.1/", r"files-2\.1/(?P<name>[\w.-]+/[\w.-]+)/(?P<version>[^/]+)/", 0.3, path=True),
    maven(r"\.jar.*pkg:maven/", r"pkg:maven/(?P<name>[\w.-]+/[\w.-]+)@(?P<version>[\w.-]+)", 0.8, path=True),
    maven(
        r"^.*\[ERROR\].*:.*:",
        rf"(?<!for project )(?<!execute goal )(?<![\w.:-]){NAME}:{TYPE}:{VERSION}",
        0.4,
        many=True,
    ),
    maven(
        "Download(ing|ed) from|Downloading:",
        r"/maven2?/(?P<name>(?:[\w.-]+/)+)(?P<version>\d[^/]*)/[^/]+$",
        0.1,
        path=True,
    ),
)
