"""What is committed of logs that are under way: written down, read again, within the brokers' bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processor.assemble.checkpoint import ENDS, METADATA_BYTES, MOST, NOTE_ROOM, Checkpoint, Undone, foreign, note_of
from processor.engine.suspects import Note


@st.composite
def undone(draw: st.DrawFn, begin: int) -> tuple[Undone, ...]:
    """Logs from an offset on, in the order of their first lines."""
    found = []
    for gap in draw(st.lists(st.integers(0, 1_000_000), max_size=20)):
        begin += gap
        ended = draw(st.sampled_from(ENDS))
        length = draw(st.integers(1, 2**27))
        found.append(Undone(begin, None if ended == "open" else begin + length - 1, ended))
        begin += 1
    return tuple(draw(st.permutations(found)))


@given(data=st.data(), offset=st.integers(0, 2**40), ahead=st.integers(0, 2**30), number=st.integers(0, 2**40))
def test_what_is_written_is_read(data: st.DataObject, offset: int, ahead: int, number: int) -> None:
    """A checkpoint comes back as it was, and beside it the engine's note."""
    made = Checkpoint(offset, number, offset + ahead, data.draw(undone(offset)))
    note = data.draw(st.sampled_from(["", str(Note(2, 1))]))
    metadata = made.encode("abc123", note)
    assert Checkpoint.parse(offset, metadata, "abc123") == made
    assert note_of(metadata) == note


@given(metadata=st.text(max_size=40) | st.text(max_size=20).map(lambda text: f";as1 k 5 7 {text}"))
def test_any_metadata_is_read(metadata: str) -> None:
    """What others have committed, or what is cut off, tells of nothing that is done above the offset."""
    found = Checkpoint.parse(3, metadata, "k")
    assert found.offset == 3
    assert found.number >= 0


def test_lines_that_were_told_apart_otherwise_are_read_again() -> None:
    """The numbers go on, so that none is given twice; the rest says nothing any more."""
    metadata = Checkpoint(10, 4, 90, (Undone(10),)).encode("old")
    assert Checkpoint.parse(10, metadata, "new") == Checkpoint(10, 4, 10)
    assert (foreign(metadata, "new"), foreign(metadata, "old"), foreign("", "new")) == (True, False, False)


def test_the_most_logs_fit_into_the_metadata() -> None:
    """Spread over twenty million lines, in any order, with as many lines each."""
    logs = [Undone(at * 60_000, at * 60_000 + 20_000_000, "crowded") for at in range(MOST)]
    logs[::2] = logs[::-2]
    metadata = Checkpoint(0, 2**40, 2**40, tuple(logs)).encode("abc123", "n" * NOTE_ROOM)
    assert len(metadata) <= METADATA_BYTES
