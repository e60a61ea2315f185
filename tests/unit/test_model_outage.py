"""Whose fault it is that a model server fails: engine, line and client on the in-memory broker, in virtual time."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from processor.contract import Outbound, TopicPartition
from processor.engine import Engine, ExactlyOnce, Limits
from processor.models.client import ModelClient
from processor.models.endpoints import Endpoint
from processor.models.probe import Reply
from processor.models.transport import AwayError, UnansweredError
from processor.settings import ModelSettings
from processor.testing.broker import MemoryBroker
from processor.testing.virtual import run

from .test_line import line

TOPIC = "ci.builds.failed"
HOUR = 3600.0
LIMITS = Limits(linger_s=0.0, drain_s=1.0, revoke_s=0.5)
KINDS = ["500", "502", "timeout", "dies", "garbage", "refused", "away"]

State = Callable[[float, str], str]
"""How the server does at a time, for a log: "well" or one of KINDS."""


@dataclass
class Server:
    """A model server in the process, behind `ModelClient`."""

    state: State
    asked: list[tuple[float, str]] = field(default_factory=list)

    async def close(self) -> None:
        """Nothing is open."""

    async def send(self, endpoint: Endpoint, method: str, path: str, body: bytes | None, **bounds: object) -> Reply:
        """One exchange."""
        now = asyncio.get_running_loop().time()
        asked: dict[str, Any] = orjson.loads(body) if body else {}
        user = asked["messages"][-1]["content"] if asked else ""
        probed = not asked or user.startswith("Answer")
        if not probed:
            self.asked.append((now, user))
        state = self.state(now, "" if probed else user)
        await asyncio.sleep(0.3)
        if state == "timeout":
            await asyncio.sleep(120)
            raise UnansweredError("http://model/v1 did not answer within 120 s")
        if state == "away":
            raise AwayError("http://model/v1: Connection refused")
        if state == "dies":
            raise UnansweredError("http://model/v1: Server disconnected")
        if state in ("500", "502"):
            return int(state), {}, b"oops"
        if state == "refused":
            return 400, {}, b'{"error": "no"}'
        if state == "garbage":
            return 200, {}, b"\x00"
        return self._answer(path, asked)

    def _answer(self, path: str, asked: Mapping[str, Any]) -> Reply:
        if path == "//metrics":
            return 404, {}, b""
        if path == "/models":
            return 200, {}, b'{"data": [{"id": "base", "owned_by": "vllm"}]}'
        if asked["model"] != "base":
            return 404, {}, b'{"error": {"message": "The model does not exist."}}'
        schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema", {"properties": {}})
        values = {name: _first(each) for name, each in schema["properties"].items()}
        tokens = {"content": [{"token": "{", "logprob": 0.0}]}
        choice = {"message": {"content": json.dumps(values)}, "finish_reason": "stop", "logprobs": tokens}
        return 200, {}, orjson.dumps({"choices": [choice]})


def _first(schema: Mapping[str, Any]) -> Any:
    return schema["enum"][0] if "enum" in schema else [] if schema["type"] == "array" else "x"


@dataclass
class World:
    """One topic of `partitions` partitions, a daemon's line on it, and what came of its events."""

    server: Server
    partitions: int = 1
    broker: MemoryBroker = field(default_factory=MemoryBroker)

    def send(self, number: int, text: str = "error: the frobnicator is out of tune") -> None:
        """An event whose log no rule knows."""
        log = f"$ make all\n{text} {number}\nmake: *** [all] Error 1\n".encode()
        headers = (("ce_type", b"build.failed"), ("repo", b"acme/web"), ("run_id", b"%d" % number))
        self.broker.produce(Outbound(TOPIC, b"k", log, headers, partition=number % self.partitions))

    @property
    def found(self) -> Counter[int]:
        """Findings by the event's number."""
        records = self.broker.records("t.findings.ci_failure")
        return Counter(int(json.loads(each.value or b"")["data"]["build"]["run_id"]) for each in records)

    @property
    def letters(self) -> list[tuple[int, str]]:
        """Dead letters: the event's number and the reason."""
        headers = [dict(each.headers) for each in self.broker.records("t.dead-letters")]
        return [(int(each["run_id"]), each["fs-reason"].decode()) for each in headers]

    @property
    def done(self) -> int:
        """Events that are committed."""
        committed = self.broker.committed["g"]
        return sum(committed.get(TopicPartition(TOPIC, number), 0) for number in range(self.partitions))

    async def until(self, condition: Callable[[], bool], most_s: float) -> None:
        """Waits in virtual time."""
        async with asyncio.timeout(most_s):
            while not condition():  # noqa: ASYNC110 (virtual seconds cost nothing)
                await asyncio.sleep(1.0)

    async def run(self, play: Callable[[World], Any], **model: Any) -> None:
        """Runs the daemon's engine while `play` goes on."""
        client = ModelClient(ModelSettings(urls=["http://model/v1"], **model), transport=self.server)
        worker = line(client)
        self.broker.create(TOPIC, self.partitions)
        source = self.broker.source("g", list(worker.topics))
        delivery = ExactlyOnce(source, self.broker.transactions(), "g")
        engine = Engine(source, self.broker.sink(), worker, LIMITS, delivery=delivery)
        stop = asyncio.Event()
        task = asyncio.create_task(engine.run(stop))
        try:
            await play(self)
        finally:
            stop.set()
            await task
            await client.stop()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answered_before", [True, False])
