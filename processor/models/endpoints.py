"""Where the replicas of a tier are: a fixed list, all addresses of a name, or the endpoints of a Kubernetes service."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from yarl import URL

from processor.errors import Retryable
from processor.models.kubernetes import KubernetesEndpoints
from processor.settings.models import ModelSettings

_RESOLVE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A replica's base address. `host` is the name by which it is asked for, where that is not in the address."""

    url: str
    host: str = ""


class Endpoints(Protocol):
    """A list of replicas that may change."""

    async def list(self) -> frozenset[Endpoint]:
        """All that are there now. Raises Retryable where that can't be known; what was known before holds then."""
        ...

    async def changed(self) -> None:
        """Returns when it is worth listing them again."""
        ...

    async def close(self) -> None:
        """Closes connections."""
        ...


class Static:
    """A list that stays."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._endpoints = frozenset(Endpoint(url) for url in urls)

    async def list(self) -> frozenset[Endpoint]:
        """The list."""
        return self._endpoints

    async def changed(self) -> None:
        """Never."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is open."""


class Dns:
    """All addresses of the name in `url` (a headless service, say), looked up every `every_s` seconds."""

    def __init__(self, url: str, every_s: float) -> None:
        self._url = URL(url)
        self._every_s = every_s

    async def list(self) -> frozenset[Endpoint]:
        """The name's addresses. A name without any is a fault of the name service, as far as can be told."""
        name, port = self._url.host or "", self._url.port
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_RESOLVE_S):
                found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise Retryable(f"{name}: no answer from the name service within {_RESOLVE_S:g} s") from error
        except OSError as error:
            raise Retryable(f"{name}: {error.strerror or error}") from error
        hosts = {str(address[0]) for *_, address in found}
        if not hosts:
            raise Retryable(f"{name} has no address")
        return frozenset(Endpoint(str(self._url.with_host(host)), name) for host in hosts)

    async def changed(self) -> None:
        """When it is time to look again."""
        await asyncio.sleep(self._every_s)

    async def close(self) -> None:
        """Nothing is open."""


class Kubernetes:
    """The ready endpoints of a service."""

    def __init__(self, api: KubernetesEndpoints) -> None:
        self._api = api

    async def list(self) -> frozenset[Endpoint]:
        """Those that are ready; one that ends is left out at once."""
        return frozenset(Endpoint(url) for url in await self._api.list())

    async def changed(self) -> None:
        """When the API says so."""
        await self._api.changed()

    async def close(self) -> None:
        """Closes the connection to the API."""
        await self._api.close()


def endpoints_of(settings: ModelSettings) -> Endpoints:
    """Where the settings say that the replicas are. Raises ConfigError outside a cluster."""
    if settings.dns is not None:
        return Dns(settings.dns, settings.resolve_s)
    if settings.kubernetes is not None:
        return Kubernetes(KubernetesEndpoints(settings.kubernetes))
    return Static(settings.urls)
