"""Packages of the operating system: apt, dpkg, apk, dnf, yum, zypper, pacman, Homebrew; and missing commands."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z0-9][\w.+-]*[\w+])"
COMMAND = r"(?P<name>[A-Za-z_][\w.+-]*)"


def deb(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a Debian package."""
    return package("deb", cue, regex, weight)


def rpm(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for an RPM package."""
    return package("rpm", cue, regex, weight)


def command(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a program that is not there: its package is not known."""
    return package("generic", cue, regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    deb("Unable to locate package ", rf"Unable to locate package {NAME}", 1.0),
    deb("has no installation candidate", rf"Package '?{NAME}'? has no installation candidate", 1.0),
    deb("Couldn't find any package by ", rf"package by (?:glob|regex) '{NAME}'", 0.9),
    deb("Version '.*' for '.*' was not found", rf"Version '(?P<version>[^']+)' for '{NAME}' was not found", 1.0),
    deb("Depends: .*but", rf"Depends: {NAME}(?::\w+)?(?: \((?P<version>[^)]+)\))? but", 0.9),
    deb(" : (Pre)?Depends: ", rf"^\s*{NAME}(?::\w+)? : (?:Pre)?Depends: ", 0.95),
    deb("(Conflicts|Breaks): ", rf"^\s*{NAME}(?::\w+)? : (?:Conflicts|Breaks): ", 0.9),
    deb("Failed to fetch .*\\.deb", rf"/{NAME}_(?P<version>[^_/]+)_\w+\.deb", 0.6),
    deb("error processing (package|archive) ", rf"error processing (?:package|archive) (?:/\S+/)?{NAME}", 0.85),
    deb("dependency problems prevent configuration of ", rf"configuration of {NAME}", 0.8),
    package("apk", "(no such package)", rf"^\s*{NAME} \(no such package\)", 1.0),
    package(
        "apk", "breaks: |required by: ", rf"(?:breaks|required by): \w[\w.-]*\[{NAME}(?P<version>[<>=~][^\]]+)?\]", 0.9
    ),
    package("apk", "unable to select packages|unsatisfiable constraints", rf"packages: {NAME}", 0.5),
    rpm("No match for argument", rf"No match for argument: {NAME}", 1.0),
    rpm("Unable to find a match: ", rf"Unable to find a match: {NAME}", 1.0),
    rpm("No package .* available", rf"No package {NAME} available", 1.0),
    rpm("nothing provides .* needed by", rf"nothing provides {NAME}", 0.9),
    rpm("No provider of '", rf"No provider of '{NAME}' found", 1.0),
    rpm("package '.*' not found\\.", rf"[Pp]ackage '{NAME}' not found\.$", 0.8),
    package("alpm", "target not found: ", rf"error: target not found: {NAME}", 1.0),
    package("brew", "No available formula ", rf"No available (?:formula|cask)[^\"]*\"{NAME}\"", 1.0),
    command("command not found", rf"(?:^|: ){COMMAND}: (?:command )?not found", 0.75),
    command("command not found", rf"command not found: {COMMAND}", 0.75),
    command("sh: .*: not found", rf"sh: (?:line )?\d*:? ?{COMMAND}: not found", 0.75),
    command("executable file not found", rf"\"{COMMAND}\": executable file not found", 0.75),
    command("spawn .* ENOENT", rf"spawn {COMMAND} ENOENT", 0.7),
    command("syscall spawn ", rf"syscall spawn {COMMAND}", 0.7),
    command("is currently not installed", rf"program '{COMMAND}' is currently not installed", 0.8),
    command("is not recognized as an internal", rf"'{COMMAND}' is not recognized as", 0.75),
    command("The term '.*' is not recognized", rf"The term '{COMMAND}' is not recognized", 0.75),
    command("[Cc]annot find command", rf"[Cc]annot find command '{COMMAND}'", 0.75),
    command('Cannot run program "', rf"Cannot run program \"(?:/\S*/)?{COMMAND}\"", 0.75),
    command("find Python.*is not set|find Python\\b", r"gyp ERR! find (?P<name>Python)", 0.75),
    command(
        "requires? (Node|Python|Java|Go|Ruby)", r"requires? (?P<name>Node|Python|Java|Go|Ruby)(?:\.js)? version", 0.3
    ),
)
