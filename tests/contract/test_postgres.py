"""PostgreSQL as a database of chains, on a real server: read, never written, never for longer than it may."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from processor.databases.ports import Column, Overtime, Query
from processor.databases.postgres import Postgres
from processor.databases.statement import Statement
from processor.errors import Rejected, Retryable
from tools.servers.process import LOOPBACK, free_port

pytestmark = pytest.mark.postgres

TABLE = f"services_{secrets.token_hex(4)}"
COUNT = f"SELECT count(*) FROM {TABLE}"  # noqa: S608  the name is ours
SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NAME, TEAM, TIER = Column("name"), Column("team", nullable=True, max_length=12), Column("tier", "integer")


def query(sql: str, *columns: Column, kinds: str = "string", most: int = 5, within_s: float = 5.0) -> Query:
    """A query over the test's table, which is `services` in `sql`."""
    statement = Statement.parse(sql.replace("services", TABLE))
    return Query(statement, dict.fromkeys(statement.names, kinds), columns, most, within_s, "p.yaml:7")


@pytest.fixture
async def owner(postgres_server: str) -> AsyncIterator[Any]:
    """A connection that may do anything, and a table of two services."""
    connection = await asyncpg.connect(postgres_server)
    await connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
    await connection.execute(
        f"CREATE TABLE {TABLE} (name text, team varchar, tier int, since timestamptz, price numeric, on_duty bool)"
    )
    rows = [("api", "Payments and more", 1, SINCE, 1.5, True), ("web", None, 2, None, None, False)]
    await connection.copy_records_to_table(TABLE, records=rows)
    yield connection
    await connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
    await connection.close()


@pytest.fixture
async def database(postgres_server: str, owner: Any) -> AsyncIterator[Postgres]:
    """The database as a chain has it, as a user who may write: what stops that is not the user's rights."""
    database = Postgres("catalogue", postgres_server, connections=2)
    yield database
    await database.close()


async def test_rows_come_typed_and_bounded(database: Postgres) -> None:
    """Values are bound; columns come as they were declared, texts are cut, rows beyond the bound are told of."""
    columns = NAME, TEAM, TIER, Column("since"), Column("price", "number"), Column("on_duty", "boolean")
    found = await database.query(query("SELECT * FROM services WHERE name = :name", *columns), {"name": "api"})
    row = {"name": "api", "team": "Payments an…", "tier": 1, "since": "2026-01-02T03:04:05+00:00"}
    assert found.rows == [{**row, "price": 1.5, "on_duty": True}]
    found = await database.query(query("SELECT * FROM services ORDER BY name", TEAM, most=1), {})
    assert (len(found.rows), found.more) == (1, True)


@pytest.mark.parametrize("hostile", ["x' OR '1'='1", "'; DROP TABLE services; --", "%", "$1", "\\"])
async def test_values_are_never_part_of_the_statement(database: Postgres, owner: Any, hostile: str) -> None:
    """Whatever a value holds, it finds what bears that name, which is nothing; the table stays."""
    found = await database.query(query("SELECT team FROM services WHERE name = :name", TEAM), {"name": hostile})
    assert (found.rows, await owner.fetchval(COUNT)) == ([], 2)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO services (name) VALUES ('x') RETURNING team",
        "WITH gone AS (DELETE FROM services RETURNING team) SELECT team FROM gone",
        "SELECT team FROM services FOR UPDATE",
        "SELECT lo_create(0)::text AS team",
    ],
)
async def test_nothing_can_be_written(database: Postgres, owner: Any, sql: str) -> None:
    """The server refuses it, though the user may; the pipeline waits for somebody to mend the query."""
    with pytest.raises(Retryable, match="read-only transaction") as caught:
        await database.query(query(sql, TEAM), {})
    assert not caught.value.shared
    assert await owner.fetchval(COUNT) == 2


async def test_the_time_limit_ends_a_query(database: Postgres, owner: Any) -> None:
    """The server itself ends it: nothing goes on there, and the next query is answered."""
    with pytest.raises(Overtime, match=r"longer than 0\.1 s"):
        await database.query(query("SELECT pg_sleep(30)::text AS team", TEAM, within_s=0.1), {})
    busy = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(30)%' AND pid != $1"
    assert await owner.fetchval(busy, owner.get_server_pid()) == 0
    assert "PostgreSQL" in await database.reach()


async def test_what_is_wrong_with_a_query_is_told_before_it_runs(database: Postgres) -> None:
    """Tables, columns, their types and those of parameters, as the server prepares them."""
    assert await database.check(query("SELECT * FROM services WHERE name = :name", NAME, TEAM, TIER)) == []
    [said] = await database.check(query("SELECT team FROM serviced", TEAM))
    assert said == 'the query is refused: relation "serviced" does not exist'
    wrong = query("SELECT team, tier FROM services WHERE tier = :tier", Column("tier", "boolean"), Column("owner"))
    assert await database.check(wrong) == [
        "the query gives no column 'owner'; it gives team, tier",
        "column tier is declared as boolean, it is integer",
        "parameter :tier is integer, it is bound to string; convert one of them",
    ]


async def test_whose_fault_it_is(database: Postgres) -> None:
    """Values and rows are an event's; a table that is gone is nobody's event's, and is waited for."""
    with pytest.raises(Rejected, match="division by zero") as caught:
        await database.query(query("SELECT (1 / length(:text))::text AS team", TEAM), {"text": ""})
    assert caught.value.reason == "query_failed"
    with pytest.raises(Rejected, match="team is null"):
        await database.query(query("SELECT team FROM services WHERE name = 'web'", Column("team")), {})
    with pytest.raises(Rejected, match="invalid input"):
        await database.query(query("SELECT team FROM services WHERE tier = :tier", TEAM), {"tier": "one"})
    with pytest.raises(Rejected, match=r"p\.yaml:7"):
        await database.query(query("SELECT team FROM services WHERE name = :name", TEAM), {"name": "a\x00b"})
    with pytest.raises(Retryable, match="does not exist"):
        await database.query(query("SELECT team FROM gone", TEAM), {})


async def test_a_server_that_is_away_or_refuses_us_is_waited_for_and_names_no_secret(postgres_server: str) -> None:
    """Nobody listens, the password is wrong, the database is not there: the setting is named, the password is not."""
    address = urlsplit(postgres_server)
    wrong = f"postgres:{secrets.token_urlsafe(9)}@{LOOPBACK}"
    for host, path in (
        (f"{wrong}:{free_port()}", "/postgres"),
        (f"{wrong}:{address.port}", "/postgres"),
        (f"postgres:{address.password}@{LOOPBACK}:{address.port}", "/nowhere"),
    ):
        url = urlunsplit(("postgresql", host, path, "", ""))
        database = Postgres("catalogue", url, connect_s=5)
        with pytest.raises(Retryable, match=r"databases\.catalogue") as caught:
            await database.query(query("SELECT 1 AS tier", TIER), {})
        assert (caught.value.shared, str(urlsplit(url).password) in str(caught.value)) == (False, False)
        await database.close()


async def test_a_connection_that_was_cut_is_made_anew(database: Postgres, owner: Any) -> None:
    """A server that was restarted, or ended our sessions, costs a try and no more."""
    asked = query("SELECT team FROM services WHERE name = 'web'", TEAM)
    assert (await database.query(asked, {})).rows == [{"team": None}]
    await owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'faultstream'")

    async def answered() -> list[dict[str, Any]]:
        while True:
            try:
                return list((await database.query(asked, {})).rows)
            except Retryable:
                await asyncio.sleep(0)

    async with asyncio.timeout(20):
        assert await answered() == [{"team": None}]
