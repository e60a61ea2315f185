"""What Faust's tables are kept in: memory, or a file of SQLite's for each partition.

A store never knows more than the changelog has acknowledged, and a file says how far it has got, in the transaction of
what it has got. A file that can't be read, or was made from another changelog, is thrown away: the changelog has all.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog
from faust.stores import memory
from faust.types import TP

from processor.errors import Fatal
from processor.tickets.decider import Lost

log = structlog.get_logger(__name__)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL, mark TEXT NOT NULL);
"""

PRAGMAS: Final = ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL")
"""One process alone. What a crash of the machine takes from the end of the file the changelog still has."""

BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Damaged(sqlite3.DatabaseError):
    """What SQLite's own check says of a file."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


class Entry(NamedTuple):
    """A record of a changelog; no value takes the key away."""

    key: bytes
    value: bytes | None
    offset: int

    @property
    def mark(self) -> str:
        """Tells this record from another one at the same offset of another topic."""
        return hashlib.blake2b(self.key + b"\0" + (self.value or b""), digest_size=16).hexdigest()


class Progress(NamedTuple):
    """How far a partition of a changelog has been taken over: the last record's offset and mark."""

    offset: int
    mark: str


class MemoryStore(memory.Store):  # type: ignore[type-arg]
    """A table in memory, by partition and key."""

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The value of a key."""
        found: bytes | None = self.data.get((partition, key))
        return found

    def write(self, partition: int, entries: Iterable[Entry]) -> None:
        """Takes over what the changelog says."""
        for key, value, _ in entries:
            if value is None:
                self.data.pop((partition, key), None)
            else:
                self.data[partition, key] = value

    def progress(self, partition: int) -> Progress | None:  # noqa: ARG002  others keep it
        """How far the partition has been taken over in an earlier life; None for not at all."""
        return None

    def empty(self, partition: int) -> None:
        """Forgets a partition."""
        self._keep(lambda each: each != partition)

    def known(self) -> int:
        """How many keys there are."""
        return len(self.data)

    def _keep(self, wanted: Callable[[int], bool]) -> None:
        for place in [place for place in self.data if not wanted(place[0])]:
            del self.data[place]

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:  # noqa: ARG002
        """Forgets partitions that others own now."""
        self._keep({tp.partition for tp in active_tps}.__contains__)


class DiskStore(MemoryStore):
    """A table on disk; `folder` has a file for each partition, and is one daemon's alone.

    It is read and written in threads, and closed by the event loop: what comes too late must not open a file again that
    another process may want by now, and raises Lost.
    """

    def __init__(self, url: Any, app: Any, table: Any, *, folder: Path, **options: Any) -> None:
        super().__init__(url, app, table, **options)
        self._folder = folder
        self._files: dict[int, sqlite3.Connection] = {}
        self._left: set[int] = set()
        self._lock = threading.RLock()

    def read(self, partition: int, key: bytes) -> bytes | None:
        """See MemoryStore. Raises Fatal where the file is found broken; built anew at the next start; and Lost."""
        rows = self._do(partition, lambda file: file.execute("SELECT value FROM entries WHERE key = ?", (key,)))
        return rows[0][0] if rows else None

    def write(self, partition: int, entries: Iterable[Entry]) -> None:
        """See MemoryStore; in one transaction with how far it has got then. Raises Fatal."""
        listed = list(entries)
        if not listed:
            return
        last = max(listed, key=lambda entry: entry.offset)

        def change(file: sqlite3.Connection) -> sqlite3.Cursor:
            gone = [(key,) for key, value, _ in listed if value is None]
            there = [(key, value) for key, value, _ in listed if value is not None]
            with file:
                file.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?)", there)
                file.executemany("DELETE FROM entries WHERE key = ?", gone)
                return file.execute("INSERT OR REPLACE INTO progress VALUES (1, ?, ?)", (last.offset, last.mark))

        self._do(partition, change)

    def progress(self, partition: int) -> Progress | None:
        """See MemoryStore. Raises Fatal."""
        rows = self._do(partition, lambda file: file.execute("SELECT at, mark FROM progress"))
        return Progress(*rows[0]) if rows else None

    def empty(self, partition: int) -> None:
        """See MemoryStore."""
        self._close(partition)
        self._throw_away(partition)

    def known(self) -> int:
        """See MemoryStore."""
        count = "SELECT count(*) FROM entries"
        return sum(self._do(partition, lambda file: file.execute(count))[0][0] for partition in list(self._files))

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: Any,  # noqa: ARG002  Faust's signature
        generation_id: int = 0,  # noqa: ARG002
    ) -> None:
        """Lets go of files that another process may want now."""
        held, gone = {tp.partition for tp in assigned}, {tp.partition for tp in revoked}
        with self._lock:
            self._left = (self._left | gone) - held
            for partition in gone:
                self._close(partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Files of partitions that others own are left as they are: they may come back."""

    async def on_stop(self) -> None:
        """Closes all."""
        with self._lock:
            for partition in list(self._files):
                self._left.add(partition)
                self._close(partition)

    def _do(self, partition: int, what: Callable[[sqlite3.Connection], sqlite3.Cursor]) -> list[Any]:
        with self._lock:
            if partition in self._left:
                raise Lost(f"partition {partition} has changed hands, and its file is closed")
            try:
                return what(self._file(partition)).fetchall()
            except sqlite3.Error as error:
                self._close(partition)
                if _code(error) in BROKEN:
                    self._throw_away(partition)
                raise Fatal(f"tickets.store: {self._path(partition)}: {_told(error)}") from error

    def _file(self, partition: int) -> sqlite3.Connection:
        if partition not in self._files:
            try:
                self._files[partition] = self._opened(partition)
            except sqlite3.Error as error:
                if _code(error) not in BROKEN:
                    raise
                said = "a store can't be read: it is built anew"
                log.warning(said, action="store", error=str(error), partition=partition)
                self._throw_away(partition)
                self._files[partition] = self._opened(partition)
        return self._files[partition]

    def _opened(self, partition: int) -> sqlite3.Connection:
        """The file, made where there is none. Raises sqlite3.Error for one that is no good."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(self._path(partition), timeout=0, check_same_thread=False)
        try:
            for pragma in PRAGMAS:
                file.execute(f"PRAGMA {pragma}").fetchall()
            file.executescript(SCHEMA)
            ((said,),) = file.execute("PRAGMA quick_check(1)").fetchall()
            if said != "ok":
                raise Damaged(said)
        except BaseException:
            file.close()
            raise
        return file

    def _path(self, partition: int) -> Path:
        return self._folder / f"{self.table_name}-{partition}.sqlite"

    def _close(self, partition: int) -> None:
        if (file := self._files.pop(partition, None)) is not None:
            file.close()

    def _throw_away(self, partition: int) -> None:
        path = self._path(partition)
        for part in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
            part.unlink(missing_ok=True)


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary error code; 0 for an error of the module's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _told(error: sqlite3.Error) -> str:
    return "in use: each daemon needs a folder of its own" if _code(error) in BUSY else str(error)
