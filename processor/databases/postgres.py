"""PostgreSQL, read-only: each query runs in a READ ONLY transaction with a time limit of its own.

Needs asyncpg (the extra `postgres`). The server refuses what writes and ends what takes too long
(https://www.postgresql.org/docs/current/sql-set-transaction.html, statement_timeout); statements are prepared, so that
values never become part of a text. Works behind PgBouncer: nothing is kept prepared between transactions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg

from processor.databases.ports import ColumnType, Overtime, Query, Rows, Value, away, row_of
from processor.databases.sqlite import missing
from processor.errors import Rejected, Retryable

_REACH_S: Final = 5.0
_GRACE_S: Final = 1.0
"""How much longer than the server's own limit an answer is waited for: a server that hangs keeps none."""

_FAMILIES: Final[Mapping[str, ColumnType]] = {
    "int2": "integer", "int4": "integer", "int8": "integer", "oid": "integer", "float4": "number", "float8": "number",
    "numeric": "number", "bool": "boolean", "text": "string", "varchar": "string", "bpchar": "string", "name": "string",
    "uuid": "string", "date": "string", "timestamp": "string", "timestamptz": "string",
}  # fmt: skip
"""Types of PostgreSQL and what they are here; of others nothing is said."""

_GIVEN: Final = {"string": "string", "int": "integer", "double": "number", "bool": "boolean"}
_TAKES: Final = {"number": ("number", "integer")}

_OF_STATEMENT: Final = (
    asyncpg.SyntaxOrAccessError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.FeatureNotSupportedError,
)
"""Nothing that an event has can mend these: the schema has changed, or a right is missing."""


class Postgres:
    """A database on a server; connections are made when they are needed. `address` may hold a password."""

    def __init__(self, name: str, address: str, connections: int = 4, connect_s: float = 5.0) -> None:
        self.name = name
        self._address = address
        self._connections = connections
        self._connect_s = connect_s
        self._pool: Any = None
        self._making = asyncio.Lock()

    async def query(self, query: Query, values: Mapping[str, Value]) -> Rows:
        """See `Database`."""
        statement = query.statement
        try:
            async with self._within(query.within_s) as connection:
                prepared = await connection.prepare(statement.numbered)
                cursor = await prepared.cursor(*(values[name] for name in statement.names))
                found = await cursor.fetch(query.most + 1)
        except _OF_STATEMENT as error:
            raise away(self.name, f"{query.where}: {error}") from error
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.RaiseError) as error:
            raise Rejected("query_failed", f"{query.where}: {error}") from error
        rows = [row_of(query.columns, dict(each), query.where) for each in found[: query.most]]
        return Rows(rows, len(found) > query.most)

    async def check(self, query: Query) -> list[str]:
        """See `Database`."""
        try:
            async with self._within(_REACH_S) as connection:
                prepared = await connection.prepare(query.statement.numbered)
                parameters, attributes = prepared.get_parameters(), prepared.get_attributes()
        except asyncpg.PostgresError as error:
            return [f"the query is refused: {error}"]
        there = {each.name: _FAMILIES.get(each.type.name) for each in attributes}
        found = missing([each.name for each in query.columns], list(there))
        for column in query.columns:
            kind = there.get(column.name)
            if kind is not None and column.type != "string" and kind not in _TAKES.get(column.type, (column.type,)):
                found.append(f"column {column.name} is declared as {column.type}, it is {kind}")
        for name, parameter in zip(query.statement.names, parameters, strict=True):
            wanted, given = _FAMILIES.get(parameter.name), _GIVEN.get(query.parameters[name])
            if wanted is not None and given is not None and given not in _TAKES.get(wanted, (wanted,)):
                found.append(f"parameter :{name} is {wanted}, it is bound to {given}; convert one of them")
        return found

    async def reach(self) -> str:
        """See `Database`."""
        try:
            async with self._within(_REACH_S) as connection:
                version = await connection.fetchval("SELECT current_setting('server_version')")
        except asyncpg.PostgresError as error:
            raise away(self.name, error) from error
        return f"PostgreSQL {version}, {urlsplit(self._address).hostname or 'socket'}"

    async def close(self) -> None:
        """See `Database`."""
        if self._pool is not None:
            self._pool.terminate()

    @asynccontextmanager
    async def _within(self, seconds: float) -> AsyncIterator[Any]:
        """A connection in a transaction that only reads and ends after so many seconds. Raises Retryable, Overtime."""
        pool = await self._connected()
        try:
            async with pool.acquire(timeout=self._connect_s) as connection:
                try:
                    async with asyncio.timeout(seconds + _GRACE_S), connection.transaction(readonly=True):
                        limit = str(max(1, int(seconds * 1000)))
                        await connection.execute("SELECT set_config('statement_timeout', $1, true)", limit)
                        yield connection
                except TimeoutError as error:
                    connection.terminate()
                    raise Overtime(f"databases.{self.name}: no answer within {seconds + _GRACE_S:g} s") from error
        except TimeoutError as error:
            raise away(self.name, f"no connection within {self._connect_s:g} s") from error
        except asyncpg.QueryCanceledError as error:
            raise Overtime(f"databases.{self.name}: took longer than {seconds:g} s") from error
        except _AWAY as error:
            raise self._gone(error) from error

    async def _connected(self) -> Any:
        async with self._making:
            if self._pool is None:
                try:
                    self._pool = await asyncpg.create_pool(
                        self._address,
                        min_size=0,
                        max_size=self._connections,
                        timeout=self._connect_s,
                        statement_cache_size=0,
                        server_settings={
                            "application_name": "faultstream",
                            "default_transaction_read_only": "on",
                        },
                    )
                except (ValueError, OSError) as error:
                    raise self._gone(error) from error
            return self._pool

    def _gone(self, error: BaseException) -> Retryable:
        password = urlsplit(self._address).password
        said = str(error) or type(error).__name__
        return away(self.name, said.replace(password, "…") if password else said)


_AWAY: Final = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InternalServerError,
    asyncpg.ClientConfigurationError,
)
"""The server is not there, is going, is full, or does not let us in: that passes, or somebody mends it."""
