"""One exchange with one replica: its adapter, the request as that server takes it, and what its answer means."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache

from processor.errors import Retryable
from processor.models.capabilities import Capabilities
from processor.models.chat import ChatRequest, Completion
from processor.models.prices import Prices
from processor.models.probe import CHAT
from processor.models.replicas import Replica
from processor.models.residency import Residency, Unmanaged
from processor.models.transport import Transport
from processor.models.wire import (
    BadAnswerError,
    FailedError,
    MissingAdapterError,
    OverdueError,
    decode,
    encode,
    error_of,
)
from processor.settings import ModelSettings


class Exchange:
    """Puts requests to replicas, once each. `where` names the tier's settings in errors; `router` says if one chooses.

    Deadlines are by `clock`. Nothing goes on behind them: what has no time left is not sent.
    """

    def __init__(
        self,
        settings: ModelSettings,
        where: str,
        transport: Transport,
        residency: Residency,
        router: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._where = where
        self._transport = transport
        self._residency = residency
        self._router = router
        self._clock = clock
        self._prices = Prices.of(settings)

    async def __call__(self, replica: Replica, request: ChatRequest, deadline: float) -> Completion:
        """The answer by the deadline. Sees to the adapter first; one that the replica has lost is loaded once more.

        Raises what the answer means, and OverdueError where no time is left to ask.
        """
        server = replica.capabilities
        if request.model is None or (server is not None and request.model in server.files):
            return await self.sent(replica, request, deadline)
        if server is not None and server.adapters != "named":
            if self._settings.adapters_optional:
                answer = await self.sent(replica, replace(request, model=None), deadline)
                return replace(answer, base=True)
            raise self._without(replica, server, request.model)
        await self._ready(replica, request.model, deadline)
        try:
            return await self.sent(replica, request, deadline)
        except MissingAdapterError:
            self._residency.lost(replica, request.model)
            if isinstance(self._residency, Unmanaged):
                raise
            await self._ready(replica, request.model, deadline)
            return await self.sent(replica, request, deadline)

    async def _ready(self, replica: Replica, model: str, deadline: float) -> None:
        """The replica has the adapter. A load that takes longer goes on, for whoever asks next."""
        left_s = deadline - self._clock()
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                await self._residency.ready(replica, model)
        except TimeoutError as error:
            told = f"{replica.url} has not loaded {model} within the {max(0.0, left_s):.3g} s that the request had"
            raise Retryable(told, shared=False) from error

    def _without(self, replica: Replica, server: Capabilities, model: str) -> Retryable:
        """That a server can't be asked for an adapter: it would answer from the base, as if nothing were amiss."""
        told = f"the {server.engine} server {replica.url} ({self._where}.urls)"
        lacks = f"was not started with {model}.gguf" if server.adapters == "files" else "has no adapters"
        return Retryable(f"{told} {lacks}, but the pipeline asks for {model} (model.adapter)", shared=False)

    async def sent(self, replica: Replica, request: ChatRequest, deadline: float) -> Completion:
        """Sends a request as it is and reads its answer. Raises as a call does."""
        server = replica.capabilities or Capabilities()
        began = self._clock()
        if began >= deadline:
            raise OverdueError(f"there was no time left to ask {replica.url}")
        body = encode(request, self._settings.model, server)
        headers = _affinity(request.place) if self._router() else None
        status, told, data = await self._transport.send(
            replica.endpoint, "POST", CHAT, body, timeout_s=deadline - began, headers=headers
        )
        if status != 200:
            raise error_of(status, data, told, self._where, request.model, request.asker)
        try:
            completion = decode(data, server)
        except BadAnswerError as error:
            raise FailedError(f"{replica.url}: {error}") from error
        if request.model is not None and server.engine == "vllm" and completion.model != request.model:
            instead = completion.model or "nobody"
            raise MissingAdapterError(f"{replica.url} answered from {instead}, not from {request.model}", shared=False)
        spent = (self._clock() - began) * 1000
        usage = completion.usage
        if self._prices is not None:
            usage = replace(usage, cost_usd=self._prices.cost(usage))
        base_model = self._settings.base_model
        return replace(completion, usage=usage, replica=replica.url, milliseconds=spent, base_model=base_model)


@lru_cache(maxsize=4096)
def _affinity(key: str) -> Mapping[str, str]:
    """Headers by which routers keep requests with one beginning together.

    The first is vLLM router's (consistent_hash), the second what production-stack's session routing is set to in its
    guides; llm-d's prefix scorer needs none.
    """
    token = hashlib.blake2b(key.encode(), digest_size=12).hexdigest()
    return {"X-Session-ID": token, "X-User-ID": token}
