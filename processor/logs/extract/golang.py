"""Go modules and import paths."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[a-zA-Z0-9][\w.~-]*(?:/[\w.~-]*[\w~-])*)"
VERSION = r"(?P<version>v\d[\w.+-]*[\w+]|[0-9a-f]{7,40}|latest|master|main)"
SPEC = rf"{NAME}@{VERSION}"


def go(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a Go module or package."""
    return package("golang", cue, regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    go("invalid version: ", rf"{SPEC}: invalid version:", 1.0),
    go("unknown revision ", rf"{SPEC}: .*unknown revision", 1.0),
    go("@.*: reading ", rf"{SPEC}: reading ", 1.0),
    go("unrecognized import path ", rf"unrecognized import path \"?{NAME}\"?", 1.0),
    go("@.*unrecognized import path", rf"{SPEC}: unrecognized import path", 1.0),
    go("no required module provides package", rf"no required module provides package {NAME}", 0.95),
    go("cannot find module providing package", rf"cannot find module providing package {NAME}", 1.0),
    go("missing go.sum entry for module providing", rf"module providing package {NAME}", 0.95),
    go("missing go.sum entry", rf"{SPEC}: missing go\.sum entry", 0.95),
    go('cannot find package "', rf"cannot find package \"{NAME}\"", 0.95),
    go("cannot find package \\.", rf"package {NAME}: cannot find package", 0.95),
    go("is not in (GOROOT|std)", rf"package {NAME} is not in (?:GOROOT|std)", 0.95),
    go("but does not contain package", rf"module {SPEC} found.*but does not contain", 0.95),
    go("but does not contain package", rf"but does not contain package {NAME}", 0.7),
    go("verifying .*checksum mismatch|verifying .*@", rf"verifying {SPEC}(?:/go\.mod)?: ", 1.0),
    go("requires go ", rf"{SPEC} requires go ", 1.0),
    go("requires go ", rf"module {NAME} requires go ", 0.9),
    go("module declares its path as", rf"module declares its path as: {NAME}", 0.9),
    go("parsing go.mod", rf"{SPEC}: parsing go\.mod", 0.9),
    go("inconsistent vendoring", rf"inconsistent vendoring in {NAME}", 0.2),
    go("is explicitly required in go.mod", rf"{SPEC}: is explicitly required", 0.9),
    go("Found in: ", rf"Found in: {SPEC}", 0.9),
    go("^go: .*@v", rf"^go: (?!downloading|finding|extracting|added|upgraded){SPEC}", 0.6),
    go("go: (downloading|finding|extracting) ", rf"go: (?:downloading|finding|extracting) {NAME} {VERSION}", 0.15),
)
