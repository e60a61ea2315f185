"""The client of one tier's model servers, over HTTP in the OpenAI-compatible format.

Whatever goes wrong on the way (refused, timed out, 5xx, half a body, garbage) is tried again a bounded number
of times, on another replica where there is one, and is Retryable after that: an event is never lost because a
server is down. What is too long for the model is Rejected at once; what a server refuses or fails on, when it has done
so again and again and answered others meanwhile (see `trials`).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Final, Self

import aiohttp

from processor.errors import FaultstreamError, Rejected, Retryable
from processor.models.chat import Capabilities, ChatRequest, Completion
from processor.models.prices import Prices
from processor.models.probe import CHAT, Reply, probe
from processor.models.replicas import Pauses, Replica, Replicas
from processor.models.residency import Residency, Unmanaged
from processor.models.trials import Trials
from processor.models.wire import BadAnswerError, FailedError, decode, encode, error_of
from processor.settings import ModelSettings

_LARGEST_ANSWER: Final = 4_000_000
_LONGEST_WAIT_S: Final = 5.0


class AwayError(Retryable):
    """The server could not be reached."""


class UnansweredError(FailedError):
    """The server did not answer whole and in time."""


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """How a replica does, for `faultstream doctor`: what it can do in how many milliseconds, or the error."""

    url: str
    capabilities: Capabilities | None
    milliseconds: float
    error: str = ""


class ModelClient:
    """Answers requests from the replicas of one tier. Safe to use from many tasks of one event loop.

    `tier` names the settings in errors (models.<tier>). Call `stop` at the end, or use `async with`.
    """

    def __init__(
        self,
        settings: ModelSettings,
        tier: str = "lite",
        pauses: Pauses | None = None,
        residency: Residency | None = None,
    ) -> None:
        self._settings = settings
        self._where = f"models.{tier}"
        self._prices = Prices.of(settings)
        self._pauses = pauses or Pauses()
        self._replicas = Replicas(settings.urls, settings.concurrency, self._pauses)
        self._trials = Trials(self._control, settings.give_up_after)
        self._residency = residency or Unmanaged()
        self._key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s, sock_connect=settings.connect_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def healthy(self) -> bool:
        """Whether a replica is there that may be asked now."""
        return self._replicas.healthy > 0

    async def complete(self, request: ChatRequest) -> Completion:
        """Answers `request` from one of the replicas.

        Raises Retryable (all tries failed, or the server asks to wait longer than is worth waiting here; not
        shared where only the adapter is missing, or the server fails on this pipeline's requests alone; Suspect
        where it fails on this one alone), Rejected (`prompt_too_long`; `request_refused` and `model_failed` where it
        answers others), ConfigError (the key is refused, the base model is not there).
        """
        began = time.perf_counter()
        target: Replica | None = None
        failed: tuple[Replica, FailedError] | None = None
        for attempt in itertools.count(1):
            try:
                target = self._replicas.pick(request.model or "", target)
                async with target.slots:
                    answer = await self._ask(target, request)
            except Retryable as error:
                if isinstance(error, FailedError) and target is not None:
                    failed = target, error
                spent = time.perf_counter() - began
                pause = self._pause(error, attempt)
                if attempt >= self._settings.attempts or spent + pause > self._settings.timeout_s:
                    if failed is None:
                        raise
                    raise await self._trials.judge(failed[0], request, failed[1]) from error
                await asyncio.sleep(pause)
            except Rejected as error:
                if error.reason != "request_refused" or target is None:
                    raise
                raise await self._trials.judge(target, request, error) from error
            else:
                self._trials.answered(target, request)
                return replace(answer, waited_ms=(time.perf_counter() - began) * 1000 - answer.milliseconds)
        raise AssertionError  # count() has no end

    async def _control(self, target: Replica, request: ChatRequest) -> Completion:
        """Asks a replica that has just failed once more, when it has rested."""
        await asyncio.sleep(self._replicas.resting(target))
        async with target.slots:
            return await self._ask(target, request)

    def _pause(self, error: Retryable, attempt: int) -> float:
        """Seconds before the next try: what the error asks for; none where another replica is there to ask."""
        if error.wait is not None:
            return error.wait if error.wait <= _LONGEST_WAIT_S else float("inf")
        return 0.0 if self._replicas.healthy > 1 else self._pauses.after(attempt)

    async def capabilities(self) -> Capabilities:
        """What the servers can do: the first replica that answers speaks for the tier. Raises as `complete`."""
        target = self._replicas.pick("")
        async with target.slots:
            return await self._known(target)

    async def inspect(self) -> list[ReplicaReport]:
        """Probes each replica anew and never raises for what it finds."""
        return [await self._inspect(target) for target in self._replicas]

    async def _inspect(self, target: Replica) -> ReplicaReport:
        began = time.perf_counter()
        target.capabilities, target.resting_until = None, 0.0
        found, said = None, ""
        try:
            found = await self._known(target)
        except FaultstreamError as error:
            said = str(error)
        return ReplicaReport(target.url, found, (time.perf_counter() - began) * 1000, said)

    async def _ask(self, target: Replica, request: ChatRequest) -> Completion:
        """One try on one replica, which is blamed for what is its fault."""
        server = await self._known(target)
        if request.model and not server.adapters:  # it would answer from the base, as if nothing were amiss
            told = f"the {server.engine} server {target.url} ({self._where}.urls) has no adapters"
            raise Retryable(f"{told}, but the pipeline asks for {request.model} (model.adapter)", shared=False)
        began = time.perf_counter()
        body = encode(request, self._settings.model, server)
        try:
            status, headers, data = await self._sent(target, request.model, body)
            if status != 200:
                form = request.form.name if request.form else ""
                raise error_of(status, data, headers, self._where, request.model, form)
            completion = decode(data, server)
        except BadAnswerError as error:
            self._replicas.failed(target, away=False)
            raise FailedError(f"{target.url}: {error}") from error
        except Retryable as error:
            if error.shared:
                self._replicas.failed(target, away=isinstance(error, AwayError | UnansweredError), wait=error.wait)
            raise
        target.succeeded()
        spent = (time.perf_counter() - began) * 1000
        usage = completion.usage
        if self._prices is not None:
            usage = replace(usage, cost_usd=self._prices.cost(usage))
        return replace(completion, usage=usage, replica=target.url, milliseconds=spent)

    async def _sent(self, target: Replica, adapter: str | None, body: bytes) -> Reply:
        """The answer of one replica, which has the adapter; loaded once more if it says that it hasn't."""
        if adapter is None:
            return await self._send(target, "POST", CHAT, body)
        await self._residency.ready(target, adapter)
        reply = await self._send(target, "POST", CHAT, body)
        if reply[0] == 404:
            self._residency.lost(target, adapter)
            await self._residency.ready(target, adapter)
            reply = await self._send(target, "POST", CHAT, body)
        return reply

    async def _known(self, target: Replica) -> Capabilities:
        """The replica's capabilities, probed by the first request that needs them."""
        if target.capabilities is not None:
            return target.capabilities
        async with target.probing:
            if target.capabilities is None:
                if rest := self._replicas.resting(target):
                    raise Retryable(f"{target.url} is resting after a failure", wait=rest)
                try:
                    self._residency.restarted(target)
                    target.capabilities = await probe(partial(self._send, target), self._settings.model, self._where)
                except Retryable as error:
                    self._replicas.failed(target, away=True, wait=error.wait)
                    raise AwayError(str(error), wait=error.wait) from error  # no request has failed yet
            return target.capabilities

    async def _send(self, target: Replica, method: str, path: str, body: bytes | None) -> Reply:
        """One HTTP exchange. Raises AwayError, or UnansweredError where no whole answer came back."""
        try:
            async with self._http().request(method, target.url + path, data=body, allow_redirects=False) as response:
                data = await self._read(response)
                return response.status, response.headers, data
        except aiohttp.ConnectionTimeoutError as error:
            raise AwayError(f"{target.url}: no connection within {self._settings.connect_timeout_s:g} s") from error
        except TimeoutError as error:
            raise UnansweredError(f"{target.url} did not answer within {self._settings.timeout_s:g} s") from error
        except aiohttp.ClientConnectorError as error:
            raise AwayError(f"{target.url}: {_reason(error)}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnansweredError(f"{target.url}: {_reason(error)}") from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > _LARGEST_ANSWER:
                raise aiohttp.ClientPayloadError(f"the answer is over {_LARGEST_ANSWER} bytes")
            parts.append(part)
        data = b"".join(parts)
        return data.replace(self._key.encode(), b"[api key]") if self._key else data

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(headers=headers, timeout=self._timeout, connector=connector)
        return self._session


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):  # its own text speaks of SSL where there is none
        number = error.os_error.errno or 0
        return os.strerror(number) if number > 0 else str(error.os_error.strerror or error.os_error)
    return str(error) or type(error).__name__
