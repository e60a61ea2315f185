"""Maven, Gradle, sbt and Ivy: coordinates, group:artifact[:packaging[:classifier]]:version."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z][\w.-]*:[A-Za-z][\w.-]*)"
START = r"(?<![\w.:-])"
VERSION = r"(?P<version>[^\s:,;(){}\[\]'\"]*[^\s:,;(){}\[\]'\".])"
TYPE = r"(?:jar|pom|war|aar|apklib|bundle|zip|ear|test-jar|maven-plugin|hpi|eclipse-plugin|so|nbm|swc|tar\.gz|exe|dll)"
GAV = rf"{NAME}:(?:{TYPE}:)?(?:(?:sources|javadoc|tests|linux-[\w-]+|osx-[\w-]+|windows-[\w-]+):)?{VERSION}"
LAYOUT = r"(?P<name>(?:[\w.-]+/)+)(?P<version>[^/\s]+)/[^/\s]+\.(?:jar|pom|aar|module|xml)"
"""The path of an artifact in a repository or local cache: org/yaml/snakeyaml/2.0/snakeyaml-2.0.jar."""

REPOSITORY = (
    r"(?:\S*?(?:/|\b)(?:maven2?|m2|public|releases|central|(?:groups|repository|artifactory|repositories)/[\w.-]+)/)?"
)
"""How a repository's paths begin before the first group's name."""


def from_path(path: str) -> str:
    """`org/yaml/snakeyaml` of a repository's layout as `org.yaml:snakeyaml`."""
    group, _, artifact = path.strip("/").rpartition("/")
    return f"{group.replace('/', '.')}:{artifact}" if group else ""


def from_ivy(name: str) -> str:
    """`group#artifact` as Ivy writes it."""
    return name.replace("#", ":")


def maven(regex: str, weight: float, *, cue: str = "", many: bool = False, path: bool = False) -> Pattern:
    """A pattern for Maven coordinates."""
    return package("maven", regex, weight, cue=cue, all=many, clean=from_path if path else None)


MAVEN = (
    maven(rf"Could not find artifact {GAV}", 1.0),
    maven(rf"Failure to (?:find|transfer) {GAV}", 1.0),
    maven(rf"Could not transfer artifact {GAV}", 0.95),
    maven(rf"artifacts could not be resolved: {GAV}", 1.0),
    maven(rf"[Aa]rtifact {GAV} (?:has not been|was not)", 0.95, cue="[Aa]rtifact .* (has not been|was not) "),
    maven(rf"{START}{GAV} was not found in http", 1.0),
    maven(rf"artifact descriptor for {GAV}", 0.95),
    maven(rf"Failed to collect dependencies at (?:.* -> )?{GAV}(?!.* -> )", 0.9),
    maven(rf"Plugin {GAV} or one of its dependencies could not", 0.9),
    maven(rf"dependency: {GAV} \((?:compile|test|runtime|provided|import)", 0.95, cue="dependency: .*:.* \\("),
    maven(rf"Error resolving version for plugin '{NAME}'", 1.0),
    maven(rf"Plugin not found in any plugin repository.*?{START}{NAME}", 1.0),
    maven(rf"version' for {NAME}(?::{TYPE})?(?: is missing)?", 1.0, cue="'dependencies.dependency.version' for "),
    maven(rf"'build\.plugins\.plugin\.version' for {NAME} must be", 0.9),
    maven(rf"The POM for {GAV} is (?:missing|invalid)", 0.8),
    maven(rf"^\s*\d+\) {GAV}$", 0.8, cue="^ *[0-9]+\\) [A-Za-z].*:"),
    package("maven", r"No plugin found for prefix '(?P<name>[\w.-]+)'", 0.9),
    maven(rf"Checksum validation failed.* https?://[^/\s]+/{REPOSITORY}{LAYOUT}", 0.95, path=True),
    maven(rf"bound dependencies error for {GAV}", 0.95),
    maven(rf"convergence error for {GAV}", 0.95),
    maven(rf"Banned Dependency: {GAV}", 0.95),
    maven(rf"{START}{GAV} <--- banned", 0.95),
    maven(rf"Dependency {GAV} requires ", 1.0),
    maven(rf"bad class file: \S*/repository/{LAYOUT}", 0.9, path=True),
    maven(rf"\.m2/repository/{LAYOUT}", 0.5, cue=r"(ERROR|error|rror:).*\.m2/repository/", path=True),
    maven(r"\.jar.*pkg:maven/(?P<name>[\w.-]+/[\w.-]+)@(?P<version>[\w.-]+)", 0.8, path=True),
    maven(
        rf"(?<!for project )(?<!execute goal )(?<!in goal ){START}{NAME}:{TYPE}:{VERSION}",
        0.4,
        cue=r"^.*\[ERROR\].*:.*:",
        many=True,
    ),
    maven(rf"Download(?:ing|ed)(?: from \S+)?: https?://[^/\s]+/{REPOSITORY}{LAYOUT}", 0.1, path=True),
    package(
        "generic", r"Detected (?P<name>Maven|JDK) (?:Version: ?)?(?P<version>\d[\w.]*) ?(?:\(|is not in|which)", 0.8
    ),
)

