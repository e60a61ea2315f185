"""A stretch of network between a client and a server that can be cut: a TCP proxy on loopback."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

LOOPBACK = "127.0.0.1"
CHUNK = 65_536


class TcpProxy:
    """Forwards connections to `target`, a port of loopback, until it is told otherwise."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self._server: asyncio.Server | None = None
        self._refuses = False
        self._passes = asyncio.Event()  # what the client sends
        self._answers = asyncio.Event()  # what it is told
        self._delay_s = 0.0
        self.heal()
        self._open: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def start(self) -> Self:
        """Listens on a free port."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def refuse(self) -> None:
        """Breaks all connections and takes no new ones, as where a route is gone."""
        self._refuses = True
        self._drop(*self._open)

    def silence(self) -> None:
        """Holds back every byte, in connections that stay, as where packets are dropped."""
        self._passes.clear()
        self._answers.clear()

    def deafen(self) -> None:
        """Passes on what the client sends, and holds back what it is told: it can't know what came of anything."""
        self._answers.clear()

    def slow(self, seconds: float) -> None:
        """Takes so long for each stretch of bytes."""
        self._delay_s = seconds

    def heal(self) -> None:
        """Passes on what was held back, and takes connections again."""
        self._refuses = False
        self._delay_s = 0.0
        self._passes.set()
        self._answers.set()

    async def stop(self) -> None:
        """Ends all connections."""
        self.refuse()
        if self._server is not None:
            self._server.close()
        for pump in self._pumps:
            pump.cancel()
        if self._pumps:
            await asyncio.wait(self._pumps)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)  # at once: the network may be cut before there is another end
        try:
            theirs, to_them = await asyncio.open_connection(LOOPBACK, self.target)
        except (OSError, asyncio.CancelledError):  # the latter as the loop ends
            self._drop(writer)
            return
        self._open.add(to_them)
        if self._refuses:
            self._drop(writer, to_them)
            return
        for source, sink, passes in ((reader, to_them, self._passes), (theirs, writer, self._answers)):
            pump = asyncio.create_task(self._pump(source, sink, passes), name="tcp-proxy-pump")
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    def _drop(self, *writers: asyncio.StreamWriter) -> None:
        for writer in writers:
            self._open.discard(writer)
            writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, passes: asyncio.Event) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(CHUNK):
                    await asyncio.sleep(self._delay_s)
                    await passes.wait()
                    sink.write(data)
                    await sink.drain()
        finally:
            self._open.discard(sink)
            sink.close()
            # Whoever closed must be told to both sides, or the other one would wait for ever.
            with suppress(OSError):
                await sink.wait_closed()
