"""Cargo and rustc: crates that don't resolve, don't build, or are reported by an audit; what their builds need."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z][\w-]*)"
START = r"(?<![\w-])"
VERSION = r"(?P<version>\d[^\s`]*)"
LABEL = rf"`{NAME} v{VERSION}[^`]*`"
FIGURES = r"(?P<version>\d+\.\d+\.\d+[\w.+-]*)"


def crate(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a crate."""
    return package("cargo", regex, weight, cue=cue)


def tool(regex: str, weight: float) -> Pattern:
    """A pattern for what a crate's build looks for on the machine."""
    return package("generic", regex, weight)


RESOLVE = (
    crate(rf"no matching package named `{NAME}` found", 1.0),
    crate(rf"searched package name: `{NAME}`", 1.0),
    crate(rf"for the requirement `{NAME} = \"(?P<version>[^\"]*)\"`", 1.0),
    crate(rf"select a version for `{NAME}`", 1.0),
    crate(rf"failed to get `{NAME}` as a dependency", 0.9),
    crate(rf"source for dependency `{NAME}`", 0.9),
    crate(rf"(?:download|unpack|fetch)[^`]*{LABEL}", 0.9, cue="failed to (download|unpack|fetch).*`"),
    crate(rf"package {LABEL} cannot be built", 1.0),
    crate(rf"^\s+{NAME}@(?P<version>\d\S*) requires rustc", 1.0),
    crate(rf"depends on `{NAME}`, with features", 1.0),
    crate(rf"checksum (?:of|for) {LABEL}", 1.0),
    crate(rf"Unable to update .*/{NAME}(?:\.git)?(?:[?#]\S*)?$", 0.8),
    crate(rf"package ID specification `{NAME}(?:@[^`]*)?` did not match", 0.85),
    crate(rf"previously selected package {LABEL}", 0.7),
    crate(rf"package {LABEL} links to", 0.8),
    crate(rf"crate {NAME}@{VERSION} already exists", 0.85),
    crate(rf"failed to parse manifest at .*registry/src/[^/]+/{NAME}-{FIGURES}/", 0.95),
    tool(r"'(?P<name>cargo-[\w-]+)' is not installed", 0.85),
    package("cargo", r"no such (?:command|subcommand): `(?P<name>[\w-]+)`", 0.85, clean=lambda name: f"cargo-{name}"),
    tool(r"toolchain '(?P<name>[\w.-]+)' is not installed", 0.85),
    tool(r"the `(?P<name>[\w.-]+)` target may not be installed", 0.85),
    tool(r"component '(?P<name>[\w-]+)' .*is (?:not available|unavailable)", 0.85),
)
BUILD = (
    crate(rf"custom build command for {LABEL}", 0.9),
    crate(rf"could not compile `{NAME}`", 0.58),
    crate(rf"can't find crate for `{NAME}`", 0.8),
    crate(rf"unlinked crate `{NAME}`", 0.75),
    crate(rf"undeclared crate or module `{NAME}`", 0.65),
    crate(rf"unresolved import `(?!(?:crate|self|super)\b){NAME}", 0.6),
    crate(rf"maybe a missing crate `{NAME}`", 0.8),
    crate(rf"found crate `{NAME}` compiled by an incompatible version", 0.9),
    crate(rf"newer version of crate `{NAME}`", 0.85),
    crate(rf"(?:different|multiple) versions of crate `{NAME}`", 0.88),
    crate(rf"registry/src/[^/]+/{NAME}-{FIGURES}/", 0.6),
    crate(rf"^\s*(?:Compiling|Checking) {NAME} v(?P<version>\d\S*)", 0.1, cue="^\\s*(Compiling|Checking) .* v[0-9]"),
    crate(rf"The system library `\S+` required by crate `{NAME}`", 0.8),
    tool(r"The system library `(?P<name>[^`]+)` required by crate", 1.0),
    tool(r"Could not find directory of (?P<name>OpenSSL) installation", 0.95),
    tool(r"Could not find `(?P<name>[\w.-]+)`", 0.85),
    tool(r"Unable to find (?P<name>lib(?:clang|[a-z]+))\b", 0.9),
    tool(r"is `(?P<name>[\w.+-]+)` not installed\?", 0.95),
    tool(r"linker `(?P<name>[\w.+-]+)` not found", 0.95),
)
AUDIT = (
    crate(rf"^Crate:\s+{NAME}", 0.9),
    crate(rf"crate '{NAME} = (?P<version>[^']+)' is explicitly banned", 0.95),
    crate(rf"{START}{NAME} v?{FIGURES} \(?registry", 0.4),
    crate(rf"yanked crate .*cargo update -p {NAME}", 0.95),
    crate(rf"duplicate entries for crate '{NAME}'", 0.5),
    crate(rf"package {LABEL} in Cargo\.lock is yanked", 0.6),
)

PATTERNS: tuple[Pattern, ...] = (*RESOLVE, *BUILD, *AUDIT)
