"""Haskell packages, as cabal, Stack and GHC name them."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z][A-Za-z0-9]*)*)"
EXACT = rf"{NAME}-(?P<version>\d[\d.]*\d)"


def hackage(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a Haskell package."""
    return package("hackage", regex, weight, cue=cue)


PATTERNS: tuple[Pattern, ...] = (
    hackage(rf"There is no package named '{NAME}'", 1.0),
    hackage(rf"unknown package: {NAME} \(", 0.95),
    hackage(rf"rejecting: {NAME}[-;:](?P<version>[\d.]*\d)?", 0.62),
    hackage(rf"next goal: {NAME} \(dependency", 0.65),
    hackage(rf"member of the (?:hidden )?package [`‘']{EXACT}", 0.95),
    hackage(rf"cannot satisfy -package(?:-id)? {NAME}", 0.95),
    hackage(rf"Failed to build {EXACT}", 0.95),
    hackage(rf"While building package {EXACT}", 0.92),
    hackage(rf"^\s+{NAME} must match (?P<version>[^,]+), but", 0.95),
    hackage(rf"(?<![\w-]){EXACT} from [Ss]tackage does not match", 0.95),
    hackage(rf"identifiers were not found in your indices: {EXACT}", 1.0),
    hackage(rf"^\s*{NAME} needed, but the stack configuration", 0.95),
    hackage(rf"dependencies for {EXACT}", 0.4),
)