GRADLE = (
    maven(rf"Could not find (?!artifact){GAV}\.?$", 1.0),
    maven(rf"Could not find (?!artifact){GAV}", 0.95),
    maven(rf"Could not resolve (?!dependenc){NAME}:(?:\{{strictly )?{VERSION}", 0.95),
    maven(rf"Could not download \S+ \({GAV}\)", 0.95),
    maven(rf"(?:No|[Uu]nable to find a) matching (?:variant|configuration) of {GAV}", 1.0),
    maven(rf"Cannot choose between the following (?:variants|configurations) of {GAV}", 1.0),
    maven(rf"Could not determine artifacts for {GAV}", 0.95),
    maven(rf"any version(?: that matches| matching) {GAV}", 1.0),
    maven(rf"any matches for {GAV}", 1.0),
    maven(rf"Cannot find a version of '{NAME}' that satisfies", 1.0),
    maven(
        rf"Could not (?:GET|HEAD|get resource) 'https?://[^/\s]+/{REPOSITORY}{LAYOUT}",
        0.8,
        path=True,
    ),
    package("maven", r"Plugin \[id: '(?P<name>[\w.-]+)'(?:, version: '(?P<version>[^']+)')?", 1.0),
    package("maven", r"Plugin with id '(?P<name>[\w.-]+)' not found", 0.95),
    maven(rf"Conflict(?:\(s\))? found for .*?{START}{NAME}", 0.8, cue="Conflict.* found for "),
    maven(rf"On artifact \S+ \({GAV}\)", 1.0),
    maven(rf"found in modules \S+ \({GAV}\)", 0.95),
    maven(rf"Dependency: {GAV}\.", 0.9),
    maven(rf"Dependency '{GAV}' requires", 1.0),
    maven(rf"declared in library \[:?{GAV}\]", 0.95),
    maven(rf"Failed to transform \S+ \({GAV}\)", 0.9),
    maven(
        rf"modules-2/files-2\.1/{'(?P<name>[^/]+/[^/]+)/(?P<version>[^/]+)/'}\S*: Module was compiled with",
        0.9,
        path=True,
    ),
    maven(r"modules-2/files-2\.1/(?P<name>[\w.-]+/[\w.-]+)/(?P<version>[^/]+)/", 0.3, path=True),
    package("generic", r"Minimum supported (?P<name>Gradle) version is (?P<version>[\d.]+\d)", 0.95),
    package("generic", r"Android (?P<name>Gradle) plugin requires Java (?P<version>\d+)", 0.6),
    package("generic", r"requires (?P<name>Java) (?P<version>\d+) to run", 0.85),
    package("generic", r"^\s*(?P<name>(?:platforms;android-|build-tools;|ndk;|cmake;|system-images;)\S+)", 0.75),
    package("generic", r"[Ff]ailed to find target with hash string '(?P<name>android-\d+)'", 0.9),
    package("generic", r"No matching toolchains found.*(?P<name>languageVersion=\d+)", 0.8, clean=lambda _: "JDK"),
)

SCALA = (
    maven(rf"Error downloading {GAV}", 0.95),
    package(
        "maven",
        r":: (?P<name>[\w.-]+#[\w.-]+);(?P<version>\S+): (?:not found|UNRESOLVED|configuration not)",
        1.0,
        clean=from_ivy,
    ),
    package("maven", r"unresolved dependency: (?P<name>[\w.-]+#[\w.-]+);(?P<version>[^:\s]+)", 1.0, clean=from_ivy),
    maven(rf"not found: https?://[^/\s]+/{REPOSITORY}{LAYOUT}", 0.85, path=True),
    maven(rf"\* {NAME}:(?P<version>\S+) \([\w -]+\) is selected over", 0.9),
)

PATTERNS: tuple[Pattern, ...] = (*MAVEN, *GRADLE, *SCALA)
