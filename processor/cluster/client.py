"""What every Kafka client of the daemon is made with, and how it ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, Self

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import client as library
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import group_coordinator
from aiokafka.protocol.metadata import MetadataRequest

from processor.cluster import lost, starting, terms
from processor.cluster.committed import OffsetsOrErrors, Readings
from processor.cluster.security import Security, connect
from processor.settings.kafka import Carrier, KafkaSettings

log = structlog.get_logger(__name__)

STOP_S: Final = 10.0
"""Bound on leaving and disconnecting, for the brokers may be away."""


class _AskOnly(MetadataRequest):  # type: ignore[misc]
    """Asks for topics without leave to create them.

    The library gives that leave with every look at a topic, and has no option against it (Kafka's own consumer has
    `allow.auto.create.topics`): a topic that somebody deletes would come back with the broker's defaults.
    """

    def __init__(self, topics: list[str] | None = None) -> None:
        super().__init__(topics, allow_auto_topic_creation=False)


@dataclass(frozen=True, slots=True)
class KafkaClient:
    """How to reach the cluster, who we are there, and which client library carries records.

    From the first one on, every consumer of the process asks for committed offsets as `OffsetsOrErrors` does, and looks
    for offsets that are out of range as `processor.cluster.lost` does; commits can be bound to a term (see
    `processor.cluster.terms`). Each connection uses the secrets that lie in
    their files then (see `connect`), and a start that is given up leaves none open (see `processor.cluster.starting`).
    """

    bootstrap: str
    client_id: str = "faultstream"
    request_timeout_s: float = 30.0
    security: Security = field(default_factory=Security)
    records: Carrier = "aiokafka"
    readings: Readings = field(default_factory=Readings, repr=False, compare=False)
    """What its members of groups were told to be committed."""

    def __post_init__(self) -> None:
        group_coordinator.OffsetFetchRequest = OffsetsOrErrors
        lost.install()
        starting.install()
        terms.install()
        library.create_conn = connect

    @classmethod
    def of(cls, settings: KafkaSettings) -> Self:
        """The client that the settings describe. Raises ConfigError where a certificate or a key is of no use.

        From then on no client of this process creates topics in passing (see `_AskOnly`).
        """
        library.MetadataRequest = _AskOnly
        return cls(
            settings.bootstrap,
            request_timeout_s=settings.request_timeout_s,
            security=Security.of(settings),
            records=settings.client,
        )

    def arguments(self) -> dict[str, Any]:
        """Arguments of every aiokafka client; secrets are read from their files now."""
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client_id,
            "request_timeout_ms": int(self.request_timeout_s * 1000),
            **self.security.arguments(),
        }


async def stopped(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Sends what is left, and disconnects; within a bound, and raises nothing.

    In a task of its own: a consumer's `stop` raises CancelledError where it cuts off a fetch, which would look to our
    caller as if it had been cancelled.
    """
    connections = client._client if isinstance(client, AIOKafkaConsumer) else client.client  # noqa: SLF001
    stopping = asyncio.create_task(_stop(client, connections), name="kafka-stop")
    done, _ = await asyncio.wait([stopping], timeout=STOP_S)
    if not done:
        stopping.add_done_callback(retrieved)
        return
    if not stopping.cancelled() and (error := stopping.exception()) is not None:
        log.warning("a client did not end well", action="stop", kind=type(error).__name__, error=str(error))
    # A connection that a task of the client has made meanwhile is closed by nobody else.
    for connection in list(connections._conns.values()):  # noqa: SLF001
        connection.close()


async def _stop(client: AIOKafkaConsumer | AIOKafkaProducer, connections: AIOKafkaClient) -> None:
    """The library leaves its connections alone, and what keeps its metadata fresh, where something fails before."""
    try:
        await client.stop()
    except BaseException:
        await connections.close()
        raise


def retrieved(future: asyncio.Future[Any]) -> None:
    """Takes note of an error that is nobody's business any more; as a callback of what it is the error of."""
    if not future.cancelled():
        future.exception()
