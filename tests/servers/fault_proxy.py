"""A proxy that stands in front of a server and makes it fail as real ones do, request by request.

It runs in the test's own event loop; what speaks to it must not block that loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request.

    `forward` says whether the server gets the request all the same. Then: `status` (with `body`, `headers`) is
    answered; or the connection is dropped; or `hang` seconds pass and then it is dropped.
    """

    status: int = 0
    forward: bool = False
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: float = 0.0


def jira_error(status: int, message: str = "", *, forward: bool = False, **fields: str) -> Fault:
    """An answer with an error in Jira's form."""
    return Fault(status, forward, {"errorMessages": [message] if message else [], "errors": fields})


DROP_BEFORE = Fault()
DROP_AFTER = Fault(forward=True)


class FaultProxy:
    """`async with FaultProxy(target) as proxy`: the address is `proxy.url`, `proxy.seen` what was asked for."""

    def __init__(self, target: str) -> None:
        self._target = target.rstrip("/")
        self._faults: list[tuple[str, str, Fault]] = []
        self._sticky: list[tuple[str, str, Fault]] = []
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.seen: list[tuple[str, str]] = []
        self.authorisations: list[str] = []
        self.url = ""

    def fail(self, method: str, path: str, fault: Fault, times: int = 1) -> None:
        """The next `times` requests of the method whose path contains `path` have this fault."""
        self._faults += [(method, path, fault)] * times

    def break_down(self, method: str, path: str, fault: Fault) -> None:
        """All such requests have this fault until `mend`."""
        self._sticky.append((method, path, fault))

    def mend(self) -> None:
        """Takes all faults away."""
        self._faults.clear()
        self._sticky.clear()

    def count(self, method: str, path: str) -> int:
        """How many requests of the method to a path that ends so have come."""
        return sum(1 for seen in self.seen if seen[0] == method and seen[1].endswith(path))

    async def __aenter__(self) -> Self:
        """Listens on a free port of loopback."""
        self._session = aiohttp.ClientSession(auto_decompress=False)
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stops."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    def _next(self, request: web.Request) -> Fault | None:
        for held in (self._faults, self._sticky):
            for at, (method, path, fault) in enumerate(held):
                if method in {request.method, "*"} and path in request.path:
                    if held is self._faults:
                        del held[at]
                    return fault
        return None

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        self.authorisations.append(request.headers.get("Authorization", ""))
        fault = self._next(request)
        if fault is None:
            return await self._forward(request)
        if fault.forward:
            await self._forward(request)
        if fault.status:
            if isinstance(fault.body, str):
                return web.Response(
                    status=fault.status, text=fault.body, content_type="text/html", headers=fault.headers
                )
            return web.json_response(fault.body, status=fault.status, headers=fault.headers)
        await asyncio.sleep(fault.hang)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _forward(self, request: web.Request) -> web.Response:
        assert self._session is not None
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in {"host", "content-length"}
        }
        async with self._session.request(
            request.method, self._target + request.path_qs, data=await request.read(), headers=headers
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() == "content-type"}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)
