"""Asks a database for an event, and tells whose fault it is when that fails."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from processor.databases.ports import Database, Overtime, Query, Rows, Value, away, row_of
from processor.errors import Rejected, Retryable, Suspect
from processor.pipeline import Pipeline
from processor.pipeline.chain import QueryConfig
from processor.stages.redact import Redact

log = structlog.get_logger(__name__)

GIVE_UP: Final = 3
"""Times that a query takes too long for one event, while the database answers otherwise, before that is given up."""
REMEMBERED: Final = 10_000
"""Events whose late queries are kept in mind."""


class Asker:
    """Queries of one pipeline. Nothing secret comes back: rows are redacted as logs are."""

    def __init__(self, databases: Mapping[str, Database], redact: Redact) -> None:
        self._databases = databases
        self._redact = redact
        self._late: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def __call__(self, event: str, config: QueryConfig, scope: Mapping[str, Any]) -> dict[str, Any]:
        """What the step gives: row, rows, count, more. `event` is an id.

        Raises Retryable (not shared: no other pipeline needs this database), Suspect while the query takes too long
        for this event, Rejected ("query_failed", "expression_failed").
        """
        values = {name: each.evaluate(scope) for name, each in config.bound.items()}
        database = self._databases[config.database]
        key = (event, config.query.where)
        try:
            found = await database.query(config.query, values)
        except Overtime as error:
            raise await self._overtime(database, config, key, error) from error
        self._late.pop(key, None)
        rows = self._clean(found.rows)
        return {"row": rows[0] if rows else None, "rows": rows, "count": len(rows), "more": found.more}

    async def _overtime(
        self, database: Database, config: QueryConfig, key: tuple[str, str], error: Overtime
    ) -> Retryable | Rejected:
        """Whether the database is slow for everybody, or this query for this event."""
        try:
            await database.reach()
        except Overtime:
            return away(config.database, "it is too slow to answer anything")
        except Retryable as gone:
            return gone
        times = self._late.pop(key, 0) + 1
        if times >= GIVE_UP:
            told = f"{times} times it took too long, while the database answered otherwise"
            return Rejected("query_failed", f"{config.query.where}: {told}: {error}")
        self._late[key] = times
        while len(self._late) > REMEMBERED:
            self._late.popitem(last=False)
        return Suspect(f"{config.query.where}: {error} ({times} of {GIVE_UP})")

    def _clean(self, rows: Sequence[Mapping[str, Value]]) -> list[dict[str, Value]]:
        texts = [value for row in rows for value in row.values() if isinstance(value, str) and value]
        clean = dict(zip(texts, self._redact.texts(texts), strict=True))
        return [
            {name: clean.get(value, value) if isinstance(value, str) else value for name, value in row.items()}
            for row in rows
        ]


async def refused_queries(pipeline: Pipeline, databases: Mapping[str, Database]) -> list[str] | None:
    """What databases refuse of a pipeline's queries, each with its place; None where one can't be asked now."""
    problems: list[str] = []
    for config in pipeline.queries:
        try:
            found = await databases[config.database].check(config.query)
        except (Retryable, Overtime) as error:
            log.warning("the database does not answer yet", action="start", pipeline=pipeline.name, error=str(error))
            return problems or None
        problems += [f"{config.query.where}: {each} (databases.{config.database})" for each in found]
    return problems


class Given:
    """A database that answers with rows that are given, for tests of a pipeline."""

    def __init__(self, rows: Mapping[str, Sequence[Mapping[str, Value]]]) -> None:
        self._rows = rows  # by where the query stands

    async def query(self, query: Query, values: Mapping[str, Value]) -> Rows:  # noqa: ARG002  the signature is Database's
        """The rows of this query. Raises Rejected ("query_failed") where none are given."""
        if query.where not in self._rows:
            raise Rejected("query_failed", f"{query.where}: the case gives no rows for this query, under `chain`")
        blank = dict.fromkeys(each.name for each in query.columns)
        rows = [row_of(query.columns, {**blank, **row}, query.where) for row in self._rows[query.where]]
        return Rows(rows[: query.most], len(rows) > query.most)

    async def check(self, query: Query) -> list[str]:  # noqa: ARG002
        """There is nothing wrong with any."""
        return []

    async def reach(self) -> str:
        """It is always there."""
        return "given rows"

    async def close(self) -> None:
        """There is nothing to close."""
