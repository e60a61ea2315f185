"""*decide*: a Faust app that turns signals into ticket commands.

Faust shares out partitions and reads; deciders say what follows from a record, in batches; tables of Faust's remember
it. It runs in the daemon's own event loop. A signal is acknowledged by hand when its command and what is remembered
of it are: Faust by itself acknowledges an event whose handling failed. At least once, so commands may repeat.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import faust
import structlog
from aiokafka.errors import KafkaError

from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record
from processor.errors import Fatal, Rejected
from processor.sources.history import KafkaHistory
from processor.tickets.batches import Batches, Publish
from processor.tickets.decider import Decider
from processor.tickets.faust_consumer import CarefulTransport, Ledger, credentials
from processor.tickets.faust_tables import FaustTables, Table
from processor.tickets.messages import Topics, letter

log = structlog.get_logger(__name__)

LOOK_S: Final = 2.0
"""Seconds between looks at whether Faust still works."""

ASK_S: Final = 5.0
"""Bound on asking the broker how much is waiting."""

RESTARTS: Final = 3
"""Restarts of Faust in a row, without a signal handled in between, after which the role is given up."""

STOP_S: Final = 30.0
"""Bound on stopping Faust."""

BREATHS: Final = 10
"""How often within a session's time-out the event loop is seen to be alive."""


@dataclass(frozen=True, slots=True)
class FaustConfig:
    """Where and how *decide* runs.

    `partitions` is that of the topics that are read and of the tables' changelogs alike. `stall_s` is how long signals
    may wait, or a recovery stand still, before the role is given up; `dropped_s` how long a signal that was read may
    lie unhandled while nothing else is done, before Faust is started anew. `folder` is where the tables are kept on
    disk, otherwise they are in memory.
    """

    client: KafkaClient
    partitions: int
    folder: Path | None = None
    stall_s: float = 120.0
    dropped_s: float = 10.0
    session_timeout_s: float = 30.0
    request_timeout_s: float = 40.0


