"""fetch: a reference to a log becomes its bytes, from allowed places only."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, cast
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from processor.errors import Rejected, Retryable
from processor.settings import FetchSettings

_CHUNK = 1 << 16
_IN_MEMORY = 8_000_000
"""Bytes of a log that is held in memory; a larger one is a temporary file."""


@dataclass(frozen=True, slots=True)
class FetchConfig:
    """Where logs may come from, and how much and how long (bytes, seconds). By default nowhere."""

    allow: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ("https",)
    roots: tuple[Path, ...] = ()
    private: bool = False
    max_bytes: int = 50_000_000
    timeout_s: float = 30

    @classmethod
    def of(cls, settings: FetchSettings) -> Self:
        """What the settings allow."""
        return cls(
            tuple(settings.allow),
            tuple(settings.schemes),
            tuple(settings.roots),
            settings.private,
            settings.max_bytes,
            settings.timeout_s,
        )


class _PublicResolver(AbstractResolver):
    """Resolves names as the system does, and refuses those that lead to an address of our own network.

    The check stands here, behind the name, since the addresses that are checked are then the ones connected to.
    """

    def __init__(self) -> None:
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        if not all(ipaddress.ip_address(entry["host"]).is_global for entry in found):
            raise Rejected("reference_not_allowed", f"{host} resolves to a private address; see fetch.private")
        return found

    async def close(self) -> None:
        await self._system.close()


class Fetch:
    """Fetches references; one per daemon. Use as an asynchronous context manager."""

    def __init__(self, config: FetchConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        resolver = ThreadedResolver() if self._config.private else _PublicResolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, limit=16),
            timeout=aiohttp.ClientTimeout(total=self._config.timeout_s),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def __call__(self, reference: str) -> bytes:
        """The bytes behind `reference`; see `open`."""
        found = await self.open(reference)
        if isinstance(found, bytes):
            return found
        with found:
            return await asyncio.to_thread(found.read)

    async def open(self, reference: str) -> bytes | BinaryIO:
        """What is behind `reference` (https, http or file, as allowed): its bytes, or a file of them if they are many.

        Raises Rejected (`reference_not_allowed`, `reference_failed`, `too_large`) or Retryable.
        """
        parts = urlsplit(reference)
        if parts.scheme not in self._config.schemes:
            raise _not_allowed(f"the scheme of {_shown(reference)}", "fetch.schemes", self._config.schemes)
        if parts.scheme == "file":
            return await asyncio.to_thread(self._read, Path(unquote(parts.path)))
        self._check_host(reference, parts.hostname or "")
        return await self._get(reference)

    def _check_host(self, reference: str, host: str) -> None:
        if host not in self._config.allow:
            raise _not_allowed(f"the host of {_shown(reference)}", "fetch.allow", self._config.allow)
        # A literal address never reaches the resolver.
        if not self._config.private and _is_address(host) and not ipaddress.ip_address(host).is_global:
            raise Rejected("reference_not_allowed", f"{host} is a private address; see fetch.private")

    def _read(self, path: Path) -> bytes | BinaryIO:
        real = path.resolve()
        if not any(real.is_relative_to(root.resolve()) for root in self._config.roots):
            raise _not_allowed(f"the folder of {path}", "fetch.roots", [str(root) for root in self._config.roots])
        try:
            size = real.stat().st_size
            if size > self._config.max_bytes:
                raise _too_large(self._config.max_bytes)
            return real.read_bytes() if size <= _IN_MEMORY else real.open("rb")
        except OSError as error:
            raise Rejected("reference_failed", f"{path}: {error.strerror}") from error

    async def _get(self, reference: str) -> bytes | BinaryIO:
        if self._session is None:
            raise RuntimeError("Fetch is used outside of `async with`")
        try:
            # A redirect may leave the allowed hosts: it is not followed but refused.
            async with self._session.get(reference, allow_redirects=False) as response:
                _check_status(response.status, reference)
                return await self._body(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Retryable(
                f"{_shown(reference)} could not be fetched: {type(error).__name__}", shared=False
            ) from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes | BinaryIO:
        with contextlib.ExitStack() as undo:
            body = undo.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))
            size = 0
            async for chunk in response.content.iter_chunked(_CHUNK):
                size += len(chunk)
                if size > self._config.max_bytes:
                    raise _too_large(self._config.max_bytes)
                body.write(chunk)
            body.seek(0)
            if size <= _IN_MEMORY:
                return body.read()
            undo.pop_all()  # whoever reads the file closes it
            return cast("BinaryIO", body)


def _check_status(status: int, reference: str) -> None:
    if status == 429 or status >= 500:
        raise Retryable(f"{_shown(reference)} answers {status}", shared=False)
    if 300 <= status < 400:
        raise Rejected("reference_not_allowed", f"{_shown(reference)} redirects elsewhere; refer to the log itself")
    if status != 200:
        raise Rejected("reference_failed", f"{_shown(reference)} answers {status}")


def _shown(reference: str) -> str:
    """A reference without what may be a secret in it: user, password, query."""
    parts = urlsplit(reference)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _not_allowed(what: str, setting: str, allowed: Sequence[Any]) -> Rejected:
    listed = ", ".join(map(str, allowed)) or "nothing"
    return Rejected("reference_not_allowed", f"{what} is not allowed; {setting} lists {listed}")


def _too_large(limit: int) -> Rejected:
    return Rejected("too_large", f"the log is larger than fetch.max_bytes ({limit:,})")
