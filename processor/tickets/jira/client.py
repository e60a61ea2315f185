"""Jira over the `jira` library, which is synchronous: calls run in a few threads of their own.

The library's own retries are off, since they repeat a POST whose answer was lost, and so is the GET that it sends
after a create, since its failure would look like a failed create. Its errors print the request's headers and body:
none is ever shown or chained, only what Jira answered.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Final, TypeVar

import requests
from jira import JIRA
from jira.exceptions import JIRAError
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from processor.errors import FaultstreamError
from processor.settings import JiraSettings
from processor.tickets.jira.errors import Late, Refused, Unauthorised, Unavailable, Unsettled
from processor.tickets.jira.issues import Hit, Standing
from processor.tickets.messages import moment

T = TypeVar("T")

CONNECT_S: Final = 5.0
"""Most seconds for a connection; the answer's bound is the setting `jira.timeout_s`."""


class JiraClient:
    """Creates, comments and finds issues. Every method raises Unavailable, Unsettled (writes), or Refused."""

    def __init__(self, config: JiraSettings) -> None:
        self._config = config
        self._token = config.token.get_secret_value() if config.token else None
        self._generation = 0
        self._local = threading.local()
        self._threads = ThreadPoolExecutor(config.threads, thread_name_prefix="jira")
        self._me: frozenset[str] | None = None

    async def myself(self) -> frozenset[str]:
        """All names of the account that this client writes as; asked once."""
        if self._me is None:
            self._me = _names(await self._read(lambda jira: jira.myself()))
        return self._me

    async def create(self, fields: Mapping[str, Any], may: Callable[[], bool] = lambda: True) -> str:
        """Sends one create request, once, and returns the new issue's key.

        Asks right before whether it `may`, from another thread; raises Late if not.
        """

        def send(jira: JIRA) -> str:
            if not may():
                raise Late("it took too long until the request to create could be sent", shared=False)
            return str(jira.create_issue(fields=dict(fields), prefetch=False).key)

        return await self._write(send)

    async def comment(self, key: str, body: str) -> None:
        """Sends one request that adds a comment, once."""
        await self._write(lambda jira: jira.add_comment(key, body))

    async def comments(self, key: str) -> list[str]:
        """The texts of an issue's comments."""
        return [str(comment.body) for comment in await self._read(lambda jira: jira.comments(key))]

    async def standing(self, key: str) -> Standing:
        """How an issue stands."""
        issue = await self._read(lambda jira: jira.issue(key, fields="description,status,resolution,resolutiondate"))
        return _standing(issue.raw["fields"])

    async def reopen(self, key: str) -> bool:
        """Sends one transition out of an issue's resolution; False where its workflow has none for us."""
        ways = await self._read(lambda jira: jira.transitions(key))
        open_ways = [way for way in ways if _category(way.get("to")) not in {"done", ""}]
        if not open_ways:
            return False
        # Names are in the language of the account: where a transition leads tells by its status' category.
        way = min(open_ways, key=lambda way: _category(way.get("to")) != "new")
        await self._write(lambda jira: jira.transition_issue(key, way["id"]))
        return True

    async def mark(self, key: str, label: str) -> None:
        """Adds a label to an issue, which keeps its others. Sending it twice does no harm."""
        issue = await self._read(lambda jira: jira.issue(key, fields="labels"))
        labels = [str(each) for each in issue.raw["fields"].get("labels") or ()]
        if label not in labels:
            await self._write(lambda jira: _edit(jira, key, {"labels": [*labels, label]}))

    async def link(self, key: str, older: str) -> None:
        """Says on both issues that they belong together. Sending it twice does no harm."""
        await self._write(lambda jira: jira.create_issue_link("Relates", key, older))

    async def describe(self, key: str, description: str) -> None:
        """Replaces an issue's description. Sending it twice does no harm."""
        await self._write(lambda jira: _edit(jira, key, {"description": description}))

    async def search(self, project: str, label: str) -> list[Hit]:
        """Issues that Jira's search names for the project and label. The caller checks them: search is lenient."""
        query = f'project = "{_quoted(project)}" AND labels = "{_quoted(label)}" ORDER BY created ASC'
        fields = ["labels,creator,created"]  # one parameter: not every server takes it several times
        found = await self._read(
            lambda jira: jira.search_issues(query, maxResults=50, fields=fields, json_result=True),
        )
        return [_hit(issue) for issue in found.get("issues", [])]

    async def close(self) -> None:
        """Lets requests under way end, at most until their time-out."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    async def _read(self, call: Callable[[JIRA], T]) -> T:
        return await self._call(call, write=False)

    async def _write(self, call: Callable[[JIRA], T]) -> T:
        return await self._call(call, write=True)

    async def _call(self, call: Callable[[JIRA], T], *, write: bool) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: call(self._connection()))
        except requests.HTTPError as error:
            raise self._told(error.response, write=write) from None
        except requests.RequestException as error:
            raise self._unreached(error, write=write) from None
        except (JIRAError, ValueError, TypeError):  # how the library fails on a 200 that is not Jira's
            raise self._gibberish(write=write) from None

    def _connection(self) -> JIRA:
        """This thread's own connection: a requests session is not made for several at once."""
        held: tuple[int, JIRA] | None = getattr(self._local, "held", None)
        if held is None or held[0] != self._generation:
            held = self._generation, self._connect()
            self._local.held = held
        return held[1]

    def _connect(self) -> JIRA:
        config = self._config
        credentials: dict[str, Any] = {}
        if config.user:
            credentials["basic_auth"] = (config.user, self._token or "")
        elif self._token:
            credentials["token_auth"] = self._token
        jira = JIRA(
            server=config.url.rstrip("/"),
            max_retries=0,
            timeout=(min(CONNECT_S, config.timeout_s), config.timeout_s),
            get_server_info=False,
            **credentials,
        )
        # Before the library reads an error: it fails on bodies that are no JSON object.
        jira._session.hooks["response"].append(_check)  # noqa: SLF001  the library has no setting for it
        # A redirect would turn the POST into a GET, or send it twice.
        jira._session.max_redirects = 0  # noqa: SLF001
        return jira

    def _told(self, response: requests.Response, *, write: bool) -> FaultstreamError:
        """What an answer with an error status means."""
        status = response.status_code
        said = _message(response)
        if status == 401 or (status == 403 and _locked_out(response)):
            self._rotate()
            return Unauthorised(
                f"Jira at {self._config.url} does not accept the credentials ({status}{said}): "
                "check jira.token or jira.token_file, and jira.user"
            )
        if status == 429:
            return Unavailable(f"Jira limits the rate of requests (429{said})", wait=_retry_after(response))
        if 400 <= status < 500 and status != 408:
            return Refused(f"Jira answered {status}{said}", status=status, fields=_blamed(response))
        kind = Unsettled if write else Unavailable
        return kind(f"Jira at {self._config.url} is not well ({status}{said})", wait=_retry_after(response))

    def _unreached(self, error: requests.RequestException, *, write: bool) -> Unavailable:
        """What a missing answer means: nothing was sent if there was no connection."""
        if isinstance(error, requests.TooManyRedirects):
            return Unavailable(f"Jira at {self._config.url} redirects: check jira.url")
        if _never_sent(error) or not write:
            return Unavailable(f"Jira at {self._config.url} can't be reached ({type(error).__name__}): check jira.url")
        return Unsettled(f"Jira at {self._config.url} gave no answer ({type(error).__name__})")

    def _gibberish(self, *, write: bool) -> Unavailable:
        kind = Unsettled if write else Unavailable
        return kind(f"what answers at {self._config.url} is not Jira, or a proxy in front of it: check jira.url")

    def _rotate(self) -> None:
        """Reads the token again, for when it was rotated; new connections follow."""
        path = self._config.token_file
        if path is None:
            return
        try:
            token = path.read_text(encoding="utf-8").strip()
        except OSError:
            return
        if token != self._token:
            self._token, self._me = token, None
            self._generation += 1


