"""Dead letters go back: counted, then sent, each once.

What is sent is kept on the ledger by the letter's position, in the transaction that sends it: a replay that was killed
goes on where it stopped, another choice of letters leaves out what went before, and of two at once the later one fences
the earlier one off. A deliberate repeat is kept under an id of its own, which becomes part of its findings' ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import orjson

from processor.contract import Outbound, Record, TopicPartition
from processor.errors import FaultstreamError, Retryable
from processor.resend.ledger import Entry, entries, entry
from processor.resend.sender import BATCH_BYTES, Opening, Pace, Sender
from processor.resend.sent import Block, Place, Sent
from processor.sinks.dead_letters import PIPELINE, REASON, TIME, new_replay, replayable
from processor.sources.history import History, Span

LETTERS: Final = "letters"
"""Name of the ledger's entries of letters that were sent back."""

SKEW: Final = timedelta(days=1)
"""By how much the time in a letter's headers may be later than its record's."""


LOOKS: Final = 10
LOOK_S: Final = 0.5
"""How often, and after how many seconds, a topic has to be found too short to be taken for one that was made anew."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters are meant; what is empty or None leaves all in."""

    reasons: frozenset[str] = frozenset()
    pipelines: frozenset[str] = frozenset()
    keys: frozenset[bytes] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def __contains__(self, letter: Letter) -> bool:
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.pipelines or letter.pipeline in self.pipelines)
            and (not self.keys or letter.record.key in self.keys)
            and (self.since is None or letter.time >= self.since)
            and (self.until is None or letter.time < self.until)
        )

    @property
    def name(self) -> str:
        """The same for the same choice."""
        times = [each and each.astimezone(UTC).isoformat() for each in (self.since, self.until)]
        keys = sorted(key.hex() for key in self.keys)
        return orjson.dumps([sorted(self.reasons), sorted(self.pipelines), keys, *times]).decode()


class Letter(NamedTuple):
    """A dead letter; `time` is when it was rejected."""

    record: Record
    reason: str
    pipeline: str
    time: datetime

    @classmethod
    def of(cls, record: Record) -> Letter:
        """As its headers say; where they don't say when, its record does."""
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers if value is not None}
        return cls(record, headers.get(REASON, ""), headers.get(PIPELINE, ""), _time(headers.get(TIME, ""), record))


def _time(text: str, record: Record) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(slots=True)
class Row:
    """Letters of one reason and pipeline: all, those sent before, those to send, those that have nowhere to go.

    `repeats` are those to send that were sent before, too.
    """

    letters: int = 0
    before: int = 0
    due: int = 0
    stay: int = 0
    repeats: int = 0


@dataclass(slots=True)
class Count:
    """What there is: rows by reason and pipeline, and where on the topic those to send lie.

    `reasons` and `pipelines` are those of all letters, chosen or not. `repeat` is when the deliberate repeat that goes
    on was begun; `anew` says that what the ledger kept is of a topic that is not there any more.
    """

    rows: dict[tuple[str, str], Row] = field(default_factory=dict)
    spans: dict[TopicPartition, Span] = field(default_factory=dict)
    reasons: set[str] = field(default_factory=set)
    pipelines: set[str] = field(default_factory=set)
    repeat: str | None = None
    anew: bool = False

    @property
    def due(self) -> int:
        """How many are to be sent."""
        return sum(row.due for row in self.rows.values())


@dataclass(slots=True)
class Progress:
    """How far sending has come."""

    sent: int = 0
    refused: int = 0  # by the brokers, for good


@dataclass(slots=True)
class _Book:
    """What the ledger says: letters sent, and those that a deliberate repeat sent, with its id and beginning."""

    sent: Sent
    again: Sent | None = None
    replay: str | None = None
    begun: str | None = None
    anew: bool = False
    obsolete: list[Outbound] = field(default_factory=list)

    @property
    def done(self) -> Sent:
        """What is not to be sent (again) now."""
        return self.sent if self.again is None else self.again


