"""What a test's member of a group listens by."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from processor.contract import TopicPartition


class Joined:
    """A listener that knows when it has partitions."""

    def __init__(self) -> None:
        self.there = asyncio.Event()

    async def assigned(self, partitions: Collection[TopicPartition]) -> None:
        if partitions:
            self.there.set()

    async def revoked(self, partitions: Collection[TopicPartition]) -> None: ...
