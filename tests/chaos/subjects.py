"""What is put to the test: the engine with a worker that copies, and the whole line with two pipelines."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from processor.settings.kafka import Carrier
from processor.testing.model import FakeModelServer
from tests.chaos.copying import POISON, Options
from tests.chaos.daemons import CHECKOUT, Daemon
from tests.chaos.faults import KINDS
from tests.chaos.oracle import Message, Outcome, Position


class Subject(Protocol):
    """What is put to the test."""

    @property
    def topic(self) -> str:
        """The topic that events go to."""

    @property
    def group(self) -> str:
        """Of the daemons."""

    @property
    def pipelines(self) -> Sequence[str]:
        """In each of which an event comes to something once."""

    @property
    def session_s(self) -> float:
        """Silence after which the group drops a daemon."""

    @property
    def topics(self) -> dict[str, int]:
        """The topics to make, with their partitions."""

    @property
    def read(self) -> Sequence[str]:
        """The topics to read what came of it."""

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of fault that it knows."""

    @property
    def poison(self) -> Message:
        """An event that kills who works on it."""

    @property
    def condemned(self) -> set[Position]:
        """Events that were taken for poison, as far as `outcome` has seen them."""

    @property
    def parked(self) -> set[Outcome]:
        """What was put aside at some time, as far as `outcome` has seen it."""

    def message(self, number: int) -> Message:
        """Event number `number`."""

    def outcome(self, record: Any) -> Outcome | None:
        """What a record of these topics says."""

    def command(self, bootstrap: str, slot: int, folder: Path) -> Sequence[object]:
        """The command of a daemon."""

    def obstruct(self, daemon: Daemon, how: str) -> None:
        """Has what a daemon works with be `slow`, `hang` or `sick`."""

    def relieve(self, daemon: Daemon, how: str) -> None:
        """No more."""


@dataclass
class Copying:
    """The engine with a worker that copies, for two pipelines."""

    wait_ms: float = 30
    session_s: float = 3
    build: str = "whole"
    partitions: int = 4
    concurrency: int = 60
    records: Carrier = "aiokafka"
    topic: str = field(default_factory=lambda: f"chaos-{uuid.uuid4().hex[:10]}")
    kinds: Sequence[str] = tuple(kind for kind in KINDS if kind != "sick")
    poison: Message = (b"poison", POISON, ())
    condemned: set[Position] = field(default_factory=set)
    parked: set[Outcome] = field(default_factory=set)  # the engine puts nothing aside

    @property
    def group(self) -> str:
        """Of the daemons."""
        return f"g-{self.topic}"

    @property
    def pipelines(self) -> Sequence[str]:
        """Two."""
        return f"{self.topic}-a", f"{self.topic}-b"

    @property
    def topics(self) -> dict[str, int]:
        """Of the events, of outputs and dead letters."""
        return {self.topic: self.partitions} | dict.fromkeys(self.read, 2)

    @property
    def read(self) -> Sequence[str]:
        """Outputs and dead letters."""
        return (*self.pipelines, f"{self.topic}-dead")

    def message(self, number: int) -> Message:
        """A number."""
        return b"%d" % (number % 97), b"%d" % number, ()

    def outcome(self, record: Any) -> Outcome:
        """An output's value names its event."""
        partition, offset, *reason = record.value.split()
        position = int(partition), int(offset)
        if reason == [b"poison"]:
            self.condemned.add(position)
        return None if reason else record.topic, position

    def command(self, bootstrap: str, slot: int, folder: Path) -> Sequence[object]:
        """tests.chaos.copying."""
        options = Options(
            bootstrap,
            self.group,
            self.topic,
            self.pipelines,
            f"{self.topic}-dead",
            str(folder),
            wait_ms=self.wait_ms,
            session_s=self.session_s,
            build=self.build,
            concurrency=self.concurrency,
            records=self.records,
        )
        return [sys.executable, "-m", "tests.chaos.copying", options.write(folder / "options.json")]

    def obstruct(self, daemon: Daemon, how: str) -> None:
        """By the worker's own switches."""
        daemon.switch(how, "0.3")

    def relieve(self, daemon: Daemon, how: str) -> None:
        """The switches back."""
        daemon.switch(how, None)


