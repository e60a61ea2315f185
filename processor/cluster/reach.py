"""Whether the cluster answers: asked now and then while the daemon runs, on a connection of its own.

The clients that do the work reconnect by themselves and say nothing of it for as long as that takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Final

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from processor.cluster.client import KafkaClient
from processor.cluster.diagnose import unreachable

log = structlog.get_logger(__name__)

EVERY_S: Final = 5.0
"""Between two questions, and the bound on each."""


class Reach:
    """Says what is wrong once no broker has answered for `limit_s`. `clock` gives monotonic seconds."""

    def __init__(
        self,
        client: KafkaClient,
        limit_s: float,
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._limit_s = limit_s
        self._every_s = every_s
        self._clock = clock
        self._heard = clock()
        self._why = ""
        self._connected: AIOKafkaClient | None = None

    @property
    def silent_s(self) -> float:
        """Seconds since a broker has answered."""
        return self._clock() - self._heard

    def problem(self) -> str | None:
        """Since when the cluster does not answer and why, or None while that is not long."""
        silent_s = self.silent_s
        if silent_s < self._limit_s:
            return None
        return f"no broker has answered for {silent_s:.0f} s" + (f": {self._why}" if self._why else "")

    async def run(self, stop: asyncio.Event) -> None:
        """Asks until `stop` is set."""
        try:
            while not stop.is_set():
                await self._look()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._every_s)
        finally:
            await self._disconnect()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(self._every_s):
                await self._ask()
        except (KafkaError, OSError, TimeoutError) as error:
            await self._disconnect()
            told = await unreachable(self._client.arguments(), error)
            if not self._why:
                log.warning("no broker answers", action="reach", error=str(told))
            self._why = str(told)
        else:
            if self._why:
                log.warning("brokers answer again", action="reach", after_s=round(self.silent_s, 1))
            self._heard, self._why = self._clock(), ""

    async def _ask(self) -> None:
        """Asks one broker after the other for next to nothing, until one answers."""
        if self._connected is None:
            self._connected = AIOKafkaClient(**self._client.arguments())
            await self._connected.bootstrap()
        failed: KafkaError = KafkaConnectionError("no broker is known")
        brokers = list(self._connected.cluster.brokers())
        random.shuffle(brokers)  # one that hangs must not hide the others again and again
        for broker in brokers:
            try:
                await self._connected.send(broker.nodeId, MetadataRequest([]))
            except KafkaError as error:
                failed = error
            else:
                return
        raise failed

    async def _disconnect(self) -> None:
        client, self._connected = self._connected, None
        if client is not None:
            await asyncio.wait([asyncio.create_task(client.close(), name="reach-stop")], timeout=self._every_s)
