"""Decides on signals: what a pipeline's policy says of a finding, given what the table remembers of its fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from processor.contract import FORMAT, Outbound, Record, too_new, update_first
from processor.errors import Rejected
from processor.tickets.decider import Newer, Tables
from processor.tickets.messages import TicketEvent, Topics
from processor.tickets.policy import Fault, Policy, decide

log = structlog.get_logger(__name__)


class Signals:
    """The decider over `<p>.signals`."""

    def __init__(
        self,
        topics: Topics,
        policies: Mapping[str, Policy],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        told: Callable[[TicketEvent], None] = lambda _: None,
    ) -> None:
        self._topics = topics
        self._policies = policies
        self._clock = clock
        self._told = told

    @property
    def topic(self) -> str:
        """See Decider."""
        return self._topics.signals

    @property
    def tables(self) -> Mapping[str, Newer]:
        """See Decider."""
        return {self._topics.table: may_follow}

    def __call__(self, record: Record, tables: Tables) -> Sequence[Outbound]:
        """A command, or an event that says why there is none, or nothing."""
        signal = read_signal(record.value)
        if signal is None:
            return ()
        key = str(signal["fingerprint"]).encode()
        fault = Fault.loads(tables.get(self._topics.table, key))
        if fault.partition == record.partition and fault.offset >= tables.end:
            # The signals topic was made anew: offsets of the old one say nothing about its records.
            log.warning("the signals topic was made anew", action="decide", partition=record.partition)
            fault = replace(fault, era=fault.era + 1, offset=-1)
        decision = decide(
            signal, fault, self._policies, partition=record.partition, offset=record.offset, at=self._clock()
        )
        if decision.fault is not None:
            tables.put(self._topics.table, key, decision.fault.dumps())
        if decision.event is not None:
            self._told(decision.event)
        return [part.record(self._topics) for part in (decision.command, decision.event) if part is not None]


def may_follow(old: bytes, new: bytes) -> bool:
    """Whether a fault may replace what was remembered before; one that knows of fewer signals was written too late."""
    before, after = Fault.loads(old), Fault.loads(new)
    if before.partition != after.partition:
        return True
    return (after.era, after.offset) >= (before.era, before.offset)


def read_signal(value: bytes | None) -> dict[str, Any] | None:
    """The finding in a signal; None for a signal that carries none. Raises Rejected for what is no signal."""
    try:
        signal = orjson.loads(value or b"")
        if too_new(version := signal.get("v", FORMAT)):
            raise Rejected("invalid_signal", update_first("the signal", version))
        finding = signal["finding"]
        if finding is None:
            return None
        missing = {"id", "pipeline", "fingerprint"} - set(finding)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise Rejected("invalid_signal", f"no signal: {type(error).__name__}") from None
    if missing:
        raise Rejected("invalid_signal", f"the finding has no {', '.join(sorted(missing))}")
    return dict(finding)
