"""Registries of smaller worlds: LuaRocks, opam and dune, Shards, PlatformIO, rosdep, LaTeX."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z0-9_][\w.+-]*\w)"

PATTERNS: tuple[Pattern, ...] = (
    package("luarocks", rf"module '{NAME}' not found:", 0.95),
    package("luarocks", rf"rror: No results matching query were found(?: for)? {NAME}", 0.7),
    package("luarocks", r"Failed installing dependency: \S*/(?P<name>[\w.-]+?)-(?P<version>\d[\w.]*-\d+)\.", 0.95),
    package("luarocks", r"Missing dependencies for \S+ \S+ *(?:\(.*\))?: ?(?P<name>[\w.-]+)", 0.9),
    package("opam", rf"\[ERROR\] No package (?:named|matching) {NAME}", 1.0),
    package("opam", r"The compilation of (?P<name>[\w+-]+)\.(?P<version>\S+) failed", 0.95),
    package("opam", rf"No agreement on the version of {NAME}", 0.95),
    package("opam", r"→ (?P<name>[\w+-]+)(?: (?P<version>[<>=]+ \S+))?$", 0.5, cue="^ +.* → [a-z]"),
    package("opam", rf"Error: Library \"{NAME}\" not found", 0.95),
    package(
        "generic", r"[Uu]nable to satisfy the following requirements:.*`(?P<name>[\w-]+) \((?P<version>[^)]*)\)`", 0.95
    ),
    package("generic", r"^- `(?P<name>[\w-]+) \((?P<version>[^)]*)\)` required by", 0.95),
    package(
        "generic", r"Could not find the package with '(?P<name>[^'@]+?)(?: ?@ ?(?P<version>[^']+))?' requirements", 0.95
    ),
    package("generic", r"rosdep definition for \[(?P<name>[\w.-]+)\]", 1.0),
    package("generic", r"LaTeX Error: File `(?P<name>[\w./-]+)' not found", 0.95),
    package("generic", r"Library '(?P<name>[\w ./-]+)' not found in ", 0.8),
)
