"""Two pipelines on one topic, one of which can't work for a while: engine and line on the in-memory broker."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from dataclasses import replace

from processor.contract import Outbound, TopicPartition
from processor.engine import Engine, ExactlyOnce, Limits
from processor.errors import Retryable
from processor.models.chat import ChatRequest, Completion
from processor.sources.backlog import Waiting
from processor.stages.park import Aside
from processor.testing.broker import MemoryBroker
from processor.testing.model import StubModel

from .engine.conftest import eventually
from .test_line import CI_FAILURE, line

TOPIC, PARKED = "ci.builds.failed", "t.parked.tuned"
TUNED = replace(CI_FAILURE, name="tuned", model=CI_FAILURE.model.model_copy(update={"adapter": "tuned"}))
LOG = b"$ make all\nerror: the frobnicator is out of tune\nmake: *** [all] Error 1\n"
LIMITS = Limits(poll_s=0.05, linger_s=0.0, drain_s=1.0, revoke_s=0.5, backoff_first_s=0.01, backoff_most_s=0.02)


class Adapters(StubModel):
    """A server that may lack the adapter."""

    lacks_it = True

    async def complete(self, request: ChatRequest) -> Completion:
        if request.model is not None and self.lacks_it:
            raise Retryable("the model server has no adapter tuned", shared=False)
        return await super().complete(request)


async def test_a_new_owner_knows_what_lies_parked_before_it_takes_an_event() -> None:
    """Else the next event of a key would overtake one that the last owner has parked."""
    broker, worker = MemoryBroker(), line(StubModel(), CI_FAILURE, TUNED)
    ward = worker.wards["tuned"]
    looks = [Retryable("no broker"), None]

    async def waiting(topic: str) -> Waiting:
        await asyncio.sleep(0)
        if error := looks.pop(0) if looks else None:
            raise error
        return Waiting(1000 if topic == PARKED else 0, 0)

    keeps = dict.fromkeys(worker.wards, math.inf)
    worker.afresh = Aside(worker.wards, waiting, worker.metrics, "t", keeps).afresh
    for topic in worker.topics:
        broker.create(topic, 2)
    for partition in range(2):
        broker.produce(Outbound(TOPIC, b"k", LOG, (("ce_type", b"build.failed"),), partition))
    engine = Engine(broker.source("g", [TOPIC]), broker.sink(), worker, LIMITS)
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    try:
        await eventually(lambda: sum(broker.committed["g"].values()) == 2)
    finally:
        stop.set()
        await task
    assert ward.waiting == 1000
    assert not broker.records("t.findings.tuned")
    assert len(broker.records(PARKED)) == 2


async def test_a_pipeline_without_its_adapter_holds_nobody_up() -> None:
    """Its events go aside while the other's go on, and come back in order, each once, before what is new."""
    broker, model, clock = MemoryBroker(), Adapters(), [0.0]
    worker = line(model, CI_FAILURE, TUNED)
    ward = worker.wards["tuned"]
    ward._clock = lambda: clock[0]

    def send(number: int) -> None:
        headers = (("ce_type", b"build.failed"), ("repo", b"acme/web"), ("run_id", b"%d" % number))
        broker.produce(Outbound(TOPIC, b"k", LOG, headers))

    def runs(pipeline: str) -> list[int]:
        found = [json.loads(each.value or b"") for each in broker.records(f"t.findings.{pipeline}")]
        return [int(each["data"]["build"]["run_id"]) for each in found]

    async def until(condition: object) -> None:
        async with asyncio.timeout(20):
            while not condition():  # type: ignore[operator]
                held = TopicPartition(PARKED, 0)
                ward.waiting = broker.end(held) - broker.committed["g"].get(held, 0)
                clock[0] += 1.0
                await asyncio.sleep(0.005)

    for topic in worker.topics:
        broker.create(topic, 1)
    source = broker.source("g", list(worker.topics))
    delivery = ExactlyOnce(source, broker.transactions(), "g")
    engine = Engine(source, broker.sink(), worker, LIMITS, delivery=delivery)
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    try:
        for number in range(20):
            send(number)
        await until(lambda: len(runs("ci_failure")) == 20 and ward.waiting)
        assert not runs("tuned")
        assert broker.committed["g"][TopicPartition(TOPIC, 0)] == 20, "the topic goes on"
        model.lacks_it = False
        for number in range(20, 30):
            send(number)
        await until(lambda: len(runs("tuned")) == 30 and not ward.waiting)
        send(30)
        await until(lambda: len(runs("tuned")) == 31)
    finally:
        stop.set()
        await task
    assert runs("tuned") == list(range(31))
    assert Counter(runs("ci_failure")) == Counter(range(31))
    ids = [json.loads(each.value or b"")["id"] for each in broker.records("t.findings.tuned")]
    assert len(set(ids)) == 31
    assert not broker.records("t.dead-letters")
    assert broker.records(PARKED)[0].value == LOG
