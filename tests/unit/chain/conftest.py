"""The catalogue that the example's chain reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from processor.databases.ports import Database
from processor.databases.sqlite import Sqlite

CATALOGUE = Path(__file__).parents[3] / "examples" / "owners" / "catalogue.sql"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The catalogue of the example."""
    file = tmp_path / "catalogue.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(CATALOGUE.read_text(encoding="utf-8"))
    return file


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where metrics go."""
    return CollectorRegistry()


@pytest.fixture
def catalogue(file: Path) -> Iterator[Database]:
    """The database of the example."""
    database = Sqlite("catalogue", file)
    yield database
    database._threads.shutdown()
