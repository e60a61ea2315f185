"""Formats of records: what one version writes the next reads, and the other way round; what is later still is refused.

tests/data/formats_v1.jsonl holds records as version 1 wrote them. It is never changed: later versions must read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.contract import FORMAT, Outbound
from processor.errors import Fatal, Rejected
from processor.tickets.load import fold
from processor.tickets.messages import Command, read_command, read_state
from processor.tickets.policy import Fault
from processor.tickets.signals import read_signal
from tests.unit.tickets.world import AT, TOPICS, World, command, record

LINES = (Path(__file__).parents[2] / "data" / "formats_v1.jsonl").read_text().splitlines()
RECORDED: dict[str, dict[str, Any]] = {line["kind"]: line["value"] for line in map(json.loads, LINES)}
READ = {
    "signal": lambda value: read_signal(value).finding,
    "command": read_command,
    "state": read_state,
    "fault": Fault.loads,
}
NEW: Mapping[str, Any] = {"assignee_hint": "web-team", "history": [{"at": "2027-01-01T00:00:00Z"}]}
"""Fields that a later version may add."""


def packed(kind: str, **changed: Any) -> bytes:
    """A recorded record, with changes."""
    return orjson.dumps(RECORDED[kind] | changed)


@pytest.mark.parametrize("kind", READ)
def test_what_version_1_wrote_is_read(kind: str) -> None:
    """With all that it says."""
    read = READ[kind](packed(kind))
    assert read is not None
    said = RECORDED[kind]["finding"] if kind == "signal" else RECORDED[kind]
    has = orjson.loads(orjson.dumps(read))
    assert {name: has[name] for name in said if name != "v"} == {n: value for n, value in said.items() if n != "v"}


@pytest.mark.parametrize("kind", READ)
def test_the_next_version_is_read(kind: str) -> None:
    """What it added is left aside; without a version a record is of the first."""
    now, later = READ[kind](packed(kind)), READ[kind](packed(kind, v=FORMAT + 1, **NEW))
    assert (replace(later, v=FORMAT) if isinstance(later, Command) else later) == now
    bare = {name: value for name, value in RECORDED[kind].items() if name != "v"}
    assert READ[kind](orjson.dumps(bare)) == now


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("version", [FORMAT + 2, 99, "two"])
def test_what_is_later_still_is_refused(kind: str, version: object) -> None:
    """Signals and commands become dead letters, to be replayed after the update; without its state nobody goes on."""
    error = Rejected if kind in {"signal", "command"} else (Fatal, ValueError)
    with pytest.raises(error, match=r"update it first|valid integer"):
        READ[kind](packed(kind, v=version))


def test_a_later_status_is_never_taken_for_no_state() -> None:
    """A second ticket would follow; what is no state at all is left out."""
    with pytest.raises(Fatal, match="format version 2"):
        fold([(b"f1", packed("state", v=FORMAT + 1, status="merging"))])
    assert fold([(b"f1", b"no state")]) == {}


def test_an_unknown_action_is_told() -> None:
    """By field and version."""
    with pytest.raises(Rejected, match="format version 2: faults in action"):
        read_command(packed("command", v=FORMAT + 1, action="merge"))


@dataclass
class Later(World):
    """A world in which what is written to the state topic is what the next version writes, while `rolled` is set."""

    rolled: bool = False

    async def publish(self, records: Any) -> None:
        """Adds what the next version adds."""
        states = {TOPICS.state} if self.rolled else set()
        await super().publish([self._of_the_next(each) if each.topic in states else each for each in records])

    @staticmethod
    def _of_the_next(out: Outbound) -> Outbound:
        value = orjson.loads(out.value or b"") | {"v": FORMAT + 1, **NEW}
        return Outbound(out.topic, out.key, orjson.dumps(value), out.headers, out.partition)


@pytest.mark.parametrize(
    "order", [(False, True, False), (True, False, True), (False, True, True), (True, False, False)]
)
async def test_an_upgrade_and_a_downgrade_while_running(order: tuple[bool, ...]) -> None:
    """The fault's partition goes from one version to the other and back: one ticket, each sight counted once."""
    world = Later()
    for count, rolled in enumerate(order, 1):
        world.rolled = rolled
        sight = record(command(count), count - 1)
        later = orjson.loads(sight.value or b"") | ({"v": FORMAT + 1, **NEW} if rolled else {})
        await world.until_done(record(read_command(orjson.dumps(later)), count - 1))
    (ticket,) = world.mine("f1")
    assert len(ticket.comments) == len(order) - 1
    state = (await world.writer()).state(AT, "f1")
    assert state is not None
    assert (state.status, state.count) == ("open", len(order))
    versions = [orjson.loads(each.value or b"")["v"] for each in world.records if each.topic == TOPICS.state]
    assert set(versions) == {FORMAT, FORMAT + 1}
