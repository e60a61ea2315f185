"""What an extractor is: a regular expression with named groups, and how strongly a hit blames what it names."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from processor.logs.literals import required_literals

Kind = Literal["package", "test", "file", "host", "exit_code"]

BLAMED = 0.6
"""From this score on a candidate was named by an error message as its object, not merely mentioned."""

LONGEST: Final = 2_000
"""Characters of a line that are read."""

REGISTERED: Final = frozenset(
    {
        "alpm",
        "apk",
        "bazel",
        "bitbucket",
        "cargo",
        "cocoapods",
        "composer",
        "conan",
        "conda",
        "cpan",
        "cran",
        "deb",
        "docker",
        "gem",
        "generic",
        "github",
        "golang",
        "hackage",
        "hex",
        "julia",
        "luarocks",
        "maven",
        "npm",
        "nuget",
        "opam",
        "pub",
        "pypi",
        "rpm",
        "swift",
    }
)
"""Ecosystems here that are types of the package-URL specification (package-url/purl-spec, types/)."""

PROPOSED: Final = frozenset({"brew", "chocolatey", "githubactions", "gitlab", "helm", "terraform", "vcpkg"})
"""Ecosystems here that are candidates of the specification, or in use elsewhere (GitHub's dependency graph)."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way in which tools name something.

    `source` is a regular expression with the group `name` and, for packages, perhaps `version`. `hint` is a
    Hyperscan expression for the lines that are worth trying it on, where the literals in it don't make a good one.
    `weight` (0..1) is how strongly such a line blames what it names; with `all` every match of the line counts, not
    only the first. `clean` puts the name into its usual form, or gives "" to drop it.
    """

    kind: Kind
    source: str
    weight: float
    ecosystem: str = ""
    hint: str = ""
    all: bool = False
    clean: Callable[[str], str] | None = None

    @property
    def regex(self) -> re.Pattern[str]:
        """The compiled expression; most are never needed, so each is compiled at its first use."""
        return _compiled(self.source)

    @property
    def cue(self) -> str:
        """A Hyperscan expression without which `regex` is not tried on a line."""
        return self.hint or cue_of(self.source)


def package(
    ecosystem: str,
    regex: str,
    weight: float,
    *,
    cue: str = "",
    all: bool = False,  # noqa: A002
    clean: Callable[[str], str] | None = None,
) -> Pattern:
    """A pattern that names a package of `ecosystem` (a package-URL type)."""
    return Pattern("package", regex, weight, ecosystem, cue, all, clean)


def place(
    kind: Kind, regex: str, weight: float, *, cue: str = "", clean: Callable[[str], str] | None = None
) -> Pattern:
    """A pattern that names something that has no version: a test, a file, a host or an exit code."""
    return Pattern(kind, regex, weight, "", cue, False, clean)


@functools.cache
def cue_of(regex: str) -> str:
    """A cue made of the literals that `regex` demands. Raises ValueError where it demands none of some length."""
    literals = required_literals(regex)
    if not literals:
        raise ValueError(f"{regex!r} demands no text that a scan could look for; give it a cue")
    return "|".join(sorted("".join(f"\\x{byte:02x}" for byte in literal.encode()) for literal in literals))


@functools.cache
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex)
