"""What the two parts of the ticket role say to each other and keep: commands, states, events; all JSON on topics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
from pydantic import TypeAdapter, ValidationError

from processor.contract import FORMAT, Origin, Outbound, Record, packed, too_new, update_first
from processor.errors import Fatal, Rejected
from processor.sinks.dead_letters import dead_letter
from processor.tickets.attachment import Attachment

LABEL: Final = "fs-"
"""Begins the label that marks a ticket with its fingerprint; what a lost ticket is found by."""

REMEMBERED: Final = 64
"""How many finding ids are remembered per fingerprint, to count each once."""


def now() -> str:
    """The time, RFC 3339 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of the ticket role under a prefix."""

    prefix: str

    @property
    def signals(self) -> str:
        """Slim findings and outcomes."""
        return f"{self.prefix}.signals"

    @property
    def commands(self) -> str:
        """What should be done with tickets."""
        return f"{self.prefix}.ticket-commands"

    @property
    def state(self) -> str:
        """The writer's state, compacted."""
        return f"{self.prefix}.ticket-state"

    @property
    def events(self) -> str:
        """What was done and why."""
        return f"{self.prefix}.ticket-events"

    @property
    def feedback(self) -> str:
        """What people say of findings."""
        return f"{self.prefix}.feedback"

    @property
    def heard(self) -> str:
        """How far Jira was asked for feedback, compacted."""
        return f"{self.prefix}.feedback-heard"

    @property
    def decide(self) -> str:
        """Faust id of *decide*, and its consumer group."""
        return f"{self.prefix}.decide"

    @property
    def table(self) -> str:
        """Name of *decide*'s table; Faust appends `-changelog` to the id and this."""
        return "faults"

    @property
    def groups(self) -> str:
        """What crosses repositories, keyed by what it shares."""
        return f"{self.prefix}.group-signals"

    @property
    def rooms(self) -> str:
        """Name of *decide*'s table of caps."""
        return "rooms"

    @property
    def rooms_changelog(self) -> str:
        """Changelog topic of that table."""
        return f"{self.decide}-{self.rooms}-changelog"

    @property
    def jobs(self) -> str:
        """Name of *decide*'s table of jobs."""
        return "jobs"

    @property
    def jobs_changelog(self) -> str:
        """Changelog topic of that table."""
        return f"{self.decide}-{self.jobs}-changelog"

    @property
    def changelog(self) -> str:
        """Changelog topic of the table, as Faust names it."""
        return f"{self.decide}-{self.table}-changelog"

    @property
    def writer(self) -> str:
        """Consumer group of *write*."""
        return f"{self.prefix}.tickets"


@dataclass(frozen=True, slots=True)
class Command:
    """What *decide* wants done for a finding: `create` at first sight, `comment` when it is seen again.

    `green` says that the jobs which the fault broke pass again, `flaky` that one has passed on the same commit; `build`
    is the build that tells, and `id` of such a command its own. `recount`, `attach`, `reconcile` and `review` are the
    writer's own: the counts in a ticket's description are behind; a file waits for it; there seems to be a second
    ticket; the ticket does not look as it was left. `forget` and `adopt` (of `key`) are ordered by hand. `heard` tells
    of what a person did with the ticket `key`. `known_flaky`: the fault has been flaky before. `priority` is the one
    that the fault has spread far enough for. `digest` is what a ticket tells that stands for many faults. `group` is
    what the fault shares with others. Repeats are harmless: the writer does each finding once and is the judge of
    whether there is a ticket. `count` is how often the fault has been seen, this time included; the times are RFC 3339.
    """

    action: Literal[
        "create", "comment", "green", "flaky", "recount", "attach", "reconcile", "review", "forget", "adopt", "heard"
    ]
    fingerprint: str
    pipeline: str
    finding: dict[str, Any]
    count: int
    first_seen: str
    last_seen: str
    key: str | None = None
    build: dict[str, Any] = field(default_factory=dict)
    known_flaky: bool = False
    priority: str = ""
    digest: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    v: int = FORMAT

    @property
    def id(self) -> str:
        """The finding's id, or that of what came of a build."""
        return str(self.finding.get("id") or self.build.get("id", ""))

    def record(self, topics: Topics) -> Outbound:
        """The record of the command."""
        return Outbound(topics.commands, self.fingerprint.encode(), packed(self))


Owing = Literal["attach", "recount"]
"""What a ticket may still be to get: a file, its counts; actions of commands of the writer's own."""


