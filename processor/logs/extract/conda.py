"""conda, mamba, micromamba and pixi."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z0-9_](?:[\w.-]*[A-Za-z0-9])?)"
RANGE = r"(?P<version>[<>=!~]*\s?\d(?:[\w.*=<>,|+-]*[\w*])?)"
SPEC = rf"{NAME}(?:\s*{RANGE})?"


def conda(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a conda package."""
    return package("conda", regex, weight, cue=cue)


PATTERNS: tuple[Pattern, ...] = (
    conda(rf"nothing provides (?:requested )?{SPEC}(?! needed by)", 0.9),
    conda(rf"^  - (?:[\w-]+::)?{NAME}(?:[= ](?P<version>[<>=\d][\w.*=<>]*))?(?: ->.*)?$", 0.4, cue="^  - [a-z0-9]"),
    conda(rf"[├└]─ {NAME}(?: (?P<version>[\w.*=<>|, ]+?))? (?:does not exist|is not installable|is missing)", 1.0),
    conda(
        rf"[├└]─ {NAME}(?: (?P<version>[\w.*=<>|, ]+?))? (?:is requested|is installable|would require|requires)", 0.6
    ),
    conda(r"package (?P<name>[\w.-]+?)-(?P<version>\d[\w.]*)-\w+ (?:requires|is excluded|conflicts)", 0.85),
    conda(rf"-\w+ requires {SPEC}, but none of the providers can be installed", 0.9),
    conda(rf"^Package {NAME} conflicts for:", 0.85),
    conda(rf"The package for {NAME} located at", 0.95),
    conda(
        r"post-link script failed for package (?:[\w-]+::)?(?P<name>[\w.]+(?:-[A-Za-z]\w*)*)-(?P<version>\d[\w.]*)",
        0.95,
    ),
    conda(r"for url <\S*/(?P<name>[\w.]+(?:-[A-Za-z]\w*)*)-(?P<version>\d[\w.]*)-\w+\.(?:conda|tar\.bz2)>", 0.75),
    conda(rf"No candidates were found for {SPEC}", 1.0),
    conda(rf"[Ii]nvalid package specification: {SPEC}", 0.9),
)
