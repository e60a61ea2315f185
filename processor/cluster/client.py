"""What every Kafka client of the daemon is made with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka import client as library
from aiokafka.protocol.metadata import MetadataRequest

from processor.cluster.security import Security, connect
from processor.settings.kafka import KafkaSettings


class _AskOnly(MetadataRequest):  # type: ignore[misc]
    """Asks for topics without leave to create them.

    The library gives that leave with every look at a topic, and has no option against it (Kafka's own consumer has
    `allow.auto.create.topics`): a topic that somebody deletes would come back with the broker's defaults.
    """

    def __init__(self, topics: list[str] | None = None) -> None:
        super().__init__(topics, allow_auto_topic_creation=False)


@dataclass(frozen=True, slots=True)
class KafkaClient:
    """How to reach the cluster, and who we are there."""

    bootstrap: str
    client_id: str = "faultstream"
    request_timeout_s: float = 30.0
    security: Security = field(default_factory=Security)

    @classmethod
    def of(cls, settings: KafkaSettings) -> Self:
        """The client that the settings describe. Raises ConfigError where a certificate or a key is of no use.

        From then on no client of this process creates topics in passing (see `_AskOnly`), and each connection uses
        the secrets that lie in their files then (see `connect`).
        """
        library.MetadataRequest, library.create_conn = _AskOnly, connect
        return cls(
            settings.bootstrap,
            request_timeout_s=settings.request_timeout_s,
            security=Security.of(settings),
        )

    def arguments(self) -> dict[str, Any]:
        """Arguments of every aiokafka client; secrets are read from their files now."""
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client_id,
            "request_timeout_ms": int(self.request_timeout_s * 1000),
            **self.security.arguments(),
        }
