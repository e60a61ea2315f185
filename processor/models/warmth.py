"""Keeps the fixed beginnings of prompts in the servers' caches, and measures whether they are found there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from processor.errors import FaultstreamError
from processor.models.chat import ChatRequest, Completion, Message
from processor.models.replicas import Replica, Replicas

log = structlog.get_logger(__name__)

Ask = Callable[[Replica, ChatRequest], Awaitable[Completion]]


def prefix_of(
    pipeline: str, messages: tuple[Message, ...], model: str | None, step: str = "", home: str = ""
) -> ChatRequest:
    """The question of one token that begins as all of a pipeline's do; `model` is the served name of its adapter.

    `step` and `home` are as in those.
    """
    return ChatRequest(messages, model=model, max_tokens=1, alternatives=0, pipeline=pipeline, step=step, home=home)


class Warmth:
    """Sends prefixes. `ask` puts a request to a replica, once; `replicas` says where requests would go.

    A prefix is a request of one token that begins as all of its pipeline and adapter do; it is sent to the first
    `choices` replicas that these go to, and computed there, whoever is asked next.
    """

    def __init__(
        self, ask: Ask, replicas: Replicas, choices: int, measured: Callable[[ChatRequest, int], None]
    ) -> None:
        self._ask = ask
        self._replicas = replicas
        self._choices = choices
        self._measured = measured
        self.prefixes: Callable[[], Iterable[ChatRequest]] = tuple

    async def warm(self, replica: Replica) -> None:
        """Sends a replica the prefixes that will be needed there and that it was not sent; what fails is left out.

        Those that come to be needed meanwhile are sent as well: who is warm after this is warm for all of them.
        """
        tried: set[str] = set()
        while left := [each for each in self.prefixes() if each.key not in tried and self._lacks(replica, each)]:
            for prefix in left:
                tried.add(prefix.key)
                await self._send(replica, prefix)

    async def publish(self, prefixes: Iterable[ChatRequest]) -> None:
        """Sends these to the replicas that their like will go to: before a new version of an adapter gets traffic.

        What was sent long ago, as before a roll-back, may have been dropped since: it is sent again.
        """
        sends = [
            self._send(replica, prefix)
            for prefix in prefixes
            for replica in self._replicas.first_choices(prefix.place, self._choices)
            if replica.phase == "ready"
        ]
        await asyncio.gather(*sends)

    def _lacks(self, replica: Replica, prefix: ChatRequest) -> bool:
        first = self._replicas.first_choices(prefix.place, self._choices)
        return prefix.key not in replica.warmed and replica in first

    async def _send(self, replica: Replica, prefix: ChatRequest) -> None:
        try:
            answer = await self._ask(replica, prefix)
        except FaultstreamError as error:
            told = {"replica": replica.url, "pipeline": prefix.asker, "adapter": prefix.model or ""}
            log.warning("can't warm a replica", action="warm", error=str(error), **told)
            return
        replica.warmed.add(prefix.key)
        if replica.capabilities is None or replica.capabilities.cached_tokens:  # else nothing would be held against it
            self._measured(prefix, answer.usage.prompt_tokens)
