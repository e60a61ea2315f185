"""What a fault is: the files and commands of a job, and the truth that follows from what was injected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

CATEGORIES = frozenset(
    {
        "test", "compile", "static_check", "link_check", "build", "config_script", "environment", "permission",
        "dependency_resolution", "dependency_missing", "dependency_incompatible", "dependency_policy",
        "security_audit", "vcs_checkout", "image_pull", "network_infra", "infra_runner", "infra_cancel",
        "resource", "timeout_hang",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Dependency:
    """The package at fault, by its purl type. ``accept`` holds other names that are right as well."""

    name: str
    version: str | None
    ecosystem: str
    accept: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The dependency as it stands in ``truth.jsonl``."""
        return {
            "name": self.name,
            "version": self.version,
            "ecosystem": self.ecosystem,
            "accept": list(self.accept),
        }


@dataclass(frozen=True)
class Span:
    """Where the failure shows: from a line that matches ``first`` to the next one that matches ``last``.

    ``every`` takes all such places instead of the first; ``final`` the last one. ``last`` is looked for
    within ``reach`` lines; without it a span is one line.
    """

    first: str
    last: str | None = None
    every: bool = False
    final: bool = False
    reach: int = 80

    def find(self, lines: list[str]) -> list[tuple[int, int]]:
        """All places in ``lines`` (already plain text) as 1-based inclusive pairs."""
        found = []
        done = 0
        for number, line in enumerate(lines, 1):
            if number <= done or not re.search(self.first, line):
                continue
            done = number if self.last is None else self._end(lines, number)
            if done:
                found.append((number, done))
        if self.every:
            return found
        return found[-1:] if self.final else found[:1]

    def _end(self, lines: list[str], start: int) -> int:
        assert self.last is not None  # noqa: S101
        for number in range(start, min(len(lines), start + self.reach) + 1):
            if re.search(self.last, lines[number - 1]):
                return number
        return 0


@dataclass(frozen=True)
class Sandbox:
    """What the job's machine is like, where that is the fault.

    Attributes:
        net: False takes the network away; only loopback is left.
        memory_mb: limit of the job's memory control group; beyond it the kernel kills.
        disk_mb: size of the volume that holds the working copy.
        timeout_s: after so many seconds the runner ends the job.
        cancel_s: after so many seconds somebody cancels the job.
        user: ``root`` or ``ci`` (uid 1000), who runs the job.
        cold: no caches of earlier jobs, so that downloads show.
        prepare: unrecorded commands on the job's machine, before the job.
    """

    net: bool = True
    memory_mb: int = 0
    disk_mb: int = 0
    timeout_s: int = 0
    cancel_s: int = 0
    user: str = "root"
    cold: bool = False
    prepare: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fault:
    """One job that fails, and why.

    Attributes:
        repo: owner and name of the made-up repository.
        job: the job's name.
        category: the truth, one of :data:`CATEGORIES`.
        files: the project, path to text; what the fault is lies among them.
        script: the job's commands, echoed and run in turn by the runner.
        after: commands that the runner runs when the job is over, failed or not (reports, caches).
        spans: where the failure shows in the log.
        dependency: the package at fault, or None.
        failing_tests: names of tests that the fault breaks; each must be in the log.
        alt: categories that are right as well.
        setup: commands run on the project before it is committed (to make lock files, for example).
        branch: the branch that was built.
        style: how the runner prints: ``plain`` or ``steps`` (time stamps and grouped steps).
        tty: the job has a terminal, so that colours and progress bars appear.
        sandbox: the machine.
        env: more environment variables of the job.
        checkout: replaces the runner's own checkout commands.
        executables: files with the executable bit.
        target: what was broken, where all variants break the same thing (a full volume, whatever its size; one test,
            whatever it expects); by default each variant is a fault of its own.
    """

    repo: str
    job: str
    category: str
    files: Mapping[str, str]
    script: tuple[str, ...]
    spans: tuple[Span, ...]
    dependency: Dependency | None = None
    failing_tests: tuple[str, ...] = ()
    alt: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    branch: str = "main"
    style: str = "plain"
    tty: bool = False
    sandbox: Sandbox = field(default_factory=Sandbox)
    env: Mapping[str, str] = field(default_factory=dict)
    checkout: tuple[str, ...] | None = None
    executables: tuple[str, ...] = ()
    target: str = ""

    def __post_init__(self) -> None:
        for category in (self.category, *self.alt):
            if category not in CATEGORIES:
                raise ValueError(f"unknown category {category!r}")


Maker = Callable[..., Fault]


@dataclass(frozen=True)
class Kind:
    """A kind of fault that can be made with several parameters.

    Attributes:
        name: ``toolchain/fault``.
        make: ``make(run, **variant)``; ``run`` varies what has nothing to do with the fault.
        variants: the parameters that are known to work.
        keep: how many runs of each variant are committed, in the order of ``variants``.
        tools: commands that tell the toolchain's versions.
    """

    name: str
    make: Maker
    variants: tuple[Mapping[str, Any], ...]
    keep: tuple[int, ...]
    tools: Mapping[str, str]

    @property
    def toolchain(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/")[0]


class Registry:
    """The kinds of fault, by name."""

    def __init__(self) -> None:
        self.kinds: dict[str, Kind] = {}

    def kind(
        self,
        name: str,
        *variants: Mapping[str, Any],
        keep: Iterable[int] = (1,),
        tools: Mapping[str, str],
    ) -> Callable[[Maker], Maker]:
        """Register the decorated maker under ``name``; a name may be taken once."""

        def add(make: Maker) -> Maker:
            if name in self.kinds:
                raise ValueError(f"two kinds are called {name}")
            self.kinds[name] = Kind(name, make, variants or ({},), tuple(keep), tools)
            return make

        return add


REGISTRY = Registry()
kind = REGISTRY.kind
