"""A log over HTTP: within bounds of size and time, on disk if it is large, and never from where a redirect leads."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from typing import BinaryIO, cast

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from processor.errors import Rejected, Retryable
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import opener
from processor.stages.fetch.opener import Log, too_large

_CHUNK = 1 << 16
_CONNECTIONS = 16

Refusal = Callable[[aiohttp.ClientResponse, str], Awaitable[Rejected | Retryable]]
"""What an answer other than 200 means, given the answer and the log's name."""


class Downloads:
    """Downloads logs; connections are kept between them.

    `resolver` makes what looks names up, `tls` checks certificates (by default as the system does); `refusal` says
    what an answer means that is no log.
    """

    def __init__(
        self,
        settings: FetchSettings,
        refusal: Refusal,
        *,
        resolver: Callable[[], AbstractResolver] = ThreadedResolver,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._max_bytes = settings.max_bytes
        self._timeout_s = settings.timeout_s
        self._refusal = refusal
        self._resolver = resolver
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def get(self, address: URL, name: str) -> Log:
        """What `address` answers; `name` stands for it in errors. Raises Rejected or Retryable."""
        if self._session is None:
            self._session = self._open()
        try:
            # A redirect may leave the allowed places: it is not followed but refused.
            async with self._session.get(address, allow_redirects=False) as response:
                if response.status != 200:
                    raise await self._refusal(response, name)
                return await self._body(response)
        except aiohttp.InvalidURL as error:
            raise Rejected("reference_failed", f"{name} is no address") from error
        except TimeoutError as error:
            late = f"{name} could not be fetched within fetch.timeout_s ({self._timeout_s:g})"
            raise Retryable(late, shared=False) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Retryable(f"{name} could not be fetched: {type(error).__name__}", shared=False) from error

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=self._resolver(), limit=_CONNECTIONS, ssl=self._tls or True),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            trust_env=False,
        )

    async def _body(self, response: aiohttp.ClientResponse) -> Log:
        if (response.content_length or 0) > self._max_bytes:
            raise too_large(self._max_bytes)
        with contextlib.ExitStack() as undo:
            body = undo.enter_context(tempfile.SpooledTemporaryFile(opener.IN_MEMORY))
            size = 0
            async for chunk in response.content.iter_chunked(_CHUNK):
                size += len(chunk)
                if size > self._max_bytes:
                    raise too_large(self._max_bytes)
                body.write(chunk)
            body.seek(0)
            if size <= opener.IN_MEMORY:
                return body.read()
            undo.pop_all()  # whoever reads the file closes it
            return cast("BinaryIO", body)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()


def trouble(status: int, name: str) -> Retryable | None:
    """The wait for a server that is overloaded or broken, if that is what the status says."""
    if status == 429 or status >= 500:
        return Retryable(f"{name} answers {status}", shared=False)
    return None