class Decide:
    """The *decide* part of the ticket role. `run` it, or `start`, watch `failed`, and `stop`."""

    def __init__(
        self,
        config: FaustConfig,
        topics: Topics,
        deciders: Sequence[Decider],
        publish: Publish,
        *,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._config = config
        self._topics = topics
        self._deciders = deciders
        self._publish = publish
        self._redact = redact
        self._app: Any = None
        self._tables: Any = None
        self._batches: list[Batches] = []
        self._ledger = Ledger({decider.topic for decider in deciders})
        self._moved_at = 0.0  # when there was no work, or some was done
        self._handled_at = 0.0
        self._breath_at = math.inf  # when this event loop was last seen alive
        self._frozen = False
        self._failure: BaseException | None = None
        self._started = False
        self._scratch: TemporaryDirectory[str] | None = None
        self.decided = 0
        """Records dealt with since the start."""

    async def run(self, stop: asyncio.Event) -> None:
        """Decides until `stop` is set. Raises Fatal when Faust crashes, stalls, or keeps dropping signals."""
        stopping = asyncio.create_task(stop.wait(), name="decide-stop")
        restarts, decided = 0, self.decided
        try:
            while not await self._until_dropped(stopping):
                restarts = restarts + 1 if self.decided == decided else 1
                decided = self.decided
                if restarts > RESTARTS:
                    raise Fatal(f"decide: Faust drops signals, also after {RESTARTS} restarts")
                log.warning("Faust has dropped signals and is started anew", action="decide_restart", restart=restarts)
        finally:
            stopping.cancel()

    async def _until_dropped(self, stopping: asyncio.Task[Any]) -> bool:
        """Runs Faust until the end, which is True, or until it has dropped signals."""
        starting = asyncio.create_task(self.start(), name="decide-start")
        breathing = asyncio.create_task(self._breathe(), name="decide-breathe")
        try:
            while not stopping.done():
                if starting.done():
                    starting.result()
                if reason := await self.failed():
                    raise Fatal(f"decide: {reason}")
                if self._dropped():
                    return False
                await asyncio.wait([stopping], timeout=LOOK_S)
            return True
        finally:
            starting.cancel()
            breathing.cancel()
            await asyncio.gather(starting, breathing, return_exceptions=True)
            await self.stop()

    async def start(self) -> None:
        """Starts the Faust app; returns when its table is recovered."""
        self._moved_at = asyncio.get_running_loop().time()
        self._ledger.forget()
        self._scratch = TemporaryDirectory(prefix="faultstream-decide-", ignore_cleanup_errors=True)
        self._app = self._build(Path(self._scratch.name))
        await self._app.start()
        self._started = True
        log.info("decide runs", action="decide_started", known=self.known)

    async def stop(self) -> None:
        """Stops the Faust app; the loop goes on."""
        self._started = False
        if self._app is not None:
            app, self._app = self._app, None
            try:
                async with asyncio.timeout(STOP_S):
                    await app.stop()
            except TimeoutError:
                raise Fatal(f"decide: Faust does not stop within {STOP_S:.0f} s") from None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    async def failed(self) -> str | None:
        """Why the role can't go on; None while it works."""
        app = self._app
        if app is None:
            return None
        if self._failure is not None:
            return f"{type(self._failure).__name__}: {self._redact(str(self._failure))}"
        crashed = next((part for part in (app, app.consumer, app.producer, app.tables) if part.crashed), None)
        if crashed is not None:
            return f"Faust's {type(crashed).__name__} crashed: {self._redact(repr(crashed.crash_reason))}"
        now = asyncio.get_running_loop().time()
        if not await self._behind():
            self._moved_at = now
        if now - self._moved_at > self._config.stall_s:
            return (
                f"Faust has stalled: no progress in {self._config.stall_s:.0f} s with signals waiting, or in recovery"
            )
        return None

    @property
    def known(self) -> int:
        """How many keys the tables have."""
        return int(self._tables.known())

    def problem(self) -> str | None:
        """Why it is not ready, or None."""
        if not self._started:
            return "decide: starting"
        return "decide: partitions change hands" if self._app.rebalancing else None

    def _dropped(self) -> bool:
        """Whether records were read, and nothing handles them, or this process was frozen for too long.

        Positions do not show it: the client's is behind them.
        """
        if not self._started or self._app.rebalancing:
            return False
        patience_s = self._config.dropped_s
        idle_s = asyncio.get_running_loop().time() - self._handled_at
        busy = any(batches.busy for batches in self._batches)
        return self._frozen or self._ledger.dropped(patience_s, idle=not busy and idle_s > patience_s)

    async def _behind(self) -> bool:
        """Whether there is work that should be getting done: starting, recovering, or signals waiting."""
        consumer = self._app.consumer
        if not self._started or self._app.rebalancing or consumer.unacked:
            return True
        mine = [tp for tp in consumer.assignment() if self._ledger.keeps(tp.topic)]
        try:
            async with asyncio.timeout(ASK_S):
                # Asked of the broker, since a fetcher that has stopped knows nothing new; committed records only.
                ends = await consumer.highwaters(*mine) if mine else {}
                # The position, unlike the last record, also moves over the markers of transactions.
                return any([(await consumer.position(tp) or 0) < end for tp, end in ends.items()])
        except (TimeoutError, KafkaError):
            return False  # an absent broker is no stall: the client comes back by itself

    def _build(self, data: Path) -> Any:
        config = self._config
        app = faust.App(
            self._topics.decide,
            broker=[f"kafka://{host.strip()}" for host in config.client.bootstrap.split(",")],
            broker_credentials=credentials(config.client.security.arguments()),
            Table=Table,
            datadir=str(data),
            key_serializer="raw",
            value_serializer="raw",
            web_enabled=False,
            topic_partitions=config.partitions,
            topic_disable_leader=True,
            topic_allow_declare=False,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=config.session_timeout_s,
            broker_heartbeat_interval=config.session_timeout_s / 10,
            broker_request_timeout=max(config.request_timeout_s, config.session_timeout_s + 1),
            broker_commit_interval=1.0,
            stream_wait_empty=False,
        )
        app.transport = CarefulTransport(app.conf.broker, app, loop=app.loop, ledger=self._ledger)
        newer = {name: rule for decider in self._deciders for name, rule in decider.tables.items()}
        history = KafkaHistory(config.client)
        self._tables = FaustTables(app, config.partitions, newer, history, folder=config.folder, moved=self._moved)
        self._batches = []
        for decider in self._deciders:
            topic = app.topic(decider.topic, key_type=bytes, value_type=bytes)
            app.agent(topic, name=f"decide-{decider.topic}")(self._agent(decider))
        return app

    def _agent(self, decider: Decider) -> Callable[[Any], Any]:
        batches = Batches(
            decider,
            self._tables,
            self._publish,
            letter=self._letter,
            ours=self._ours,
            done=self._done,
            redact=self._redact,
        )
        self._batches.append(batches)

        async def agent(stream: Any) -> None:
            stream.enable_acks = False
            working = asyncio.create_task(batches.work(stream), name="decide-batches")
            working.add_done_callback(self._ended)
            try:
                await batches.read(stream)
            finally:
                working.cancel()

        return agent

    def _ended(self, working: asyncio.Task[None]) -> None:
        """A defect in the handling of a record: Faust would restart the agent and go on behind it."""
        if not working.cancelled() and (error := working.exception()) is not None:
            self._failure = error
            log.error("decide failed", action="decide_failed", error=self._redact(repr(error)))

    async def _done(self, stream: Any, event: Any) -> None:
        """A record is dealt with."""
        message = event.message
        self._ledger.handled(message.topic, message.partition, message.offset)
        await stream.ack(event)
        self.decided += 1
        self._moved()
        self._handled_at = self._moved_at

    def _moved(self) -> None:
        self._moved_at = asyncio.get_running_loop().time()

    def _ours(self, events: Sequence[Any]) -> bool:
        """Whether these records are still ours to decide on.

        A process that was frozen for longer than its session has lost its partitions and does not know it yet.
        """
        still_s = asyncio.get_running_loop().time() - self._breath_at
        if self._frozen or still_s > self._config.session_timeout_s / 2:
            return False
        generation = self._app.consumer_generation_id
        return not self._app.rebalancing and all(event.message.generation_id == generation for event in events)

    async def _breathe(self) -> None:
        """Watches for time in which this process did not run: stopped, suspended, or starved."""
        loop, most_s = asyncio.get_running_loop(), self._config.session_timeout_s / 2
        self._breath_at, self._frozen = loop.time(), False
        while True:
            await asyncio.sleep(self._config.session_timeout_s / BREATHS)
            still_s = loop.time() - self._breath_at
            self._breath_at = loop.time()
            if still_s > most_s:
                self._frozen = True
                log.warning("this process stood still: Faust is started anew", action="decide_frozen", seconds=still_s)

    def _letter(self, record: Record, error: Rejected) -> Outbound:
        return letter(self._topics, self._topics.decide, record, error, self._redact)
