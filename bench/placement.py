"""Placement over simulated replicas, beside round robin and least-loaded; then what the client itself costs.

The servers are simulated in virtual time: vLLM's way of batching (a step reads some prompt tokens and writes one token
of each running answer), with times measured on a 0.5B model on two cores; a prefix cache that holds some prompts; slots
for adapters. What is measured is placement alone, so the servers' absolute speed does not matter.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.models.endpoints import Endpoint
from processor.models.form import Slot, compile_form
from processor.models.placement import BoundedRendezvous, Placement, Target
from processor.models.replicas import Replicas, loop_time
from processor.settings import ModelSettings
from processor.testing.virtual import run as run_virtually

SYSTEM, EXCERPT, ANSWER = 1300, 400, 30
"""Tokens: the fixed beginning of a prompt, the rest of it, an answer."""

ADAPTERS, SLOTS, CACHED, RUNNING = 50, 4, 12, 16
"""Adapters in all; per server: those that may run at once, prefixes that its cache holds, requests that it runs."""

_STEP_S, _ROW_S, _READ_S, _SWAP_S = 0.163, 0.0041, 1 / 128, 0.02
"""Seconds: a step, each answer in it, a prompt token that is read, an adapter that takes another's slot."""

_CHUNK = 512
"""Most prompt tokens that one step reads."""


@dataclass
class _Work:
    key: str
    unread: int
    unwritten: int
    done: asyncio.Future[None]


@dataclass
class Server:
    """One simulated server."""

    cache: OrderedDict[str, None] = field(default_factory=OrderedDict)
    slots: OrderedDict[str, None] = field(default_factory=OrderedDict)
    waiting: deque[_Work] = field(default_factory=deque)
    running: list[_Work] = field(default_factory=list)
    served: int = 0
    hits: int = 0
    task: asyncio.Task[None] | None = None

    async def ask(self, key: str) -> None:
        """One request, until it is answered."""
        work = _Work(key, SYSTEM + EXCERPT, ANSWER, asyncio.get_running_loop().create_future())
        self.waiting.append(work)
        if self.task is None:
            self.task = asyncio.create_task(self._steps())
        await work.done

    async def _steps(self) -> None:
        while self.waiting or self.running:
            spent = self._admit() + _STEP_S
            budget = _CHUNK
            for work in self.running:
                read = min(budget, work.unread)
                work.unread -= read
                budget -= read
                spent += read * _READ_S
                if read == 0 and work.unread == 0:
                    work.unwritten -= 1
                    spent += _ROW_S
            await asyncio.sleep(spent)
            for work in [each for each in self.running if each.unwritten <= 0]:
                self.running.remove(work)
                work.done.set_result(None)
        self.task = None

    def _admit(self) -> float:
        """Begins what there is room for, in order, but for adapters without a slot. Returns seconds spent on swaps."""
        spent, later = 0.0, deque[_Work]()
        while self.waiting and len(self.running) < RUNNING:
            work = self.waiting.popleft()
            busy = {each.key for each in self.running}
            if work.key not in busy and len(busy) >= SLOTS:
                later.append(work)
                continue
            if work.key not in self.slots:
                spent += _SWAP_S
                while len(self.slots) >= SLOTS:
                    del self.slots[next(each for each in self.slots if each not in busy)]
            self.slots[work.key] = None
            self.slots.move_to_end(work.key)
            self.served += 1
            if work.key in self.cache:
                self.hits += 1
                work.unread -= SYSTEM
            self.cache[work.key] = None
            self.cache.move_to_end(work.key)
            if len(self.cache) > CACHED:
                self.cache.popitem(last=False)
            self.running.append(work)
        self.waiting = later + self.waiting
        return spent


class RoundRobin:
    """Each in turn."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, key: str, replicas: Sequence[Target], holds: Callable[[Target], bool]) -> Target:
        """The next one."""
        del key, holds
        self._next += 1
        return replicas[self._next % len(replicas)]


class LeastLoaded:
    """The one with the fewest requests; one of these by chance."""

    def choose(self, key: str, replicas: Sequence[Target], holds: Callable[[Target], bool]) -> Target:
        """The one with the fewest."""
        del key, holds
        least = min(replica.load for replica in replicas)
        return random.choice([replica for replica in replicas if replica.load == least])  # noqa: S311


def simulate(
    placement: Placement, servers: int, adapters: int, requests: int, in_flight: int, seed: int = 1
) -> dict[str, float]:
    """A closed loop of `in_flight` requests; adapters are asked for by Zipf's law (exponent 1)."""
    chance = random.Random(seed)  # noqa: S311
    weights = [1 / rank for rank in range(1, adapters + 1)]
    keys = deque(f"pipeline{each}" for each in chance.choices(range(adapters), weights, k=requests))

    async def play() -> dict[str, float]:
        replicas = Replicas(4, RUNNING, placement=placement)
        found: dict[str, Server] = {}
        for replica in replicas.update([Endpoint(f"http://vllm-{n}:8000/v1") for n in range(servers)]):
            replicas.ready(replica)
            found[replica.url] = Server()

        async def worker() -> None:
            while keys:
                key = keys.popleft()
                replica = await replicas.acquire(key)
                began = loop_time()
                await found[replica.url].ask(key)
                replicas.succeeded(replica, loop_time() - began, ANSWER)
                replicas.release(replica)

        await asyncio.gather(*(worker() for _ in range(in_flight)))
        counts = [server.served for server in found.values()]
        return {
            "hit_share": sum(server.hits for server in found.values()) / requests,
            "imbalance": max(counts) / statistics.mean(counts),
            "events_per_s": requests / loop_time(),
        }

    return run_virtually(play())


