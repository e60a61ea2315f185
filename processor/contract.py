"""The data that passes between the parts: records, events, excerpts, findings, signals.

Everything here is plain data (slotted dataclasses: orjson writes them as they are, pydantic's TypeAdapter
reads them back) and knows no Kafka client, model server or Jira.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import orjson

from processor.bound import Bound
from processor.usage import Usage as Usage  # noqa: PLC0414  it is part of the contract

Headers = tuple[tuple[str, bytes], ...]

ORIGIN_HEADER: Final = "fs-origin"
"""Header of every parked, retried or replayed copy: JSON list [group, topic, partition, offset] of the first read."""

ASSEMBLED_HEADER: Final = "fs-assembled"
"""Header of a log that was put together of lines: JSON of how it ended, how many records it is made of, and the last
one's offset; or why a line is none."""

NO_TICKETS_HEADER: Final = "fs-no-tickets"
"""Header of a copy on a retry topic whose finding shall become no ticket (a backfill's)."""

NAMESPACE: Final = uuid.UUID("6f1c1d0e-6c1f-5d54-9a52-6a2b7a7d9f10")
"""Namespace of every deterministic (version 5) id that Faultstream makes."""

ALL: Final = "*"
"""As an event's `jobs`: the run that it tells of was a whole one, of all jobs of its workflow."""

PASSED: Final = "build.passed"
"""Type of the events that say that a build passed: outcomes, which no model reads."""

FORMAT: Final = 1
"""Version (`v`) of signals, ticket commands, states and events, of unrouted events and of what Faust's table keeps.

One version reads the one before and the one after it, so that daemons of both may run side by side: a new version only
adds fields that have a default, and rejects nothing that the last one wrote. What is later still is refused.
"""


def too_new(version: object) -> bool:
    """Whether a record of this version may say things that this daemon would misread."""
    return not isinstance(version, int) or version > FORMAT + 1


def update_first(what: str, version: object) -> str:
    """What to tell of a record that is too new."""
    return f"{what} is of format version {version}, this daemon reads up to {FORMAT + 1}: update it first"


class TopicPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


Notes = Mapping[TopicPartition, str]
"""What is committed beside offsets, as their metadata; a partition that is not named has none."""

NO_NOTES: Final[Notes] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read from a topic. `timestamp_ms` is Unix time in milliseconds.

    Of a log that was put together of lines, `first` is the offset of the first one; its own is a number that the
    assembler counts (see processor.assemble).
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int = 0
    first: int | None = None

    @property
    def place(self) -> int:
        """Where on its topic it begins."""
        return self.offset if self.first is None else self.first

    @property
    def size(self) -> int:
        """Bytes of key and value: what the in-flight bound counts."""
        return len(self.value or b"") + len(self.key or b"")


@dataclass(frozen=True, slots=True)
class Outbound:
    """A record to be written. `partition` is None for the default partitioner (by key)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.value or b"") + len(self.key or b"")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event was first read; ids come from it, so a replayed copy keeps its id."""

    group: str
    topic: str
    partition: int
    offset: int
    replay: str | None = None

    def id(self, pipeline: str) -> str:
        """The deterministic id of this event's finding in `pipeline` (UUID version 5)."""
        name = f"{self.group}\n{self.topic}\n{self.partition}\n{self.offset}\n{self.replay or ''}\n{pipeline}"
        return str(uuid.uuid5(NAMESPACE, name))


@dataclass(frozen=True, slots=True)
class Attribute:
    """One documented attribute of an event: its Python type, default, and what it means."""

    type: type
    default: Any
    description: str


