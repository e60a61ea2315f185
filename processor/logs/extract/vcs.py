"""Git repositories, submodules, and CI actions that are referenced but can't be had."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package


def bare(name: str) -> str:
    """`owner/name` of a repository, without the suffix .git."""
    return name.removesuffix(".git").strip("/")


def git(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a Git repository."""
    return package("git", cue, regex, weight, clean=bare)


PATTERNS: tuple[Pattern, ...] = (
    git("into submodule path '", r"clone of '(?:\w+://|git@)?[^/:']+[/:](?P<name>[^']+?)/?' into submodule", 0.95),
    git("repository '.*' not found", r"repository '(?:\w+://|git@)?[^/:']+[/:](?P<name>[^']+?)/?' not found", 0.95),
    git(
        "rror cloning|ould not read from remote|unable to access '",
        r"unable to access 'https?://[^/']+/(?P<name>[^']+?)/?'",
        0.5,
    ),
    git("ls-remote .*", r"ls-remote .*?(?:\w+://(?:git@)?|git@)[^/:\s]+[/:](?P<name>[\w./-]+)", 0.6),
    git("in submodule path '", r"in submodule path '(?P<name>[^']+)'", 0.8),
    git("No url found for submodule path", r"submodule path '(?P<name>[^']+)'", 0.9),
    package(
        "githubactions",
        "Unable to resolve action",
        r"resolve action `?(?P<name>[\w.-]+/[\w./-]+)@(?P<version>[\w./-]+)",
        1.0,
    ),
    package(
        "githubactions",
        "Missing download info for ",
        r"download info for (?P<name>[\w.-]+/[\w./-]+)@(?P<version>[\w./-]+)",
        1.0,
    ),
    package(
        "githubactions",
        "has been deprecated|is deprecated|deprecated version of `",
        r"deprecated version of `(?P<name>[\w.-]+/[\w./-]+): (?P<version>\w+)`",
        0.9,
    ),
    package(
        "githubactions",
        "Download action repository",
        r"repository '(?P<name>[\w.-]+/[\w./-]+)@(?P<version>[\w./-]+)'",
        0.1,
    ),
)
