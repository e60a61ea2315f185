"""SQLite, read-only: a file that others write, or that comes with a deployment.

Nothing can be changed through it: the file is opened read-only, and an authoriser refuses all but reading while a
statement is prepared (https://www.sqlite.org/c3ref/set_authorizer.html). A statement that runs too long is interrupted
from within (https://www.sqlite.org/c3ref/progress_handler.html).
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from processor.databases.ports import Overtime, Query, Rows, Value, away, row_of
from processor.errors import Rejected, Retryable

Made = TypeVar("Made")

_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_FORBIDDEN: Final = frozenset({"load_extension", "fts3_tokenizer"})
_STEPS: Final = 1000
"""Instructions of SQLite's machine between two looks at the clock."""
_LARGEST: Final = 1_000_000
"""Bytes of the largest value; also bounds what one instruction can take."""
_GONE: Final = frozenset({
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_SCHEMA,
})  # fmt: skip
_REACH_S: Final = 5.0


def _authorise(action: int, _first: str | None, second: str | None, _database: str | None, _of: str | None) -> int:
    if action in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and second not in _FORBIDDEN):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


class Sqlite:
    """A database in a file. Each query opens it anew, so that a file that was replaced is seen."""

    def __init__(self, name: str, file: Path, connections: int = 4) -> None:
        self.name = name
        self.file = file
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix=f"sqlite {name}")

    async def query(self, query: Query, values: Mapping[str, Value]) -> Rows:
        """See `Database`."""
        return await self._within(query.within_s, lambda connection: self._rows(connection, query, values))

    async def check(self, query: Query) -> list[str]:
        """See `Database`."""
        return await self._within(_REACH_S, lambda connection: self._faults(connection, query))

    async def reach(self) -> str:
        """See `Database`."""

        def look(connection: sqlite3.Connection) -> str:
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
            return f"SQLite {sqlite3.sqlite_version}, {self.file}"

        return await self._within(_REACH_S, look)

    async def close(self) -> None:
        """See `Database`."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _within(self, seconds: float, work: Callable[[sqlite3.Connection], Made]) -> Made:
        def run() -> Made:
            deadline = time.monotonic() + seconds  # what waits for a thread has not begun
            with self._open(deadline, seconds) as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    @contextmanager
    def _open(self, deadline: float, seconds: float) -> Iterator[sqlite3.Connection]:
        try:
            address = f"file:{quote(str(self.file))}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, timeout=seconds)) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST)
                connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
                connection.set_authorizer(_authorise)
                connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
                yield connection
        except sqlite3.Error as error:
            raise self._told(error, seconds) from error

    def _told(self, error: sqlite3.Error, seconds: float) -> Retryable | Overtime:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            return Overtime(f"databases.{self.name}: took longer than {seconds:g} s")
        return away(self.name, f"{self.file}: {error}")

    def _rows(self, connection: sqlite3.Connection, query: Query, values: Mapping[str, Value]) -> Rows:
        try:
            cursor = connection.execute(query.statement.text, {name: values[name] for name in query.statement.names})
            names = [each[0] for each in cursor.description or ()]
            found = cursor.fetchmany(query.most + 1)
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_INTERRUPT or code in _GONE or self._faults(connection, query):
                raise  # it is not the values' fault
            raise Rejected("query_failed", f"{query.where}: {error}") from error
        except (OverflowError, UnicodeEncodeError) as error:  # a number or a text that no database takes
            raise Rejected("query_failed", f"{query.where}: {error}") from error
        rows = [row_of(query.columns, dict(zip(names, row, strict=True)), query.where) for row in found[: query.most]]
        return Rows(rows, len(found) > query.most)

    def _faults(self, connection: sqlite3.Connection, query: Query) -> list[str]:
        nothing: dict[str, Any] = dict.fromkeys(query.statement.names)
        try:
            cursor = connection.execute(f"SELECT * FROM (\n{query.statement.text}\n) LIMIT 0", nothing)  # noqa: S608
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _GONE or code == sqlite3.SQLITE_INTERRUPT:
                raise
            said = "it may only read" if code == sqlite3.SQLITE_AUTH else str(error)
            return [f"the query is refused: {said}"]
        there = [each[0] for each in cursor.description or ()]
        return missing([each.name for each in query.columns], there)


def missing(wanted: list[str], there: list[str]) -> list[str]:
    """What is wrong with the names of columns."""
    return [f"the query gives no column {name!r}; it gives {', '.join(there)}" for name in wanted if name not in there]
