"""Programs that are not there, and versions of tools that can't be had: whose package they are is not known."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z_][\w.+-]*)"
QUOTE = r"[\"'‘’`]"
VERSION = r"(?P<version>v?\d[\w.+-]*)"
LANGUAGES = {
    "cpython": "Python", "go": "Go", "golang": "Go", "java": "Java", "jdk": "JDK", "node": "Node.js", "nodejs":
    "Node.js", "nvm": "Node.js", "pyenv": "Python", "pypy": "PyPy", "python": "Python", "rbenv": "Ruby", "ruby": "Ruby",
}  # fmt: skip


def command(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a program."""
    return package("generic", regex, weight, cue=cue)


def language(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a version of a language's tools."""
    return package("generic", regex, weight, cue=cue, clean=lambda name: LANGUAGES.get(name.lower(), name))


MISSING = (
    command(rf"(?:^|: ){NAME}: (?:[Cc]ommand )?not found", 0.75, cue="ommand not found|: not found"),
    command(rf"command not found: {NAME}", 0.75),
    command(rf"sh: (?:line )?\d*:? ?{NAME}: not found", 0.75, cue="sh: .*: not found"),
    command(rf"\"{NAME}\": executable file not found", 0.75),
    command(
        rf"(?:make|env): {QUOTE}?{NAME}{QUOTE}?: No such file or directory", 0.8, cue="(make|env).*: No such file or"
    ),
    command(rf"(?:spawn|execvp|exec) {QUOTE}?{NAME}{QUOTE}? ENOENT", 0.7),
    command(rf"syscall spawn {NAME}", 0.7),
    command(rf"No such file or directory: {QUOTE}(?P<name>[a-z][a-z0-9+-]{{1,30}}){QUOTE}$", 0.7, cue="rectory: ['\"]"),
    command(rf"program '{NAME}' is currently not installed", 0.8),
    command(rf"'{NAME}' is not recognized as an internal", 0.75),
    command(rf"The term '{NAME}' is not recognized", 0.75),
    command(rf"[Cc]annot find command '{NAME}'", 0.75),
    command(rf"Cannot run program \"(?:/\S*/)?{NAME}\"", 0.75),
    command(rf"unable to execute '{NAME}'", 0.8),
    command(rf"error: command '(?:/\S*/)?{NAME}' failed: (?:No such|None)", 0.8),
    command(rf"Unable to locate executable file: {NAME}\.", 0.9),
    command(rf"which: no {NAME} in \(", 0.75),
    command(rf"Program(?:\(s\) \[)? ?'{NAME}'\]? not found or not executable", 0.95),
    command(rf"build program corresponding to \"{NAME}", 0.9),
    command(rf"unable to find utility \"{NAME}\"", 0.9),
    command(r"(?:rror|ERROR|FATAL).*?\b(?P<name>[A-Za-z][\w.+-]*\w) (?:is not installed|not installed)", 0.65),
    command(r"(?<![\w-])(?P<name>[\w-]+_config)(?: executable)? not found", 0.9),
    command(r"can't find (?P<name>Rust) compiler", 0.9),
    command(r"(?P<name>Cargo), the Rust package manager, is not installed", 0.9),
    command(r"gyp ERR! find (?P<name>Python)\b", 0.85),
    command(
        r"requires? (?P<name>Node|Python|Java|Go|Ruby)(?:\.js)? version",
        0.3,
        cue="requires? (Node|Python|Java|Go|Ruby)",
    ),
)
VERSIONS = (
    language(rf"Unable to find (?P<name>Node|Java|Go|Python|Ruby) version '{VERSION}", 0.95),
    language(rf"Unknown version {VERSION} for (?P<name>ruby|python|node)", 0.95),
    package(
        "generic",
        rf"[Vv]ersion '?{VERSION}'? with arch(?:itecture)? '?\w+'? (?:was )?(?P<name>not found)",
        0.9,
        clean=lambda _: "Python",
    ),
    language(rf"(?P<name>pyenv|rbenv): version [`']{VERSION}' is not installed", 0.95),
    language(r"(?P<name>python)-build: definition not found: (?P<version>\S+)", 0.95),
    language(r"Required (?P<name>ruby)-(?P<version>\d[\w.]*) is not installed\.?$", 0.95),
    language(r"Stop! (?P<name>\w+) (?P<version>\S+) is not available", 0.95),
    language(r"InterpreterNotFound: (?P<name>[\w.]+)", 0.9),
    language(r"No interpreter found for (?P<name>Python) (?P<version>[<>=~!]*\s?\d\S*)", 0.95),
    language(r"Version '(?P<version>[^']+)' not found - try `(?P<name>nvm) ls-remote", 0.95),
)

PATTERNS: tuple[Pattern, ...] = (*MISSING, *VERSIONS)
