"""What the client itself costs: CPU time of a request, and what it adds to the time that a server takes."""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
import orjson

from bench.serving.figures import in_turn, rounds
from bench.serving.loads import closed_loop
from processor.lifecycle import settle
from processor.models.capabilities import Capabilities
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.models.form import Slot, compile_form
from processor.models.wire import encode
from processor.settings import ModelSettings

FORM = compile_form("bench", (Slot("category", "choice", ("k1", "k2", "k3")), Slot("summary", "text", length=160)))


def answer(model: str) -> bytes:
    """An answer as vLLM gives it: 60 tokens, with eight likeliest ones each."""
    top = [{"token": f" tok{n}", "logprob": -float(n), "bytes": [32, 116, 111, 107]} for n in range(8)]
    tokens = [{"token": " tok0", "logprob": -0.01, "bytes": [32, 116], "top_logprobs": top} for _ in range(60)]
    message = {"role": "assistant", "content": '{"category":"k1","summary":"the build failed"}'}
    usage = {"prompt_tokens": 1700, "completion_tokens": 60, "prompt_tokens_details": {"cached_tokens": 1280}}
    choice = {"index": 0, "message": message, "logprobs": {"content": tokens}, "finish_reason": "stop"}
    return orjson.dumps({"id": "x", "object": "chat.completion", "model": model, "choices": [choice], "usage": usage})


REQUEST: Final = ChatRequest(
    (Message("system", "You read logs. " * 400), Message("user", "error: it broke\n" * 100)), FORM
)


async def run(count: int, most: int, seconds: float, in_flight: int = 64, delay_s: float = 0.3) -> dict[str, Any]:
    """CPU time of a request in the client, and what it adds at the 99th percentile, beside a bare loop in turns.

    The server is a process of its own that answers after half to one and a half times `delay_s`, and says how long it
    took, so that a request's time is what passes outside of it. The bare loop sends the same bytes and parses the same
    answer. Both have the garbage collector as the daemon does: by default the bare loop's p99 is one of its pauses.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.serving.instant_server", str(delay_s), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101
    url = (await process.stdout.readline()).decode().strip()
    runs: dict[str, list[tuple[float, float]]] = {"bare": [], "client": []}
    try:
        with _settled():
            for number in rounds(most, seconds):
                for side in in_turn(number, tuple(runs)):
                    runs[side].append(await (_bare if side == "bare" else _client)(url, count, in_flight))
    finally:
        process.terminate()
        await process.wait()
    cpu = {side: [each for each, _ in found] for side, found in runs.items()}
    outside = {side: [each for _, each in found] for side, found in runs.items()}
    return {
        "cpu_ms_per_request": statistics.median(cpu["client"]),
        "cpu_ms_over_bare": _over(cpu),
        "added_p99_ms": _over(outside),
        "detail": {"rounds": len(cpu["bare"]), "in_flight": in_flight, "cpu_ms": cpu, "outside_p99_ms": outside},
    }


@contextmanager
def _settled() -> Iterator[None]:
    """The garbage collector as the daemon has it."""
    before = gc.get_threshold()
    settle()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def _over(found: Mapping[str, Sequence[float]]) -> float:
    """The median over the rounds of what the client takes more than the bare loop."""
    return statistics.median(ours - bare for ours, bare in zip(found["client"], found["bare"], strict=True))


Timed = tuple[float, float]
"""Milliseconds: CPU time of a request, the 99th percentile of what passes outside of the server."""


async def _bare(url: str, count: int, in_flight: int) -> Timed:
    """The least that a client can do: sends the bytes, reads the answer's and parses them."""
    vllm = Capabilities("vllm", guidance="json_schema", alternatives=8, masked=True)
    body = encode(REQUEST, "base", vllm)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def ask() -> float:
            async with session.post(f"{url}/chat/completions", data=body) as response:
                return float(orjson.loads(await response.read())["model"])

        return await _timed(ask, count, in_flight)


async def _client(url: str, count: int, in_flight: int) -> Timed:
    settings = ModelSettings(urls=[url], concurrency=in_flight, concurrency_min=in_flight)
    async with ModelClient(settings) as client:

        async def ask() -> float:
            return float((await client.complete(REQUEST)).model)

        return await _timed(ask, count, in_flight)


async def _timed(ask: Callable[[], Awaitable[float]], count: int, in_flight: int) -> Timed:
    """So many requests, so many at once, after as many that aren't counted; `ask` returns the server's seconds."""
    outside: list[float] = []

    async def one() -> None:
        began = time.perf_counter()
        served = await ask()
        outside.append((time.perf_counter() - began - served) * 1000)

    await closed_loop([one] * in_flight, in_flight)
    outside.clear()
    began = time.process_time()
    await closed_loop([one] * count, in_flight)
    spent = time.process_time() - began
    return spent * 1000 / count, statistics.quantiles(outside, n=100, method="inclusive")[98]
