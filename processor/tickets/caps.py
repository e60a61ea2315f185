"""The storm guard: no more than so many new tickets of a project within a window; one more ticket tells of the rest.

A decider over `<p>.group-signals`, whose key is the project: one decider counts for all repositories. It lets commands
of faults that have a ticket pass, and new ones as long as there is room; what is left over is counted and listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from processor.contract import FORMAT, Outbound, Record, too_new, update_first
from processor.errors import Fatal
from processor.tickets.decider import Newer, Tables
from processor.tickets.groups import Group, grouped
from processor.tickets.messages import Command, TicketEvent, Topics, read_command
from processor.tickets.policy import Policy, instant

GROUP: Final = b"group\n"
"""Begins the keys of records that go by their group; others go by their project."""

LISTED: Final = 30
"""Faults that a summary names; it counts them all."""

WINDOWS: Final = 3
"""Windows of a project that are remembered: events come late."""

_SHORT: Final = 120
"""Characters of a text in the list."""


@dataclass(frozen=True, slots=True)
class Window:
    """A project's window of event time: what was filed in it, and what was left."""

    start: str
    filed: int = 0
    faults: int = 0
    hits: int = 0
    first_seen: str = ""
    last_seen: str = ""
    listed: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """What is remembered under a key: of a project its windows; of a fault whether it may have a ticket; of a group it.

    `left` is the window in which the fault was left last, `finding` the last that was. `offset` is the last record's
    that changed it, `era` how often the topic was made anew.
    """

    windows: tuple[Window, ...] = ()
    granted: bool = False
    left: str = ""
    finding: str = ""
    group: Group = field(default_factory=Group)
    offset: int = -1
    era: int = 0
    v: int = FORMAT

    @classmethod
    def loads(cls, value: bytes | None) -> Room:
        """From the table; a new one where there is none. Raises Fatal for one that is too new to be read."""
        if not value:
            return cls()
        room = _ROOM.validate_json(value)
        if too_new(room.v):
            raise Fatal(update_first("what is remembered of a project", room.v))
        return replace(room, v=FORMAT)

    def dumps(self) -> bytes:
        """As the table keeps it."""
        return orjson.dumps(self)

    def window(self, start: str) -> Window:
        """The window that begins then; for what is older than all that are known, the oldest of them."""
        known = next((each for each in self.windows if each.start == start), None)
        if known is not None:
            return known
        if len(self.windows) >= WINDOWS and start < self.windows[0].start:
            return self.windows[0]
        return Window(start)

    def having(self, window: Window) -> Room:
        """The project with this window."""
        others = [each for each in self.windows if each.start != window.start]
        return replace(self, windows=tuple(sorted([*others, window], key=lambda each: each.start)[-WINDOWS:]))


_ROOM: Final = TypeAdapter(Room)


class Caps:
    """The decider over `<p>.group-signals`."""

    def __init__(
        self,
        topics: Topics,
        policies: Mapping[str, Policy],
        told: Callable[[TicketEvent], None] = lambda _: None,
    ) -> None:
        self._topics = topics
        self._policies = policies
        self._told = told

    @property
    def topic(self) -> str:
        """See Decider."""
        return self._topics.groups

    @property
    def tables(self) -> Mapping[str, Newer]:
        """See Decider."""
        return {self._topics.rooms: may_follow}

    def __call__(self, record: Record, tables: Tables) -> Sequence[Outbound]:
        """The command itself, or what says that it was left. Raises Rejected for what is no command."""
        command = read_command(record.value)
        policy = self._policies.get(command.pipeline)
        if policy is not None and policy.group is not None and (record.key or b"").startswith(GROUP):
            return self._grouped(command, policy, record, tables)
        if policy is None or not policy.cap:
            return [command.record(self._topics)]
        fault_key, project_key = f"fault\n{command.fingerprint}".encode(), f"project\n{policy.project}".encode()
        fault, project = self._read(tables, fault_key), self._read(tables, project_key)
        fault, project, said = decided(command, fault, project, policy)
        for key, room in ((fault_key, fault), (project_key, project)):
            tables.put(self._topics.rooms, key, replace(room, offset=record.offset).dumps())
        for each in said:
            if isinstance(each, TicketEvent):
                self._told(each)
        return [each.record(self._topics) for each in said]

    def _grouped(self, command: Command, policy: Policy, record: Record, tables: Tables) -> list[Outbound]:
        """What becomes of the command of a fault that shares something with others."""
        room, rule = self._read(tables, record.key or b""), policy.group
        name = command.group or (rule.of(command.finding) if rule is not None else "")
        if rule is None or not name:  # the pipeline has changed while it was on its way
            return [on_its_way(command, policy, self._topics)]
        done = grouped(command, name, room.group, rule)
        tables.put(self._topics.rooms, record.key or b"", replace(room, group=done.group, offset=record.offset).dumps())
        for each in done.said:
            if isinstance(each, TicketEvent):
                self._told(each)
        on = [on_its_way(command, policy, self._topics)] if done.goes_on else []
        return [*on, *(each.record(self._topics) for each in done.said)]

    def _read(self, tables: Tables, key: bytes) -> Room:
        room = Room.loads(tables.get(self._topics.rooms, key))
        return replace(room, era=room.era + 1, offset=-1) if room.offset >= tables.end else room