@dataclass(frozen=True, slots=True)
class TicketState:
    """What the writer knows of one fingerprint.

    `status`: creating: a create request may be under way or done, its outcome unknown; idle: none is;
    open: `key` is the ticket; failed: Jira refused it, for `reason`. `since` is when the create request was
    intended (Unix seconds). `commenting` names the finding whose comment may be under way, `told` what tickets and
    comments have said lately (digests), `commented` and `touched` when the ticket had its last comment and was last
    looked at (Unix seconds), `shown` the count that its description gives in the words `says`, `previous` the tickets
    that the fault had before, `heard` the last things that were heard of people. `priority` is the last one that we
    gave the ticket, `raised` the last one that was asked for since it spread. `waits` is a file that is still to be
    attached, `attached` the name of the one that is. `merged`: people have closed the fault's own ticket as a duplicate
    of this one. `noticed` is what was told of what people did with it (see `whereabouts`).
    """

    fingerprint: str
    pipeline: str
    project: str
    status: Literal["creating", "idle", "open", "failed"]
    attempt: int = 1
    since: float = 0.0
    key: str | None = None
    commenting: str | None = None
    count: int = 0
    first_seen: str = ""
    last_seen: str = ""
    seen: tuple[str, ...] = ()
    reason: str = ""
    told: tuple[str, ...] = ()
    commented: float = 0.0
    touched: float = 0.0
    shown: int = -1
    says: str = ""
    previous: tuple[str, ...] = ()
    heard: tuple[str, ...] = ()
    priority: str = ""
    raised: str = ""
    waits: Attachment | None = None
    attached: str = ""
    digest: dict[str, Any] = field(default_factory=dict)
    merged: bool = False
    noticed: tuple[str, ...] = ()
    v: int = FORMAT

    @property
    def behind(self) -> bool:
        """Whether the ticket's description says less than is known."""
        return self.status == "open" and 0 <= self.shown < self.count

    @property
    def owed(self) -> tuple[Owing, ...]:
        """What the ticket is still to get, by commands of the writer's own."""
        attach = self.status == "open" and self.waits is not None
        return (*(("attach",) if attach else ()), *(("recount",) if self.behind else ()))

    def ours(self, action: Owing) -> Command:
        """A command of the writer's own for the ticket."""
        return Command(action, self.fingerprint, self.pipeline, {}, self.count, self.first_seen, self.last_seen)

    def telling(self, news: str) -> TicketState:
        """The state once the ticket says what the digest stands for."""
        return replace(self, told=(*(each for each in self.told if each != news), news)[-REMEMBERED:])

    def saw(self, command: Command) -> TicketState:
        """The state after the command's finding was dealt with."""
        return replace(
            self,
            commenting=None,
            count=self.count_with(command),
            first_seen=self.first_seen or command.first_seen,
            last_seen=max(self.last_seen, command.last_seen),
            seen=(*self.seen, command.id)[-REMEMBERED:],
        )

    def done(self, command: Command) -> TicketState:
        """The state after a command that is no sight of the fault."""
        return replace(self, commenting=None, seen=(*self.seen, command.id)[-REMEMBERED:])

    def count_with(self, command: Command) -> int:
        """How often the fault has been seen with the command's finding; never less than either part counted."""
        return max(self.count + 1, command.count)

    def record(self, topics: Topics, partition: int) -> Outbound:
        """The record of the state, on the partition that the fingerprint's commands have."""
        return Outbound(topics.state, self.fingerprint.encode(), packed(self), partition=partition)


Action = Literal[
    "created",
    "adopted",
    "commented",
    "counted",
    "reopened",
    "renewed",
    "resolved",
    "green",
    "flaky",
    "suppressed",
    "dry_run",
    "forgotten",
    "failed",
    "missing",
    "found",
    "moved",
    "merged",
    "relabelled",
    "unlabelled",
    "edited",
    "feedback",
    "duplicate",
    "attached",
    "unattached",
]


@dataclass(frozen=True, slots=True)
class TicketEvent:
    """One thing that was done or left, and why."""

    action: Action
    fingerprint: str
    pipeline: str
    finding: str
    key: str | None = None
    reason: str = ""
    time: str = field(default_factory=now)
    v: int = FORMAT

    def record(self, topics: Topics) -> Outbound:
        """The record of the event."""
        return Outbound(topics.events, self.fingerprint.encode(), packed(self))


def event(action: Action, command: Command, key: str | None = None, reason: str = "") -> TicketEvent:
    """What was done, or left, for a command."""
    return TicketEvent(action, command.fingerprint, command.pipeline, command.id, key, reason)


_COMMAND: Final = TypeAdapter(Command)
_STATE: Final = TypeAdapter(TicketState)


def current(command: Command, state: TicketState | None) -> Command:
    """The command with the counts that the writer and *decide* together know of."""
    if state is None:
        return command
    return replace(
        command,
        count=state.count_with(command),
        first_seen=state.first_seen or command.first_seen,
        last_seen=max(state.last_seen, command.last_seen),
    )


def read_command(value: bytes | None) -> Command:
    """The command in a record's value. Raises Rejected("invalid_command")."""
    version = _version(value)
    if too_new(version):
        raise Rejected("invalid_command", update_first("the command", version))
    try:
        return _COMMAND.validate_json(value or b"")
    except ValidationError as error:
        faults = ", ".join(str(fault["loc"][0]) if fault["loc"] else "no JSON" for fault in error.errors())
        raise Rejected("invalid_command", f"format version {version}: faults in {faults}") from None


def read_state(value: bytes) -> TicketState | None:
    """The state in a record's value; None if it is not one.

    Raises Fatal for one that a later version wrote and this one can't read: without it, a second ticket would be filed.
    """
    version = _version(value)
    try:
        if not too_new(version):
            return replace(_STATE.validate_json(value), v=FORMAT)
    except ValidationError:
        if version == FORMAT:
            return None
    raise Fatal(update_first("a ticket's state", version))


def _version(value: bytes | None) -> object:
    """The version that a record says it has; ours where it says none or is no JSON object, which others complain of."""
    try:
        said = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return FORMAT
    return said.get("v", FORMAT) if isinstance(said, dict) else FORMAT


def letter(topics: Topics, group: str, record: Record, error: Rejected, redact: Callable[[str], str] = str) -> Outbound:
    """The dead letter of a signal or command. Its origin's topic is where a replay sends it."""
    origin = Origin(group, record.topic, record.partition, record.offset)
    return dead_letter(topics.prefix, record, error.reason, redact(str(error)), None, origin, now())


def moment(text: str) -> datetime | None:
    """The time that an RFC 3339 text says, in UTC; None if it says none."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
