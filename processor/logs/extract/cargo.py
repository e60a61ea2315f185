"""Cargo: crates that don't resolve, don't build, or are reported by an audit."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z][\w-]*)"
LABEL = rf"`{NAME} v(?P<version>\d[^\s`]*)[^`]*`"


def crate(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a crate."""
    return package("cargo", cue, regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    crate("no matching package named", rf"no matching package named `{NAME}` found", 1.0),
    crate("no matching package found", rf"searched package name: `{NAME}`", 1.0),
    crate("searched package name:", rf"searched package name: `{NAME}`", 1.0),
    crate("version for the requirement `", rf"for the requirement `{NAME} = \"(?P<version>[^\"]*)\"`", 1.0),
    crate("select a version for `", rf"select a version for `{NAME}`", 1.0),
    crate("failed to get `", rf"failed to get `{NAME}` as a dependency", 0.9),
    crate("source for dependency `", rf"source for dependency `{NAME}`", 0.9),
    crate("failed to (download|unpack|fetch).*`", rf"(?:download|unpack|fetch)[^`]*{LABEL}", 0.9),
    crate("cannot be built because it requires rustc", rf"package {LABEL} cannot be built", 1.0),
    crate("rustc .* is not supported by", rf"^\s+{NAME}@(?P<version>\d\S*) requires rustc", 1.0),
    crate("requires rustc ", rf"^\s+{NAME}@(?P<version>\d\S*) requires rustc", 1.0),
    crate("depends on `.*, with features", rf"depends on `{NAME}`, with features", 1.0),
    crate("custom build command for `", rf"custom build command for {LABEL}", 0.9),
    crate("failed to verify the checksum", rf"checksum of {LABEL}", 1.0),
    crate("checksum for `", rf"checksum for {LABEL}", 1.0),
    crate("unable to update|Unable to update", rf"Unable to update .*/{NAME}(?:\.git)?(?:[?#]\S*)?$", 0.8),
    crate("could not compile `", rf"could not compile `{NAME}`", 0.62),
    crate("can't find crate for `", rf"can't find crate for `{NAME}`", 0.8),
    crate("unlinked crate `", rf"unlinked crate `{NAME}`", 0.75),
    crate("undeclared crate or module `", rf"undeclared crate or module `{NAME}`", 0.65),
    crate("unresolved import `", rf"unresolved import `{NAME}", 0.6),
    crate("maybe a missing crate `", rf"maybe a missing crate `{NAME}`", 0.8),
    crate("links to the native library|attempt to link", rf"package {LABEL} links to", 0.8),
    crate("^Crate: ", rf"^Crate:\s+{NAME}", 0.9),
    crate("registry/src/", rf"registry/src/[^/]+/{NAME}-(?P<version>\d+\.\d+\.\d+[^/]*)/", 0.6),
    crate(" v[0-9]+\\.[0-9]+.*registry", rf"{NAME} v?(?P<version>\d+\.\d+\.\d+\S*) \(?registry", 0.4),
    crate("^\\s*(Compiling|Checking) ", rf"(?:Compiling|Checking) {NAME} v(?P<version>\d\S*)", 0.1),
)
