"""A client whose start is given up leaves no connection open (aiokafka 0.14).

The connection by which a client asks for the cluster's first metadata is in no list of the client's until the answer is
there. Cancelled while it waits, as where a partition is taken away in the midst of its take-over, the client forgets
it, and it stays open until the garbage collector comes.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection

_first: ContextVar[list[AIOKafkaConnection] | None] = ContextVar("first connections", default=None)
"""Those that the running bootstrap has made."""

_bootstrap: Final[Any] = AIOKafkaClient.bootstrap


async def _closing(client: AIOKafkaClient) -> None:
    """The library's, which closes them where it does not come to its end."""
    made: list[AIOKafkaConnection] = []
    token = _first.set(made)
    try:
        await _bootstrap(client)
    except BaseException:
        for connection in made:
            connection.close()
        raise
    finally:
        _first.reset(token)


def made(connection: AIOKafkaConnection) -> None:
    """Takes note of a first connection, one that belongs to no client yet."""
    if (connections := _first.get()) is not None:
        connections.append(connection)


def install() -> None:
    """Makes every client of this process do so."""
    AIOKafkaClient.bootstrap = _closing
