"""Packages of the operating system: apt and dpkg, apk, dnf, yum and zypper, pacman, Homebrew, nix, snap."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z0-9][\w.+-]*[\w+])"
QUOTE = r"[\"'‘’“”`]"
NEVRA = r"(?P<name>[A-Za-z0-9][\w.+-]*?)-(?:\d+:)?(?P<version>\d[\w.~^+]*)-[\w.~^+]+"
BOUND = r"(?P<version>[<>=~]+ ?[\w.:~+-]+)"


def deb(regex: str, weight: float, *, cue: str = "", many: bool = False) -> Pattern:
    """A pattern for a Debian package."""
    return package("deb", regex, weight, cue=cue, all=many)


def rpm(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for an RPM package."""
    return package("rpm", regex, weight, cue=cue)


def apk(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for an Alpine package."""
    return package("apk", regex, weight, cue=cue)


def pacman(regex: str, weight: float) -> Pattern:
    """A pattern for an Arch Linux package."""
    return package("alpm", regex, weight)


def brew(regex: str, weight: float) -> Pattern:
    """A pattern for a Homebrew formula or cask."""
    return package("brew", regex, weight)


APT = (
    deb(rf"Unable to locate package {NAME}", 1.0),
    deb(rf"Package '?{NAME}'? has no installation candidate", 1.0),
    deb(rf"Package {NAME} is not available, but is referred", 0.95),
    deb(rf"package by (?:glob|regex) '{NAME}'", 0.9),
    deb(rf"Version '(?P<version>[^']+)' for '{NAME}' was not found", 1.0),
    deb(rf"Release '(?P<version>[^']+)' for '{NAME}' was not found", 1.0),
    deb(rf"Unable to find a source package for {NAME}", 1.0),
    deb(rf"Build-[Dd]ependencies for {NAME} could not be satisfied", 0.9),
    deb(rf"Unmet build dependencies: {NAME}", 0.95),
    deb(rf"The package {NAME} needs to be reinstalled", 0.95),
    deb(rf"Depends: {NAME}(?::\w+)?(?: \((?P<version>[^)]+)\))? but", 0.9),
    deb(rf"^\s*{NAME}(?::\w+)? : (?:Pre-?)?Depends: ", 0.95),
    deb(rf"^\s*{NAME}(?::\w+)? : (?:Conflicts|Breaks): ", 0.9, cue=" : (Conflicts|Breaks): "),
    deb(rf"^ \S+ depends on {NAME}(?: \((?P<version>[^)]+)\))?; however", 0.85),
    deb(rf"Failed to fetch \S*/{NAME}_(?P<version>[^_/]+)_\w+\.deb", 0.8),
    deb(rf"/{NAME}_(?P<version>[^_/\s]+)_\w+\.deb\b.*(?:404|mismatch|rror)", 0.75, cue=r"\.deb.*(404|mismatch|rror)"),
    deb(rf"error processing (?:package|archive) (?:/\S+/)?{NAME}", 0.85),
    deb(rf"dependency problems prevent configuration of {NAME}", 0.8),
    deb(rf"no packages found matching {NAME}", 0.7),
)
APK = (
    apk(rf"^\s*{NAME} \((?:no such package|missing)\)", 1.0),
    apk(r"(?:breaks|required by|satisfies): \w[\w.-]*\[(?P<name>[\w+.:-]*?[\w+])(?P<version>[<>=~][^\]]+)?\]", 0.9),
    apk(rf"packages: {NAME}", 0.5, cue="unable to select packages|unsatisfiable constraints"),
    apk(r"ERROR: (?P<name>[a-z][\w+.-]*?)-(?P<version>\d[\w.]*-r\d+): ", 0.9),
)
RPM = (
    rpm(rf"No match for argument: {NAME}", 1.0),
    rpm(rf"Unable to find a match: {NAME}", 1.0),
    rpm(rf"No package {NAME} available", 1.0),
    rpm(rf"No package matches '{NAME}'", 1.0),
    rpm(rf"nothing provides '?{NAME}(?: {BOUND})?'?(?: needed by|$)", 0.92),
    rpm(rf"No provider of '{NAME}' found", 1.0),
    rpm(rf"[Pp]ackage '{NAME}' not found\.$", 0.8),
    rpm(rf"filtering for argument: {NAME}", 1.0),
    rpm(rf"package {NEVRA} (?:from \S+ )?is filtered out by", 0.9),
    rpm(rf"package {NEVRA} (?:from \S+ )?requires ", 0.8, cue="package .* requires "),
    rpm(rf" requires {NAME}(?: {BOUND})?, but none of the providers can be installed", 0.88),
    rpm(rf"cannot install both {NEVRA}", 0.8),
    rpm(rf"^Error:\s+Package: {NEVRA}", 0.75),
    rpm(rf"^\s+Requires: {NAME}(?: {BOUND})?$", 0.85),
    rpm(rf"^\s*{NAME}(?: {BOUND})? is needed by", 0.95),
    rpm(rf"Public key for {NEVRA}\.rpm is not installed", 0.9),
    rpm(rf"(?:^|[\s/]){NEVRA}\.rpm:? .*(?:rror|404|checksum)", 0.85, cue=r"\.rpm.*(rror|404|checksum)"),
    rpm(rf"from install of {NEVRA} conflicts with", 0.9),
)
PACMAN = (
    pacman(rf"error: target not found: {NAME}", 1.0),
    pacman(rf"^:: installing {NAME} \((?P<version>[^)]+)\) breaks dependency", 0.9),
    pacman(rf"unable to satisfy dependency '{NAME}{BOUND}?'", 0.95),
    pacman(rf"cannot resolve \"{NAME}{BOUND}?\", a dependency of", 0.95),
    pacman(r"failed retrieving file '(?P<name>[\w+.-]+?)-(?P<version>\d[\w.:+]*-\d+)-\w+\.pkg\.tar", 0.85),
    pacman(rf"error: {NAME}: signature from", 0.9),
    pacman(r"^(?P<name>[a-z][\w+.-]*): /\S+ exists in filesystem", 0.9),
)
BREW = (
    brew(rf"No available (?:formula|cask)[^\"]*\"{NAME}\"", 1.0),
    brew(r"Error: (?P<name>[\w+.@/-]+): (?:no bottle available|SHA256 mismatch|undefined method|wrong number)", 0.95),
    brew(r"Error: (?P<name>[\w+.@/-]+?) (?P<version>\d\S*) is already installed", 0.8),
    brew(r"Error: (?P<name>[\w+.@/-]+) has been disabled because", 0.95),
    brew(r"Error: (?P<name>[\w+.@/-]+) \S+ (?:did not build|failed to build)", 0.9),
    brew(rf"Cask '{NAME}' (?:is unavailable|definition is invalid)", 0.95),
    brew(rf"Failed to download resource \"{NAME}[\" ]", 0.9),
)
OTHERS = (
    package("generic", rf"snap {QUOTE}{NAME}{QUOTE} not found", 0.95),
    package("generic", rf"error: attribute {QUOTE}(?P<name>[\w.+-]+){QUOTE} .*missing", 0.85),
    package(
        "generic", r"error: Package ‘(?P<name>[\w+.-]+?)(?:-(?P<version>\d[\w.]*))?’ in \S+ (?:is marked|has an)", 0.95
    ),
    package(
        "generic",
        r"(?:builder for|fixed-output derivation) "
        r"'/nix/store/\w{32}-(?P<name>[\w+.-]+?)(?:-(?P<version>\d[\w.]*))?\.drv'",
        0.85,
    ),
    package("generic", r"Cannot add PPA: '(?P<name>ppa:[\w.~/+-]+)'", 0.9),
    package("generic", r"version [`'](?P<name>GLIBC(?:XX)?)_(?P<version>[\d.]+)' not found", 0.95),
)

PATTERNS: tuple[Pattern, ...] = (*APT, *APK, *RPM, *PACMAN, *BREW, *OTHERS)
