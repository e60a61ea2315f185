"""Decides on signals: what a pipeline's policy says of a finding, given what the table remembers of its fault.

And what follows from builds that passed, for the faults that their jobs may have had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from processor.contract import FORMAT, Outbound, Record, Signal, too_new, update_first
from processor.errors import Rejected
from processor.tickets.caps import on_its_way
from processor.tickets.decider import Newer, Tables
from processor.tickets.messages import Command, TicketEvent, Topics
from processor.tickets.outcomes import Job, Verdict, again, failed, passed, since_passed
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
        return {self._topics.table: may_follow, self._topics.jobs: job_may_follow}

    def __call__(self, record: Record, tables: Tables) -> Sequence[Outbound]:
        """Commands, or an event that says why there is none, or nothing."""
        signal, memory = read_signal(record.value), Memory(self._topics, record, tables)
        if signal.finding is not None:
            verdict = self._finding(signal.finding, memory, record)
        else:
            verdict = passed(signal.outcome, self._policies, memory) if signal.outcome else Verdict()
        memory.keep(verdict)
        for each in verdict.said:
            if isinstance(each, TicketEvent):
                self._told(each)
        return [
            on_its_way(each, self._policies.get(each.pipeline), self._topics, grouping=True)
            if isinstance(each, Command)
            else each.record(self._topics)
            for each in verdict.said
        ]

    def _finding(self, finding: Mapping[str, Any], memory: Memory, record: Record) -> Verdict:
        fingerprint = str(finding["fingerprint"])
        fault, policy = memory.fault(fingerprint), self._policies.get(str(finding["pipeline"]))
        decision = decide(
            finding, fault, self._policies, partition=record.partition, offset=record.offset, at=self._clock()
        )
        command = decision.command
        if command is not None and policy is not None and policy.follows:
            command = replace(command, finding=since_passed(command.finding, memory))
        said = tuple(part for part in (command, decision.event) if part is not None)
        if policy is None or not policy.follows:
            return Verdict(said, {fingerprint: decision.fault} if decision.fault is not None else {})
        if decision.fault is not None:
            follows = failed(finding, decision.fault, policy, memory)
            return replace(follows, said=(*said, *follows.said))
        return Verdict(said, jobs=again(finding, fault, memory) if not said else {})


class Memory:
    """What the tables have for one record."""

    def __init__(self, topics: Topics, record: Record, tables: Tables) -> None:
        self._topics = topics
        self._record = record
        self._tables = tables

    def fault(self, fingerprint: str) -> Fault:
        """What is remembered of a fault. Raises Fatal for what is too new to be read."""
        fault = Fault.loads(self._tables.get(self._topics.table, fingerprint.encode()))
        if fault.partition == self._record.partition and self._anew(fault.offset):
            return replace(fault, era=fault.era + 1, offset=-1)
        return fault

    def job(self, key: str) -> Job:
        """What is remembered of a job. Raises Fatal for what is too new to be read."""
        job = Job.loads(self._tables.get(self._topics.jobs, key.encode()))
        return replace(job, era=job.era + 1, offset=-1) if self._anew(job.offset) else job

    def keep(self, verdict: Verdict) -> None:
        """Remembers what is to be remembered, and up to which signal it is true."""
        partition, offset = self._record.partition, self._record.offset
        for fingerprint, fault in verdict.faults.items():
            known = replace(fault, partition=partition, offset=offset)
            self._tables.put(self._topics.table, fingerprint.encode(), known.dumps())
        for key, job in verdict.jobs.items():
            self._tables.put(self._topics.jobs, key.encode(), replace(job, offset=offset).dumps())

    def _anew(self, offset: int) -> bool:
        """Whether the signals topic was made anew: offsets of the old one say nothing about its records."""
        anew = offset >= self._tables.end
        if anew:
            log.warning("the signals topic was made anew", action="decide", partition=self._record.partition)
        return anew


def may_follow(old: bytes, new: bytes) -> bool:
    """Whether a fault may replace what was remembered before; one that knows of fewer signals was written too late."""
    before, after = Fault.loads(old), Fault.loads(new)
    if before.partition != after.partition:
        return True
    return (after.era, after.offset) >= (before.era, before.offset)


def job_may_follow(old: bytes, new: bytes) -> bool:
    """The same for what is remembered of a job."""
    before, after = Job.loads(old), Job.loads(new)
    return (after.era, after.offset) >= (before.era, before.offset)


def read_signal(value: bytes | None) -> Signal:
    """The signal in a record's value. Raises Rejected for what is none."""
    try:
        signal = orjson.loads(value or b"")
        if too_new(version := signal.get("v", FORMAT)):
            raise Rejected("invalid_signal", update_first("the signal", version))
        finding, outcome = signal["finding"], signal.get("outcome")
        missing = {"id", "pipeline", "fingerprint"} - set(finding) if finding is not None else set()
        missing |= {"id"} - set(outcome) if outcome else set()
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise Rejected("invalid_signal", f"no signal: {type(error).__name__}") from None
    if missing:
        kind = "outcome" if finding is None else "finding"
        raise Rejected("invalid_signal", f"the {kind} has no {', '.join(sorted(missing))}")
    if finding is not None:
        return Signal("finding", dict(finding))
    return Signal("outcome", outcome=dict(outcome) if outcome else None)
