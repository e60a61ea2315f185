"""HTTP exchanges with model servers: whole answers of bounded size in bounded time, or an error that says why not."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Final, Protocol

import aiohttp

from processor.errors import Retryable
from processor.models.endpoints import Endpoint
from processor.models.probe import Reply
from processor.models.wire import FailedError
from processor.settings.models import ModelSettings

_LARGEST_ANSWER: Final = 4_000_000
_LARGEST_LIST: Final = 64_000_000
"""Bytes; a server may list ten thousands of adapters."""

_IDLE_S: Final = 4.0
"""Seconds for which an idle connection is kept: vLLM ends those that were idle for five, also as a request arrives."""


class AwayError(Retryable):
    """The server could not be reached."""


class UnansweredError(FailedError):
    """The server did not answer whole and in time."""


class Transport(Protocol):
    """A way to a server."""

    async def send(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: bytes | None,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One exchange, within `timeout_s` (by default the tier's).

        Raises AwayError, or UnansweredError where no whole answer came back.
        """
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


class HttpTransport:
    """Connections that are kept and shared by all replicas of a tier."""

    def __init__(self, settings: ModelSettings) -> None:
        self._connect_s, self._timeout_s = settings.connect_timeout_s, settings.timeout_s
        self._key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        body: bytes | None,
        *,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """As the protocol says; `timeout_s` bounds all of it."""
        url = endpoint.url
        bound = self._timeout_s if timeout_s is None else timeout_s
        # By default whatever is over five seconds ends at a full second: up to one behind its deadline.
        timeout = aiohttp.ClientTimeout(total=bound, sock_connect=self._connect_s, ceil_threshold=math.inf)
        given = {**(headers or {}), "Host": endpoint.host} if endpoint.host else headers
        most = _LARGEST_LIST if method == "GET" else _LARGEST_ANSWER
        try:
            async with self._http().request(
                method,
                _beside(url, path),
                data=body,
                headers=given,
                timeout=timeout,
                server_hostname=endpoint.host or None,
                allow_redirects=False,
            ) as response:
                return response.status, response.headers, await self._read(response, most)
        except aiohttp.ConnectionTimeoutError as error:
            raise AwayError(f"{url}: no connection within {self._connect_s:g} s") from error
        except TimeoutError as error:
            raise UnansweredError(f"{url} did not answer within {bound:.3g} s") from error
        except aiohttp.ClientConnectorError as error:
            raise AwayError(f"{url}: {_reason(error)}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnansweredError(f"{url}: {_reason(error)}") from error

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _read(self, response: aiohttp.ClientResponse, most: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > most:
                raise aiohttp.ClientPayloadError(f"the answer is over {most} bytes")
            parts.append(part)
        data = b"".join(parts)
        return data.replace(self._key.encode(), b"[api key]") if self._key else data

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            # A router's cookie would tie all pipelines to the replica that answered first.
            self._session = aiohttp.ClientSession(
                headers=headers,
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _beside(url: str, path: str) -> str:
    """`path` under the base address; one that begins with two slashes stands beside its /v1, at the server's root."""
    return url.removesuffix("/v1") + path[1:] if path.startswith("//") else url + path


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):  # its own text speaks of SSL where there is none
        number = error.os_error.errno or 0
        return os.strerror(number) if number > 0 else str(error.os_error.strerror or error.os_error)
    return str(error) or type(error).__name__
