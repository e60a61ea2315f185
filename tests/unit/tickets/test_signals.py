"""The decider over signals, with the tables of a batch: topics made anew, clocks that jump."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from processor.contract import Outbound, Record
from processor.tickets.decider import Place, Tables
from processor.tickets.messages import Topics
from processor.tickets.policy import Fault, Policy
from processor.tickets.signals import Signals, job_may_follow, may_follow

TOPICS = Topics("p")
NOW = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)


class Desk:
    """Signals with tables, and a clock to turn."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.now = NOW
        self.stored: dict[Place, bytes] = {}
        self._signals = Signals(TOPICS, {"ci": policy or Policy()}, clock=lambda: self.now)

    def give(self, value: dict[str, Any], offset: int, end: int) -> list[dict[str, Any]]:
        """Decides on a signal at an offset of a topic that ends at `end`; what is said."""
        record = Record(TOPICS.signals, 0, offset, b"repo", orjson.dumps(value))
        tables = Tables(self.stored.get).at(0, end)
        said: Sequence[Outbound] = self._signals(record, tables)
        tables.kept()
        self.stored |= tables.changes
        return [orjson.loads(each.value or b"") for each in said]

    def fault(self) -> Fault:
        """What is remembered of the fault."""
        return Fault.loads(self.stored.get(Place(TOPICS.table, 0, b"f")))


def signal(number: int, *, time: datetime = NOW) -> dict[str, Any]:
    """The `number`-th signal of the fault."""
    finding = {
        "id": f"f-{number}",
        "pipeline": "ci",
        "fingerprint": "f",
        "time": time.isoformat(),
        "confidence": {"value": 0.9},
        "build": {"repo": "acme/web", "branch": "main", "job": "build", "run_id": str(number)},
    }
    return {"kind": "finding", "finding": finding, "outcome": None, "v": 1}


def test_signals_topic_that_was_made_anew_loses_no_finding() -> None:
    """Its offsets begin at zero, below those of the old one: they are new signals, and count on."""
    desk = Desk()
    for offset in range(5):
        desk.give(signal(offset), offset, 5)
    assert desk.give(signal(4), 4, 5) == []  # read again
    (command,) = desk.give(signal(100), 0, 1)
    assert (command["action"], command["count"]) == ("comment", 6)
    assert (desk.fault().era, desk.fault().offset) == (1, 0)
    (command,) = desk.give(signal(101), 1, 2)
    assert command["count"] == 7


def test_value_of_an_older_signal_may_not_follow() -> None:
    """The rule by which a recovery leaves out what a frozen process wrote late; for jobs the same."""
    desk = Desk()
    desk.give(signal(0), 0, 2)
    older = dict(desk.stored)
    desk.give(signal(1), 1, 2)
    place = Place(TOPICS.table, 0, b"f")
    assert may_follow(older[place], desk.stored[place])
    assert not may_follow(desk.stored[place], older[place])
    assert job_may_follow(b'{"offset": 1}', b'{"offset": 1}')
    assert not job_may_follow(b'{"offset": 1}', b'{"offset": 0}')
    assert job_may_follow(b'{"offset": 1}', b'{"offset": 0, "era": 1}')


def test_clock_that_jumps_moves_no_window() -> None:
    """An hour forward and two back between the hits of one window: it is the builds' time that counts."""
    desk = Desk(Policy(hits=3, within=timedelta(minutes=10)))
    jumps = (timedelta(), timedelta(hours=1), -timedelta(hours=2))
    said = []
    for number, jump in enumerate(jumps):
        desk.now = NOW + jump
        said += desk.give(signal(number, time=NOW + timedelta(minutes=number)), number, 3)
    assert [each["action"] for each in said] == ["suppressed", "suppressed", "create"]
    assert said[-1]["first_seen"] == "2026-11-22T04:30:00.000Z"
    assert said[-1]["last_seen"] == "2026-11-22T04:32:00.000Z"