class Replay:
    """The letters of a choice, from the dead letters' topic back to their pipelines (`pipelines` are those there are).

    `progress` is how far sending has come.

    With `again` those that were sent before are sent once more, under a new id.
    """

    def __init__(
        self, history: History, prefix: str, choice: Choice, pipelines: frozenset[str], *, again: bool = False
    ) -> None:
        self._history = history
        self._prefix = prefix
        self._choice = choice
        self._pipelines = pipelines
        self._again = again
        self.progress = Progress()
        self._topic = f"{prefix}.dead-letters"

    async def count(self, tell: Callable[[int, int], None] = lambda _, __: None) -> Count:
        """Counts the letters that are there now; tells how many offsets, of how many, were looked at.

        Raises Retryable.
        """
        book = await self._read(await self._history.spans([self._topic]))
        since = self._choice.since
        spans = await self._history.spans([self._topic], None if since is None else since - SKEW)
        made = Count(repeat=book.begun, anew=book.anew)
        looked = dict.fromkeys(spans, 0)
        total = sum(span.end - span.start for span in spans.values())
        async for letter in self._letters(spans):
            tp = TopicPartition(letter.record.topic, letter.record.partition)
            looked[tp] = letter.record.offset + 1 - spans[tp].start
            tell(sum(looked.values()), total)
            made.reasons.add(letter.reason)
            made.pipelines.add(letter.pipeline)
            if letter in self._choice and self._counted(made, letter, book):
                first = made.spans.get(tp, Span(letter.record.offset, 0)).start
                made.spans[tp] = Span(first, letter.record.offset + 1)
        return made

    def _counted(self, made: Count, letter: Letter, book: _Book) -> bool:
        """Counts a letter; whether it is to be sent."""
        row = made.rows.setdefault((letter.reason, letter.pipeline), Row())
        row.letters += 1
        if self._way_back(letter) is None:
            row.stay += 1
        elif letter.record in book.done:
            row.before += 1
        else:
            row.due += 1
            row.repeats += letter.record in book.sent
            return True
        return False

    async def send(
        self,
        opening: Opening,
        spans: Mapping[TopicPartition, Span],
        pace: Pace,
        stop: asyncio.Event,
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """Sends what is due in these spans, as fast as `pace` allows; tells after each batch. Ends early on `stop`.

        Raises Retryable, and Fenced where another replay takes over: what was sent until then stays sent.
        """
        async with opening() as sender:
            # Read now: one that went before is shut out, and what it sent is known.
            whole = await self._history.spans([self._topic])
            book = await self._read(whole, sender)
            await self._begin(sender, book)
            batch: list[Record] = []
            async for letter in self._letters(spans):
                if letter not in self._choice or letter.record in book.done or self._way_back(letter) is None:
                    continue
                batch.append(letter.record)
                if len(batch) >= pace.batch or sum(each.size for each in batch) >= BATCH_BYTES:
                    await self._send(sender, book, batch)
                    tell(self.progress)
                    await pace.sent(len(batch), stop)
                    batch = []
                    if stop.is_set():
                        return
            await self._send(sender, book, batch)
            tell(self.progress)
            await self._end(sender, book, whole)

    async def _send(self, sender: Sender, book: _Book, batch: Sequence[Record]) -> None:
        if not batch:
            return
        copies = [self._copy(record, book) for record in batch]
        changed: list[tuple[Sent, dict[Place, Block]]] = []

        def note(kept: Sequence[int]) -> list[Outbound]:
            books = [book.sent] if book.again is None else [book.sent, book.again]
            changed[:] = [(each, each.with_(batch[at] for at in kept)) for each in books]
            return [out for each, blocks in changed for out in each.records(self._prefix, blocks)]

        refused = await sender.write(copies, note)
        for each, blocks in changed:
            each.take(blocks)
        self.progress.sent += len(batch) - len(refused)
        self.progress.refused += len(refused)

    def _copy(self, record: Record, book: _Book) -> Outbound:
        # What is sent for the first time has the id that it would have had.
        return replayable(self._prefix, record, replay=book.replay if record in book.sent else None)

    async def _begin(self, sender: Sender, book: _Book) -> None:
        """What must be written before the first copy: what is obsolete goes, and a repeat has its id from here on."""
        outputs = book.obsolete
        if self._again and book.begun is None:
            book.begun = datetime.now(UTC).isoformat(timespec="seconds")
            outputs = [*outputs, entry(self._prefix, self._name, {"replay": book.replay, "begun": book.begun})]
        if outputs:
            await sender.write([], lambda _: outputs)

    async def _end(self, sender: Sender, book: _Book, whole: Mapping[TopicPartition, Span]) -> None:
        """What is of no use any more goes: of letters that are gone, and of a repeat that is done."""
        outputs = book.sent.gone(self._prefix, self._topic, whole)
        if book.again is not None:
            outputs += [*book.again.nothing(self._prefix), entry(self._prefix, self._name, None)]
        if outputs:
            await sender.write([], lambda _: outputs)

    @property
    def _name(self) -> str:
        """The ledger's entry of a deliberate repeat of this choice."""
        return f"repeat {self._choice.name}"

    async def _read(self, spans: Mapping[TopicPartition, Span], sender: Sender | None = None) -> _Book:
        if not spans:
            raise Retryable(f"there is no topic {self._topic}")
        kept = await entries(self._history, self._prefix, sender)
        book = _Book(Sent.of(LETTERS, kept))
        if await self._anew(book.sent, spans):
            book.anew, book.obsolete = True, [entry(self._prefix, key, None) for key in kept if _of_letters(key)]
            book.sent, kept = Sent(LETTERS), {}
        if self._again:
            begun: Entry = kept.get(self._name, {})
            book.begun, book.replay = begun.get("begun"), begun.get("replay") or new_replay()
            book.again = Sent.of(f"{LETTERS}/{book.replay}", kept)
        return book

    async def _anew(self, sent: Sent, spans: Mapping[TopicPartition, Span]) -> bool:
        """Whether the topic is another one than that whose letters were sent: it was deleted and made anew.

        Then its offsets stand for other letters, and what the ledger keeps would hold them back.
        """
        witnesses = sent.witnesses(self._topic, spans)
        for _ in range(LOOKS):
            if not any(tp not in spans or block.last >= spans[tp].end for tp, block in witnesses.items()):
                break
            # A broker that led the topic before, and woke up, tells an old end: it must not send all of it again.
            await asyncio.sleep(LOOK_S)
            spans = await self._history.spans([self._topic])
            witnesses = sent.witnesses(self._topic, spans)
        else:
            return True
        looked = {tp: Span(block.last, block.last + 1) for tp, block in witnesses.items()}
        async with aclosing(self._history.between(looked)) as records:
            times = {TopicPartition(each.topic, each.partition): each.timestamp_ms async for each in records}
        return any(times.get(tp) != block.time_ms for tp, block in witnesses.items())

    async def _letters(self, spans: Mapping[TopicPartition, Span]) -> AsyncIterator[Letter]:
        async with aclosing(self._history.between(spans)) as records:
            async for record in records:
                yield Letter.of(record)

    def _way_back(self, letter: Letter) -> Outbound | None:
        """A letter as it goes back; None where no pipeline had taken it, or that one is not there any more."""
        try:
            made = replayable(self._prefix, letter.record)
        except FaultstreamError:
            return None
        return made if letter.pipeline in self._pipelines or not letter.pipeline else None


def _of_letters(key: str) -> bool:
    return key.startswith((f"{LETTERS}/", "repeat "))
