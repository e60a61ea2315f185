"""pip, uv, poetry, pdm and pipenv; setuptools; audits of Python distributions."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(?:\[[^\]]*\])?"
START = r"(?<![\w.-])"
RANGE = r"(?P<version>(?:[<>=!~]=?=?\s*[\w.*+!-]*\w\*?)(?:\s*,\s*[<>=!~]=?=?\s*[\w.*+!-]+)*|==[\w.]*\*)"
SPEC = rf"{NAME}(?:\s*\(?{RANGE}\)?)?"
EXACT = r"\((?P<version>[^)]*)\)"


def pypi(regex: str, weight: float, *, cue: str = "", many: bool = False) -> Pattern:
    """A pattern for a Python distribution."""
    return package("pypi", regex, weight, cue=cue, all=many)


PIP = (
    pypi(rf"No matching distribution found for {SPEC}", 1.0),
    pypi(rf"that satisfies the requirement {SPEC}", 1.0),
    pypi(rf"find a version that matches {SPEC}", 1.0),
    pypi(rf"The user requested (?:\(constraint\) )?{SPEC}", 0.95),
    pypi(rf"^\s+{NAME}(?: (?P<version>\d[\w.]*))? depends on ", 0.8, cue="^ +[A-Za-z0-9].* depends on "),
    pypi(rf" depends on {SPEC}", 0.75),
    pypi(rf"(?:install|,|and) {NAME}==(?P<version>[\w.+!-]*\w)", 0.85, cue="Cannot install ", many=True),
    pypi(rf"(?:requires?|requirement) {SPEC},? but you(?:'ll)? have", 0.9),
    pypi(rf"but you(?:'ll)? have {NAME} (?P<version>\S+) which", 0.7),
    pypi(rf"requires {SPEC}, which is not installed", 0.9),
    pypi(rf"Package '?{NAME}'? requires a different Python", 1.0),
    pypi(r"(?:^|[\s/])(?P<name>[A-Za-z0-9][\w.]*)-(?P<version>\d[\w.+!]*)-\S+\.whl is not a supported wheel", 0.95),
    pypi(rf"Requested {SPEC} from \S+ has (?:inconsistent|invalid)", 0.95, cue="has (inconsistent|invalid) "),
    pypi(rf"Requested {SPEC} .*has (?:inconsistent|invalid)", 0.9, cue="Requested .* has in(consistent|valid)"),
    pypi(rf"Invalid requirement: '{SPEC}", 0.9),
    pypi(rf"Double requirement given: {SPEC}", 0.9),
    pypi(rf"^\s+{NAME}==(?P<version>\S+) from https?://", 0.9, cue="^ +[A-Za-z0-9].*==.* from https?://"),
    pypi(rf"^\s+{NAME}==(?P<version>[\w.+!-]+)\b.*:$", 0.8, cue="^    [A-Za-z0-9].*==.*:$"),
    pypi(rf"^\s+{SPEC} from", 0.7, cue="In --require-hashes mode"),
    pypi(rf"^\s+{SPEC} --hash=", 0.9, cue="^ +[A-Za-z0-9].* --hash="),
    pypi(r"HTTP error \d+ while getting \S*/(?P<name>[A-Za-z][\w.]*(?:-[A-Za-z]\w*)*)-(?P<version>\d[\w.]*)[-.]", 0.85),
    pypi(rf"with url: /(?:\S*/)?simple/{NAME}/", 0.45),
)
BUILD = (
    pypi(rf"(?:^|: |× )Failed to (?:build|download)(?: and build)? [`']?{SPEC}", 0.9, cue="Failed to (build|download)"),
    pypi(rf"[Ff]ailed building wheel for {NAME}", 0.95),
    pypi(rf"Could not build wheels for {NAME}", 0.95),
    pypi(rf"some pyproject\.toml based projects \({NAME}", 0.95),
    pypi(rf"Building wheel for {NAME} \([^)]*\) ?(?:did not run|\.\.\. ?error|: finished with status 'error')", 0.9),
    pypi(rf"Running setup\.py (?:install|bdist_wheel) for {NAME}(?: did not run|:? .*error)", 0.9),
    pypi(r"^\s*╰─> (?P<name>[A-Za-z][\w.-]*)$", 0.85),
    pypi(rf"failed with error code \d+ in \S*/{NAME}/?$", 0.9),
    pypi(r"pip-(?:install|req-build|wheel)-\w+/(?P<name>[A-Za-z][\w.-]*?)(?:_[0-9a-f]{32})?/", 0.65),
    pypi(r"a problem with poetry but with (?P<name>[\w.-]+) \((?P<version>[^)\s]*)", 1.0),
    # What comes as source has to be built here, which is where installs fail without saying of which package.
    pypi(
        r"(?:Downloading|cached|for) \S*?(?P<name>[A-Za-z][\w.]*(?:-[A-Za-z][\w.]*)*)-(?P<version>\d[\w.]*)\.tar\.gz",
        0.45,
        cue=r"(Downloading|cached|for) .*\.tar\.gz",
    ),
    pypi(rf"^ *Collecting {SPEC}", 0.2),
    pypi(r"Downloading (?P<name>[A-Za-z0-9]\w*)-(?P<version>\d[\w.]*)-", 0.1, cue="^ *Downloading .*whl"),
)
SETUPTOOLS = (
    pypi(rf"The '{SPEC}' distribution was not found", 0.95),
    pypi(rf"Requirement\.parse\('{SPEC}'\)", 0.9),
    pypi(rf"VersionConflict: \({NAME} (?P<version>\d\S*) \(", 0.8),
    pypi(rf"[Nn]o local packages or (?:working )?download links found for {SPEC}", 1.0),
    pypi(rf"Couldn't find index page for '{NAME}'", 0.9),
    pypi(rf"is installed but {SPEC} is required by", 1.0),
    pypi(rf"No package metadata was found for {NAME}", 0.85),
    pypi(rf"PackageNotFoundError: {NAME}$", 0.8),
    pypi(
        rf"(?:Error|ERROR|error): .*?{START}{NAME}{RANGE} is required", 0.85, cue="rror: .* is required|RROR: .* is req"
    ),
)
UV = (
    pypi(rf"there (?:is|are) no versions? of {SPEC}", 1.0),
    pypi(rf"[Bb]ecause {NAME} was not found in the", 1.0),
    pypi(rf"[Bb]ecause only {SPEC} (?:is|are)", 0.95),
    pypi(rf"only the following versions? of {SPEC}", 0.95),
    pypi(rf"[Bb]ecause (?:all versions of )?{SPEC} depends? on ", 0.85),
    pypi(rf"[Bb]ecause (?:all versions of )?{SPEC} ha(?:s|ve) no (?:wheels|usable|source)", 1.0),
    pypi(rf"and (?:all versions of )?{SPEC} depends? on Python", 0.95),
    pypi(rf"(?:and|ecause) you require {SPEC}", 0.8, many=True),
    pypi(rf"conclude that (?:all versions of )?{SPEC} cannot be used", 0.65),
    pypi(rf"Failed to fetch: `https?://\S+/simple/{NAME}/?`", 1.0),
    pypi(rf"Distribution `{NAME}==(?P<version>\S+) @ .*can't be installed", 1.0),
    pypi(rf"Failed to install: \S+\.whl \({NAME}==(?P<version>[^)]+)\)", 0.95),
)
POETRY = (
    pypi(rf"{START}{NAME} requires a Python version", 0.8),
    pypi(rf"depends on {NAME} \((?P<version>[^)]*)\) which", 1.0, cue="(doesn't|does not) match any versions"),
    pypi(rf"[Bb]ecause no versions of {NAME} match (?P<version>\S+)", 1.0),
    pypi(rf"depends on both {NAME} {EXACT}", 0.95),
    pypi(rf"depends on both .* and {NAME} {EXACT}", 0.9),
    pypi(rf"{START}{NAME} {EXACT} is incompatible with", 0.8),
    pypi(rf"Unable to find installation candidates for {NAME} {EXACT}", 1.0),
    pypi(rf"Could not find a matching version of package {NAME}(?![\w/-])", 1.0),
    pypi(rf"Package {NAME} {EXACT} not found", 1.0),
    pypi(rf"[•-] (?:Installing|Updating) {NAME} {EXACT}: Failed", 0.95),
    pypi(rf"Hash for {NAME} {EXACT} from archive", 1.0),
    pypi(r"Retrieved digest for link (?P<name>[A-Za-z0-9][\w.]*)-(?P<version>\d[\w.+!]*)[-.]", 1.0),
    pypi(rf"^\s*- {NAME} requires Python ", 0.95),
    pypi(rf"Unable to find candidates for {NAME}", 1.0),
    pypi(rf"Couldn't install package: {SPEC}", 1.0),
)
AUDITS = (
    pypi(rf"^{NAME}\s+(?P<version>\d[\w.]*)\s+(?:GHSA|PYSEC|CVE)-", 0.85, cue="(GHSA-|PYSEC-|CVE-)"),
    pypi(rf"was found for package {NAME}:(?P<version>\d\S*)", 0.9),
    pypi(rf"Vulnerability found in {NAME} version (?P<version>\S+)", 0.9),
)

PATTERNS: tuple[Pattern, ...] = (*PIP, *BUILD, *SETUPTOOLS, *UV, *POETRY, *AUDITS)
