"""A token endpoint, as Atlassian's, in the test's own event loop: it knows one client, and counts what it gives out."""

from __future__ import annotations

import uuid
from typing import Any, Self

from aiohttp import web


class TokenServer:
    """`url` is the endpoint, `accepted` the values of `Authorization` that are good at the moment."""

    def __init__(self) -> None:
        self.life_s = 3600.0
        self.client, self.secret, self.refresh = "client", uuid.uuid4().hex, uuid.uuid4().hex
        self.accepted: set[str] = set()
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.away = False
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Listens on a free port of loopback."""
        app = web.Application()
        app.router.add_post("/oauth/token", self._token)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stops."""
        if self._runner is not None:
            await self._runner.cleanup()

    def forget(self) -> None:
        """No token is good any more."""
        self.accepted.clear()

    async def _token(self, request: web.Request) -> web.Response:
        if self.away:
            return web.Response(status=503, text="away")
        body: dict[str, Any] = await request.json()
        self.asked.append(body["grant_type"])
        self.bodies.append(body)
        if body["client_id"] != self.client or body["client_secret"] != self.secret:
            return web.json_response({"error": "access_denied", "error_description": str(body)}, status=401)
        answer: dict[str, Any] = {"access_token": uuid.uuid4().hex, "expires_in": self.life_s, "token_type": "Bearer"}
        if body["grant_type"] == "refresh_token":
            if body["refresh_token"] != self.refresh:
                said = "Unknown or invalid refresh token."
                return web.json_response({"error": "invalid_grant", "error_description": said}, status=403)
            answer["refresh_token"] = self.refresh = uuid.uuid4().hex
        self.accepted.add(f"Bearer {answer['access_token']}")
        return web.json_response(answer)
