"""How records are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from processor.cluster.client import KafkaClient
from processor.settings import Settings


@dataclass(frozen=True, slots=True)
class KafkaSinkConfig:
    """Whose records, how large, and how patiently."""

    client: KafkaClient
    max_bytes: int = 1_000_000  # largest record, uncompressed; the topic's max.message.bytes must allow it
    batch_bytes: int = 262_144
    compression: str | None = None
    notice_s: float = 30.0  # how long acknowledgements may take before a line is logged
    retry_s: float = 0.5  # between tries of what the brokers did not take
    prefix: str | None = None  # of all topics that are written to, if known

    @classmethod
    def of(cls, settings: Settings, client: KafkaClient) -> Self:
        """How records are written under these settings."""
        codec = settings.kafka.compression
        return cls(
            client,
            settings.limits.record_bytes,
            compression=None if codec == "none" else codec,
            prefix=f"{settings.topics.prefix}.",
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """Those of every aiokafka client of the cluster; secrets are read from their files now."""
        return self.client.arguments()
