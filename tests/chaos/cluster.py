"""Apache Kafka as one broker or three, reached by each daemon through a network of its own that can be cut."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError
from aiokafka.protocol.coordination import FindCoordinatorRequest

from tests.servers.tcp_proxy import TcpProxy
from tools.servers.kafka import Kafka, cluster_id
from tools.servers.process import LOOPBACK, ServerError, free_port

SLOTS = 6
"""Daemons that have a network of their own."""


def _wait(broker: Kafka) -> None:
    """Waits for one that reads its data again, on a machine that may do much else."""
    for _ in range(3):
        with suppress(ServerError):
            broker.wait_ready()
            return
    broker.wait_ready()


class Cluster:
    """`brokers` brokers, each of them controller as well.

    Kafka tells a client the addresses of the listener that it came in by: one listener per slot, advertised with the
    port of its proxy, gives each daemon a network of its own.
    """

    def __init__(self, folder: Path, brokers: int = 1, slots: int = SLOTS) -> None:
        self.folder = folder
        self.replicas = brokers
        self._direct = [free_port() for _ in range(brokers)]
        self._controllers = [free_port() for _ in range(brokers)]
        self._behind = [[free_port() for _ in range(slots)] for _ in range(brokers)]
        self.proxies: list[list[TcpProxy]] = [[TcpProxy(port) for port in ports] for ports in self._behind]
        self.brokers: list[Kafka] = []

    @property
    def bootstrap(self) -> str:
        """Addresses of the brokers without a proxy: for the oracle."""
        return ",".join(f"{LOOPBACK}:{port}" for port in self._direct)

    def bootstrap_of(self, slot: int) -> str:
        """Addresses of the brokers for a daemon."""
        return ",".join(f"{LOOPBACK}:{proxies[slot].port}" for proxies in self.proxies)

    async def start(self) -> None:
        """Starts proxies and brokers, and waits until all are ready."""
        for proxies in self.proxies:
            for proxy in proxies:
                await proxy.start()
        name = cluster_id()
        for at in range(self.replicas):
            folder = self.folder / f"broker-{at + 1}"
            self.brokers.append(Kafka(folder, self._direct[at], self._settings(at), "192m", cluster=name))
        for broker in self.brokers:
            await asyncio.to_thread(broker.launch)
        await asyncio.gather(*(asyncio.to_thread(broker.wait_ready) for broker in self.brokers))

    def _settings(self, at: int) -> Mapping[str, str]:
        names = [f"SLOT{slot}" for slot in range(len(self._behind[at]))]
        listens = [f"{name}://{LOOPBACK}:{port}" for name, port in zip(names, self._behind[at], strict=True)]
        tells = [f"{name}://{LOOPBACK}:{proxy.port}" for name, proxy in zip(names, self.proxies[at], strict=True)]
        direct = f"PLAINTEXT://{LOOPBACK}:{self._direct[at]}"
        controller = f"CONTROLLER://{LOOPBACK}:{self._controllers[at]}"
        voters = [f"{number + 1}@{LOOPBACK}:{port}" for number, port in enumerate(self._controllers)]
        plain = [f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *names)]
        replicated = {
            f"{topic}.{setting}": value
            for topic in ("transaction.state.log", "share.coordinator.state.topic")
            for setting, value in (("replication.factor", "3"), ("min.isr", "2"))
        }
        return {
            "node.id": str(at + 1),
            "listeners": ",".join([direct, controller, *listens]),
            "advertised.listeners": ",".join([direct, *tells]),
            "listener.security.protocol.map": ",".join(plain),
            "controller.quorum.voters": ",".join(voters),
            "group.min.session.timeout.ms": "2000",
            **(
                {**replicated, "offsets.topic.replication.factor": "3", "min.insync.replicas": "2"}
                if self.replicas > 1
                else {}
            ),
        }

    async def create(self, topics: Mapping[str, int]) -> None:
        """Makes topics, given with their partitions, replicated as far as there are brokers."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, count, self.replicas) for name, count in topics.items()])
        finally:
            await admin.close()

    async def grow(self, topic: str, most: int) -> bool:
        """Adds a partition, unless it has `most`; False where it did not come to that."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=3000)
        try:
            await admin.start()
            count = len((await admin.describe_topics([topic]))[0]["partitions"])
            if count < most:
                await admin.create_partitions({topic: NewPartitions(count + 1)})
        except (KafkaError, TimeoutError):
            return False
        finally:
            await admin.close()
        return count < most

    async def leader(self, topic: str) -> int:
        """Which broker (from 0) leads the topic's first partition; 0 where nobody can tell."""

        async def ask(admin: AIOKafkaAdminClient) -> int:
            told = (await admin.describe_topics([topic]))[0]["partitions"]
            return int(next(each["leader"] for each in told if each["partition"] == 0))

        return await self._ask(ask)

    async def coordinator(self, name: str, *, transactions: bool = False) -> int:
        """Which broker (from 0) coordinates a group, or a transactional id; 0 where nobody can tell."""
        return await self._ask(lambda admin: admin.find_coordinator(name, int(transactions)))

    async def takes_itself_for_coordinator(self, broker: int, group: str) -> bool:
        """Whether a broker would coordinate a group, as one that wakes up may although others do; True without answer.

        Until it knows better it tells old offsets, and true owners that they were shut out.
        """

        async def ask(admin: AIOKafkaAdminClient) -> int:
            answer = await admin._client.send(broker + 1, FindCoordinatorRequest(group, 0))
            return int(answer.error_code == 0 and answer.coordinator_id != broker + 1) + 1

        return await self._ask(ask) == 0

    async def in_sync(self) -> bool:
        """Whether each partition has a leader, and all its replicas are up to date."""

        async def ask(admin: AIOKafkaAdminClient) -> int:
            topics = await admin.describe_topics(await admin.list_topics())
            told = [partition for topic in topics for partition in topic["partitions"]]
            return int(all(each["leader"] >= 0 and len(each["isr"]) == len(each["replicas"]) for each in told)) + 1

        return await self._ask(ask) == 1

    async def _ask(self, question: Callable[[AIOKafkaAdminClient], Awaitable[int]]) -> int:
        """An answer that is counted from 1, here from 0; 0 where nobody can tell."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=3000)
        try:
            await admin.start()
            return max(0, await question(admin) - 1)
        except (KafkaError, TimeoutError):
            return 0
        finally:
            await admin.close()

    async def kill(self, broker: int) -> None:
        """Kill -9."""
        await asyncio.to_thread(self.brokers[broker].kill)

    async def terminate(self, broker: int) -> None:
        """SIGTERM: it hands its partitions on, where there is another, and ends."""
        await asyncio.to_thread(self.brokers[broker].stop)

    async def restart(self, broker: int) -> None:
        """Brings a broker that has ended back on its data."""
        await asyncio.to_thread(self.brokers[broker].launch)
        await asyncio.to_thread(_wait, self.brokers[broker])

    def freeze(self, broker: int) -> None:
        """Stops it where it is."""
        self._signal(broker, signal.SIGSTOP)

    def wake(self, broker: int) -> None:
        """Lets it go on."""
        self._signal(broker, signal.SIGCONT)

    def _signal(self, broker: int, number: signal.Signals) -> None:
        pid = self.brokers[broker].pid
        if pid is not None:
            os.kill(pid, number)

    def network(self, slot: int) -> list[TcpProxy]:
        """The proxies between a daemon and each broker."""
        return [proxies[slot] for proxies in self.proxies]

    async def stop(self) -> None:
        """Ends everything."""
        for broker in self.brokers:
            broker.kill()
        for proxies in self.proxies:
            for proxy in proxies:
                await proxy.stop()
