"""Hex packages, as Mix and Rebar name them."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[a-z]\w*)"


def hex(regex: str, weight: float, *, cue: str = "") -> Pattern:  # noqa: A001 - the registry's name
    """A pattern for a Hex package."""
    return package("hex", regex, weight, cue=cue)


PATTERNS: tuple[Pattern, ...] = (
    hex(rf"No package with name {NAME} ", 1.0),
    hex(rf"Failed to use \"{NAME}\"(?: \(versions? (?P<version>[^)]+)\))? because", 0.95),
    hex(rf"depends on \"?{NAME}\"? (?P<version>(?:~>|>=|==) \S+) which doesn't match any versions", 1.0),
    hex(rf"^\* {NAME} \((?:Hex package|https?:|git)", 0.9, cue="^[*] [a-z][a-z0-9_]* \\((Hex package|https?:|git)"),
    hex(rf"could not compile dependency :{NAME}", 0.95),
    hex(rf"the dependency :?{NAME} (?:is not|does not|build is|in mix)", 0.8),
    hex(rf"trying to run :{NAME} on Elixir", 0.9),
    hex(rf"Package not found in any repo: {NAME}(?: (?P<version>[\d.]+))?", 1.0),
    hex(rf"Package {NAME}-(?P<version>\d[\w.]*) not found", 0.95),
)
