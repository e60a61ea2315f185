"""https and http: logs on hosts that are allowed, never on our own network by a trick."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from processor.errors import Rejected, Retryable
from processor.settings.fetch import FetchSettings
from processor.stages.fetch.download import Downloads, trouble
from processor.stages.fetch.opener import Log, not_allowed, shown


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


class Web:
    """Opens addresses of web servers."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        resolver = ThreadedResolver if settings.private else _PublicResolver
        self._downloads = Downloads(settings, _refusal, resolver=resolver)

    async def open(self, reference: str) -> Log:
        """What the address answers, if its host is allowed."""
        host = urlsplit(reference).hostname or ""
        if host not in self._settings.allow:
            raise not_allowed(f"the host of {shown(reference)}", "fetch.allow", self._settings.allow)
        # A literal address never reaches the resolver.
        if not self._settings.private and _is_address(host) and not ipaddress.ip_address(host).is_global:
            raise Rejected("reference_not_allowed", f"{host} is a private address; see fetch.private")
        try:
            address = URL(reference)
        except ValueError as error:
            raise Rejected("reference_failed", f"{shown(reference)} is no address") from error
        return await self._downloads.get(address, shown(reference))

    async def close(self) -> None:
        """Closes the connections."""
        await self._downloads.close()


async def _refusal(response: aiohttp.ClientResponse, name: str) -> Rejected | Retryable:
    if wait := trouble(response.status, name):
        return wait
    if 300 <= response.status < 400:
        return Rejected("reference_not_allowed", f"{name} redirects elsewhere; refer to the log itself")
    return Rejected("reference_failed", f"{name} answers {response.status}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
