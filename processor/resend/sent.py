"""Which dead letters were sent back, by their positions: a bit each, in blocks that are entries of the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Self

from processor.contract import Outbound, Record, TopicPartition
from processor.resend.ledger import Entry, entry
from processor.sources.history import Span

BLOCK: Final = 1000
"""Offsets of a block: what an entry of the ledger tells of."""


class Block(NamedTuple):
    """A bit for each offset that was sent, and the last of them with its record's time.

    By that one a topic is told from another one that was made under the same name later on.
    """

    bits: int
    last: int
    time_ms: int


Place = tuple[int, int]
"""Partition, and number of the block in it."""


class Sent:
    """What was sent in one go: letters to their pipelines, or all that one deliberate repeat sent again."""

    def __init__(self, name: str, blocks: dict[Place, Block] | None = None) -> None:
        self._name = name
        self._blocks = blocks or {}

    @classmethod
    def of(cls, name: str, entries: Mapping[str, Entry]) -> Self:
        """Those that the ledger keeps under this name."""
        blocks: dict[Place, Block] = {}
        for key, value in entries.items():
            named, *numbers = key.rsplit("/", 2)
            if named == name and len(numbers) == 2:
                partition, number = map(int, numbers)
                bits = sum(((1 << (end - start)) - 1) << (start - number * BLOCK) for start, end in value["sent"])
                blocks[partition, number] = Block(bits, *value["last"])
        return cls(name, blocks)

    def __contains__(self, letter: Record) -> bool:
        block = self._blocks.get((letter.partition, letter.offset // BLOCK))
        return block is not None and bool(block.bits >> (letter.offset % BLOCK) & 1)

    def witnesses(self, topic: str, spans: Mapping[TopicPartition, Span]) -> dict[TopicPartition, Block]:
        """The last letter of each partition that was sent, but for those that the topic does not keep any more."""
        found: dict[TopicPartition, Block] = {}
        for (partition, _), block in sorted(self._blocks.items()):
            tp = TopicPartition(topic, partition)
            if tp not in spans or block.last >= spans[tp].start:
                found[tp] = block
        return found

    def with_(self, letters: Iterable[Record]) -> dict[Place, Block]:
        """The blocks as they are when these are sent, too."""
        changed: dict[Place, Block] = {}
        for letter in letters:
            place = letter.partition, letter.offset // BLOCK
            block = changed.get(place) or self._blocks.get(place) or Block(0, -1, 0)
            last = max((block.last, block.time_ms), (letter.offset, letter.timestamp_ms))
            changed[place] = Block(block.bits | 1 << letter.offset % BLOCK, *last)
        return changed

    def take(self, changed: Mapping[Place, Block]) -> None:
        """They are sent."""
        self._blocks.update(changed)

    def records(self, prefix: str, changed: Mapping[Place, Block]) -> list[Outbound]:
        """The entries of these blocks."""
        return [
            entry(prefix, self._key(place), {"sent": list(_ranges(place, block)), "last": [block.last, block.time_ms]})
            for place, block in changed.items()
        ]

    def gone(self, prefix: str, topic: str, spans: Mapping[TopicPartition, Span]) -> list[Outbound]:
        """Takes away the blocks of which the topic keeps no letter any more."""
        starts = {tp.partition: span.start for tp, span in spans.items() if tp.topic == topic}
        old = [place for place in self._blocks if (place[1] + 1) * BLOCK <= starts.get(place[0], 0)]
        return self._without(prefix, old)

    def nothing(self, prefix: str) -> list[Outbound]:
        """Takes all away."""
        return self._without(prefix, list(self._blocks))

    def _without(self, prefix: str, places: Sequence[Place]) -> list[Outbound]:
        return [entry(prefix, self._key(place), None) for place in places]

    def _key(self, place: Place) -> str:
        return f"{self._name}/{place[0]}/{place[1]}"


def _ranges(place: Place, block: Block) -> Iterator[tuple[int, int]]:
    """The offsets whose bits are set, as ranges without their ends."""
    at, bits = place[1] * BLOCK, block.bits
    while bits:
        zeros = (bits & -bits).bit_length() - 1
        at, bits = at + zeros, bits >> zeros
        ones = (bits ^ (bits + 1)).bit_length() - 1
        yield at, at + ones
        at, bits = at + ones, bits >> ones
