"""Time to first token where the system prompt has to be computed, and where it is in the cache."""

from __future__ import annotations

import statistics
from typing import Any, Final

from bench.serving.figures import ratio, rounds
from bench.serving.loads import daemon, settings_of
from bench.serving.servers import Target
from processor.logs.tokens import estimate
from processor.models.chat import ChatRequest, Completion, Message

Found = dict[str, Any]

SYSTEM: Final = 1300
"""Tokens of the system prompt."""

_SENTENCE: Final = "A later command that failed is not the cause, and a tool that only reports is not at fault. "


async def cold_vs_warm(target: Target, most: int, seconds: float) -> Found:
    """Milliseconds to the first token of an event's answer, cold over warm; an answer of one token is the first.

    Warm is the next event's of the same pipeline: the same system prompt, another event. Events are short, so that it
    is the prompt's beginning that is looked at.
    """
    cold: list[Completion] = []
    warm: list[Completion] = []
    async with daemon(settings_of(target.url, 1)) as (client, wire):

        async def first_token(system: str, event: str) -> Completion:
            messages = (Message("system", system), Message("user", event))
            return await client.complete(ChatRequest(messages, max_tokens=1, alternatives=0, pipeline="bench"))

        # None of both is timed; the difference is how many tokens the server itself counts in the sentence.
        once, twice = [(await first_token(_SENTENCE * count, "a question")).usage for count in (1, 2)]
        tokens = twice.prompt_tokens - once.prompt_tokens or estimate(_SENTENCE)
        system = _SENTENCE * round(SYSTEM / tokens)
        for number in rounds(most, seconds):
            wire.salt()
            cold.append(await first_token(system, f"error {number}"))
            warm.append(await first_token(system, f"failed {number}"))
    times = {"cold": [each.milliseconds for each in cold], "warm": [each.milliseconds for each in warm]}
    return {
        "ttft_cold_vs_warm": ratio(times["cold"], times["warm"]),
        "detail": {
            "rounds": len(cold),
            "prompt_tokens": cold[0].usage.prompt_tokens,
            "cached_tokens": {"cold": cold[0].usage.cached_tokens, "warm": warm[0].usage.cached_tokens},
            "ttft_ms": times,
            "median_ms": {side: statistics.median(each) for side, each in times.items()},
        },
    }
