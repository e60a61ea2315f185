"""A Jira and a state topic in memory, with a clock of their own; the writer can be killed between any two steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from processor.contract import Outbound, Record, TopicPartition
from processor.engine.delivery import Lost
from processor.errors import Rejected, Retryable
from processor.tickets import wiki
from processor.tickets.book import Loaded
from processor.tickets.document import Document
from processor.tickets.jira import Hit, Late, Refused, Standing
from processor.tickets.jira.census import Look
from processor.tickets.load import fold
from processor.tickets.messages import Command, Topics
from processor.tickets.reconcile import Reconciler
from processor.tickets.text import Plan, Texts
from processor.tickets.transitions import Way
from processor.tickets.write import Writer

ME = frozenset({"faultstream"})
TOPICS = Topics("fs")
AT = TopicPartition(TOPICS.commands, 0)
LAG_S = 120.0


class KilledError(BaseException):
    """The process died here."""


@dataclass
class Issue:
    """An issue of the Jira in memory."""

    key: str
    labels: tuple[str, ...]
    description: str
    creator: frozenset[str]
    created: float
    comments: list[str] = field(default_factory=list)
    resolution: str | None = None
    resolved_at: float = 0.0
    category: str = "new"
    moved: list[str] = field(default_factory=list)
    links: set[str] = field(default_factory=set)
    fields: dict[str, Any] = field(default_factory=dict)
    files: list[tuple[str, bytes]] = field(default_factory=list)
    duplicates: tuple[str, ...] = ()


@dataclass
class World:
    """All that outlives the process.

    `kill_at` is the number of the step at which the process dies, before or after the step has its effect; steps
    are counted over publishes and Jira's writes.
    """

    lag_s: float = 0.0
    kill_at: int = -1
    kill_after_effect: bool = False
    now: float = 1_000_000.0
    wall_off: float = 0.0  # how far the wall clock is ahead of the steady one
    frozen_s: float = 0.0  # how long the process stands still right before a POST
    owner: int = 0  # which of the writers that were made owns the partition, if the brokers have transactions
    made: int = 0
    step: int = 0
    names: list[str] = field(default_factory=list)
    records: list[Outbound] = field(default_factory=list)
    issues: dict[str, Issue] = field(default_factory=dict)
    errors: dict[str, list[tuple[bool, Exception]]] = field(default_factory=dict)
    posts: int = 0
    erased: frozenset[str] = frozenset()
    cut: bool = False
    ways: list[Any] = field(default_factory=lambda: [{"id": "31", "to": {"statusCategory": {"key": "done"}}}])
    gone_to: dict[str, str] = field(default_factory=dict)  # by key: where somebody has moved an issue
    takes: tuple[bool, int | None] = (True, None)  # whether Jira takes files, and of how many bytes
    plan: Plan = field(default_factory=lambda: Plan("ci_failure", "BUILD"))

    def fail(self, call: str, error: Exception, *, done: bool = False, times: int = 1) -> None:
        """The next `times` calls raise `error`, having had their effect or not."""
        self.errors.setdefault(call, []).extend([(done, error)] * times)

    def enter(self, name: str) -> bool:
        """Counts a step; dies before its effect if that is asked. Returns whether it is to die after it."""
        mine, self.step = self.step, self.step + 1
        self.names.append(name)
        if mine == self.kill_at and not self.kill_after_effect:
            raise KilledError
        return mine == self.kill_at

    def leave(self, dies: bool) -> None:
        """Dies after a step's effect if that is asked."""
        if dies:
            raise KilledError

    async def publish(self, records: Sequence[Outbound]) -> None:
        """Writes to the topics; acknowledged when it returns."""
        if error := self._error("publish"):
            raise error[1]
        dies = self.enter("publish " + " ".join(sorted({each.topic.rpartition(".")[2] for each in records})))
        self.records += records
        self.leave(dies)

    async def journal(self, me: int, at: TopicPartition, records: Sequence[Outbound]) -> None:
        """Writes as the owner of a partition, unless there is another by now."""
        if me != self.owner:
            raise Lost
        await self.publish(records)

    async def load(self, partition: int) -> Loaded:
        """Reads the state topic."""
        mine = [each for each in self.records if each.topic == TOPICS.state and each.partition == partition]
        return Loaded(fold((each.key, each.value) for each in mine), self.erased, self.cut)

    async def myself(self) -> frozenset[str]:
        """The account."""
        return ME

    @contextmanager
    def room(self) -> Iterator[None]:
        """As much as is wanted."""
        yield

    async def create(self, fields: Mapping[str, Any], may: Callable[[], bool] = lambda: True) -> str:
        """POST issue."""
        self.now += self.frozen_s
        if not may():
            raise Late("too late", shared=False)
        self.posts += 1
        error = self._error("create")
        dies = self.enter("create")
        if error and not error[0]:
            raise error[1]
        key = f"BUILD-{len(self.issues) + 1}"
        labels = tuple(fields["labels"])
        self.issues[key] = Issue(key, labels, wiki.wiki(fields["description"]), ME, self.now, fields=dict(fields))
        self.leave(dies)
        if error:
            raise error[1]
        return key

    async def comment(self, key: str, body: Document) -> None:
        """POST comment."""
        error = self._error("comment")
        dies = self.enter("comment")
        if error and not error[0]:
            raise error[1]
        self.issues[key].comments.append(wiki.wiki(body))
        self.leave(dies)
        if error:
            raise error[1]

    async def said(self, key: str, body: Document) -> bool:
        """GET comments."""
        return wiki.wiki(body) in self.issues[key].comments

    async def standing(self, key: str) -> Standing:
        """GET issue."""
        if error := self._error("standing"):
            raise error[1]
        if (there := self.gone_to.get(key, key)) not in self.issues:
            raise Refused("Jira answered 404", status=404)
        issue = self.issues[there]
        priority = str(issue.fields.get("priority", {"name": "Medium"})["name"])
        return Standing(
            issue.description,
            issue.resolution,
            issue.resolved_at,
            issue.category,
            priority=priority,
            key=issue.key,
            labels=frozenset(issue.labels),
            duplicates=issue.duplicates,
        )

    async def priorities(self) -> list[str]:
        """GET priority."""
        return ["Highest", "High", "Medium", "Low"]

    async def reopen(self, key: str) -> bool:
        """POST transition."""
        dies = self.enter("reopen")
        self.issues[key].resolution = None
        self.leave(dies)
        return True

    async def mark(self, key: str, label: str) -> None:
        """PUT issue."""
        if key not in self.issues:
            raise Refused("Jira answered 404", status=404)
        dies = self.enter("mark")
        self.issues[key].labels = (*self.issues[key].labels, label)
        self.leave(dies)

    async def recent(self, project: str, back_s: float) -> list[Hit]:
        """Search for what this account has created, the newest first."""
        hits = await self.search(project, "")
        return sorted((hit for hit in hits if hit.creator & ME), key=lambda hit: hit.created, reverse=True)

    async def link(self, key: str, older: str, kind: str = "Relates") -> None:
        """POST link."""
        dies = self.enter("link")
        self.issues[key].links.add(older)
        self.leave(dies)

    async def transition(self, key: str, choose: Callable[[Any], Way | None]) -> bool:
        """POST transition."""
        if (way := choose(self.ways)) is None:
            return False
        if error := self._error("transition"):
            raise error[1]
        dies = self.enter("resolve")
        self.resolve(key, way.fields.get("resolution", {}).get("id", "Done"))
        self.issues[key].moved.append(way.id)
        self.leave(dies)
        return True

    def resolve(self, key: str, resolution: str = "Done") -> None:
        """Somebody closes it."""
        self.issues[key].resolution, self.issues[key].resolved_at = resolution, self.now

    async def reword(self, key: str, stands: Standing, old: str, new: str) -> bool:
        """PUT issue."""
        dies = self.enter("describe")
        self.issues[key].description = stands.description.replace(old, new)
        self.leave(dies)
        return True

    async def edit(self, key: str, fields: Mapping[str, Any]) -> None:
        """PUT issue."""
        dies = self.enter("edit")
        self.issues[key].fields |= fields
        if "description" in fields:
            self.issues[key].description = wiki.wiki(fields["description"])
        self.leave(dies)

    async def attaching(self) -> tuple[bool, int | None]:
        """GET attachment/meta."""
        return self.takes

    async def attachments(self, key: str) -> frozenset[str]:
        """GET issue."""
        if error := self._error("attachments"):
            raise error[1]
        return frozenset(name for name, _ in self.issues[key].files)

    async def attach(self, key: str, name: str, data: bytes, may: Callable[[], bool] = lambda: True) -> None:
        """POST attachments."""
        self.now += self.frozen_s
        if not may():
            raise Late("too late", shared=False)
        error = self._error("attach")
        dies = self.enter("attach")
        if error and not error[0]:
            raise error[1]
        self.issues[key].files.append((name, data))
        self.leave(dies)
        if error:
            raise error[1]

    async def search(self, project: str, label: str) -> list[Hit]:
        """Search, which knows an issue only after the lag, and is lenient: all issues are hits."""
        known = [issue for issue in self.issues.values() if issue.created + self.lag_s <= self.now]
        return [Hit(i.key, i.labels, i.creator, f"{i.created:020.3f}") for i in known]

    async def census(self, labels: Sequence[str]) -> list[Look]:
        """Search for labels, which knows an issue only after the lag, and is lenient."""
        self.names.append(f"census {len(labels)}")
        return [
            Look(each.key, frozenset(each.labels), each.duplicates if each.resolution else (), each.description)
            for each in self.issues.values()
            if each.created + self.lag_s <= self.now
        ]

    async def marks(self) -> dict[bytes, bytes]:
        """Reads how far the looks came."""
        return {each.key or b"": each.value or b"" for each in self.records if each.topic == TOPICS.heard}

    def reconciler(self, writer: Writer) -> Reconciler:
        """The reconciler of a process with this writer."""
        return Reconciler(
            self,  # type: ignore[arg-type]
            writer.book,
            self.publish,
            TOPICS,
            redact=str,
            census=self.census,
            marks=self.marks,
            lag_s=LAG_S,
            clock=lambda: self.now + self.wall_off,
            steady=lambda: self.now,
        )

    def _error(self, call: str) -> tuple[bool, Exception] | None:
        held = self.errors.get(call)
        return held.pop(0) if held else None

    def mine(self, fingerprint: str) -> list[Issue]:
        """The tickets of a fingerprint."""
        return [issue for issue in self.issues.values() if f"fs-{fingerprint}" in issue.labels]

    def events(self) -> list[str]:
        """What the ticket events say was done."""
        return [orjson.loads(each.value or b"")["action"] for each in self.records if each.topic == TOPICS.events]

    async def writer(self) -> Writer:
        """A writer as after a start of the process."""
        texts = Texts({"ci_failure": self.plan})
        self.made = self.owner = self.made + 1
        made = Writer(
            self,  # type: ignore[arg-type]
            texts,
            partial(self.journal, self.made),
            self.publish,
            self.load,
            TOPICS,
            unsettled_s=LAG_S,
            clock=lambda: self.now + self.wall_off,
            steady=lambda: self.now,
        )
        await made.assigned(AT)
        return made

    async def until_idle(self, writer: Writer | None = None) -> None:
        """Has the writer's own commands done, asked for as the daemon does, over kills, until none is left.

        A command stays until it is handled, as on a topic.
        """
        held, done = writer, 0
        for _ in range(100):
            try:
                held, made = held or await self.writer(), self.made
                commands = [each for each in self.records if each.topic == TOPICS.commands]
                for each in commands[done:]:
                    await self.until_done(Record(each.topic, 0, 0, each.key, each.value), held)
                    held, done = held if self.made == made else None, done + 1
                    break
                else:
                    if not held.book.owed:
                        return
                    self.now += 10.0
                    await held.ask_for_counts()
            except KilledError:
                self.kill_at, held = -1, None
        raise AssertionError("tickets are owed something for ever")

    async def until_done(self, record: Record, writer: Writer | None = None) -> None:
        """Handles the record as the engine does: again after Retryable and after a kill, outputs published last."""
        held = writer
        for _ in range(100):
            try:
                held = held or await self.writer()
                outputs = await held.handle(record)
                if outputs:
                    await self.publish(outputs)
                return
            except Retryable as error:
                self.now += error.wait or 1.0
            except Rejected as error:
                assert held is not None
                await self.publish(held.reject(record, error))
                return
            except KilledError:
                self.kill_at, held = -1, None
                self.now += 5.0
        raise AssertionError("the record is never done")


def command(
    count: int = 1, *, finding: str = "", fingerprint: str = "f1", pipeline: str = "ci_failure", branch: str = ""
) -> Command:
    """The command of the `count`-th sight of a fault, each on a branch of its own unless one is named."""
    time = f"2026-11-22T04:{count:02d}:00.000Z"
    data = {
        "id": finding or f"{fingerprint}-{count}",
        "pipeline": pipeline,
        "fingerprint": fingerprint,
        "result": {"category": "test", "summary": "It broke", "severity": "major"},
        "evidence": [{"line": 7, "text": "E   assert 1 == 2"}],
        "confidence": {"value": None, "calibrated": False},
        "build": {
            "repo": "acme/web",
            "job": "unit",
            "run_id": str(count),
            "branch": branch or f"b{count}",
            "commit": "abc",
        },
        "time": time,
    }
    first = "2026-11-22T04:01:00.000Z"
    return Command("create" if count == 1 else "comment", fingerprint, pipeline, data, count, first, time)


def record(made: Command, offset: int = 0) -> Record:
    """The record of a command as it is read."""
    out = made.record(TOPICS)
    return Record(out.topic, 0, offset, out.key, out.value)
