"""*decide*: a Faust app that turns signals into ticket commands.

Faust keeps the table of faults, recovers it and shares out partitions; what it decides is `policy.decide`. It runs
in the daemon's own event loop. A signal is acknowledged by hand when its command is: Faust by itself acknowledges
an event whose handling failed. At least once, so commands may repeat.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import faust
import orjson
import structlog
from aiokafka.errors import KafkaError

from processor.contract import FORMAT, Outbound, Record, too_new, update_first
from processor.errors import Fatal, Rejected, Retryable
from processor.tickets.faust_consumer import CarefulTransport, Ledger, credentials
from processor.tickets.messages import Topics, letter
from processor.tickets.policy import Decision, Fault, Policy, decide

log = structlog.get_logger(__name__)

LOOK_S: Final = 2.0
"""Seconds between looks at whether Faust still works."""

ASK_S: Final = 5.0
"""Bound on asking the broker how much is waiting."""

RESTARTS: Final = 3
"""Restarts of Faust in a row, without a signal handled in between, after which the role is given up."""

STOP_S: Final = 30.0
"""Bound on stopping Faust."""

Publish = Callable[[Sequence[Outbound]], Awaitable[None]]
"""Writes records and awaits their acknowledgements."""


@dataclass(frozen=True, slots=True)
class FaustConfig:
    """Where and how *decide* runs.

    `partitions` is that of the signals topic and of the table's changelog alike. `stall_s` is how long signals may
    wait, or a recovery last, before the role is given up; `dropped_s` how long a signal that was read may lie
    unhandled while nothing else is done, before Faust is started anew. `store` is Faust's: memory:// or rocksdb://.
    `security` are the arguments of an aiokafka client that say who we are.
    """

    bootstrap: str
    partitions: int
    store: str = "memory://"
    data: Path | None = None
    stall_s: float = 120.0
    dropped_s: float = 10.0
    session_timeout_s: float = 30.0
    request_timeout_s: float = 40.0
    security: Mapping[str, Any] = field(default_factory=dict)


class Decide:
    """The *decide* part of the ticket role. `run` it, or `start`, watch `failed`, and `stop`."""

    def __init__(
        self,
        config: FaustConfig,
        topics: Topics,
        policies: Mapping[str, Policy],
        publish: Publish,
        *,
        redact: Callable[[str], str] = str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._topics = topics
        self._policies = policies
        self._publish = publish
        self._redact = redact
        self._clock = clock
        self._app: Any = None
        self._table: Any = None
        self._ledger = Ledger(topics.signals)
        self._handling = False
        self._moved_at = 0.0  # when there was no work, or some was done
        self._handled_at = 0.0
        self._failure: BaseException | None = None
        self._started = False
        self._scratch: TemporaryDirectory[str] | None = None
        self.decided = 0
        """Signals dealt with since the start."""

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
            await asyncio.gather(starting, return_exceptions=True)
            await self.stop()

    async def start(self) -> None:
        """Starts the Faust app; returns when its table is recovered."""
        self._moved_at = asyncio.get_running_loop().time()
        self._ledger.forget()
        data = self._config.data
        if data is None:
            self._scratch = TemporaryDirectory(prefix="faultstream-decide-", ignore_cleanup_errors=True)
            data = Path(self._scratch.name)
        self._app = self._build(data)
        await self._app.start()
        self._started = True
        log.info("decide runs", action="decide_started", known=len(self._table))

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

    def problem(self) -> str | None:
        """Why it is not ready, or None."""
        if not self._started:
            return "decide: starting"
        return "decide: partitions change hands" if self._app.rebalancing else None

    def _dropped(self) -> bool:
        """Whether signals were read, and nothing handles them.

        Positions do not show it: the client's is behind them.
        """
        if not self._started or self._app.rebalancing:
            return False
        patience_s = self._config.dropped_s
        idle_s = asyncio.get_running_loop().time() - self._handled_at
        return self._ledger.dropped(patience_s, idle=not self._handling and idle_s > patience_s)

    async def _behind(self) -> bool:
        """Whether there is work that should be getting done: starting, recovering, or signals waiting."""
        consumer = self._app.consumer
        if not self._started or self._app.rebalancing or consumer.unacked:
            return True
        mine = [tp for tp in consumer.assignment() if tp.topic == self._topics.signals]
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
            broker=[f"kafka://{host.strip()}" for host in config.bootstrap.split(",")],
            broker_credentials=credentials(config.security),
            store=config.store,
            datadir=str(data),
            key_serializer="raw",
            value_serializer="raw",
            web_enabled=False,
            topic_partitions=config.partitions,
            topic_disable_leader=True,
            topic_allow_declare=False,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=config.session_timeout_s,
            broker_request_timeout=max(config.request_timeout_s, config.session_timeout_s + 1),
            broker_commit_interval=1.0,
            stream_wait_empty=False,
        )
        app.transport = CarefulTransport(app.conf.broker, app, loop=app.loop, ledger=self._ledger)
        signals = app.topic(self._topics.signals, key_type=bytes, value_type=bytes)
        self._table = app.Table(self._topics.table, key_type=bytes, value_type=bytes, partitions=config.partitions)
        app.agent(signals, name="decide")(self._agent)
        return app

    async def _agent(self, stream: Any) -> None:
        stream.enable_acks = False
        async for event in stream.events():
            done, self._handling = False, True
            try:
                await self._signal(event)
                done = True
            finally:
                self._handling = False
                if not done:
                    self._lost(sys.exception())
            message = event.message
            self._ledger.handled(message.topic, message.partition, message.offset)
            await stream.ack(event)
            self.decided += 1
            self._moved_at = self._handled_at = asyncio.get_running_loop().time()

    def _lost(self, error: BaseException | None) -> None:
        """A defect in the handling of a signal: Faust would restart the agent and go on behind it."""
        if not isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self._failure = error
            log.error("decide failed", action="decide_failed", error=self._redact(repr(error)))

    async def _signal(self, event: Any) -> None:
        """One signal: its command is acknowledged before the table remembers it, and the table before the offset."""
        record = _record(event.message)
        try:
            signal = read_signal(record.value)
            if signal is None:
                return
            key = str(signal["fingerprint"]).encode()
            fault = Fault.loads(self._table.get(key))
            decision = decide(
                signal, fault, self._policies, partition=record.partition, offset=record.offset, at=self._clock()
            )
            await self._written(self._outbound(decision))
        except Rejected as error:
            await self._written([letter(self._topics, self._topics.decide, record, error, self._redact)])
            return
        if decision.fault is not None:
            self._table[key] = decision.fault.dumps()

    def _outbound(self, decision: Decision) -> list[Outbound]:
        said = (decision.command, decision.event)
        return [part.record(self._topics) for part in said if part is not None]

    async def _written(self, records: Sequence[Outbound]) -> None:
        """Publishes, however long the brokers are away."""
        wait = 0.1
        while records:
            try:
                return await self._publish(records)
            except Retryable as error:
                wait = max(error.wait or 0.0, min(wait * 2, 10.0))
                log.warning("decide waits", action="decide_waits", wait_s=wait, error=self._redact(str(error)))
                await asyncio.sleep(wait)
        return None


def read_signal(value: bytes | None) -> dict[str, Any] | None:
    """The finding in a signal; None for a signal that carries none. Raises Rejected for what is no signal."""
    try:
        signal = orjson.loads(value or b"")
        if too_new(version := signal.get("v", FORMAT)):
            raise Rejected("invalid_signal", update_first("the signal", version))
        finding = signal["finding"]
        if finding is None:
            return None
        missing = {"id", "pipeline", "fingerprint"} - set(finding)
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise Rejected("invalid_signal", f"no signal: {type(error).__name__}") from None
    if missing:
        raise Rejected("invalid_signal", f"the finding has no {', '.join(sorted(missing))}")
    return dict(finding)


def _record(message: Any) -> Record:
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        tuple(pairs),
        int((message.timestamp or 0) * 1000),
    )
