"""The storm guard: so many new tickets within a window, and one that tells of the rest."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from processor.contract import Outbound, Record, TopicPartition
from processor.errors import Fatal, Rejected
from processor.tickets.caps import LISTED, WINDOWS, Caps, Room, may_follow
from processor.tickets.decider import Place, Tables
from processor.tickets.messages import Command, read_command
from processor.tickets.policy import Policy
from processor.tickets.signals import Signals
from tests.unit.tickets.world import AT, TOPICS, World, record

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
POLICY = Policy(project="BUILD", cap=3, max_age=timedelta(days=400))


def command(fault: int, minute: float = 0.0, *, number: int = 1, action: str = "") -> Command:
    """What is said of a fault of some repository."""
    time = (NOW + timedelta(minutes=minute)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    made: dict[str, Any] = {
        "id": f"{fault}-{number}",
        "pipeline": "ci_failure",
        "fingerprint": f"f{fault}",
        "result": {"summary": "The base image is [gone|http://x]"},
        "build": {"repo": f"acme/r{fault}", "job": "unit", "url": f"https://ci.example/{fault}"},
        "time": time,
    }
    named: Any = action or ("create" if number == 1 else "comment")
    return Command(named, f"f{fault}", "ci_failure", made, number, time, time)


@dataclass
class Guard:
    """The guard, and what it remembers and lets pass."""

    policy: Policy = POLICY
    stored: dict[Place, bytes] = field(default_factory=dict)
    out: list[Outbound] = field(default_factory=list)
    offset: int = 0

    def hears(self, *commands: Command) -> Guard:
        """Has commands come along."""
        for each in commands:
            self.offset += 1
            tables = Tables(self.stored.get).at(0, 1_000_000)
            self.out += self.decider(Record(TOPICS.groups, 0, self.offset, b"BUILD", orjson.dumps(each)), tables)
            tables.kept()
            self.stored |= tables.changes
        return self

    @property
    def decider(self) -> Caps:
        """With the policy of the one pipeline."""
        return Caps(TOPICS, {"ci_failure": self.policy})

    def passed(self) -> list[str]:
        """The faults whose commands went on, in order."""
        return [each.fingerprint for each in self._commands() if not each.digest]

    def summaries(self) -> list[Command]:
        """The commands for summaries."""
        return [each for each in self._commands() if each.digest]

    def _commands(self) -> list[Command]:
        return [read_command(each.value) for each in self.out if each.topic == TOPICS.commands]

    def reasons(self) -> list[str]:
        """What the events say."""
        return [orjson.loads(each.value or b"")["reason"] for each in self.out if each.topic == TOPICS.events]


def test_what_is_too_much_is_counted_on_one_ticket() -> None:
    """The first so many are filed; each other one is an event that says where it is counted."""
    guard = Guard().hears(*(command(fault) for fault in range(10)))
    assert guard.passed() == ["f0", "f1", "f2"]
    summaries = guard.summaries()
    assert len({each.fingerprint for each in summaries}) == 1
    assert [each.action for each in summaries] == ["create"] + ["comment"] * 6
    assert (summaries[-1].digest["faults"], summaries[-1].count) == (7, 7)
    assert len(guard.reasons()) == 7
    assert all(f"fs-{summaries[0].fingerprint}" in reason for reason in guard.reasons())


def test_faults_that_have_a_ticket_go_on() -> None:
    """However often they come, and whatever is said of them; of one that has none nothing is."""
    guard = Guard().hears(*(command(fault) for fault in range(5)))
    guard.hears(command(1, 1, number=2), command(1, 2, action="green"), command(4, 2, action="green"))
    assert guard.passed() == ["f0", "f1", "f2", "f1", "f1"]
    assert guard.summaries()[-1].digest["faults"] == 2


def test_what_comes_again_after_the_window_gets_its_ticket_then() -> None:
    """The others do not; a window has its own summary."""
    guard = Guard().hears(*(command(fault) for fault in range(5)), command(3, 30, number=2))
    assert guard.summaries()[-1].digest["hits"] == 3
    assert guard.summaries()[-1].digest["faults"] == 2
    guard.hears(command(3, 61, number=3))
    assert guard.passed() == ["f0", "f1", "f2", "f3"]
    guard.hears(*(command(fault, 62) for fault in range(10, 14)))
    assert len({each.fingerprint for each in guard.summaries()}) == 2


def test_late_events_count_where_they_belong() -> None:
    """By the time of the build; what is older than all windows that are known counts with the oldest."""
    guard = Guard().hears(*(command(fault, 60 * fault) for fault in range(WINDOWS + 2)))
    guard.hears(*(command(100 + fault, -600) for fault in range(4)))
    room = Room.loads(guard.stored[Place(TOPICS.rooms, 0, b"project\nBUILD")])
    assert [each.filed for each in room.windows] == [3, 1, 1]
    assert len(room.windows) == WINDOWS


def test_a_pipeline_without_a_cap_has_none() -> None:
    """As after the key was taken away while commands were on their way."""
    assert len(Guard(replace(POLICY, cap=0)).hears(*(command(fault) for fault in range(10))).passed()) == 10


def test_commands_under_a_cap_go_by_their_project() -> None:
    """Those of all repositories to one decider; events go where they always go."""
    finding = command(1).finding | {"confidence": {"value": 0.9}}
    for policy, topic, key in (
        (POLICY, TOPICS.groups, b"project\nBUILD"),
        (replace(POLICY, cap=0), TOPICS.commands, b"f1"),
    ):
        signals = Signals(TOPICS, {"ci_failure": policy}, lambda: NOW)
        signal = orjson.dumps({"kind": "finding", "finding": finding, "outcome": None, "v": 1})
        [out] = signals(Record(TOPICS.signals, 0, 1, b"acme/web", signal), Tables(lambda _: None).at(0, 10))
        assert (out.topic, out.key) == (topic, key)


def test_what_is_no_command_is_refused() -> None:
    """And what is remembered by a later version is not misread."""
    with pytest.raises(Rejected, match="no JSON"):
        Caps(TOPICS, {})(Record(TOPICS.groups, 0, 1, b"BUILD", b"?"), Tables(lambda _: None).at(0, 10))
    with pytest.raises(Fatal, match="update it first"):
        Room.loads(b'{"v": 99}')
    assert may_follow(Room(offset=9).dumps(), Room(offset=1, era=1).dumps())
    assert not may_follow(Room(offset=9).dumps(), Room(offset=8).dumps())


FAULTS = some.lists(some.tuples(some.integers(0, 6), some.floats(0, 200)), min_size=1, max_size=25)


@given(FAULTS)
def test_what_is_heard_again_is_counted_once(sights: list[tuple[int, float]]) -> None:
    """After a crash the last command comes again: no more tickets than before, and no more counted."""
    commands = [command(fault, minute, number=number) for number, (fault, minute) in enumerate(sights, 1)]
    guard = Guard().hears(*commands)
    filed, stored = set(guard.passed()), dict(guard.stored)
    guard.hears(commands[-1])
    assert set(guard.passed()) == filed
    before, after = (
        {place: replace(Room.loads(value), offset=0) for place, value in rooms.items()}
        for rooms in (stored, guard.stored)
    )
    assert before == after


@given(FAULTS)
def test_no_window_has_more_new_tickets_than_the_cap(sights: list[tuple[int, float]]) -> None:
    """And every command of a fault either goes on or is counted."""
    commands = [command(fault, minute, number=number) for number, (fault, minute) in enumerate(sights, 1)]
    guard = Guard().hears(*commands)
    assert len(guard.passed()) + len(guard.summaries()) == len(commands)
    room = Room.loads(guard.stored[Place(TOPICS.rooms, 0, b"project\nBUILD")])
    assert all(each.filed <= POLICY.cap for each in room.windows)


async def test_a_storm_is_one_ticket_that_counts_and_lists() -> None:
    """A broken base image: so many of a thousand faults are filed, and one ticket tells of all others."""
    guard = Guard().hears(*(command(fault) for fault in range(1000)))
    world = World()
    writer = await world.writer()
    for offset, each in enumerate(guard.summaries()):
        await world.until_done(record(each, offset), writer)
    assert len(world.issues) == 1
    world.now += 30
    assert await writer.ask_for_counts() == 1
    recount = read_command(world.records[-1].value)
    await world.until_done(record(recount, 2000), writer)
    ticket = world.issues["BUILD-1"]
    assert "997 faults in 997 failed builds" in ticket.description
    assert ticket.description.count("https://ci.example/") == LISTED
    assert f"and {997 - LISTED} more" in ticket.description
    assert "[gone|http://x]" not in ticket.description
    assert ticket.fields["summary"].startswith("997 faults")
    assert world.names.count("edit") <= 2
    assert ticket.comments == []
    state = writer.state(TopicPartition(AT.topic, AT.partition), guard.summaries()[0].fingerprint)
    assert state is not None
    assert not state.behind
