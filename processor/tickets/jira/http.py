"""HTTP exchanges with Jira: each request is sent once, in bounded time, and its outcome is known or said not to be.

A request is sent a second time only where the first was refused for its credentials and there are others by now.
Redirects are not followed: one would turn a POST into a GET of a login page, or send it twice. Errors show neither
the request nor its headers, only what Jira answered.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
import orjson

from processor.errors import FaultstreamError
from processor.settings.jira import JiraSettings
from processor.tickets.jira.answers import Answer, message, told
from processor.tickets.jira.audit import about, write_down
from processor.tickets.jira.credentials import credentials
from processor.tickets.jira.errors import Late, Unauthorised, Unavailable, Unsettled
from processor.tickets.jira.gate import Gate
from processor.tickets.jira.upload import Upload

CONNECT_S: Final = 5.0
"""Most seconds for a connection; the answer's bound is the setting `jira.timeout_s`."""

IDLE_S: Final = 4.0
"""Seconds for which an idle connection is kept: a POST on one that the server has just closed has no known outcome."""

LARGEST_ANSWER: Final = 50_000_000
"""Bytes."""


class Http:
    """Sends requests to the paths of Jira's API."""

    def __init__(self, config: JiraSettings, gate: Gate) -> None:
        self._config = config
        self._credentials = credentials(config)
        self._gate = gate
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """What Jira has at a path. Raises Unavailable or Refused."""
        return await self._call("GET", path, query=query, write=False)

    async def send(
        self, method: str, path: str, body: Any, *, may: Callable[[], bool] = lambda: True, query: Any = None
    ) -> Any:
        """Sends one write, once; asks right before whether it `may`.

        Raises Late if not, Unsettled where it may have been done, else Unavailable or Refused.
        """
        return await self._call(method, path, body=body, may=may, query=query, write=True)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        may: Callable[[], bool] = lambda: True,
        write: bool,
    ) -> Any:
        async with self._gate.turn(*about(method, path), writes=write) as turn:
            session, ours = self._http(), self._credentials
            address = await ours.base(session) + path
            header = await ours.header(session)
            try:
                answer = turn.heard(await self._exchange(method, address, header, query, body, may, write=write))
                if answer.locked_out and await ours.renewed(header, session):
                    header = await ours.header(session)
                    answer = turn.heard(await self._exchange(method, address, header, query, body, may, write=write))
            except Unavailable as error:
                write_down(method, path, body, "unknown" if isinstance(error, Unsettled) else "not sent")
                raise
        write_down(method, path, body, str(answer.status), answer)
        if answer.fine:
            return self._read(answer, write=write)
        if answer.locked_out:
            raise Unauthorised(
                f"Jira at {self._config.url} does not accept the credentials ({answer.status}{message(answer)}): "
                f"{ours.remedy}"
            ) from None
        raise told(answer, self._config.url, write=write)

    async def _exchange(
        self,
        method: str,
        address: str,
        header: str,
        query: Mapping[str, str] | None,
        body: Any,
        may: Callable[[], bool],
        *,
        write: bool,
    ) -> Answer:
        headers = {"Accept": "application/json"} | ({"Authorization": header} if header else {})
        data: bytes | aiohttp.FormData | None = None
        if isinstance(body, Upload):
            headers["X-Atlassian-Token"] = "no-check"  # both Jiras take a form without it for forged
            data = aiohttp.FormData()
            data.add_field("file", body.data, filename=body.name, content_type="text/plain; charset=utf-8")
        elif body is not None:
            headers["Content-Type"], data = "application/json", orjson.dumps(body)
        if not may():
            raise Late("it took too long until the request could be sent", shared=False)
        try:
            async with self._http().request(
                method, address, params=query, data=data, headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers, await _whole(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreached(error, write=write) from None

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            context = ssl.create_default_context()
            if self._config.ca_file is not None:
                context.load_verify_locations(self._config.ca_file)
            timeout_s = self._config.timeout_s
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S, ssl=context),
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_S, timeout_s)),
                cookie_jar=aiohttp.DummyCookieJar(),  # a session's cookie would outlive a rotated token
                trust_env=True,  # proxies
            )
        return self._session

    def _read(self, answer: Answer, *, write: bool) -> Any:
        try:
            return answer.json()
        except ValueError:
            raise self.gibberish(write=write) from None

    def _unreached(self, error: BaseException, *, write: bool) -> FaultstreamError:
        """What a missing answer means: nothing was sent if there was no connection."""
        name = type(error).__name__
        never_sent = isinstance(
            error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
        )
        if never_sent or not write:
            return Unavailable(f"Jira at {self._config.url} can't be reached ({name}): check jira.url")
        return Unsettled(f"Jira at {self._config.url} gave no answer ({name})")

    def gibberish(self, *, write: bool = False) -> Unavailable:
        """The error for an answer that no Jira gives."""
        kind = Unsettled if write else Unavailable
        return kind(f"what answers at {self._config.url} is not Jira, or a proxy in front of it: check jira.url")


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > LARGEST_ANSWER:
            raise aiohttp.ClientPayloadError("the answer is too large")
        parts.append(part)
    return b"".join(parts)
