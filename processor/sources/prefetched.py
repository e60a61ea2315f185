"""What the client fetched ahead (aiokafka 0.14) is let go at once when it is thrown away.

The client throws it away whenever a partition pauses, seeks or is revoked, a few megabytes each time. There is a
cycle in it (the records hold their iterator, whose frame holds them), so that the bytes would stay until the garbage
collector comes by; and that one is told to come rarely (`processor.lifecycle.settle`), for events leave next to no
cycles. With a slow model and a long backlog that was some megabytes a second, without end.
"""

from __future__ import annotations

from typing import Any, Self

from aiokafka.consumer import fetcher as library

_Cyclic = library.PartitionRecords


class Prefetched:
    """A partition's records, as the client's fetcher uses them. Nothing of the cycle inside refers to it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._records = _Cyclic(*arguments, **named)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return next(self._records)

    @property
    def next_fetch_offset(self) -> int:
        """Where the partition's next fetch begins."""
        return int(self._records.next_fetch_offset)

    def __del__(self) -> None:
        self._records._records_iterator = None  # noqa: SLF001 (as the client does at its end)


def install() -> None:
    """Makes every consumer of this process do so."""
    library.PartitionRecords = Prefetched
