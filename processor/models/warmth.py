"""Keeps the fixed beginnings of prompts in the servers' caches, and measures whether they are found there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import structlog

from processor.errors import FaultstreamError
from processor.models.chat import ChatRequest, Completion
from processor.models.replicas import Replica, Replicas

log = structlog.get_logger(__name__)

Ask = Callable[[Replica, ChatRequest], Awaitable[Completion]]


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
        """Sends a replica the prefixes that will be needed there and that it was not sent; what fails is left out."""
        for prefix in self.prefixes():
            if prefix.key not in replica.warmed and replica in self._replicas.first_choices(
                prefix.place, self._choices
            ):
                await self._send(replica, prefix)

    async def publish(self, prefixes: Iterable[ChatRequest]) -> None:
        """Sends these to the replicas that their like will go to: before a new version of an adapter gets traffic."""
        for prefix in prefixes:
            for replica in self._replicas.first_choices(prefix.place, self._choices):
                if replica.phase == "ready" and prefix.key not in replica.warmed:
                    await self._send(replica, prefix)

    async def _send(self, replica: Replica, prefix: ChatRequest) -> None:
        try:
            answer = await self._ask(replica, prefix)
        except FaultstreamError as error:
            told = {"replica": replica.url, "pipeline": prefix.asker, "adapter": prefix.model or ""}
            log.warning("can't warm a replica", action="warm", error=str(error), **told)
            return
        replica.warmed.add(prefix.key)
        self._measured(prefix, answer.usage.prompt_tokens)
