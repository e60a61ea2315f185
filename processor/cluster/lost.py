"""An offset that a broker calls out of range (aiokafka 0.14) is looked for at its leader before all is read again.

The library goes to the beginning of the partition at once. But the broker may have led it once and know an old end: see
`processor.cluster.leaders`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, Final

import structlog
from aiokafka import TopicPartition as ClientPartition
from aiokafka.consumer import consumer as library
from aiokafka.consumer import fetcher, subscription_state
from aiokafka.errors import KafkaError

from processor.cluster.leaders import EARLIEST, placed

log = structlog.get_logger(__name__)

LOOK_S: Final = 5.0
"""Bound on one look: other partitions of the same broker wait for it."""

_State: Final[Any] = subscription_state.TopicPartitionState
_Fetcher: Final[Any] = fetcher.Fetcher


class State(_State):  # type: ignore[misc]
    """Remembers what was out of range."""

    lost: int | None = None

    def await_reset(self, strategy: int) -> None:
        """Nothing is lost of one that has only been assigned."""
        self.lost = self._position
        super().await_reset(strategy)


class Fetcher(_Fetcher):  # type: ignore[misc]
    """Puts such partitions where they are to be read on; all others as the library does."""

    async def _update_fetch_positions(
        self, assignment: Any, node_id: int, tps: Collection[ClientPartition]
    ) -> bool | None:
        lost = {}
        for tp in tps:
            state = assignment.state_value(tp)
            if state.awaiting_reset and state.lost is not None and state.reset_strategy == EARLIEST:
                lost[tp] = state.lost
        left = tps
        if lost:
            try:
                async with asyncio.timeout(LOOK_S):
                    found = await placed(self._client, lost)
                self._client.force_metadata_update()
                await asyncio.sleep(self._retry_backoff)  # were the brokers of two minds, this would go round and round
            except asyncio.CancelledError:
                return False  # as the library's own does
            except (KafkaError, TimeoutError) as error:
                log.warning("it is not known where to read", action="fetch", at=sorted(lost), error=repr(error))
                await asyncio.sleep(self._retry_backoff)
                found = {}
            if found is not None:
                left = [tp for tp in tps if tp not in lost]
                _put(assignment, lost, found)
        told: bool | None = await super()._update_fetch_positions(assignment, node_id, left)
        return told


def _put(assignment: Any, lost: dict[ClientPartition, int], found: dict[ClientPartition, int]) -> None:
    for tp, at in found.items():
        state = assignment.state_value(tp)
        if state.awaiting_reset and state.lost == lost[tp]:  # nobody has sought another place meanwhile
            state.reset_to(at)


def install() -> None:
    """Makes every consumer of this process do so."""
    subscription_state.TopicPartitionState = State
    library.Fetcher = Fetcher
