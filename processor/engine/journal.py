"""What a worker writes before it has finished with a record: an intent, of which something outside is to follow.

It leaves the way that outputs leave, under the partition's fencing id where there is one, so that an owner which has
been replaced can't write it. A worker that does this keeps a state of its own on a topic, loads it when a partition is
assigned, and tells by it what it has dealt with already: what it writes here is there before the record's offset is.

Where that topic ends, no broker can be trusted to say: one that led it before another, and stood still, knows an older
end when it wakes up. So the worker writes something `ahead`, and reads until it finds that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from processor.contract import Outbound, TopicPartition
from processor.engine.delivery import Lost
from processor.engine.inflight import Aside, Batch, InFlight, Partition
from processor.errors import Retryable

Ahead = Callable[[Partition, Sequence[Outbound]], Awaitable[None]]
"""See Delivery.ahead."""


class Journal:
    """Hands what is written in mid-handling to the next delivery of its partition; made before worker and engine."""

    def __init__(self) -> None:
        self._waiting: dict[Partition, list[Aside]] = {}
        self._inflight = InFlight()
        self._wake: Callable[[], None] = _nobody
        self._ahead: Ahead | None = None

    @property
    def waits(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._waiting)

    def bind(self, inflight: InFlight, wake: Callable[[], None], ahead: Ahead) -> None:
        """The engine whose partitions these are, how to have it deliver, and how to write before that."""
        self._inflight, self._wake, self._ahead = inflight, wake, ahead

    async def ahead(self, at: TopicPartition, records: Sequence[Outbound]) -> None:
        """Writes records as the owner of a partition that is being assigned; they are there for good when it returns.

        Raises Retryable, Unwritable.
        """
        partition = self._inflight.partitions.get(at)
        if partition is None or self._ahead is None:
            raise Retryable(f"{at.topic}/{at.partition} was let go")
        await self._ahead(partition, records)

    async def __call__(self, at: TopicPartition, records: Sequence[Outbound]) -> None:
        """Writes records as one, and returns when they are there for good.

        Raises Lost where the partition is somebody else's, or it is not known what came of it, and Unwritable.
        """
        partition = self._inflight.partitions.get(at)
        if partition is None or partition.closed:
            raise Lost
        aside = Aside(partition, records)
        self._waiting.setdefault(partition, []).append(aside)
        self._wake()
        await aside.done

    def join(self, batch: Batch, partitions: Collection[Partition]) -> None:
        """Moves what waits of these partitions into a batch.

        What finished records have to say under the same key goes ahead of it, although their offsets must wait for
        earlier ones: the last record of a key has to be the last that was written.
        """
        for partition in [each for each in self._waiting if each.closed]:
            del self._waiting[partition]  # its handlers are cancelled
        for partition in [each for each in self._waiting if each in partitions]:
            asides = [each for each in self._waiting.pop(partition) if not each.done.done()]
            keys = {(output.topic, output.key) for aside in asides for output in aside.outputs}
            batch.early += [
                entry
                for entry in partition.entries
                if entry.outputs and keys & {(output.topic, output.key) for output in entry.outputs}
            ]
            batch.asides += asides


def _nobody() -> None:
    """Before there is an engine."""


def settle(batch: Batch, *, written: bool) -> None:
    """Tells those who wait for their part of a batch what came of it."""
    for aside in batch.asides:
        if aside.done.done():
            continue
        if written:
            aside.done.set_result(None)
        else:
            aside.done.set_exception(Lost())
    if written:
        for entry in batch.early:
            entry.outputs, entry.weight = (), 0
