"""Python: pip, uv, poetry, conda, pytest, unittest, tox, linters."""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.patterns.base import Pattern, errors, kinds

PATTERNS: Final[tuple[Pattern, ...]] = (
    *errors(
        "pip",
        10,
        r"Could not find a version that satisfies the requirement",
        r"No matching distribution found for",
        r"\bResolutionImpossible\b|Cannot install .+ because these package versions have conflicting",
        r"Failed building wheel for|Could not build wheels for|metadata-generation-failed|subprocess-exited-with-error",
        r"requires a different Python|Requires-Python|is not supported on this platform|not a supported wheel",
        r"^\S+ \S+ (?:has requirement .+, but you have|requires .+, which is not installed)",
        r"pip's dependency resolver does not currently take into account",
        r"Command (?:\"|')?python setup\.py .+ failed|error: command '.+' failed",
        r"THESE PACKAGES DO NOT MATCH THE HASHES",
        r"No solution found when resolving|Because .+ (?:depends on|requires) .+(?:,|and)|version solving failed|SolverProblemError",
        r"PackagesNotFoundError|ResolvePackageNotFound|UnsatisfiableError|LibMambaUnsatisfiable",
        r"Invalid requirement|Could not open requirements file|does not appear to be a Python project",
    ),
    *errors(
        "python-raise",
        9,
        r"\b(?:ModuleNotFoundError|ImportError|SyntaxError|IndentationError|TabError|NameError|AttributeError|TypeError|ValueError|KeyError|AssertionError|RuntimeError|OSError|FileNotFoundError|PermissionError|ConnectionError|UnicodeDecodeError|RecursionError|ImproperlyConfigured|OperationalError|CalledProcessError|DistributionNotFound|VersionConflict|pkg_resources\.\w+):",
        r"No module named ",
    ),
    *errors(
        "pytest",
        9,
        r"^E\s\s+\S",
        r"^FAILED \S+::\S",
        r"^ERROR \S+(?:::\S+)?(?: - |$)",
        r"^_{3,} .+ _{3,}$",
        r"^\S+\.py:\d+: \w*(?:Error|Exception|Failed|Failure|Interrupted)",
        r"^=+ .*\d+ (?:failed|errors?)\b.*=*$",
        r"^(?:FAIL|ERROR): \w+ \(\S+\)",
        r"^FAILED \((?:failures|errors)=",
        r"^\w+Error while (?:importing|loading)|ERROR collecting ",
        r"INTERNALERROR>",
        r"\+{3,} Timeout \+{3,}|Failed: Timeout >",
        r"^(?:Import|Configuration|configuration|Collection)\s?[Ee]rror\b",
        r"FAIL Required test coverage|Coverage failure",
        r"^Interrupted: \d+ errors? during collection",
    ),
    *errors(
        "pylint",
        8,
        r"^\S+\.pyi?:\d+(?::\d+)?:? (?:error:|[EFWCRBDNI]\d{3,4}\b|\[?[A-Z]\d{3,4}|[A-Z]{1,4}\d{3,4} )",
        r"^would reformat |^\d+ files? would be reformatted",
        r"^ERROR: .+(?:Imports are incorrectly sorted)",
        r"^Found \d+ errors?(?: in \d+ files?)?",
        r"^ERROR:\s+\S+: commands? failed|^[ \t]+\S+: FAIL|ERROR: InvocationError|evaluation failed :\(",
        r"\(exited with code [1-9]|- exit code: [1-9]|^- files were modified by this hook|\.{3,}Failed$",
        r"(?:DocTestFailure|Warning, treated as error|WARNING: .+(?:undefined label|not found|duplicate))",
    ),
    *kinds(
        "pyframe", "frame", 1, r"^\S+\.py:\d+: (?:in |$)", r"^[ \t]{4,}(?:raise|assert|return|self\.)", r"^>[ \t]{2,}\S"
    ),
)
