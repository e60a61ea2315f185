"""R packages, as R, pak, renv and remotes name them."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

QUOTE = r"[‘'\"`“]"
NAME = r"(?P<name>[A-Za-z][\w.]*\w)"
QUOTED = rf"{QUOTE}{NAME}[’'\"`”]"


def cran(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for an R package."""
    return package("cran", regex, weight, cue=cue)


PATTERNS: tuple[Pattern, ...] = (
    cran(rf"there is no package called {QUOTED}", 1.0),
    cran(rf"dependenc(?:y|ies) {QUOTED}.* (?:is|are) not available", 1.0),
    cran(rf"package {QUOTED} is not available", 1.0),
    cran(rf"(?:configuration|compilation|lazy loading) failed for package {QUOTED}", 0.95),
    cran(rf"installation of package {QUOTED} had non-zero", 0.95),
    cran(rf"namespace {QUOTED} (?P<version>[\d.-]+) is (?:being|already) loaded, but", 1.0),
    cran(rf"[Pp]ackages? (?:required|suggested)(?: and)?(?: but)? not available:? {QUOTED}", 0.95),
    cran(rf"Failed to install {QUOTED} from", 0.95),
    cran(rf"Can't find package called {NAME}", 1.0),
    cran(rf"Can't install dependency (?:[\w-]+/)?{NAME}(?: \((?P<version>[^)]+)\))?", 0.95),
    cran(rf"failed to retrieve package {QUOTE}{NAME}@(?P<version>[^'’]+)", 1.0),
    cran(rf"Namespace dependency (?:not required|missing from \S+ \S+ entries): {QUOTED}", 0.95),
    cran(rf"package {QUOTED} was built under R version", 0.2),
)