ATTRIBUTES: Final[Mapping[str, Attribute]] = {
    "type": Attribute(str, "build.failed", "What happened: build.failed, build.passed, alert.firing, …"),
    "source": Attribute(str, "", "Who says so: the URI of the CI system or service."),
    "subject": Attribute(str, "", "What it is about; by default repo/job."),
    "time": Attribute(str, "", "When, RFC 3339; by default the record's timestamp."),
    "repo": Attribute(str, "", "Repository, owner/name."),
    "branch": Attribute(str, "", "Branch or tag that was built."),
    "commit": Attribute(str, "", "Commit hash that was built."),
    "job": Attribute(str, "", "Job, check or workflow name."),
    "workflow": Attribute(str, "", "Workflow that the job belongs to, where the provider names it."),
    "jobs": Attribute(
        str, "", "What passed, where the event tells of a whole run: names of jobs, one a line, or * for all of them."
    ),
    "run_id": Attribute(str, "", "The provider's id of this run."),
    "attempt": Attribute(int, 1, "How often this run has been tried, from 1."),
    "url": Attribute(str, "", "Page of the build, for people."),
    "log_url": Attribute(str, "", "Where the log can be fetched, if the body does not hold it."),
    "baseline_url": Attribute(str, "", "Where the log of a passing run of the same job can be fetched."),
    "provider": Attribute(str, "", "github, gitlab, circleci, jenkins, …"),
}
"""The attributes of an event with type, default and meaning. Predicates and templates see them as `event.<name>`."""


@dataclass(slots=True)
class Event:
    """One thing that happened. `body` is the log's bytes (unpacked); `payload` a JSON object instead.

    `attributes` always holds every key of ATTRIBUTES, typed. `reference` is set where the body lies elsewhere.
    `assembled` tells how a log that was put together of lines ended.
    """

    origin: Origin
    record: Record
    attributes: dict[str, Any]
    body: bytes | None = None
    payload: dict[str, Any] | None = None
    reference: str | None = None
    assembled: dict[str, Any] | None = None


class ExcerptLine(NamedTuple):
    """A kept line: its 1-based number in the raw bytes split on newline, its text, how often it repeats."""

    number: int
    text: str
    score: float = 0.0
    repeated: int = 1

    @property
    def shown(self) -> str:
        """The text with how often it is repeated; how many empty lines there are says nothing."""
        return f"{self.text} (× {self.repeated})" if self.repeated > 1 and self.text else self.text


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What `reduce` leaves of a log, in order.

    `ranked` holds line numbers of error lines, likeliest first; `tokens` is how many tokens `text` has at most.
    `beyond` are lines that were left out and still name what may be at fault: extractors read them, nobody is shown
    them.
    """

    lines: tuple[ExcerptLine, ...]
    total_lines: int
    ranked: tuple[int, ...] = ()
    tokens: int = 0
    beyond: tuple[ExcerptLine, ...] = ()

    @property
    def text(self) -> str:
        """The excerpt as the model and a person see it: gaps marked, repeats counted."""
        parts: list[str] = []
        last = 0
        for line in self.lines:
            if line.number > last + 1:
                parts.append(f"[… {line.number - last - 1} lines …]")
            parts.append(line.shown)
            last = line.number + line.repeated - 1
        if self.total_lines > last:
            parts.append(f"[… {self.total_lines - last} lines …]")
        return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something named in the excerpt that a grounded field may be: a package, test, file, host, exit code.

    `ecosystem` is a package-URL type (npm, pypi, maven, cargo, golang, deb, docker, …) or "". `place` is where a
    failing test stands, as `file:line`, where the log tells; the line that tells is the last of `lines`.
    """

    kind: Literal["package", "test", "file", "host", "exit_code"]
    name: str
    version: str | None = None
    ecosystem: str = ""
    lines: tuple[int, ...] = ()
    score: float = 0.0
    place: str | None = None

    @property
    def identity(self) -> str:
        """Stable identity without version, as used in fingerprints (pkg:npm/@angular/material)."""
        return (
            f"pkg:{self.ecosystem or 'generic'}/{self.name}" if self.kind == "package" else f"{self.kind}:{self.name}"
        )


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """A known fault that a rule recognised. `decides`: the fields are the answer, no model is asked."""

    rule: str
    fields: Mapping[str, Any]
    captures: Mapping[str, str]
    lines: tuple[int, ...]
    decides: bool = True
    precision: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """All that the deterministic stages know of an event: what the prompt and the fingerprint are made from.

    `candidates` by plural kind ("packages", "tests", "files", "hosts", "exit_codes"), likeliest first.
    `narrowed` by field: the field's likeliest values with their probability, likeliest first.
    `anchor` is the stable name of the fault (design: rule and captures, failing test, package, masked line).
    `chain` is what the steps of the pipeline's chain gave, by name, and `replica` the model server that answered them:
    those know more than the log, and no fingerprint is made from them. `bound` is the time for its questions.
    """

    excerpt: Excerpt
    candidates: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict)
    rule: RuleMatch | None = None
    narrowed: Mapping[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)
    anchor: str = ""
    chain: Mapping[str, Any] = field(default_factory=dict)
    replica: str = ""
    bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A line of the log that shows the fault."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure: `value` in 0..1 or None, and whether it is calibrated against labelled data."""

    value: float | None
    calibrated: bool = False


