"""SQLite as a database of chains: it is read, never written, never for longer than it may, and values stay values."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from processor.databases.ports import Column, Overtime, Query
from processor.databases.sqlite import Sqlite
from processor.databases.statement import Statement
from processor.errors import Rejected, Retryable

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS i FROM n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A catalogue of two services."""
    file = tmp_path / "a catalogue?.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE services (name TEXT, team TEXT, tier INTEGER, blob BLOB)")
        connection.execute("INSERT INTO services VALUES ('api', 'Payments', 1, x'00ff'), ('web', NULL, 2, NULL)")
        connection.commit()
    return file


def query(sql: str, *columns: Column, most: int = 5, within_s: float = 2.0) -> Query:
    """A query whose parameters may be anything."""
    statement = Statement.parse(sql)
    return Query(statement, dict.fromkeys(statement.names, "any"), columns, most, within_s, "p.yaml:7")


def digest(file: Path) -> bytes:
    """What the file holds."""
    return sha256(file.read_bytes()).digest()


TEAM = Column("team", nullable=True)


async def test_rows_come_typed_and_bounded(file: Path) -> None:
    """Columns that were declared, of their types; texts are cut, rows beyond the bound are told of and left."""
    database = Sqlite("catalogue", file)
    columns = Column("team", nullable=True, max_length=4), Column("tier", "integer")
    asked = query("SELECT * FROM services ORDER BY name", *columns)
    found = await database.query(asked, {})
    assert found.rows == [{"team": "Pay…", "tier": 1}, {"team": None, "tier": 2}]
    assert not found.more
    found = await database.query(query("SELECT team FROM services ORDER BY name", TEAM, most=1), {})
    assert (len(found.rows), found.more) == (1, True)
    await database.close()


@pytest.mark.parametrize("hostile", ["x' OR '1'='1", "'; DROP TABLE services; --", "api\x00", "%", ":name"])
async def test_values_are_never_part_of_the_statement(file: Path, hostile: str) -> None:
    """Whatever a value holds, it finds what bears that name, which is nothing; the table stays."""
    database = Sqlite("catalogue", file)
    asked = query("SELECT team FROM services WHERE name = :name", TEAM)
    assert (await database.query(asked, {"name": hostile})).rows == []
    assert (await database.query(asked, {"name": "api"})).rows == [{"team": "Payments"}]
    await database.close()


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO services VALUES ('x', 'y', 1, NULL) RETURNING team",
        "WITH x AS (SELECT 1) INSERT INTO services SELECT 'x', 'y', 1, NULL FROM x RETURNING team",
        "DELETE FROM services RETURNING team",
        "SELECT load_extension('evil') AS team",
        "PRAGMA query_only = OFF",
        "ATTACH DATABASE 'other.db' AS other",
    ],
)
async def test_nothing_can_be_written(file: Path, sql: str) -> None:
    """What would write, open other files or load code is refused when it is checked, and when it is run."""
    before = digest(file)
    database = Sqlite("catalogue", file)
    assert any("refused" in each for each in await database.check(query(sql, TEAM)))
    with pytest.raises(Retryable) as caught:
        await database.query(query(sql, TEAM), {})
    assert not caught.value.shared
    assert digest(file) == before
    await database.close()


async def test_the_time_limit_ends_a_query(file: Path) -> None:
    """A query without end is interrupted; the next one is answered."""
    database = Sqlite("catalogue", file, connections=1)
    with pytest.raises(Overtime):
        await database.query(query(ENDLESS, Column("i", "integer"), within_s=0.05), {})
    assert "SQLite" in await database.reach()
    await database.close()


@pytest.mark.parametrize("value", ["\ud83d", 2**64])
async def test_values_that_no_database_takes_are_the_events_fault(file: Path, value: str | int) -> None:
    """Half a surrogate pair is no text, and numbers have an end."""
    database = Sqlite("catalogue", file)
    with pytest.raises(Rejected, match=r"p\.yaml:7") as caught:
        await database.query(query("SELECT team FROM services WHERE name = :name", TEAM), {"name": value})
    assert caught.value.reason == "query_failed"
    await database.close()


async def test_what_is_wrong_with_a_query_is_told(file: Path) -> None:
    """Unknown tables and columns, and columns that were declared and don't come."""
    database = Sqlite("catalogue", file)
    assert await database.check(query("SELECT team FROM services -- all\n", TEAM)) == []
    assert await database.check(query("SELECT team FROM service", TEAM)) == [
        "the query is refused: no such table: service"
    ]
    assert await database.check(query("SELECT tier FROM services", TEAM)) == [
        "the query gives no column 'team'; it gives tier"
    ]
    await database.close()


async def test_a_file_that_is_missing_or_broken_is_waited_for(tmp_path: Path) -> None:
    """It comes back some day: nothing is rejected for it, and nothing is made in its place."""
    missing = tmp_path / "none.db"
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database at all, however long it may be" * 100)
    for file in (missing, broken):
        database = Sqlite("catalogue", file)
        with pytest.raises(Retryable) as caught:
            await database.query(query("SELECT team FROM services", TEAM), {})
        assert (caught.value.shared, "databases.catalogue" in str(caught.value)) == (False, True)
        await database.close()
    assert not missing.exists()


async def test_a_table_that_is_gone_is_waited_for_and_wrong_values_are_not(file: Path) -> None:
    """The first is nobody's event's fault, the second is."""
    database = Sqlite("catalogue", file)
    with pytest.raises(Retryable, match="no such table"):
        await database.query(query("SELECT team FROM gone", TEAM), {})
    with pytest.raises(Rejected, match="malformed JSON"):
        await database.query(query("SELECT json_extract(:text, '$.a') AS team", TEAM), {"text": "{"})
    with pytest.raises(Rejected, match="is null"):
        await database.query(query("SELECT team FROM services WHERE name = 'web'", Column("team")), {})
    with pytest.raises(Rejected, match="is no string"):
        await database.query(query("SELECT blob AS team FROM services WHERE name = 'api'", TEAM), {})
    await database.close()
