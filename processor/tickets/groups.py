"""Grouping beyond the fingerprint: the same thing over many repositories becomes one ticket that lists them. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Final

from processor.tickets.messages import Command, TicketEvent
from processor.tickets.policy import Grouping, instant

MEMBERS: Final = 256
"""Faults of a group that are remembered."""

LISTED: Final = 30
"""Faults that a group's ticket names; it counts them all."""

_SHORT: Final = 120
"""Characters of a text in the list."""


@dataclass(frozen=True, slots=True)
class Member:
    """A fault of a group; `filed`: it has, or may have, a ticket of its own."""

    fingerprint: str
    repo: str = ""
    branch: str = ""
    job: str = ""
    cause: str = ""
    url: str = ""
    filed: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """What is remembered of a group: its faults, and how often they were seen since there is one."""

    members: tuple[Member, ...] = ()
    hits: int = 0
    first_seen: str = ""
    last_seen: str = ""
    finding: str = ""

    def formed(self, rule: Grouping) -> bool:
        """Whether there are enough."""
        names = {"repositories": "repo", "branches": "branch", "faults": "fingerprint"}
        return len({getattr(each, names[rule.over]) for each in self.members}) >= rule.least


@dataclass(frozen=True, slots=True)
class Grouped:
    """What becomes of a command: whether it goes on by itself, and what is said besides."""

    group: Group
    goes_on: bool
    said: tuple[Command | TicketEvent, ...] = field(default=())


def grouped(command: Command, name: str, group: Group, rule: Grouping) -> Grouped:
    """What becomes of a command of a fault that shares `name` with others. What builds say that pass goes on."""
    if command.action not in {"create", "comment"}:
        return Grouped(group, True)
    known = next((each for each in group.members if each.fingerprint == command.fingerprint), None)
    if group.finding == command.id:  # read again
        return Grouped(group, known is not None and known.filed)
    member = known or _member(command)
    others = tuple(each for each in group.members if each.fingerprint != command.fingerprint)
    group = replace(group, members=(*others, member)[-MEMBERS:], finding=command.id)
    if not group.formed(rule):
        filed = replace(member, filed=True)
        return Grouped(replace(group, members=(*others, filed)[-MEMBERS:]), True)
    time = instant(command.finding)
    group = replace(
        group,
        hits=group.hits + 1,
        first_seen=min(group.first_seen or time, time),
        last_seen=max(group.last_seen, time),
    )
    parent = _parent(command, name, group, rule)
    why = f"ticket.group: one of {len(group.members)} faults of {name!r}; see fs-{parent.fingerprint}"
    event = TicketEvent("suppressed", command.fingerprint, command.pipeline, command.id, reason=why)
    return Grouped(group, member.filed, (parent,) if member.filed else (event, parent))


def _member(command: Command) -> Member:
    build, result = command.finding.get("build") or {}, command.finding.get("result") or {}
    repo, branch, job = (str(build.get(each) or "")[:_SHORT] for each in ("repo", "branch", "job"))
    cause = " ".join(str(result.get("summary") or "").split())[:_SHORT]
    return Member(command.fingerprint, repo, branch, job, cause, str(build.get("url") or ""))


def _parent(command: Command, name: str, group: Group, rule: Grouping) -> Command:
    """The command that keeps the group's one ticket up to date."""
    fingerprint = hashlib.sha256(f"group\n{command.pipeline}\n{name}".encode()).hexdigest()[:32]
    digest = {
        "kind": "group",
        "name": name,
        "over": rule.over,
        "repositories": len({each.repo for each in group.members}),
        "faults": len(group.members),
        "hits": group.hits,
        "listed": [
            {"repo": each.repo, "job": each.job, "cause": each.cause, "url": each.url, "fingerprint": each.fingerprint,
             "filed": each.filed}
            for each in group.members[:LISTED]
        ],
    }  # fmt: skip
    finding = {"id": command.id, "pipeline": command.pipeline, "fingerprint": fingerprint}
    seen = (group.hits, group.first_seen, group.last_seen)
    return Command(
        "create" if group.hits == 1 else "comment", fingerprint, command.pipeline, finding, *seen, digest=digest
    )
