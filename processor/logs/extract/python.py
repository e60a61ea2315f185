"""pip, uv, poetry and conda, and Python's own import errors."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

NAME = r"(?P<name>[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(?:\[[^\]]*\])?"
RANGE = r"(?P<version>(?:[<>=!~]=?=?\s*[\w.*+!-]*\w\*?)(?:\s*,\s*[<>=!~]=?=?\s*[\w.*+!-]+)*|==[\w.]*\*)"
SPEC = rf"{NAME}(?:\s*\(?{RANGE}\)?)?"

MODULES = {
    "cv2": "opencv-python",
    "yaml": "PyYAML",
    "PIL": "Pillow",
    "sklearn": "scikit-learn",
    "bs4": "beautifulsoup4",
}
"""Import names that differ from the distribution's in a way that everybody meets."""


def distribution(module: str) -> str:
    """The distribution that a top-level module usually comes from."""
    return MODULES.get(module, module)


def pypi(cue: str, regex: str, weight: float, *, many: bool = False, module: bool = False) -> Pattern:
    """A pattern for a Python distribution."""
    return package("pypi", cue, regex, weight, all=many, clean=distribution if module else None)


PATTERNS: tuple[Pattern, ...] = (
    pypi("No matching distribution found for", rf"No matching distribution found for {SPEC}", 1.0),
    pypi("version that satisfies the requirement", rf"that satisfies the requirement {SPEC}", 1.0),
    pypi("The user requested ", rf"The user requested (?:\(constraint\) )?{SPEC}", 0.95),
    pypi(" depends on ", rf"^\s+{NAME}(?: (?P<version>\d[\w.]*))? depends on ", 0.8),
    pypi(" depends on ", rf" depends on {SPEC}", 0.75),
    pypi("Cannot install ", rf"(?:install|,|and) {NAME}==(?P<version>[\w.+!-]*\w)", 0.85, many=True),
    pypi("which is incompatible", rf"(?:requires?|requirement) {SPEC},? but you(?:'ll)? have", 0.9),
    pypi("which is incompatible", rf"but you(?:'ll)? have {NAME} (?P<version>\S+) which", 0.7),
    pypi("which is not installed", rf"requires {SPEC}, which is not installed", 0.9),
    pypi("requires a different Python", rf"Package '?{NAME}'? requires a different Python", 1.0),
    pypi("Failed to build ", rf"(?:^|: |× )Failed to build [`']?{SPEC}", 0.9),
    pypi("[Ff]ailed building wheel for", rf"[Ff]ailed building wheel for {NAME}", 0.95),
    pypi("Could not build wheels for", rf"Could not build wheels for {NAME}", 0.95),
    pypi("Building wheel for .* did not run", rf"Building wheel for {NAME}", 0.9),
    pypi("Building wheel .*error", rf"Building wheel for {NAME} \(.*\): finished with status 'error'", 0.85),
    pypi("from https?://.*:$", rf"^\s+{NAME}==(?P<version>\S+) from https?://", 0.9),
    pypi("^    [A-Za-z0-9].*==.*:$", rf"^\s+{NAME}==(?P<version>[\w.+!-]+)\b.*:$", 0.8),
    pypi("In --require-hashes mode", rf"^\s+{SPEC} from", 0.7),
    pypi("ModuleNotFoundError: No module", r"No module named '?(?P<name>\w+)", 0.85, module=True),
    pypi("ImportError: No module", r"No module named '?\"?(?P<name>\w+)", 0.85, module=True),
    pypi("No module named", r"python[\d.]*: No module named (?P<name>\w+)", 0.8, module=True),
    pypi("cannot import name", r"cannot import name .* from '(?P<name>\w+)", 0.65, module=True),
    pypi("site-packages/", r"site-packages/(?P<name>[A-Za-z]\w*)/", 0.2, module=True),
    pypi("there (is|are) no versions? of", rf"there (?:is|are) no versions? of {SPEC}", 1.0),
    pypi("was not found in the", rf"[Bb]ecause {NAME} was not found in the", 1.0),
    pypi("ecause .* depends on ", rf"[Bb]ecause {SPEC} depends on ", 0.85),
    pypi("ecause only ", rf"[Bb]ecause only {SPEC} (?:is|are)", 0.95),
    pypi("only the following versions? of", rf"only the following versions? of {SPEC}", 0.95),
    pypi("you require ", rf"you require {SPEC}", 0.8, many=True),
    pypi("requires a Python version", rf"{NAME} requires a Python version", 0.8),
    pypi("(doesn't|does not) match any versions", rf"depends on {NAME} \((?P<version>[^)]*)\) which", 1.0),
    pypi("ecause no versions of ", rf"ecause no versions of {NAME} match (?P<version>\S+)", 1.0),
    pypi("depends on both ", rf"depends on both {NAME} \((?P<version>[^)]*)\)", 0.95),
    pypi("depends on both ", rf"depends on both .* and {NAME} \((?P<version>[^)]*)\)", 0.9),
    pypi("is incompatible with", rf"{NAME} \((?P<version>[^)]*)\) is incompatible with", 0.8),
    pypi(
        "installation candidates for", rf"Unable to find installation candidates for {NAME} \((?P<version>[^)]+)\)", 1.0
    ),
    pypi("Could not find a matching version of", rf"matching version of package {NAME}", 1.0),
    pypi("DistributionNotFound", rf"The '{SPEC}' distribution was not found", 0.95),
    pypi("VersionConflict", rf"Requirement\.parse\('{SPEC}'\)", 0.9),
    pypi("ContextualVersionConflict", rf"\({NAME} (?P<version>\d\S*) \(", 0.8),
    pypi("(GHSA-|PYSEC-|CVE-)", rf"^{NAME}\s+(?P<version>\d[\w.]*)\s+(?:GHSA|PYSEC|CVE)-", 0.85),
    pypi("was found for package", rf"was found for package {NAME}:(?P<version>\d\S*)", 0.9),
    pypi("Vulnerability found in", rf"Vulnerability found in {NAME} version (?P<version>\S+)", 0.9),
    package("conda", "nothing provides", rf"nothing provides (?:requested )?{SPEC}", 0.9),
    package("conda", "^  - [a-z0-9]", rf"^  - {NAME}(?:[= ](?P<version>[<>=\d][\w.*=<>]*))?(?: ->.*)?$", 0.4),
    pypi("^ *Collecting ", rf"Collecting {SPEC}", 0.2),
    # What comes as source has to be built here, which is where installs fail without saying of which package.
    pypi(
        r"\.tar\.gz",
        r"(?:Downloading|cached|for) \S*?(?P<name>[A-Za-z][\w.]*(?:-[A-Za-z][\w.]*)*)-(?P<version>\d[\w.]*)\.tar\.gz",
        0.45,
    ),
    pypi("^ *Downloading .*whl", r"Downloading (?P<name>[A-Za-z0-9]\w*)-(?P<version>\d[\w.]*)-", 0.1),
)
