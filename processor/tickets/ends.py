"""Where partitions end, for *decide*: never less than what was there when they were assigned.

What a fetch tells may be old (see `processor.cluster.leaders`). A changelog read up to an old end would make *decide*
forget, and signals behind an old end of their topic look like those of another topic of that name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

import structlog

from processor.contract import TopicPartition
from processor.errors import Retryable
from processor.sources.history import History, Span

log = structlog.get_logger(__name__)

AGAIN_S: Final = 1.0
"""Seconds before brokers that did not answer are asked again."""


class Ends:
    """Asks where it has to, and waits as long as the brokers are away."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._known: dict[TopicPartition, int] = {}

    def forget(self) -> None:
        """Partitions are assigned: others may have written since."""
        self._known.clear()

    async def at_least(self, tp: TopicPartition, told: int) -> int:
        """The end, of which a fetch has `told` as well; it falls only with a topic that was made anew."""
        if told < self._known.get(tp, told + 1):
            self._known |= {each: span.end for each, span in (await self.spans({tp.topic})).items()}
        self._known[tp] = max(told, self._known.get(tp, told))
        return self._known[tp]

    async def spans(self, topics: Collection[str]) -> dict[TopicPartition, Span]:
        """What lies on these topics now."""
        while True:
            try:
                return await self._history.spans(topics)
            except Retryable as error:
                log.warning("an end is not known", action="decide_waits", topics=sorted(topics), error=str(error))
                await asyncio.sleep(AGAIN_S)
