"""The databases of the settings, opened when they are first asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from processor.databases.ports import Database
from processor.databases.sqlite import Sqlite
from processor.errors import ConfigError
from processor.settings.databases import DatabaseSettings


def open_database(name: str, settings: DatabaseSettings) -> Database:
    """The database that `databases.<name>` describes; nothing is connected yet. Raises ConfigError."""
    address = settings.address
    if address.startswith("sqlite:"):
        path = address.removeprefix("sqlite:").removeprefix("//")
        return Sqlite(name, Path(path), settings.connections)
    try:
        from processor.databases.postgres import Postgres
    except ImportError as error:
        told = f"databases.{name}: PostgreSQL needs the package asyncpg: install faultstream[postgres]"
        raise ConfigError(told) from error
    return Postgres(name, address, settings.connections, settings.connect_s)


class Databases(Mapping[str, Database]):
    """All databases by name."""

    def __init__(self, settings: Mapping[str, DatabaseSettings]) -> None:
        self._databases = {name: open_database(name, each) for name, each in settings.items()}

    def __getitem__(self, name: str) -> Database:
        return self._databases[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._databases)

    def __len__(self) -> int:
        return len(self._databases)

    async def close(self) -> None:
        """Closes all."""
        for each in self._databases.values():
            await each.close()
