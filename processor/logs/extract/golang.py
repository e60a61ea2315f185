"""Go modules and import paths."""

from __future__ import annotations

import re

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[a-zA-Z0-9][\w.~-]*(?:/[\w.~-]*[\w~-])*)"
START = r"(?<![\w./~-])"
VERSION = r"(?P<version>v\d[\w.+-]*[\w+]|[0-9a-f]{7,40}|latest|master|main)"
SPEC = rf"{START}{NAME}@{VERSION}"


def unescape(name: str) -> str:
    """A module's path in the module cache, where capitals are written with an exclamation mark."""
    return re.sub(r"!([a-z])", lambda match: match[1].upper(), name)


def go(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a Go module or package."""
    return package("golang", regex, weight, cue=cue)


PATTERNS: tuple[Pattern, ...] = (
    go(rf"{SPEC}: invalid version:", 1.0),
    go(rf"{SPEC}: .*unknown revision", 1.0),
    go(rf"{SPEC}: reading ", 1.0, cue="@.*: reading "),
    go(rf"{SPEC}: no matching versions", 1.0),
    go(rf"unrecognized import path \"?{NAME}\"?", 1.0),
    go(rf"{SPEC}: unrecognized import path", 1.0),
    go(rf"no required module provides package {NAME}", 0.95),
    go(rf"cannot find module providing package {NAME}", 1.0),
    go(rf"module providing package {NAME}", 0.95),
    go(rf"{SPEC}: missing go\.sum entry", 0.95),
    go(rf"cannot find package \"{NAME}\"", 0.95),
    go(rf"package {NAME}: cannot find package", 0.95),
    go(rf"package {NAME} is not in (?:GOROOT|std)", 0.95, cue="is not in (GOROOT|std)"),
    go(rf"module {SPEC} found.*but does not contain", 0.95),
    go(rf"but does not contain package {NAME}", 0.7),
    go(rf"verifying (?:module:? )?{SPEC}(?:/go\.mod)?: ", 1.0),
    go(rf"{SPEC} requires go ", 1.0),
    go(rf"module {NAME} requires go ", 0.9),
    go(rf"module declares its path as: {NAME}", 0.9),
    go(rf"{SPEC}: parsing go\.mod", 0.9),
    go(rf"{SPEC}: module lookup disabled", 0.9),
    go(rf"inconsistent vendoring in {NAME}", 0.2),
    go(rf"{SPEC}: is explicitly required", 0.9),
    go(rf"Found in: {SPEC}", 0.9),
    go(rf"^\s+Module: {NAME}$", 0.85),
    go(rf"No versions of {NAME} met constraints", 1.0),
    go(rf"could not import {NAME} \(", 0.75),
    go(rf"^go: (?!downloading|finding|extracting|added|upgraded){SPEC}", 0.6, cue="^go: .*@v"),
    go(rf"go: (?:downloading|finding|extracting) {NAME} {VERSION}", 0.15, cue="go: (downloading|finding|extracting) "),
    package(
        "golang",
        r"/pkg/mod/(?P<name>[\w.!-]+(?:/[\w.!~-]+)*)@(?P<version>v\d[\w.+-]*)[^\s:]*:\d+",
        0.85,
        clean=unescape,
    ),
    package(
        "golang",
        r"exclude all Go files in \S*/pkg/mod/(?P<name>[\w.!-]+(?:/[\w.!~-]+)*)@(?P<version>v\d[\w.+-]*)",
        0.9,
        clean=unescape,
    ),
    package("generic", r"go\.mod requires (?P<name>go) >= (?P<version>\d[\w.]*)", 0.95),
    package("generic", r"module requires (?P<name>Go) (?P<version>\d[\w.]*)", 0.9),
    package("generic", r"download (?P<name>go)(?P<version>\d[\w.]*) for \S+: toolchain not available", 0.95),
    package("generic", r"^# pkg-config .*-- (?P<name>[\w.+-]+)", 0.8),
)
