"""One run: a cluster, daemons, an oracle, faults by schedule; and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from tests.chaos.cluster import Cluster
from tests.chaos.daemons import Daemon
from tests.chaos.faults import ALL, BROKER, WORK, Fault
from tests.chaos.oracle import Outcome, Producer, Reader, lost, repeated
from tests.chaos.subjects import Subject

EXTRA = (4, 5)
"""Slots of the daemons that come and go in a storm."""


@dataclass
class Verdict:
    """What came of a run."""

    events: int
    faults: Counter[str]
    lost: list[Outcome]
    repeated: list[Outcome]
    fell: list[str]
    condemned: int
    parked: int
    missed: int
    seconds: float
    settling_s: float

    def __str__(self) -> str:
        kinds = " ".join(f"{kind}={count}" for kind, count in sorted(self.faults.items()))
        return (
            f"events={self.events} faults={self.faults.total()} ({kinds}) missed={self.missed} lost={len(self.lost)} "
            f"repeated={len(self.repeated)} condemned={self.condemned} parked={self.parked} fell={self.fell} "
            f"seconds={self.seconds:.0f} settling={self.settling_s:.0f}"
        )


class Run:
    """Daemons of a subject on a cluster, with a producer and a reader. A context."""

    def __init__(
        self, cluster: Cluster, subject: Subject, folder: Path, daemons: int = 3, *, rate: float = 100
    ) -> None:
        self.cluster = cluster
        self.subject = subject
        self.folder = folder
        self.count = daemons
        self.faults: Counter[str] = Counter()
        self.missed = 0  # aimed at a delivery, and none came
        self.daemons: dict[int, Daemon] = {}
        self.producer = Producer(cluster.bootstrap, subject.topic, subject.message, rate)
        self.reader = Reader(cluster.bootstrap, subject.read, subject.outcome)
        self.began = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self.partitions = subject.topics[subject.topic]
        self._stop = asyncio.Event()
        self._broker = asyncio.Lock()
        self._came = 0  # outcomes when the last broker came back

    async def __aenter__(self) -> Self:
        await self.cluster.create(self.subject.topics)
        await self.producer.start()
        await self.reader.start()
        self._tasks.append(asyncio.create_task(self.reader.run(), name="oracle-read"))
        for slot in range(self.count):
            self.daemon(slot).start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._stop.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for daemon in self.daemons.values():
            await daemon.close()
        await asyncio.gather(self.producer.stop(), self.reader.stop(), return_exceptions=True)

    def produce(self, most: int | None = None) -> None:
        """Begins to send events."""
        self.began = time.monotonic()
        self._tasks.append(asyncio.create_task(self.producer.run(self._stop, most), name="oracle-produce"))

    def daemon(self, slot: int) -> Daemon:
        """The daemon in a slot, made at first use."""
        if slot not in self.daemons:
            folder = self.folder / f"daemon-{slot}"
            folder.mkdir(parents=True)
            command = self.subject.command(self.cluster.bootstrap_of(slot), slot, folder)
            self.daemons[slot] = Daemon(slot, folder, command)
        return self.daemons[slot]

    def has(self, count: int) -> bool:
        """Whether so many outcomes came."""
        return len(self.reader.outcomes) >= count

    def share_of_each(self, count: int) -> bool:
        """Whether so many daemons run, and all have partitions: what was assigned to each last."""
        running = [daemon for daemon in self.daemons.values() if daemon.running]
        shares = [daemon.share for daemon in running]
        return len(running) == count and all(shares) and sum(shares) == self.subject.topics[self.subject.topic]

    def ends(self) -> dict[int, int]:
        """Where the acknowledged events of each partition end."""
        return {
            partition: 1 + max(offset for at, offset in self.producer.acknowledged if at == partition)
            for partition in {at for at, _ in self.producer.acknowledged}
        }

    async def committed_beyond(self, due: dict[int, int]) -> bool:
        """Whether the group has committed offsets beyond these."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.cluster.bootstrap)
        try:
            await admin.start()
            told = await admin.list_consumer_group_offsets(self.subject.group)
        except KafkaError:
            return False
        finally:
            await admin.close()
        offsets = {tp: committed.offset for tp, committed in told.items()}
        return all(offsets.get(TopicPartition(self.subject.topic, at), 0) >= end for at, end in due.items())

    async def _settled(self) -> bool:
        """Whether all that was acknowledged came to something, or the group says that it is done with it.

        Of what was put aside the group says so at once: only what comes of it ends the wait.
        """
        waiting = lost(self.producer.acknowledged, self.reader.outcomes, self.subject.pipelines)
        if not waiting:
            return True
        return self.subject.parked.isdisjoint(waiting) and await self.committed_beyond(self.ends())

    async def until_async(self, condition: Callable[[], Awaitable[bool]], timeout_s: float = 30) -> bool:
        """As `until`, for what has to be asked for."""
        ends = time.monotonic() + timeout_s
        while time.monotonic() < ends:
            if await condition():
                return True
            await asyncio.sleep(0.3)
        return False

    async def until(self, condition: Callable[[], bool], timeout_s: float = 120) -> bool:
        """Whether the condition comes true in time."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > timeout_s:
                return False
            for task in self._tasks:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
            await asyncio.sleep(0.1)
        return True

    # Faults

    async def suffer(
        self, faults: Sequence[Fault], tell: Callable[[str], None] = print, *, most_s: float = float("inf")
    ) -> None:
        """Has the faults come at their times, and waits until all are over; none begins after `most_s` seconds.

        The clock stands while a broker's fault waits for the work to go on after the one before: on a slow machine
        the brokers would else do nothing but start.
        """
        began = time.monotonic()
        ends = began + most_s
        running: list[asyncio.Task[None]] = []
        for fault in faults:
            await asyncio.sleep(max(0, began + fault.at - time.monotonic()))
            if fault.kind in BROKER:
                waits = time.monotonic()
                await self.until(self._goes_on, 60)
                began += time.monotonic() - waits
            if time.monotonic() > ends:
                break
            tell(f"{fault}   (acknowledged {len(self.producer.acknowledged)}, came {len(self.reader.outcomes)})")
            self.faults[fault.kind] += 1
            running.append(asyncio.create_task(self._suffer(fault), name=f"fault-{fault.kind}"))
        await asyncio.gather(*running)

    def _goes_on(self) -> bool:
        """Whether no broker is at fault, and something came since one was."""
        return not self._broker.locked() and len(self.reader.outcomes) > self._came

    async def _suffer(self, fault: Fault) -> None:
        if fault.kind in BROKER:
            async with self._broker:
                await self._of_broker(fault)
                self._came = len(self.reader.outcomes)
        elif fault.kind in ALL:
            await self._of_all(fault)
        elif fault.kind == "storm":
            await self._storm(fault)
        elif fault.kind == "poison":
            self.producer.put_between(self.subject.poison)
        elif fault.kind == "grow":
            await self.until_async(lambda: self.cluster.grow(self.subject.topic, 2 * self.partitions), 20)
        else:
            daemon = self.daemon(fault.slot)
            async with daemon.lock:
                await self._of_daemon(daemon, fault)

    async def _of_broker(self, fault: Fault) -> None:
        """One broker is at fault at a time, and of three the next only when the last has caught up.

        Else some partitions have no leader while others do, and their transactions are halved (docs/guarantees.md).
        """
        broker = await self._important(fault.slot)
        if fault.kind == "broker_freeze":
            self.cluster.freeze(broker)
            await asyncio.sleep(fault.lasts)
            self.cluster.wake(broker)
        elif fault.kind == "brokers_kill":
            for each in range(self.cluster.replicas):
                await self._killed(each, fault.lasts / self.cluster.replicas)
        elif fault.kind == "broker_term":
            await self.cluster.terminate(broker)
            await self._back(broker, fault.lasts)
        else:
            if fault.kind == "broker_kill_in_rebalance":
                await self._rebalance(fault)
            await self._killed(broker, fault.lasts)
        await self._caught_up()

    async def _killed(self, broker: int, lasts: float) -> None:
        await self._caught_up()
        await self.cluster.kill(broker)
        await self._back(broker, lasts)

    async def _back(self, broker: int, lasts: float) -> None:
        await asyncio.sleep(lasts)
        await self.cluster.restart(broker)

    async def _caught_up(self) -> None:
        if self.cluster.replicas > 1:
            await self.until_async(self.cluster.in_sync, 60)

    async def _important(self, which: int) -> int:
        """The broker that leads the events' first partition, or coordinates the group, or its transactions."""
        if self.cluster.replicas == 1:
            return 0
        if which == 0:
            return await self.cluster.leader(self.subject.topic)
        group = self.subject.group
        name = f"{group}-{self.subject.topic}-0"
        return await self.cluster.coordinator(name if which == 1 else group, transactions=which == 1)

    async def _rebalance(self, fault: Fault) -> None:
        """Has a daemon leave, and waits so long that the group is in the midst of it."""
        daemon = self.daemon(fault.slot)

        async def leave() -> None:
            async with daemon.lock:
                await daemon.terminate()
                daemon.start()

        self._tasks.append(asyncio.create_task(leave(), name="fault-leave"))
        await asyncio.sleep(fault.lasts % 1)

    async def _of_all(self, fault: Fault) -> None:
        """Kills all daemons, or freezes all, those that deliver right now in the midst of it; they wake one by one."""
        daemons = [self.daemon(slot) for slot in range(self.count)]
        async with AsyncExitStack() as stack:
            for daemon in daemons:
                await stack.enter_async_context(daemon.lock)
            if fault.kind == "kill_all":
                await asyncio.gather(*(daemon.kill() for daemon in daemons))
            else:
                await asyncio.gather(*(daemon.caught(2) for daemon in daemons))
                for daemon in daemons:
                    daemon.freeze()
            await asyncio.sleep(fault.lasts)
            for daemon in daemons:
                daemon.wake()
                daemon.start()
                await asyncio.sleep(fault.lasts % 1)

    async def _of_daemon(self, daemon: Daemon, fault: Fault) -> None:
        if fault.kind.endswith("_commit") and not await daemon.caught():
            self.missed += 1
        if fault.kind in {"kill", "kill_in_commit"}:
            await daemon.kill()
        elif fault.kind == "term":
            await daemon.terminate()
        elif fault.kind == "freeze":
            daemon.freeze()
        elif fault.kind in WORK:
            self.subject.obstruct(daemon, fault.kind)
        elif fault.kind == "clock":
            daemon.switch("clock", "7200" if fault.lasts % 1 < 0.5 else "-7200")
        elif fault.kind == "late_commit":
            await self._late_commit(daemon)
        self._cut(daemon, fault.kind)
        await asyncio.sleep(fault.lasts)
        if fault.kind in WORK:
            self.subject.relieve(daemon, fault.kind)
        daemon.switch("clock", None)
        for proxy in self.cluster.network(daemon.slot):
            proxy.heal()
        daemon.wake()
        daemon.start()

    def _cut(self, daemon: Daemon, kind: str) -> None:
        for proxy in self.cluster.network(daemon.slot):
            if kind == "refuse":
                proxy.refuse()
            elif kind == "silence":
                proxy.silence()
            elif kind == "deafen":
                proxy.deafen()
            elif kind == "slow_network":
                proxy.slow(0.2)

    async def _late_commit(self, daemon: Daemon) -> None:
        """Kills it when it has sent the commit that the network holds back, and delivers after others took over."""
        self._cut(daemon, "silence")
        daemon.wake()
        await asyncio.sleep(0.3)  # the commit is on its way
        await daemon.kill()

    async def _storm(self, fault: Fault) -> None:
        ends = time.monotonic() + fault.lasts
        turn = 0
        while time.monotonic() < ends:
            daemon = self.daemon(EXTRA[turn // 2 % len(EXTRA)])
            async with daemon.lock:
                if turn % 2 == 0:
                    daemon.start()
                elif turn % 4 == 1:
                    await daemon.terminate()
                else:
                    await daemon.kill()
            turn += 1
            await asyncio.sleep(2)
        for slot in EXTRA:
            if slot in self.daemons:
                await self.daemons[slot].terminate()

    # The end

    async def verdict(self, settle_s: float = 240) -> Verdict:
        """Stops sending, waits until all that was acknowledged has come to something, ends all and counts anew."""
        self._stop.set()
        ended = time.monotonic()
        sending = [task for task in self._tasks if task.get_name() == "oracle-produce"]
        await asyncio.wait_for(asyncio.gather(*sending), 60)
        pipelines = self.subject.pipelines
        await self.until_async(self._settled, settle_s)
        settling = time.monotonic() - ended
        await asyncio.gather(*(daemon.terminate() for daemon in self.daemons.values()))
        fresh = Reader(self.cluster.bootstrap, self.subject.read, self.subject.outcome)
        await fresh.start()
        try:
            await fresh.to_the_end()
        finally:
            await fresh.stop()
        return Verdict(
            len(self.producer.acknowledged),
            self.faults,
            lost(self.producer.acknowledged, fresh.outcomes, pipelines),
            repeated(fresh.outcomes, pipelines),
            [how for daemon in self.daemons.values() for how in daemon.fell],
            len(self.subject.condemned),
            len(self.subject.parked),
            self.missed,
            time.monotonic() - self.began,
            settling,
        )
