"""Keeps the replicas of a tier: finds them, prepares each before it gets requests, and looks after it.

A replica is prepared when it comes, after it fell out, and after it has restarted: it is probed, given its adapters,
and sent the fixed beginnings of the prompts that will go to it, so that no event pays for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from processor.errors import ConfigError, FaultstreamError, Retryable
from processor.models.capabilities import Engine
from processor.models.endpoints import Endpoints
from processor.models.probe import adapter_files, probe
from processor.models.replicas import Replica, Replicas
from processor.models.transport import AwayError, Transport
from processor.models.wire import FailedError

log = structlog.get_logger(__name__)

_MISSED: Final = 3
"""So many looks in a row without an answer make a replica fall out; a busy server is slow to answer them."""

_LOOK_S: Final = 10.0
_METRICS: Final = "//metrics"
_WAITING: Final = re.compile(rb"^vllm:num_requests_waiting(?:\{[^}]*\})? ([0-9.e+]+)", re.MULTILINE)
_STARTED: Final = re.compile(rb"^process_start_time_seconds ([0-9.e+]+)", re.MULTILINE)
_ROUTER: Final = re.compile(rb"^vllm:healthy_pods_total", re.MULTILINE)

Prepare = Callable[[Replica], Awaitable[None]]


class Keeper:
    """Runs one task that lists replicas and one for each of them. `warm` is called with a replica that was probed.

    `restarted` is told of one whose adapters and cache are gone, as far as is known, `left` of the address of one that
    is gone itself. `model`, `where` and `engine` are as for `probe`; `router` None finds out. `loads`: adapters are
    loaded into each replica, which can't be done through a router.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        replicas: Replicas,
        transport: Transport,
        *,
        model: str,
        where: str,
        every_s: float,
        warm: Prepare,
        restarted: Callable[[Replica], None],
        left: Callable[[str], None],
        router: bool | None = None,
        engine: Engine | None = None,
        loads: bool = False,
    ) -> None:
        self._endpoints = endpoints
        self._replicas = replicas
        self._transport = transport
        self._model, self._where = model, where
        self._every_s = every_s
        self._warm = warm
        self._restarted = restarted
        self._left = left
        self._asked_router = router
        self._engine = engine
        self.router = bool(router)
        self._loads = loads
        self._tasks: set[asyncio.Task[None]] = set()
        self._listed = asyncio.Event()
        self._problem: FaultstreamError | None = None
        self.tells = False

    def start(self) -> None:
        """Begins, once."""
        if not self._tasks:
            self._run(self._watch(), f"{self._where} endpoints")

    async def stop(self) -> None:
        """Ends all tasks."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        await self._endpoints.close()

    async def listed(self) -> None:
        """Returns when it is known which replicas there are. Raises Retryable where that can't be found out now."""
        self.start()
        if not self._listed.is_set():
            await self._listed.wait()
        if self._problem is not None:
            raise self._problem

    def _run(self, work: Awaitable[None], name: str) -> None:
        task = asyncio.ensure_future(work)
        task.set_name(name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", action="task_failed", task=task.get_name(), error=repr(error))

    async def _watch(self) -> None:
        known = False
        while True:
            try:
                found = await self._endpoints.list()
            except FaultstreamError as error:
                if self.tells:
                    log.warning("can't list the replicas", action="discover", where=self._where, error=str(error))
                self._problem = None if known else error
                self._listed.set()
                await asyncio.sleep(min(self._every_s, _LOOK_S))
                continue
            self._problem = None
            standing = [replica for replica in self._replicas if replica.phase == "ready"]
            for replica in self._replicas.update(found):
                self._run(self._keep(replica), replica.url)
                if known:
                    log.info("replica comes", action="discover", where=self._where, replica=replica.url)
            for replica in standing:  # what goes elsewhere now may go to these
                self._run(self._warm(replica), replica.url)
            known = True
            self._listed.set()
            await self._endpoints.changed()

    async def _keep(self, replica: Replica) -> None:
        """A replica's life, until it leaves."""
        while replica.phase != "leaving":
            if await self._prepared(replica):
                await self._stands(replica)
        self._left(replica.url)
        log.info(
            "replica leaves", action="discover", where=self._where, replica=replica.url, in_flight=replica.in_flight
        )

    async def _prepared(self, replica: Replica) -> bool:
        """Whether it is ready now; if not, it has rested."""
        replica.fell.clear()
        await self._until_fallen(replica, replica.breaker.rest)
        if replica.phase == "leaving":
            return False
        replica.problem, before = None, replica.started
        try:
            send = partial(self._transport.send, replica.endpoint)
            found = await probe(send, self._model, self._where, self._engine)
            if self.tells and found != replica.capabilities:
                log.info("model server", action="probe", where=self._where, replica=replica.url, **found.told())
            await self._look(replica, first=True)
            self._replicas.probed(replica, found)
            if before is None or before != replica.started:
                self._restarted(replica)
            await self._warm(replica)
        except FaultstreamError as error:
            wait = error.wait if isinstance(error, Retryable) else None
            replica.breaker.failed(away=True)
            if wait:
                replica.breaker.pause(wait)
            self._tell(replica, error)
            self._replicas.unfit(replica, error)
            return False
        self._replicas.ready(replica)
        return replica.phase == "ready"

    def _tell(self, replica: Replica, error: FaultstreamError) -> None:
        """Says what is wrong with a replica, once for each cause; where a command asks, its own error says it."""
        if self.tells and str(error) != replica.told:
            log.warning("replica is not fit", action="probe", where=self._where, replica=replica.url, error=str(error))
        replica.told = str(error)

    async def _stands(self, replica: Replica) -> None:
        """Looks after a replica that is ready, until it isn't."""
        missed = 0
        while not await self._until_fallen(replica, self._every_s):
            try:
                await self._look(replica)
                missed = 0
            except (AwayError, FailedError) as error:
                missed = _MISSED if isinstance(error, AwayError) else missed + 1
                if missed >= _MISSED:
                    self._replicas.failed(replica, away=True)

    @staticmethod
    async def _until_fallen(replica: Replica, seconds: float) -> bool:
        if seconds <= 0:
            return replica.fell.is_set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await replica.fell.wait()
        return replica.fell.is_set()

    async def _look(self, replica: Replica, *, first: bool = False) -> None:
        """Reads the server's metrics where it has some: its queue, and whether it is still the same process.

        Where adapters have numbers, they are read too: a server that restarted unseen may have given them out anew.
        """
        if not first and replica.capabilities is not None and replica.capabilities.adapters == "files":
            files = await adapter_files(partial(self._transport.send, replica.endpoint, timeout_s=_LOOK_S))
            if files != replica.capabilities.files:
                log.warning("adapters of a replica differ", action="probe", where=self._where, replica=replica.url)
                self._replicas.drop(replica)
                return
        status, _, data = await self._transport.send(replica.endpoint, "GET", _METRICS, None, timeout_s=_LOOK_S)
        if status != 200:
            return
        if first and self._asked_router is None and len(tuple(self._replicas)) == 1:
            self.router = _ROUTER.search(data) is not None
            if self.router and self._loads:
                raise ConfigError(
                    f"{replica.url} is a router: what is loaded through it reaches one of its servers; load adapters "
                    f"by its own means, and leave {self._where}.adapters out"
                )
        if queues := _WAITING.findall(data):
            replica.limiter.queued(int(sum(map(float, queues))))
        started = _STARTED.search(data)
        if started is not None:
            before, replica.started = replica.started, started[1]
            if not first and before not in (None, started[1]):
                log.warning("replica has restarted", action="probe", where=self._where, replica=replica.url)
                replica.started = None  # so that its preparation knows
                self._replicas.drop(replica)