def _check(response: requests.Response, *_args: Any, **_kwargs: Any) -> None:
    response.raise_for_status()


def _edit(jira: JIRA, key: str, fields: Mapping[str, Any]) -> None:
    # The library's Issue.update reads the issue back, and its failure would look like a failed update.
    jira._session.put(jira._get_url(f"issue/{key}"), json={"fields": dict(fields)})  # noqa: SLF001


def _names(user: Mapping[str, Any] | None) -> frozenset[str]:
    user = user or {}
    return frozenset(str(user[field]) for field in ("accountId", "key", "name") if user.get(field))


def _hit(issue: Mapping[str, Any]) -> Hit:
    fields = issue.get("fields") or {}
    return Hit(
        key=str(issue.get("key", "")),
        labels=tuple(fields.get("labels") or ()),
        creator=_names(fields.get("creator")),
        created=str(fields.get("created") or ""),
    )


def _standing(fields: Mapping[str, Any]) -> Standing:
    description = str(fields.get("description") or "")
    resolution = (fields.get("resolution") or {}).get("name")
    if resolution is None and _category(fields.get("status")) != "done":
        return Standing(description)
    at = moment(str(fields.get("resolutiondate") or ""))
    return Standing(description, str(resolution or "Done"), at.timestamp() if at else 0.0)


def _category(status: Mapping[str, Any] | None) -> str:
    """Of a status, independent of language and workflow: new, indeterminate, done."""
    return str(((status or {}).get("statusCategory") or {}).get("key") or "")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _body(response: requests.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _blamed(response: requests.Response) -> dict[str, str]:
    errors = _body(response).get("errors")
    return {str(name): str(text) for name, text in errors.items()} if isinstance(errors, dict) else {}


def _message(response: requests.Response) -> str:
    """What Jira said, one line, at most 300 characters; nothing for an answer that is not Jira's JSON."""
    body = _body(response)
    general = body.get("errorMessages") or body.get("message") or []
    said = [str(text) for text in general] if isinstance(general, list) else [str(general)]
    said += [f"{name}: {text}" for name, text in _blamed(response).items()]
    line = " ".join("; ".join(said).split())[:300]
    return f": {line}" if line else ""


def _locked_out(response: requests.Response) -> bool:
    return any("denied-reason" in name.lower() or "loginreason" in name.lower() for name in response.headers)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that `Retry-After` asks for, which is a number or an HTTP date (RFC 9110, 10.2.3); at most an hour."""
    value = (response.headers.get("Retry-After") or "").strip()
    if not value:
        return None
    try:
        seconds = (
            float(value) if value.replace(".", "", 1).isdigit() else parsedate_to_datetime(value).timestamp() - time()
        )
    except ValueError:
        return None
    return min(max(seconds, 0.0), 3600.0)


def _never_sent(error: BaseException) -> bool:
    """Whether the connection itself failed, so that no byte of the request left."""
    seen: BaseException | None = error
    for _ in range(6):
        if seen is None:
            return False
        if isinstance(seen, (requests.ConnectTimeout, NewConnectionError, ConnectTimeoutError)):
            return True
        inner = seen.args[0] if seen.args and isinstance(seen.args[0], BaseException) else None
        seen = getattr(seen, "reason", None) or inner or seen.__cause__
    return False