def test_a_server_that_is_down_for_an_hour_costs_lag_alone(kind: str, answered_before: bool) -> None:
    """However it is down, and whether or not it has answered before: each event has a finding, and none is given up."""
    begins, ends = (10.0 if answered_before else 0.0), HOUR + 10.0

    async def play(world: World) -> None:
        for number in range(12):
            world.send(number)
            await asyncio.sleep(1)
        assert world.done < 12
        assert not world.letters
        await world.until(lambda: world.done == 12, 2 * HOUR)
        assert world.found == Counter(range(12))
        assert not world.letters

    server = Server(lambda now, _: kind if begins <= now < ends else "well")
    run(World(server).run(play, timeout_s=120))


@pytest.mark.parametrize("kind", KINDS[:-1])
@pytest.mark.parametrize("first", [True, False])
def test_one_poison_event_is_one_dead_letter(kind: str, first: bool) -> None:
    """The others go on; the partition's commits wait for it no longer than its tries take. Even if it is the first."""
    poison = 0 if first else 7

    async def play(world: World) -> None:
        for number in range(30):
            world.send(number, "error: POISON" if number == poison else "error: the frobnicator is out of tune")
            await asyncio.sleep(1)
        await world.until(lambda: world.done == 30, HOUR)
        assert world.letters == [(poison, "request_refused" if kind == "refused" else "model_failed")]
        assert world.found == Counter(set(range(30)) - {poison})

    server = Server(lambda _, user: kind if "POISON" in user else "well")
    run(World(server).run(play, timeout_s=120))
    assert sum("POISON" in user for _, user in server.asked) <= 15


def test_poison_in_a_quiet_topic_does_not_wait_for_traffic() -> None:
    """Nothing else comes: the last question that was answered is what it is compared with."""

    async def play(world: World) -> None:
        world.send(0)
        await world.until(lambda: world.done == 1, 60)
        world.send(1, "error: POISON")
        await world.until(lambda: world.done == 2, 600)
        assert world.letters == [(1, "model_failed")]

    run(World(Server(lambda _, user: "500" if "POISON" in user else "well")).run(play))


@settings(max_examples=10, deadline=None, phases=[Phase.generate])  # a smaller example would take minutes to find
@given(seed=st.integers(0, 2**32), up_s=st.floats(5, 120), down_s=st.floats(5, 120), kind=st.sampled_from(KINDS))
def test_a_server_that_comes_and_goes_costs_no_event(seed: int, up_s: float, down_s: float, kind: str) -> None:
    """Restarts in a loop for an hour, out of step with the tries: what is tried while it is down is not to blame."""
    chance = random.Random(seed)  # noqa: S311
    turns: list[float] = []
    at = 0.0
    while at < HOUR:
        at += chance.uniform(0.5, 1.5) * (down_s if len(turns) % 2 else up_s)
        turns.append(at)

    def state(now: float, _: str) -> str:
        return kind if now < turns[-1] and sum(turn <= now for turn in turns) % 2 else "well"

    async def play(world: World) -> None:
        for number in range(40):
            world.send(number)
            await asyncio.sleep(chance.uniform(0, 60))
        await world.until(lambda: world.done == 40, 4 * HOUR)
        assert world.found == Counter(range(40))
        assert not world.letters

    run(World(Server(state), partitions=2).run(play, timeout_s=30))


def test_an_hour_is_an_hour() -> None:
    """The replicas rest by the loop's clock: were they on the real one, the tests above would test nothing."""
    world = World(Server(lambda now, _: "away" if now < HOUR else "well"))

    async def play(world: World) -> None:
        world.send(0)
        await world.until(lambda: world.done == 1, 2 * HOUR)
        assert asyncio.get_running_loop().time() >= HOUR

    run(world.run(play))
    assert [now >= HOUR for now, _ in world.server.asked] == [True]