def decided(
    command: Command, fault: Room, project: Room, policy: Policy
) -> tuple[Room, Room, tuple[Command | TicketEvent, ...]]:
    """What becomes of a command under its project's cap, and what to remember. Pure."""
    if fault.granted:
        return fault, project, (command,)
    if command.action not in {"create", "comment"}:
        return fault, project, ()  # it has no ticket
    window = project.window(_begin(instant(command.finding), policy))
    if window.filed < policy.cap:
        return replace(fault, granted=True), project.having(replace(window, filed=window.filed + 1)), (command,)
    if fault.finding == command.id:
        return fault, project, ()  # read again
    window = _left(window, command, new=fault.left != window.start)
    summary = _summary(window, command, policy)
    why = f"ticket.cap: {policy.cap} new tickets in {policy.project} per {policy.per}; see fs-{summary.fingerprint}"
    event = TicketEvent("suppressed", command.fingerprint, command.pipeline, command.id, reason=why)
    return replace(fault, left=window.start, finding=command.id), project.having(window), (event, summary)


def on_its_way(command: Command, policy: Policy | None, topics: Topics, *, grouping: bool = False) -> Outbound:
    """The record of a command: to its group first, then to its project, where there is a cap, then to the writer.

    All commands of a fault go the same way, so that none overtakes another.
    """
    out = command.record(topics)
    if policy is None:
        return out
    name = command.group if grouping and policy.group is not None else ""
    if name:
        return replace(out, topic=topics.groups, key=GROUP + f"{command.pipeline}\n{name}".encode())
    return replace(out, topic=topics.groups, key=f"project\n{policy.project}".encode()) if policy.cap else out


def may_follow(old: bytes, new: bytes) -> bool:
    """Whether this may replace what was remembered before; what knows of fewer records was written too late."""
    before, after = Room.loads(old), Room.loads(new)
    return (after.era, after.offset) >= (before.era, before.offset)


def _begin(time: str, policy: Policy) -> str:
    """When the window of a time begins."""
    per = policy.per.total_seconds()
    seconds = datetime.fromisoformat(time).timestamp() // per * per
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _left(window: Window, command: Command, *, new: bool) -> Window:
    """The window with one more finding that was left; `new`: of a fault that was not left in it before."""
    time = instant(command.finding)
    entry = (_entry(command.finding),) if new and len(window.listed) < LISTED else ()
    return replace(
        window,
        faults=window.faults + new,
        hits=window.hits + 1,
        first_seen=min(window.first_seen or time, time),
        last_seen=max(window.last_seen, time),
        listed=(*window.listed, *entry),
    )


def _entry(finding: Mapping[str, Any]) -> dict[str, Any]:
    """A fault in a few words."""
    build, lines = finding.get("build") or {}, finding.get("evidence") or [{}]
    cause = str((finding.get("result") or {}).get("summary") or lines[0].get("text") or "")
    said = {"repo": build.get("repo"), "job": build.get("job"), "cause": cause}
    return {name: str(value or "")[:_SHORT] for name, value in said.items()} | {"url": str(build.get("url") or "")}


def _summary(window: Window, command: Command, policy: Policy) -> Command:
    """The command that keeps the window's one ticket up to date."""
    name = hashlib.sha256(f"cap\n{policy.project}\n{window.start}".encode()).hexdigest()[:32]
    digest = {
        "kind": "cap",
        "project": policy.project,
        "since": window.start,
        "most": policy.cap,
        "per": str(policy.per),
        "faults": window.faults,
        "hits": window.hits,
        "listed": list(window.listed),
    }
    seen = (window.hits, window.first_seen, window.last_seen)
    finding = {"id": command.id, "pipeline": command.pipeline, "fingerprint": name}
    return Command("create" if window.hits == 1 else "comment", name, command.pipeline, finding, *seen, digest=digest)
