"""What comes out while the demo runs: findings, dead letters and what happened to tickets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer

Place = tuple[str, int, int]
"""Topic, partition and offset of an event."""


@dataclass(slots=True)
class Outcome:
    """What became of the events so far; times are seconds since `make demo` was typed."""

    began: float
    findings: dict[Place, dict[str, Any]] = field(default_factory=dict)
    dead: dict[Place, dict[str, str]] = field(default_factory=dict)
    tickets: dict[str, str] = field(default_factory=dict)
    settled: dict[str, str] = field(default_factory=dict)
    first_ticket_s: float | None = None
    first_model_ticket_s: float | None = None
    decided_s: list[float] = field(default_factory=list)
    """When models' findings came."""
    last_s: float = 0.0
    """When something came for the last time."""

    def seconds(self) -> float:
        """Seconds since the demo was typed."""
        return time.time() - self.began

    @property
    def done(self) -> int:
        """Events that ended: dead, or found and dealt with by the ticket role."""
        return len(self.dead) + sum(finding["id"] in self.settled for finding in self.findings.values())

    def left(self, events: int) -> str:
        """How long the rest of so many events takes a model, told by those that it has decided; empty before two."""
        ends = sorted(self.decided_s)
        if len(ends) < 2:
            return ""
        minutes = (ends[-1] - ends[0]) / (len(ends) - 1) * max(0, events - self.done) / 60
        return f", about {minutes:.0f} min more" if minutes >= 1 else ", about a minute more"

    def model_decided(self, finding_id: str) -> bool:
        """Whether a model decided the finding."""
        found = (f for f in self.findings.values() if f["id"] == finding_id)
        return any(step["decided_by"] == "model" for f in found for step in f["data"]["steps"])


class Watch:
    """Reads the topics of a deployment from their beginning; `told` is called for each thing that happened."""

    def __init__(self, bootstrap: str, prefix: str, pipeline: str, outcome: Outcome, told: Callable[..., None]) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix
        self._outcome = outcome
        self._told = told
        self._early: dict[str, list[dict[str, Any]]] = {}  # what happened to tickets of findings not read yet
        self._topics = [f"{prefix}.findings.{pipeline}", f"{prefix}.dead-letters", f"{prefix}.ticket-events"]

    async def run(self, enough: Callable[[], bool], broken: Callable[[], str | None]) -> None:
        """Until `enough`; raises RuntimeError with what `broken` says."""
        consumer = AIOKafkaConsumer(
            *self._topics, bootstrap_servers=self._bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            while not enough():
                if problem := broken():
                    raise RuntimeError(problem)
                for records in (await consumer.getmany(timeout_ms=300)).values():
                    for record in records:
                        self._take(record)
                await asyncio.sleep(0)
        finally:
            await consumer.stop()

    def _take(self, record: Any) -> None:
        self._outcome.last_s = self._outcome.seconds()
        if record.topic.endswith(".dead-letters"):
            self._dead(record)
        elif record.topic.endswith(".ticket-events"):
            self._ticket(json.loads(record.value))
        else:
            finding = json.loads(record.value)
            at = finding["data"]["event"]
            self._outcome.findings[at["topic"], at["partition"], at["offset"]] = finding
            if self._outcome.model_decided(finding["id"]):
                self._outcome.decided_s.append(self._outcome.seconds())
            self._told("finding", finding=finding)
            for event in self._early.pop(finding["id"], []):
                self._ticket(event)

    def _dead(self, record: Any) -> None:
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        _, topic, partition, offset, *_ = json.loads(headers["fs-origin"])
        self._outcome.dead[topic, partition, offset] = headers
        self._told("dead letter", reason=headers.get("fs-reason"), error=headers.get("fs-error"))

    def _ticket(self, event: dict[str, Any]) -> None:
        outcome = self._outcome
        finding = event["finding"]
        if not any(known["id"] == finding for known in outcome.findings.values()):
            self._early.setdefault(finding, []).append(event)
            return
        outcome.settled[finding] = event["action"]
        if not event.get("key"):
            self._told("no ticket", event=event)
            return
        new = event["fingerprint"] not in outcome.tickets
        outcome.tickets[event["fingerprint"]] = event["key"]
        if outcome.first_ticket_s is None:
            outcome.first_ticket_s = outcome.seconds()
        if outcome.first_model_ticket_s is None and outcome.model_decided(finding):
            outcome.first_model_ticket_s = outcome.seconds()
        self._told("ticket" if new else "again", event=event)
