"""Git repositories and submodules; actions, tasks, orbs and libraries that a CI system can't load."""

from __future__ import annotations

from processor.logs.extract.patterns import Pattern, package

HOSTS = {"github": r"github\.com", "gitlab": r"gitlab\.com", "bitbucket": r"bitbucket\.org"}
"""Forges with a package-URL type of their own, by that type."""

ACTION = r"(?P<name>[\w.-]+/[\w./-]+)@(?P<version>[\w./-]+)"


def bare(name: str) -> str:
    """`owner/name` of a repository, without the suffix .git."""
    return name.removesuffix(".git").strip("/")


def repository(before: str, after: str, weight: float) -> tuple[Pattern, ...]:
    """Patterns for a Git repository's address (https, ssh) between two texts: one for each forge, one for any host."""
    hosts = {**HOSTS, "generic": rf"(?!(?:\w+\.)?(?:{'|'.join(HOSTS.values())}))[^/:\s'@]+"}
    return tuple(
        package(
            ecosystem,
            rf"{before}(?:\w+://)?(?:[^/@\s']+@)?(?:www\.)?{host}(?::\d+(?=/))?[/:](?P<name>[\w.~-]+(?:/[\w.~-]+)*)/?{after}",
            weight,
            clean=bare,
        )
        for ecosystem, host in hosts.items()
    )


def git(regex: str, weight: float) -> Pattern:
    """A pattern for a submodule, which has no address here."""
    return package("generic", regex, weight, clean=bare)


def action(regex: str, weight: float) -> Pattern:
    """A pattern for a GitHub action or reusable workflow."""
    return package("githubactions", regex, weight)


GIT = (
    *repository("clone of '", "' into submodule", 0.95),
    *repository("repository '", "' not found", 0.95),
    *repository("unable to access '", "'", 0.5),
    *repository(r"ls-remote (?:\S+ ){0,6}", r"(?=[\s'\"]|$)", 0.6),
    *repository("[Ff]ailed to clone (?:repository )?['\"]?", r"(?=[\s'\":]|$)", 0.9),
    *repository("fetching (?:repository|git repository|from) [`']?", r"(?=[\s'\"`?#]|$)", 0.7),
    git(r"in submodule path '(?P<name>[^']+)'", 0.8),
    git(r"No url found for submodule path '(?P<name>[^']+)'", 0.9),
    git(r"[Ff]ailed to clone '(?P<name>[\w./+-]+)'", 0.85),
    package("github", r"remote: Permission to (?P<name>[\w.-]+/[\w.-]+) denied", 0.5, clean=bare),
    package("gitlab", r"Project `(?P<name>[\w./-]+)` (?:reference `[^`]*` does not exist|not found)", 0.9),
)
ACTIONS = (
    action(rf"resolve action `?{ACTION}", 1.0),
    action(r"[Rr]epository not found: (?P<name>[\w.-]+/[\w.-]+)", 0.95),
    action(rf"download info for {ACTION}", 1.0),
    action(r"deprecated version of `(?P<name>[\w.-]+/[\w./-]+): (?P<version>\w+)`", 0.9),
    action(rf"(?:[Nn]ode\.?js|node).*(?:deprecated|outdated).*?(?<![\w./-]){ACTION}", 0.35),
    action(r"codeload\.github\.com/(?P<name>[\w.-]+/[\w.-]+)/(?:tar\.gz|zip|zipball)/(?P<version>[\w./-]+)", 0.85),
    action(r"api\.github\.com/repos/(?P<name>[\w.-]+/[\w.-]+)/(?:tarball|zipball)/(?P<version>[\w./-]+)", 0.8),
    action(r"under '\S*/_actions/(?P<name>[\w.-]+/[\w.-]+)/(?P<version>[^/']+)", 0.95),
    action(rf"(?<![\w./-]){ACTION} is not allowed (?:to be used )?in", 1.0),
    action(r"/_actions/(?P<name>[\w.-]+/[\w.-]+)/(?P<version>[^/']+)/", 0.2),
    action(rf"repository '{ACTION}'", 0.1),
)
OTHERS = (
    package("generic", r"references a task called '(?P<name>[^']+)'", 0.95),
    package("generic", r"Cannot find (?P<name>[\w-]+/[\w-]+)@(?P<version>\S+) in the orb registry", 0.95),
    package("generic", r"any definition of libraries \[(?P<name>[\w.-]+)(?:@(?P<version>[^\]]+))?\]", 0.95),
    package("generic", r"No such DSL method '(?P<name>\w+)' found", 0.7),
    package("generic", r"Tool type \"\S+\" does not have an install of \"(?P<name>[^\"]+)\"", 0.85),
)

PATTERNS: tuple[Pattern, ...] = (*GIT, *ACTIONS, *OTHERS)
