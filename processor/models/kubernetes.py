"""The addresses behind a Kubernetes service, read from its EndpointSlices as the pod's own service account.

https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/, in the way that
https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/ tells. The account may `list` and `watch`
`endpointslices` of the group `discovery.k8s.io` in the service's namespace; no other right is needed.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from processor.errors import ConfigError, Retryable
from processor.settings.models import KubernetesService

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LIST_S: Final = 15.0
_WATCH_S: Final = 240
_AGAIN_S: Final = 2.0


class KubernetesEndpoints:
    """Lists and watches one service. `account` is the folder with token, ca.crt and namespace.

    Raises ConfigError where this is no pod, or one without an account.
    """

    def __init__(self, service: KubernetesService, account: Path = ACCOUNT) -> None:
        self._service = service
        self._account = account
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        where = "models.<tier>.kubernetes"
        if service.api is None and not host:
            raise ConfigError(f"{where} needs a pod's environment (KUBERNETES_SERVICE_HOST); name urls or dns instead")
        self._api = service.api or f"https://{_bracketed(host or '')}:{port}"
        try:
            self._namespace = service.namespace or (account / "namespace").read_text().strip()
        except OSError as error:
            raise ConfigError(f"{where}.namespace: not set, and {account} has none: {error.strerror}") from error
        self._session: aiohttp.ClientSession | None = None
        self._version = ""

    async def list(self) -> list[str]:
        """Base addresses of the ready endpoints. Raises Retryable, with what to grant where the API forbids it."""
        status, data = await self._get({}, _LIST_S)
        if status in (401, 403):
            raise Retryable(
                f"Kubernetes forbids this pod's account to list endpointslices in {self._namespace}: grant it list and "
                "watch on endpointslices of discovery.k8s.io"
            )
        if status != 200:
            raise Retryable(f"Kubernetes answers {status} to a list of endpointslices in {self._namespace}")
        try:
            found = orjson.loads(data)
            self._version = str(found["metadata"]["resourceVersion"])
            return sorted({url for each in found["items"] for url in self._urls(each)})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Retryable("Kubernetes sent no list of endpointslices") from error

    async def changed(self) -> None:
        """Returns at the first event of a watch from the last list on; at its end too, for a list costs little."""
        began = asyncio.get_running_loop().time()
        query = {"watch": "1", "resourceVersion": self._version, "timeoutSeconds": str(_WATCH_S)}
        try:
            await self._get(query, _WATCH_S + 10, first_line=True)
        except Retryable:
            pass  # the list that follows tells what is wrong
        if asyncio.get_running_loop().time() - began < _AGAIN_S:
            await asyncio.sleep(_AGAIN_S)  # many pods change at once, and a broken watch ends at once

    async def close(self) -> None:
        """Closes the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _urls(self, slice_: Mapping[str, Any]) -> Iterable[str]:
        port = self._port(slice_.get("ports") or ())
        if port is None:
            return
        for endpoint in slice_.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False:  # absent is to be read as ready
                for address in endpoint["addresses"][:1]:  # the others are the same pod's
                    yield f"{self._service.scheme}://{_bracketed(address)}:{port}{self._service.path}"

    def _port(self, ports: Iterable[Mapping[str, Any]]) -> int | None:
        wanted = self._service.port
        for each in ports:
            if wanted is None or wanted in (each.get("name"), each.get("port")):
                return int(each["port"])
        return wanted if isinstance(wanted, int) else None

    async def _get(self, query: Mapping[str, str], timeout_s: float, *, first_line: bool = False) -> tuple[int, bytes]:
        url = f"{self._api}/apis/discovery.k8s.io/v1/namespaces/{self._namespace}/endpointslices"
        params = {"labelSelector": f"kubernetes.io/service-name={self._service.service}", **query}
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_LIST_S)
        try:
            token = (self._account / "token").read_text().strip()  # it is replaced about every hour
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
            async with self._http().get(url, params=params, headers=headers, timeout=timeout) as response:
                data = await (response.content.readline() if first_line else response.read())
                return response.status, data
        except TimeoutError as error:
            raise Retryable(f"{self._api}: no answer within {timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Retryable(f"{self._api}: {error}") from error

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            secure = ssl.create_default_context(cafile=self._account / "ca.crt") if self._api[:6] == "https:" else True
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=secure))
        return self._session


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