@dataclass
class Line:
    """The whole line: two pipelines on one topic, and a model server that answers some events with rubbish."""

    folder: Path
    model: FakeModelServer
    session_s: float = 3
    records: Carrier = "aiokafka"
    prefix: str = field(default_factory=lambda: f"c{uuid.uuid4().hex[:10]}")
    pipelines: Sequence[str] = ("alpha", "beta")  # the second asks an adapter
    kinds: Sequence[str] = tuple(kind for kind in KINDS if kind != "poison")
    poison: Message = (None, b"", ())
    condemned: set[Position] = field(default_factory=set)
    parked: set[Outcome] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.topic = f"{self.prefix}-events"
        for name in self.pipelines:
            home = self.folder / "home" / "pipelines" / name
            home.mkdir(parents=True)
            theirs = CHECKOUT / "pipelines" / "log_router"
            for file in ("system.j2", "user.j2"):
                (home / file).write_text((theirs / file).read_text(encoding="utf-8"), encoding="utf-8")
            document = yaml.safe_load((theirs / "pipeline.yaml").read_text(encoding="utf-8"))
            document["pipeline"] = name
            document["source"]["kafka"] = {"topics": [self.topic], "format": "log", "start": "earliest"}
            if name == self.pipelines[1]:
                document["model"]["adapter"] = ADAPTER
            (home / "pipeline.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        adapter = self.folder / "home" / "adapters" / ADAPTER
        adapter.mkdir(parents=True)
        (adapter / "manifest.yaml").write_text("base_model: any\n", encoding="utf-8")
        self.model.adapters |= {ADAPTER, "another"}  # a server without any would be refused at start
        valid = self.model.answer
        self.model.answer = lambda body: "no JSON at all" if RUBBISH in str(body["messages"]) else valid(body)

    @property
    def group(self) -> str:
        """Of the daemons."""
        return f"{self.prefix}.line"

    @property
    def topics(self) -> dict[str, int]:
        """The events' own; the daemon makes the others."""
        return {self.topic: 4} | dict.fromkeys(self.read, 2)

    @property
    def read(self) -> Sequence[str]:
        """Findings, parked events and dead letters."""
        kinds = ("findings", "parked")
        of_each = (f"{self.prefix}.{kind}.{name}" for kind in kinds for name in self.pipelines)
        return (*of_each, f"{self.prefix}.dead-letters")

    def message(self, number: int) -> Message:
        """A line of a service's log."""
        what = RUBBISH if number % 37 == 5 else "connection refused"
        return b"%d" % (number % 97), f"2026-03-02T10:11:12Z ERROR [service-{number}] {what}\n".encode(), ()

    def outcome(self, record: Any) -> Outcome | None:
        """A finding names its event, a dead letter its pipeline as well."""
        self.model.asked.clear()
        kind, pipeline = record.topic.split(".")[1], record.topic.rpartition(".")[2]
        if kind == "findings":
            event = json.loads(record.value)["data"]["event"]
            return pipeline, (event["partition"], event["offset"])
        headers = dict(record.headers)
        _, _, partition, offset = json.loads(headers["fs-origin"])
        if kind == "parked":
            self.parked.add((pipeline, (partition, offset)))
            return None
        if headers["fs-reason"] == b"poison":
            self.condemned.add((partition, offset))
        return headers["fs-pipeline"].decode() or None, (partition, offset)

    def command(self, bootstrap: str, slot: int, folder: Path) -> Sequence[object]:
        """`faultstream run --role line`."""
        settings = {
            "kafka": {
                "bootstrap": bootstrap,
                "client": self.records,
                "create_topics": True,
                "partitions": 2,
                "session_timeout_s": self.session_s,
                "request_timeout_s": 5,
            },
            "topics": {"prefix": self.prefix},
            "pipelines": list(self.pipelines),
            "models": {"lite": {"urls": [self.model.url], "timeout_s": 3, "attempts": 2}},
            "limits": {"drain_s": 10, "answers_bytes": 0},  # each event is to meet the model's faults
            "http": {"port": 0},
        }
        file = folder / "faultstream.yaml"
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        words = ["run", "--role", "line", "--config", file, "--home", self.folder / "home"]
        return [sys.executable, "-m", "tests.chaos.line_process", folder, *words]

    def obstruct(self, daemon: Daemon, how: str) -> None:
        """By the model server, for all daemons at once."""
        if how == "sick":
            self.model.adapters.discard(ADAPTER)
        else:
            self.model.always = "busy" if how == "slow" else "hang"

    def relieve(self, daemon: Daemon, how: str) -> None:
        """It works again."""
        if how == "sick":
            self.model.adapters.add(ADAPTER)
        else:
            self.model.always = None


ADAPTER = "tuned"
RUBBISH = "the model answers this with rubbish"
