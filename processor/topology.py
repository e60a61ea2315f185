"""Every topic of a deployment: its name, its key, what it holds, and how it must be kept.

The daemon's start, `faultstream topics`, `doctor` and the AsyncAPI document all read this one list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from processor.cluster.topics import FOREVER, Found, Rules, Wanted
from processor.pipeline import Pipeline
from processor.settings import Settings
from processor.tickets.messages import Topics

Kind = Literal[
    "source",
    "findings",
    "review",
    "shadow",
    "retry",
    "parked",
    "dead-letters",
    "replays",
    "unrouted",
    "signals",
    "ticket-commands",
    "ticket-events",
    "ticket-state",
    "feedback",
    "feedback-heard",
    "changelog",
    "group-signals",
    "jobs",
    "rooms",
]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `pipeline` is the one whose own it is, or, of a source, the first that reads it."""

    wanted: Wanted
    kind: Kind
    key: str
    holds: str
    pipeline: str | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.wanted.name


def topics(prefix: str, pipelines: Sequence[Pipeline]) -> list[Topic]:
    """All topics that these pipelines and the ticket role read and write, each once."""
    made = [*_sources(pipelines)]
    for pipeline in pipelines:
        made += _of_pipeline(prefix, pipeline.name)
        if pipeline.model.shadow is not None and pipeline.model.shadow.share:
            made.append(_shadow(prefix, pipeline.name))
    return [*made, *_shared(prefix), *_tickets(Topics(prefix))]


def rules(settings: Settings) -> Rules:
    """What topics of ours are created with."""
    kafka, ours = settings.kafka, settings.topics
    retention_ms = int(ours.retention_h * 3_600_000)
    return Rules(kafka.partitions, kafka.replication, retention_ms, settings.limits.record_bytes)


def kept_s(topic: Found, settings: Settings) -> float:
    """Seconds for which a topic keeps records, infinity for good; by the settings where we may not see it."""
    if topic.retention_ms is None:
        return settings.topics.retention_h * 3600
    return math.inf if topic.retention_ms == FOREVER else topic.retention_ms / 1000


def _sources(pipelines: Sequence[Pipeline]) -> list[Topic]:
    first: dict[str, tuple[str, str, str]] = {}
    for pipeline in pipelines:
        for name in pipeline.topics:
            first.setdefault(name, (pipeline.name, "source", "events: logs and payloads"))
    for pipeline in pipelines:
        for name in pipeline.outcome_topics:
            first.setdefault(name, (pipeline.name, "outcomes", "events: builds that passed"))
    return [
        Topic(
            Wanted(name, source=True, setting=f"{part}.kafka.topics of {pipeline}"),
            "source",
            "as you like",
            holds,
            pipeline,
        )
        for name, (pipeline, part, holds) in first.items()
    ]


def _of_pipeline(prefix: str, name: str) -> list[Topic]:
    return [
        Topic(Wanted(f"{prefix}.findings.{name}"), "findings", "fingerprint", "findings, as CloudEvents", name),
        Topic(
            Wanted(f"{prefix}.review.{name}"),
            "review",
            "fingerprint",
            "copies of the findings that a person should look at",
            name,
        ),
        Topic(
            Wanted(f"{prefix}.retry.{name}", originals=True),
            "retry",
            "as received",
            "events sent back to the pipeline, original bytes",
            name,
        ),
        Topic(
            Wanted(f"{prefix}.parked.{name}", originals=True),
            "parked",
            "as received",
            "events put aside while the pipeline can't work, original bytes",
            name,
        ),
    ]


def _shadow(prefix: str, name: str) -> Topic:
    holds = "findings' results beside those of a larger model"
    return Topic(Wanted(f"{prefix}.shadow.{name}"), "shadow", "fingerprint", holds, name)


def _shared(prefix: str) -> list[Topic]:
    return [
        Topic(
            Wanted(f"{prefix}.dead-letters", originals=True),
            "dead-letters",
            "as received",
            "what could not become a finding or a ticket: original bytes, and why in headers",
        ),
        Topic(
            Wanted(f"{prefix}.replays", compact=True),
            "replays",
            "what was sent",
            "what replay and backfill have sent, so that nothing is sent twice by accident",
        ),
        Topic(Wanted(f"{prefix}.unrouted"), "unrouted", "as received", "attributes of events that no pipeline wanted"),
    ]


def _tickets(names: Topics) -> list[Topic]:
    return [
        Topic(
            Wanted(names.signals),
            "signals",
            "repository",
            "slim findings and passed builds, from the line to decide",
        ),
        Topic(
            Wanted(names.groups, like=names.signals),
            "group-signals",
            "project",
            "commands under a project's cap, on their way",
        ),
        Topic(
            Wanted(names.commands),
            "ticket-commands",
            "fingerprint",
            "what shall be done with tickets, from decide to write",
        ),
        Topic(Wanted(names.events), "ticket-events", "fingerprint", "what was done with tickets, and why"),
        Topic(
            Wanted(names.state, compact=True, like=names.commands),
            "ticket-state",
            "fingerprint",
            "which ticket a fault has",
        ),
        Topic(
            Wanted(names.feedback),
            "feedback",
            "fingerprint",
            "what people say of findings, by what they do with tickets",
        ),
        Topic(
            Wanted(names.heard, compact=True),
            "feedback-heard",
            "mark",
            "how far Jira was asked for changes",
        ),
        Topic(
            Wanted(names.changelog, compact=True, like=names.signals),
            "changelog",
            "fingerprint",
            "how often a fault was seen (Faust's own)",
        ),
        Topic(
            Wanted(names.jobs_changelog, compact=True, like=names.signals),
            "jobs",
            "job",
            "which faults a job may have, and when it last passed (Faust's own)",
        ),
        Topic(
            Wanted(names.rooms_changelog, compact=True, like=names.signals),
            "rooms",
            "project or fault",
            "which faults have room under their project's cap (Faust's own)",
        ),
    ]
