"""Placement over simulated replicas, beside round robin and least-loaded.

The servers are simulated in virtual time: vLLM's way of batching (a step reads some prompt tokens and writes one token
of each running answer), with times measured on a 0.5B model on two cores; a prefix cache that holds some prompts; slots
for adapters. What is measured is placement alone, so the servers' absolute speed does not matter.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from processor.models.endpoints import Endpoint
from processor.models.placement import BoundedRendezvous, Placement, Target
from processor.models.replicas import Replicas, loop_time
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

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311

    def choose(self, key: str, replicas: Sequence[Target], holds: Callable[[Target], bool]) -> Target:
        """The one with the fewest."""
        del key, holds
        least = min(replica.load for replica in replicas)
        return self._chance.choice([replica for replica in replicas if replica.load == least])


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


def placements(requests: int, seed: int) -> dict[str, dict[str, float]]:
    """Each way of placing on the same requests: eight servers, and one with an eighth of the adapters beside them."""
    return {
        "placed": simulate(BoundedRendezvous(), 8, ADAPTERS, requests, 8 * 20, seed),
        "round_robin": simulate(RoundRobin(), 8, ADAPTERS, requests, 8 * 20, seed),
        "least_loaded": simulate(LeastLoaded(seed), 8, ADAPTERS, requests, 8 * 20, seed),
        "one_server": simulate(BoundedRendezvous(), 1, ADAPTERS // 8, requests // 8, 20, seed),
    }


def run(requests: int, seeds: int) -> dict[str, Any]:
    """The figures, each the median over the seeds; the detail has the worst seed's beside it."""
    found = [placements(requests, seed) for seed in range(1, seeds + 1)]
    placed = [each["placed"] for each in found]
    speedups = [each["placed"]["events_per_s"] / each["one_server"]["events_per_s"] for each in found]
    ways = {
        way: {name: statistics.median(each[way][name] for each in found) for name in values}
        for way, values in found[0].items()
    }
    return {
        "prefix_hit_share": ways["placed"]["hit_share"],
        "imbalance": ways["placed"]["imbalance"],
        "speedup_8_replicas": statistics.median(speedups),
        "detail": {
            "rounds": seeds,
            "requests": requests,
            "medians": ways,
            "worst": {
                "prefix_hit_share": min(each["hit_share"] for each in placed),
                "imbalance": max(each["imbalance"] for each in placed),
                "speedup_8_replicas": min(speedups),
            },
        },
    }
