"""The stretch of network that tests cut."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.servers.tcp_proxy import LOOPBACK, TcpProxy


async def test_a_cut_breaks_a_connection_that_has_no_other_end_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told at once, and the server's end, when it is there, is closed as well."""
    asked, allowed, left = asyncio.Event(), asyncio.Event(), asyncio.Event()
    connect = asyncio.open_connection

    async def slowly(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        asked.set()
        await allowed.wait()
        return await connect(host, port)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            assert await reader.read() == b""
        writer.close()
        left.set()

    async with await asyncio.start_server(serve, LOOPBACK, 0) as server, asyncio.timeout(10):
        proxy = await TcpProxy(server.sockets[0].getsockname()[1]).start()
        monkeypatch.setattr(asyncio, "open_connection", slowly)
        reader, writer = await connect(LOOPBACK, proxy.port)
        await asked.wait()
        await proxy.stop()
        with suppress(OSError):
            assert await reader.read() == b""
        allowed.set()
        await left.wait()
        writer.close()
