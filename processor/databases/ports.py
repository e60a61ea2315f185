"""What a chain needs of a database, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from processor.databases.statement import Statement
from processor.errors import FaultstreamError, Rejected, Retryable

Value = str | int | float | bool | None
"""What is bound to a parameter."""

ColumnType = Literal["string", "integer", "number", "boolean"]


class Overtime(FaultstreamError):
    """A query took longer than it may."""


def away(name: str, said: object, wait: float | None = None) -> Retryable:
    """The error of a database that can't be asked now; other pipelines don't need it."""
    return Retryable(f"databases.{name}: {said}", wait=wait, shared=False)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a query's rows; texts are cut to `max_length` characters."""

    name: str
    type: ColumnType = "string"
    nullable: bool = False
    max_length: int = 200


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with what goes in and what comes out: `parameters` by name with their types ("any" is unknown).

    At most `most` rows within `within_s` seconds. `where` is its place in a file, for messages.
    """

    statement: Statement
    parameters: Mapping[str, str]
    columns: tuple[Column, ...]
    most: int
    within_s: float
    where: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows by column name, and whether there were more of them."""

    rows: list[dict[str, Value]]
    more: bool


class Database(Protocol):
    """A database that is only read."""

    async def query(self, query: Query, values: Mapping[str, Value]) -> Rows:
        """The rows.

        Raises Retryable (it is away, or does not know the statement), Overtime, Rejected ("query_failed": the values
        or the rows are wrong).
        """
        ...

    async def check(self, query: Query) -> list[str]:
        """What is wrong with a query, as the database sees it. Raises Retryable where it is away."""
        ...

    async def reach(self) -> str:
        """What answers there. Raises Retryable, or Overtime."""
        ...

    async def close(self) -> None:
        """Closes all connections."""
        ...


_TYPES: Final[Mapping[ColumnType, tuple[type, ...]]] = {
    "string": (str, datetime, date, time, UUID, Decimal, int, float),
    "integer": (int,),
    "number": (int, float, Decimal),
    "boolean": (bool, int),
}

_CONVERT: Final[Mapping[ColumnType, Callable[[Any], Value]]] = {"integer": int, "number": float, "boolean": bool}


def row_of(columns: tuple[Column, ...], found: Mapping[str, Any], where: str) -> dict[str, Value]:
    """A row with the columns that were declared, of the types that were declared. Raises Rejected ("query_failed")."""
    return {each.name: _value(each, found, where) for each in columns}


def _value(column: Column, found: Mapping[str, Any], where: str) -> Value:
    if column.name not in found:
        raise Rejected("query_failed", f"{where}: the query gives no column {column.name!r}")
    value: Any = found[column.name]
    if value is None:
        if column.nullable:
            return None
        raise Rejected("query_failed", f"{where}: column {column.name} is null; declare it as `{column.type} or null`")
    flag = column.type != "boolean" and isinstance(value, bool)
    if flag or not isinstance(value, _TYPES[column.type]):
        raise Rejected("query_failed", f"{where}: column {column.name} is no {column.type}: {value!r:.60}")
    if column.type == "string":
        text = value.isoformat() if isinstance(value, datetime | date | time) else str(value)
        return text if len(text) <= column.max_length else text[: column.max_length - 1] + "…"
    return _CONVERT[column.type](value)
