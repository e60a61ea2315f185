"""A Jira Data Center that limits its callers as the real one does: a bucket that fills at a fixed rate, then 429.

It creates issues, finds none, and counts what it let through.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any, Final, Self

from aiohttp import web

from tools.servers import process

BURST: Final = 10
"""Calls that may come at once."""


class LimitedJira:
    """A context: `url` is its address."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens, self._filled = float(BURST), time.monotonic()
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.created: list[float] = []
        """When issues were created."""
        self.passed: list[float] = []
        """When calls were let through."""
        self.refused = 0
        self._moved = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Listens."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        port = process.free_port()
        await web.TCPSite(self._runner, process.LOOPBACK, port).start()
        self.url = f"http://{process.LOOPBACK}:{port}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Ends."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def reached(self, count: int) -> None:
        """Returns once so many issues were created."""
        while len(self.created) < count:
            self._moved.clear()
            await self._moved.wait()

    def share(self, skip: int) -> float:
        """Calls per second as a share of the allowed rate.

        Without the first ones, which the full bucket gave, and without the last ones, behind which nothing waited.
        """
        times = self.passed[skip:-BURST]
        return (len(times) - 1) / (times[-1] - times[0]) / self._rate

    async def _answer(self, request: web.Request) -> web.Response:
        now = time.monotonic()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            self.refused += 1
            return web.json_response(
                {"message": "Rate limit exceeded."},
                status=429,
                headers=self._headers() | {"Retry-After": str(math.ceil((1 - self._tokens) / self._rate))},
            )
        self._tokens -= 1
        self.passed.append(now)
        status = 201 if self._creates(request) else 200
        return web.json_response(self._body(request, now), status=status, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(BURST),
            "X-RateLimit-Remaining": str(int(self._tokens)),
            "X-RateLimit-Interval-Seconds": "1",
            "X-RateLimit-FillRate": f"{self._rate:g}",
        }

    def _creates(self, request: web.Request) -> bool:
        return request.method == "POST" and request.path.endswith("/issue")

    def _body(self, request: web.Request, now: float) -> Any:
        if self._creates(request):
            self.created.append(now)
            self._moved.set()
            number = len(self.created)
            return {"id": str(number), "key": f"BUILD-{number}", "self": f"{self.url}/{number}"}
        if request.path.endswith("/serverInfo"):
            return {"baseUrl": self.url, "version": "8.20.0", "versionNumbers": [8, 20, 0], "deploymentType": "Server"}
        if request.path.endswith("/myself"):
            return {"key": "bench", "name": "bench", "displayName": "Bench", "active": True}
        if request.path.endswith("/search"):
            return {"startAt": 0, "maxResults": 50, "total": 0, "issues": []}
        return {}
