"""What tables are kept in: memory and disk alike, and files that are broken or in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from faust.types import TP

from processor.errors import Fatal
from processor.tickets.decider import Lost
from processor.tickets.stores import DiskStore, Entry, MemoryStore

Make = Callable[[], MemoryStore]
NOBODY: Any = SimpleNamespace()
OPTIONS: dict[str, Any] = {"table_name": "faults", "key_type": bytes, "value_type": bytes}


def on_disk(folder: Path) -> DiskStore:
    """A store in a folder."""
    return DiskStore("memory://", NOBODY, NOBODY, folder=folder, **OPTIONS)


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MemoryStore:
    """An empty store of either kind."""
    if request.param == "disk":
        return on_disk(tmp_path)
    return MemoryStore("memory://", NOBODY, NOBODY, **OPTIONS)


async def test_values_are_by_partition_and_key(store: MemoryStore) -> None:
    """The last value of a key holds, none takes it away; another partition has a key of the same name."""
    store.write(0, [Entry(b"a", b"1", 0), Entry(b"a", b"2", 1), Entry(b"b", b"3", 2)])
    store.write(1, [Entry(b"a", b"9", 0)])
    store.write(0, [Entry(b"b", None, 3)])
    assert (store.read(0, b"a"), store.read(1, b"a"), store.read(0, b"b")) == (b"2", b"9", None)
    assert store.known() == 2
    store.empty(0)
    assert (store.read(0, b"a"), store.read(1, b"a")) == (None, b"9")


async def test_memory_forgets_what_others_own(store: MemoryStore) -> None:
    """After a recovery only our own partitions are there; files stay, for their partitions may come back."""
    store.write(0, [Entry(b"a", b"1", 0)])
    store.write(1, [Entry(b"a", b"1", 0)])
    await store.on_recovery_completed({TP("changelog", 1)}, set())
    assert (store.read(0, b"a") is None) == (not isinstance(store, DiskStore))
    assert store.read(1, b"a") == b"1"


async def test_file_knows_how_far_it_has_got(tmp_path: Path) -> None:
    """Opened again, it has its values, and the last record's offset and mark."""
    store = on_disk(tmp_path)
    last = Entry(b"b", b"2", 7)
    store.write(0, [last, Entry(b"a", b"1", 6)])
    await store.on_stop()
    again = on_disk(tmp_path)
    assert again.progress(0) == (7, last.mark)
    assert again.read(0, b"a") == b"1"
    assert again.progress(1) is None


async def test_broken_file_is_built_anew(tmp_path: Path) -> None:
    """What is no database is thrown away, and a log line says so."""
    (tmp_path / "faults-0.sqlite").write_bytes(b"no database" * 1000)
    store = on_disk(tmp_path)
    with structlog.testing.capture_logs() as logs:
        assert store.progress(0) is None
    assert [each["event"] for each in logs] == ["a store can't be read: it is built anew"]
    store.write(0, [Entry(b"a", b"1", 0)])
    assert store.read(0, b"a") == b"1"


async def test_damage_inside_a_file_is_found_when_it_is_opened(tmp_path: Path) -> None:
    """A page that was overwritten: the file is checked before it is believed."""
    store = on_disk(tmp_path)
    store.write(0, [Entry(f"{number:032d}".encode(), b"x" * 500, number) for number in range(500)])
    await store.on_stop()
    path = tmp_path / "faults-0.sqlite"
    whole = bytearray(path.read_bytes())
    whole[8192 : 8192 + 4096 * 4] = b"\xff" * (4096 * 4)
    path.write_bytes(whole)
    assert on_disk(tmp_path).progress(0) is None


async def test_file_of_another_daemon_is_left_alone(tmp_path: Path) -> None:
    """Two daemons on one folder: the second one ends, and says why; the first one's file stays."""
    first, second = on_disk(tmp_path), on_disk(tmp_path)
    first.write(0, [Entry(b"a", b"1", 0)])
    with pytest.raises(Fatal, match="each daemon needs a folder of its own"):
        second.read(0, b"a")
    assert first.read(0, b"a") == b"1"
    await first.on_rebalance(set(), {TP("changelog", 0)}, set())
    assert second.read(0, b"a") == b"1"


async def test_folder_that_can_not_be_written_to_is_told(tmp_path: Path) -> None:
    """A file where a folder should be is no reason to throw anything away."""
    (tmp_path / "faults-0.sqlite").mkdir()
    with pytest.raises(Fatal, match=r"tickets\.store.*unable to open"):
        on_disk(tmp_path).read(0, b"a")
    assert (tmp_path / "faults-0.sqlite").is_dir()


async def test_values_and_progress_are_one_transaction(tmp_path: Path) -> None:
    """A write that fails half-way leaves neither values nor progress."""
    store = on_disk(tmp_path)
    store.write(0, [Entry(b"a", b"1", 0)])
    broken: Any = Entry(b"c", object(), 2)  # type: ignore[arg-type]
    with pytest.raises(Fatal, match="binding"):
        store.write(0, [Entry(b"b", b"2", 1), broken])
    assert store.progress(0) == (0, Entry(b"a", b"1", 0).mark)
    assert (store.read(0, b"a"), store.read(0, b"b")) == (b"1", None)


async def test_a_partition_that_went_is_not_opened_again_by_what_comes_late(tmp_path: Path) -> None:
    """A thread that is still at work finds it closed: another process may have it. Assigned again, it is open."""
    store, ours, theirs = on_disk(tmp_path), TP("signals", 0), TP("signals", 1)
    for partition in (0, 1):
        store.write(partition, [Entry(b"a", b"1", 0)])
    await store.on_rebalance({ours}, {theirs}, set())
    with pytest.raises(Lost):
        await asyncio.to_thread(store.read, 1, b"a")
    with pytest.raises(Lost):
        await asyncio.to_thread(store.write, 1, [Entry(b"a", b"2", 1)])
    other = on_disk(tmp_path)
    assert (store.read(0, b"a"), other.read(1, b"a")) == (b"1", b"1")
    await other.on_stop()
    await store.on_rebalance({ours, theirs}, set(), {theirs})
    assert await asyncio.to_thread(store.read, 1, b"a") == b"1"
    await store.on_stop()
