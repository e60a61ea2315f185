"""Tokens for SASL/OAUTHBEARER, from a token endpoint by client credentials (RFC 6749 section 4.4)."""

from __future__ import annotations

import base64
import threading
import time
from ssl import SSLContext
from typing import Final

import aiohttp
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError, SaslAuthenticationFailed

from processor.settings.kafka import OAuthSettings
from processor.settings.section import read_secret

FRESH: Final = 0.8
"""Share of a token's life after which the next connection asks for another."""

LIFE_S: Final = 300.0
"""Life of a token whose endpoint tells none."""


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]
    """Hands out a token that is still good, asking for a new one where it is not.

    One is shared by all clients of the daemon, which may live in several event loops: nothing here belongs to one.
    """

    def __init__(self, settings: OAuthSettings, context: SSLContext) -> None:
        self._settings = settings
        self._context = context
        self._lock = threading.Lock()
        self._token = ""
        self._until = self._expires = 0.0

    @property
    def client_id(self) -> str:
        """Who asks."""
        return self._settings.client_id

    async def token(self) -> str:
        """A bearer token. Raises SaslAuthenticationFailed if we are refused, KafkaConnectionError if nobody answers."""
        with self._lock:
            if time.monotonic() < self._until:
                return self._token
        token, life_s = await self._ask()
        now = time.monotonic()
        with self._lock:
            self._token, self._until, self._expires = token, now + life_s * FRESH, now + life_s
        return token

    @property
    def left_s(self) -> float:
        """For how many seconds more the last token is good."""
        with self._lock:
            return self._expires - time.monotonic()

    async def _ask(self) -> tuple[str, float]:
        settings = self._settings
        form = {"grant_type": "client_credentials"} | ({"scope": settings.scope} if settings.scope else {})
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=settings.timeout_s)) as session,
                session.post(
                    settings.token_url,
                    data=form,
                    headers={"Authorization": self._basic()},
                    ssl=self._context,
                    allow_redirects=False,
                ) as answer,
            ):
                return await self._read(answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            # A connector's error would print the TLS context as well.
            told = str(getattr(error, "os_error", None) or error) or type(error).__name__
            raise KafkaConnectionError(f"no token from {settings.token_url} (kafka.oauth.token_url): {told}") from None

    async def _read(self, answer: aiohttp.ClientResponse) -> tuple[str, float]:
        url = self._settings.token_url
        if answer.status in {400, 401, 403}:
            raise SaslAuthenticationFailed(
                f"{url} (kafka.oauth.token_url) refuses client {self.client_id} with {answer.status}: "
                "check kafka.oauth.client_id, client_secret and scope"
            )
        if answer.status != 200:
            raise KafkaConnectionError(f"{url} (kafka.oauth.token_url) answers {answer.status}")
        try:
            said = await answer.json(content_type=None)
            return str(said["access_token"]), float(said.get("expires_in") or LIFE_S)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise KafkaConnectionError(f"{url} (kafka.oauth.token_url) answers without an access_token") from error

    def _basic(self) -> str:
        # As Kafka's own client does by default: not encoded as a form first, which few endpoints expect.
        return "Basic " + base64.b64encode(f"{self.client_id}:{self._secret()}".encode()).decode()

    def _secret(self) -> str:
        settings = self._settings
        if settings.client_secret_file:
            try:
                return read_secret(settings.client_secret_file, "kafka.oauth.client_secret_file")
            except ValueError as error:
                raise KafkaConnectionError(str(error)) from error
        return settings.client_secret.get_secret_value() if settings.client_secret else ""
