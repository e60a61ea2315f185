"""Who we are to Jira: a token that may be rotated, or OAuth 2.0 tokens that are asked for in time.

No error here shows a secret: what an endpoint answers is not repeated.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import orjson
import structlog

from processor.settings.jira import JiraOAuthSettings, JiraSettings
from processor.settings.section import read_secret
from processor.tickets.jira.errors import Unauthorised, Unavailable

log = structlog.get_logger(__name__)

EARLY_S: Final = 60.0
"""Seconds before the end of a token's life at which the next is asked for; at most a fifth of it."""

LIFE_S: Final = 300.0
"""Life of a token whose endpoint tells none."""


class Credentials(Protocol):
    """Where requests go, and what shows who sends them."""

    remedy: str
    """The settings to check where Jira does not accept them."""

    async def base(self, session: aiohttp.ClientSession) -> str:
        """The address that the paths of the API stand under. Raises Unavailable."""

    async def header(self, session: aiohttp.ClientSession) -> str:
        """The value of `Authorization`; empty if there is none. Raises Unavailable."""

    async def renewed(self, refused: str, session: aiohttp.ClientSession) -> bool:
        """Whether there is another header than the one that was refused. Raises Unavailable."""


def credentials(config: JiraSettings) -> Credentials:
    """What the settings say."""
    return OAuth(config.url, config.oauth, config.timeout_s) if config.oauth is not None else Token(config)


class Token:
    """A personal access token, an API token or a password; its file is read again when it is refused."""

    remedy = "check jira.token or jira.token_file, and jira.user"

    def __init__(self, config: JiraSettings) -> None:
        self._config = config
        self._token = config.token.get_secret_value() if config.token else ""

    async def base(self, session: aiohttp.ClientSession) -> str:  # noqa: ARG002  the protocol's
        """The setting."""
        return self._config.url

    async def header(self, session: aiohttp.ClientSession) -> str:  # noqa: ARG002
        """Basic where there is a user, else a bearer."""
        return self._header()

    async def renewed(self, refused: str, session: aiohttp.ClientSession) -> bool:  # noqa: ARG002
        """Reads the file again."""
        path = self._config.token_file
        if path is not None:
            try:
                self._token = read_secret(path, "jira.token_file")
            except ValueError as error:
                raise Unauthorised(str(error)) from error
        return self._header() != refused

    def _header(self) -> str:
        if self._config.user:
            return "Basic " + base64.b64encode(f"{self._config.user}:{self._token}".encode()).decode()
        return f"Bearer {self._token}" if self._token else ""


class OAuth:
    """Access tokens from Atlassian's endpoint, by client credentials (RFC 6749, 4.4) or a refresh token (6)."""

    remedy = "check jira.oauth: client_id, client_secret_file, refresh_token_file, and the scopes of the app"

    def __init__(self, url: str, config: JiraOAuthSettings, timeout_s: float) -> None:
        self._url = url
        self._config = config
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._lock = asyncio.Lock()
        self._header = ""
        self._until = 0.0
        self._cloud_id = config.cloud_id

    async def base(self, session: aiohttp.ClientSession) -> str:
        """The gateway's address of the site."""
        if self._cloud_id is None:
            self._cloud_id = await self._look_up(session)
        return f"{self._config.api_url}/ex/jira/{self._cloud_id}"

    async def header(self, session: aiohttp.ClientSession) -> str:
        """A bearer that is still good for a while."""
        async with self._lock:
            if time.monotonic() >= self._until:
                await self._ask(session)
            return self._header

    async def renewed(self, refused: str, session: aiohttp.ClientSession) -> bool:
        """Asks for another token, unless another request has done so already."""
        async with self._lock:
            if self._header == refused:
                await self._ask(session)
            return self._header != refused

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        config = self._config
        body = {"client_id": config.client_id, "client_secret": self._secret()}
        if config.refresh_token_file is not None:
            body |= {"grant_type": "refresh_token", "refresh_token": _read(config.refresh_token_file)}
        else:
            body |= {"grant_type": "client_credentials"} | ({"scope": config.scope} if config.scope else {})
        said = await self._answer(session, "POST", config.token_url, "jira.oauth.token_url", json=body)
        try:
            token, life_s = str(said["access_token"]), float(said.get("expires_in") or LIFE_S)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Unavailable(f"{config.token_url} (jira.oauth.token_url) answers without an access_token") from None
        self._header = f"Bearer {token}"
        self._until = time.monotonic() + life_s - min(EARLY_S, life_s / 5)
        if config.refresh_token_file is not None and said.get("refresh_token"):
            _keep(config.refresh_token_file, str(said["refresh_token"]))

    async def _look_up(self, session: aiohttp.ClientSession) -> str:
        """The id of the site whose address is `jira.url`: among those that the app may see, or by asking the site.

        The list is that of what a person has allowed; whether a service account has one is not documented.
        """
        address = f"{self._config.api_url}/oauth/token/accessible-resources"
        headers = {"Authorization": await self.header(session)}
        try:
            sites = await self._answer(session, "GET", address, "jira.oauth.api_url", headers=headers)
        except Unauthorised:
            if self._config.refresh_token_file is not None:
                raise
            sites = []
        for site in sites if isinstance(sites, list) else ():
            if isinstance(site, dict) and str(site.get("url", "")).rstrip("/").lower() == self._url.lower():
                return str(site["id"])
        if self._config.refresh_token_file is not None:
            raise Unauthorised(f"the app of jira.oauth has no access to {self._url}: check jira.url, or set cloud_id")
        tenant = await self._answer(session, "GET", f"{self._url}/_edge/tenant_info", "jira.url")
        if not isinstance(tenant, dict) or not tenant.get("cloudId"):
            raise Unavailable(f"{self._url} (jira.url) does not tell its cloud id: set jira.oauth.cloud_id")
        return str(tenant["cloudId"])

    async def _answer(self, session: aiohttp.ClientSession, method: str, url: str, setting: str, **more: Any) -> Any:
        try:
            async with session.request(method, url, timeout=self._timeout, allow_redirects=False, **more) as answer:
                status, data = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{url} ({setting}) can't be reached ({type(error).__name__})") from None
        if status in {400, 401, 403}:
            raise Unauthorised(f"{url} ({setting}) refuses client {self._config.client_id} ({status}): {self.remedy}")
        try:
            if status == 200:
                return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
        raise Unavailable(f"{url} ({setting}) answers {status}, and no JSON")

    def _secret(self) -> str:
        if self._config.client_secret_file is not None:
            return _read(self._config.client_secret_file)
        return self._config.client_secret.get_secret_value() if self._config.client_secret else ""


def _read(path: Path) -> str:
    try:
        return read_secret(path, "jira.oauth")
    except ValueError as error:
        raise Unauthorised(str(error)) from error


def _keep(path: Path, token: str) -> None:
    """Writes the next refresh token in place of the one that was used, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(token + "\n")
        new.replace(path)
    except OSError as error:
        log.error(
            "the new refresh token can't be kept: after a restart Jira will refuse the old one",
            action="refresh_token",
            setting="jira.oauth.refresh_token_file",
            error=error.strerror,
        )