DecidedBy = Literal["rule", "model", "query", "evaluate"]
"""Who decides: a rule, a model, a database, or expressions."""


@dataclass(slots=True)
class Reused:
    """An answer that was there: first given for the finding `finding`, for what it `saved` now.

    `alike`: to a question that was like this one, and not equal to it.
    """

    finding: str
    alike: bool
    saved: Usage


@dataclass(slots=True)
class Step:
    """One decision on the way to the result and what it cost.

    `name` is `diagnose` for the pipeline's own question, else that of a step of its chain; what that gave is `result`.
    Where more than one tier was asked, `result` is what this one answered, and `unused` says why that is not the
    finding's: it was unsure (or uncalibrated, where that counts), invalid_output, cut_off, or the tier was away; a step
    of a chain may be `skipped`. `shrunk` is there where the model's context had no room for the whole excerpt: it was
    shown `lines` of its lines, which are `of`. `reused` is there where no model was asked, since it had answered the
    question before; it cost nothing then.
    """

    name: str
    decided_by: DecidedBy
    rule: str | None = None
    tier: str | None = None
    model: str | None = None
    adapter: str | None = None
    usage: Usage = field(default_factory=Usage)
    timings_ms: dict[str, float] = field(default_factory=dict)
    confidence: float | None = None
    result: dict[str, Any] | None = None
    unused: str | None = None
    shrunk: dict[str, int] | None = None
    reused: Reused | None = None


def packed(value: object) -> bytes:
    """JSON of a record's value, in as much memory as it takes: it may wait for the brokers for some time.

    orjson (3.13) gives room for the worst case, eight times and more of what it writes, and goes on holding it.
    """
    return bytes(memoryview(orjson.dumps(value)))


def deciding(steps: Sequence[Step]) -> Step | None:
    """The step that gave the finding's result."""
    return next((step for step in reversed(steps) if step.unused is None), None)


@dataclass(slots=True)
class Finding:
    """The answer for one event and pipeline; the `data` of its CloudEvent (design, section 6).

    `log` is how large what was read is: `bytes`, unpacked, and `lines`. `chain` is what its steps gave, by name, where
    the pipeline has one. For tickets alone: `context` are the lines next to the evidence, `excerpt` is all that was
    left of the log, as text with line numbers, where it is to be attached.
    """

    id: str
    pipeline: str
    pipeline_version: str
    fingerprint: str
    fingerprint_parts: dict[str, Any]
    result: dict[str, Any]
    evidence: list[Evidence]
    confidence: Confidence
    steps: list[Step]
    usage: Usage
    build: dict[str, Any]
    event: dict[str, Any]
    time: str
    source: str
    subject: str
    also: list[str] = field(default_factory=list)
    review: bool = False
    log: dict[str, int] = field(default_factory=dict)
    chain: dict[str, Any] = field(default_factory=dict)
    context: list[Evidence] = field(default_factory=list)
    excerpt: str = ""


@dataclass(slots=True)
class Signal:
    """What *decide* reads from `<p>.signals`: a finding without steps and usage, or the outcome of a build."""

    kind: Literal["finding", "outcome"]
    finding: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None
    v: int = FORMAT
