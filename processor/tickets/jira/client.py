"""Both Jiras behind one client: issues are found, created, commented, edited, linked and moved.

Which of the two it is, is a setting or asked of the server, once. Nobody else knows of their differences.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any, Final, Protocol

import structlog

from processor.settings.jira import JiraSettings
from processor.tickets.document import Document
from processor.tickets.jira.dialects import PAGE, Cloud, DataCenter, Dialect
from processor.tickets.jira.errors import Refused
from processor.tickets.jira.filling import Forms
from processor.tickets.jira.forms import Wish
from processor.tickets.jira.gate import Gate
from processor.tickets.jira.http import Http
from processor.tickets.jira.issues import Hit, Standing, category, hit, mapping, names, standing
from processor.tickets.jira.metrics import JiraMetrics
from processor.tickets.jira.rights import may_attach
from processor.tickets.jira.upload import Upload
from processor.tickets.messages import moment

log = structlog.get_logger(__name__)

MOST_PAGES: Final = 50
"""Pages of a list that are read at most."""

LINK: Final = "Relates"
"""The type of link that says no more than that two issues belong together; both Jiras come with it."""

FRESH_S: Final = 600.0
"""How long it is believed what Jira says of attachments."""

STANDING: Final = "description,status,resolution,resolutiondate,priority,labels,issuelinks"


class Way(Protocol):
    """A transition that was chosen, with the fields that its screen wants."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """What to fill in."""


class JiraClient:
    """Creates, comments and finds issues. Every method raises Unavailable, Unsettled (writes), or Refused."""

    def __init__(self, config: JiraSettings, metrics: JiraMetrics | None = None) -> None:
        self._config = config
        self.gate = Gate.of(config, metrics)
        if metrics is not None:
            metrics.watch(self.gate)
        self._http = Http(config, self.gate)
        self._dialect: Dialect | None = None
        self._detecting = asyncio.Lock()
        self._me: frozenset[str] | None = None
        self._links: list[str] | None = None
        self._priorities: list[str] | None = None
        self._attaching: tuple[float, bool, int | None] | None = None
        self._forms = Forms(self._get)

    async def dialect(self) -> Dialect:
        """How this Jira is spoken to; asked of it once, where the settings do not say."""
        async with self._detecting:
            if self._dialect is None:
                self._dialect = await self._detected()
                log.info("jira is there", action="jira", deployment=type(self._dialect).__name__, url=self._config.url)
        return self._dialect

    async def _detected(self) -> Dialect:
        said = self._config.deployment
        if said != "auto":
            return Cloud() if said == "cloud" else DataCenter()
        try:
            info = await self._http.get(f"{Cloud.api}/serverInfo")
        except Refused as error:
            if error.status != 404:
                raise
            info = await self._http.get(f"{DataCenter.api}/serverInfo")
        kind = str(mapping(info).get("deploymentType") or "")
        if not kind:
            raise self._http.gibberish()
        return Cloud() if kind == "Cloud" else DataCenter()

    async def myself(self) -> frozenset[str]:
        """All names of the account that this client writes as; asked once."""
        if self._me is None:
            me = names(await self._get("/myself"))
            if not me:
                raise self._http.gibberish()
            self._me = me
        return self._me

    async def create(self, fields: Mapping[str, Any], may: Callable[[], bool] = lambda: True) -> str:
        """Sends one create request, once, and returns the new issue's key.

        Asks right before whether it `may`; raises Late if not. `fields` are a ticket's, by the names of its pipeline:
        those of Jira, and others by name or id; a person is a name, an address or an id.
        """
        made = await self._forms.filled(await self.dialect(), fields)
        try:
            issue = await self._send("POST", "/issue", {"fields": made}, may)
        except Refused as error:
            raise await self._forms.explained(error, fields) from None
        key = mapping(issue).get("key")
        if not key:
            raise self._http.gibberish(write=True)
        return str(key)

    async def wrong(self, wish: Wish) -> list[str]:
        """What Jira will not take of what a pipeline will fill in: each names the key, the project and the field."""
        return await self._forms.wrong(wish)

    async def strangers(self, wish: Wish) -> list[str]:
        """Whom a pipeline names that Jira does not know: their tickets go without. Each names the key."""
        return await self._forms.strangers(await self.dialect(), wish)

    async def comment(self, key: str, body: Document | str) -> None:
        """Sends one request that adds a comment, once."""
        dialect = await self.dialect()
        await self._send("POST", f"/issue/{key}/comment", {"body": dialect.written(body)})

    async def comments(self, key: str) -> list[str]:
        """The texts of an issue's comments."""
        dialect = await self.dialect()
        return [dialect.read(comment.get("body")) async for comment in self._pages(f"/issue/{key}/comment", "comments")]

    async def said(self, key: str, body: Document | str) -> bool:
        """Whether one of an issue's comments is this one, as far as its text tells."""
        dialect = await self.dialect()
        text = _words(dialect.read(dialect.written(body)))
        return text in [_words(comment) for comment in await self.comments(key)]

    async def standing(self, key: str) -> Standing:
        """How an issue stands."""
        dialect = await self.dialect()
        issue = mapping(await self._get(f"/issue/{key}", {"fields": STANDING}))
        return standing(issue, dialect.read(mapping(issue.get("fields")).get("description")))

    async def reopen(self, key: str) -> bool:
        """Sends one transition out of an issue's resolution; False where its workflow has none for us."""
        ways = [way for way in await self._ways(key) if category(way.get("to")) not in {"done", ""}]
        if not ways:
            return False
        # Names are in the language of the account: where a transition leads tells by its status' category.
        way = min(ways, key=lambda way: category(way.get("to")) != "new")
        await self._send("POST", f"/issue/{key}/transitions", {"transition": {"id": str(way["id"])}})
        return True

    async def transition(self, key: str, choose: Callable[[Sequence[Mapping[str, Any]]], Way | None]) -> bool:
        """Sends one transition, which `choose` finds among those there are; False where it finds none."""
        way = choose(await self._ways(key))
        if way is None:
            return False
        fields = {"fields": dict(way.fields)} if way.fields else {}
        await self._send("POST", f"/issue/{key}/transitions", {"transition": {"id": str(way.id)}, **fields})
        return True

    async def mark(self, key: str, label: str) -> None:
        """Adds a label to an issue, which keeps its others. Sending it twice does no harm."""
        issue = mapping(await self._get(f"/issue/{key}", {"fields": "labels"}))
        labels = [str(each) for each in mapping(issue.get("fields")).get("labels") or ()]
        if label not in labels:
            await self._edit(key, {"labels": [*labels, label]})

    async def attaching(self) -> tuple[bool, int | None]:
        """Whether this Jira takes attachments, and up to how many bytes, if it says so; asked now and then."""
        now = monotonic()
        if self._attaching is None or now - self._attaching[0] > FRESH_S:
            try:
                said = mapping(await self._get("/attachment/meta"))
            except Refused:  # not every server tells
                said = {}
            limit = said.get("uploadLimit")
            self._attaching = now, said.get("enabled") is not False, limit if isinstance(limit, int) else None
        return self._attaching[1:]

    async def may_attach(self, project: str) -> bool:
        """Whether this account may attach files to tickets of a project; true where Jira does not tell."""
        return await may_attach(self._get, project)

    async def attachments(self, key: str) -> frozenset[str]:
        """The names of an issue's files."""
        issue = mapping(await self._get(f"/issue/{key}", {"fields": "attachment"}))
        held = mapping(issue.get("fields")).get("attachment") or ()
        return frozenset(str(mapping(each).get("filename")) for each in held)

    async def attach(self, key: str, name: str, data: bytes, may: Callable[[], bool] = lambda: True) -> None:
        """Sends one request that attaches a text file, once; asks right before whether it `may`, raises Late if not."""
        await self._send("POST", f"/issue/{key}/attachments", Upload(name, data), may)

    async def link(self, key: str, older: str, kind: str = LINK) -> None:
        """Says on both issues that they belong together. Sending it twice does no harm."""
        body = {
            "type": {"name": await self._link_type(kind)},
            "inwardIssue": {"key": key},
            "outwardIssue": {"key": older},
        }
        await self._send("POST", "/issueLink", body)

    async def reword(self, key: str, stands: Standing, old: str, new: str) -> bool:
        """Says a sentence of a description in other words, and leaves all else as it is.

        False, with nothing sent, unless the sentence stands there exactly once.
        """
        dialect = await self.dialect()
        description = dialect.reworded(stands.raw, old, new)
        if description is not None:
            await self._edit(key, {"description": description})
        return description is not None

    async def edit(self, key: str, fields: Mapping[str, Any]) -> None:
        """Replaces fields of an issue. Sending it twice does no harm."""
        dialect = await self.dialect()
        await self._edit(
            key, {name: dialect.written(value) if name == "description" else value for name, value in fields.items()}
        )

    async def priorities(self) -> list[str]:
        """The names of all priorities, the highest first; asked once."""
        if self._priorities is None:
            found = await self._get("/priority")
            self._priorities = [str(mapping(each).get("name")) for each in found] if isinstance(found, list) else []
        return self._priorities

    async def search(self, project: str, label: str) -> list[Hit]:
        """Issues that Jira's search names for the project and label. The caller checks them: search is lenient."""
        jql = f'project = "{_quoted(project)}" AND labels = "{_quoted(label)}" ORDER BY created ASC'
        return [issue async for issue in self._hits(jql)]

    async def recent(self, project: str, back_s: float) -> list[Hit]:
        """Issues of the project that this account has created, the newest first, as far back from that one.

        Counted from the newest one, so that our clock does not matter.
        """
        me, found, since = await self.myself(), list[Hit](), 0.0
        async for issue in self._hits(
            f'project = "{_quoted(project)}" AND creator = currentUser() ORDER BY created DESC'
        ):
            created = moment(issue.created)
            if created is None or not issue.creator & me:
                continue
            since = since or created.timestamp() - back_s
            if created.timestamp() < since:
                break
            found.append(issue)
        return found

    async def _hits(self, jql: str) -> AsyncIterator[Hit]:
        dialect = await self.dialect()
        # One parameter for all fields: not every server takes it several times.
        query = {"jql": jql, "maxResults": str(PAGE), "fields": "labels,creator,created"}
        seen, more = 0, dict[str, str]()
        for _ in range(MOST_PAGES):
            answer = mapping(await self._get(dialect.search, query | more))
            issues = answer.get("issues")
            if not isinstance(issues, list):
                raise self._http.gibberish()
            for issue in issues:
                yield hit(mapping(issue))
            seen += len(issues)
            following = dialect.next_page(answer, seen) if issues else None
            if following is None:
                break
            more = following

    def room(self) -> AbstractContextManager[None]:
        """Room for one ticket to be created; see Gate. Raises Limited."""
        return self.gate.room()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()

    async def _ways(self, key: str) -> list[Mapping[str, Any]]:
        answer = mapping(await self._get(f"/issue/{key}/transitions", {"expand": "transitions.fields"}))
        return [mapping(way) for way in answer.get("transitions") or ()]

    async def _link_type(self, kind: str) -> str:
        """The type of link to use: the one asked for, else the plain one or what stands for it, else the first."""
        if self._links is None:
            kinds = [mapping(each) for each in mapping(await self._get("/issueLinkType")).get("issueLinkTypes") or ()]
            even = [str(each.get("name")) for each in kinds if each.get("inward") == each.get("outward")]
            self._links = even + [str(each.get("name")) for each in kinds]
        return next((name for name in (kind, LINK) if name in self._links), self._links[0] if self._links else kind)

    async def _pages(self, path: str, name: str) -> AsyncIterator[Mapping[str, Any]]:
        """The entries of a list that comes in pages by number."""
        seen = 0
        for _ in range(MOST_PAGES):
            answer = mapping(await self._get(path, {"startAt": str(seen), "maxResults": str(PAGE)}))
            entries = [mapping(each) for each in answer.get(name) or ()]
            for entry in entries:
                yield entry
            seen += len(entries)
            if not entries or seen >= int(answer.get("total") or 0):
                break

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """What Jira has at a path below that of its API."""
        return await self._get(path, query)

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        return await self._http.get((await self.dialect()).api + path, query)

    async def _send(self, method: str, path: str, body: Any, may: Callable[[], bool] = lambda: True) -> Any:
        return await self._http.send(method, (await self.dialect()).api + path, body, may=may)

    async def _edit(self, key: str, fields: Mapping[str, Any]) -> None:
        await self._send("PUT", f"/issue/{key}", {"fields": dict(fields)})


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _words(text: str) -> str:
    """Text for comparison: servers change white space."""
    return " ".join(text.split())