def placements(requests: int) -> dict[str, dict[str, float]]:
    """Each way of placing on the same requests: eight servers, and one with an eighth of the adapters beside them."""
    return {
        "placed": simulate(BoundedRendezvous(), 8, ADAPTERS, requests, 8 * 20),
        "round_robin": simulate(RoundRobin(), 8, ADAPTERS, requests, 8 * 20),
        "least_loaded": simulate(LeastLoaded(), 8, ADAPTERS, requests, 8 * 20),
        "one_server": simulate(BoundedRendezvous(), 1, ADAPTERS // 8, requests // 8, 20),
    }


FORM = compile_form("bench", (Slot("category", "choice", ("k1", "k2", "k3")), Slot("summary", "text", length=160)))


def answer() -> bytes:
    """An answer as vLLM gives it: 60 tokens, with eight likeliest ones each."""
    top = [{"token": f" tok{n}", "logprob": -float(n), "bytes": [32, 116, 111, 107]} for n in range(8)]
    tokens = [{"token": " tok0", "logprob": -0.01, "bytes": [32, 116], "top_logprobs": top} for _ in range(60)]
    message = {"role": "assistant", "content": '{"category":"k1","summary":"the build failed"}'}
    usage = {"prompt_tokens": 1700, "completion_tokens": 60, "prompt_tokens_details": {"cached_tokens": 1280}}
    choice = {"index": 0, "message": message, "logprobs": {"content": tokens}, "finish_reason": "stop"}
    return orjson.dumps({"id": "x", "object": "chat.completion", "model": "base", "choices": [choice], "usage": usage})


async def _bare(url: str, body: bytes, count: int, in_flight: int) -> tuple[list[float], float]:
    """The least that a client can do: sends the bytes, reads the answer's and parses them."""
    took: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask() -> None:
            began = time.perf_counter()
            async with session.post(f"{url}/chat/completions", data=body) as response:
                orjson.loads(await response.read())
            took.append(time.perf_counter() - began)

        return await _closed_loop(ask, count, in_flight, took)


async def _closed_loop(
    ask: Callable[[], Awaitable[None]], count: int, in_flight: int, took: list[float]
) -> tuple[list[float], float]:
    """So many requests, so many at once, the first of them not counted. Seconds of each, CPU seconds of one."""
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await ask()

    await asyncio.gather(*(ask() for _ in range(in_flight)))
    took.clear()
    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return took, (time.process_time() - began) / count


async def _client(url: str, count: int, in_flight: int) -> tuple[list[float], float]:
    took: list[float] = []
    messages = (Message("system", "You read logs. " * 400), Message("user", "error: it broke\n" * 100))
    settings = ModelSettings(urls=[url], concurrency=in_flight, concurrency_min=in_flight, probe_s=600)
    async with ModelClient(settings) as client:

        async def ask() -> None:
            began = time.perf_counter()
            await client.complete(ChatRequest(messages, FORM))
            took.append(time.perf_counter() - began)

        return await _closed_loop(ask, count, in_flight, took)


async def overhead(count: int, in_flight: int = 64, delay_s: float = 0.5, rounds: int = 3) -> dict[str, float]:
    """CPU time of a request in the client, and what it adds to the 99th percentile of a bare loop's, in turns.

    The server is a process of its own that answers after `delay_s`, so that requests wait for it and not for the CPU.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.instant_server", str(delay_s), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101
    url = (await process.stdout.readline()).decode().strip()
    body = orjson.dumps({"model": "base", "messages": [{"role": "system", "content": "You read logs. " * 400}]})
    cpu, over, added = [], [], []
    try:
        for _ in range(rounds):
            bare, bare_s = await _bare(url, body, count, in_flight)
            ours, each_s = await _client(url, count, in_flight)
            cpu.append(each_s * 1000)
            over.append((each_s - bare_s) * 1000)
            added.append((_p99(ours) - _p99(bare)) * 1000)
    finally:
        process.terminate()
        await process.wait()
    return {
        "cpu_ms_per_request": statistics.median(cpu),
        "cpu_ms_over_bare": statistics.median(over),
        "added_p99_ms": statistics.median(added),
    }


def _p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100, method="inclusive")[98]


def run(requests: int = 6000, asked: int = 1500) -> dict[str, dict[str, Any]]:
    """All figures."""
    ways = placements(requests)
    placed, one = ways["placed"], ways["one_server"]
    costs = asyncio.run(overhead(asked))
    measures = {
        "prefix_hit_share": placed["hit_share"],
        "imbalance": placed["imbalance"],
        "speedup_8_replicas": placed["events_per_s"] / one["events_per_s"],
        **costs,
    }
    return {"measures": {name: round(value, 3) for name, value in measures.items()}, "placements": ways}
