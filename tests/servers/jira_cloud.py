"""A double of Jira Cloud that keeps state and refuses what the real one refuses.

REST v3 only: texts are ADF, people are account ids, the search lags and comes in pages by token, transitions have
names in the account's language, and each change is in the issue's history. It runs in the test's own event loop. With
an OpenAPI document it checks each request against it and keeps what it finds in `strange`.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import web

from tests.servers import adf_rules
from tests.servers.jira_rules import TEXT_LIMIT, TOO_LONG, FieldRule, RefusedError, check, demand, screen
from tests.servers.openapi import OpenApi

STATUSES = {
    "10": ("Zu erledigen", "new"),
    "11": ("In Arbeit", "indeterminate"),
    "12": ("Fertig", "done"),
}
RESOLUTION = "Fertig"
WAYS = {"21": ("Wieder öffnen", "10"), "31": ("Beginnen", "11"), "41": ("Abschließen", "12")}


@dataclass
class Project:
    """A project with its issue types, by name, and its screen."""

    key: str
    types: dict[str, str] = field(default_factory=lambda: {"Bug": "10001", "Task": "10002"})
    fields: dict[str, FieldRule] = field(default_factory=screen)
    archived: bool = False
    closed: bool = False  # to us: no permission to create
    issues: int = 0


@dataclass
class User:
    """An account."""

    display: str
    email: str = ""
    account: str = field(default_factory=lambda: uuid.uuid4().hex[:24])
    assignable: bool = True

    def json(self) -> dict[str, Any]:
        """As answers have it; most people hide their address."""
        return {"accountId": self.account, "accountType": "atlassian", "active": True, "displayName": self.display}


@dataclass
class File:
    """An attachment."""

    name: str
    data: bytes
    kind: str
    author: User


@dataclass
class Issue:
    """An issue."""

    key: str
    fields: dict[str, Any]
    creator: User
    created: float
    updated: float
    comments: list[dict[str, Any]] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    status: str = "10"
    resolved: float | None = None
    busy: bool = False


class JiraCloud:
    """`async with JiraCloud() as jira`: the address is `jira.url`; `accepted` are the values of `Authorization`."""

    def __init__(self, api: OpenApi | None = None, *, lag_s: float = 0.0) -> None:
        self._api = api
        self._runner: web.AppRunner | None = None
        self.lag_s = lag_s
        self.url = ""
        self.me = User("Faultstream")
        self.users = {self.me.account: self.me}
        self.projects: dict[str, Project] = {"BUILD": Project("BUILD")}
        self.issues: dict[str, Issue] = {}
        self.accepted: set[str] | None = None
        self.seen: list[tuple[str, str]] = []
        self.authorisations: list[str] = []
        self.strange: list[str] = []
        self.cloud_id = uuid.uuid4().hex
        self.site = ""
        self.lists = True  # whether a token is told which sites it is good for
        self.budget: int | None = None  # requests until the rate limit
        self.page = 100
        self.people: dict[str, User] = {}  # by the value of `Authorization`; everybody else is `me`
        self.files: tuple[bool, int] = (True, 1_000_000)  # whether files are taken, and up to how many bytes
        self.unfiled: set[str] = set()  # projects in which we may not attach any
        self._by = self.me  # whose request is answered
        self._moved: dict[str, str] = {}  # by the key that an issue had: the one that it has

    async def __aenter__(self) -> Self:
        """Listens on a free port of loopback."""
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Stops."""
        if self._runner is not None:
            await self._runner.cleanup()

    def user(self, display: str, email: str = "", *, assignable: bool = True) -> User:
        """A new account."""
        made = User(display, email, assignable=assignable)
        self.users[made.account] = made
        return made

    def move(self, key: str, project: str) -> str:
        """Somebody moves an issue to another project; its new key. By the old one it is found as before."""
        issue = self.issues.pop(key)
        self.projects[project].issues += 1
        issue.key = self._moved[key] = f"{project}-{self.projects[project].issues}"
        self.issues[issue.key] = issue
        return issue.key

    def count(self, method: str, path: str) -> int:
        """How many requests of the method to a path that ends so have come."""
        return sum(1 for seen in self.seen if seen[0] == method and seen[1].endswith(path))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/oauth/token/accessible-resources":
            return self._sites(request)
        if request.path == "/_edge/tenant_info":
            return web.json_response({"cloudId": self.cloud_id})
        path = request.path.removeprefix(f"/ex/jira/{self.cloud_id}")
        self.seen.append((request.method, path))
        self.authorisations.append(request.headers.get("Authorization", ""))
        try:
            return await self._done(request, path)
        except RefusedError as error:
            return error.answer()

    def _sites(self, request: web.Request) -> web.Response:
        """The gateway's list of the sites that a token is good for."""
        if self.accepted is not None and request.headers.get("Authorization", "") not in self.accepted:
            return web.Response(status=401)
        if not self.lists:
            return web.json_response([])
        other = {"id": uuid.uuid4().hex, "url": "https://other.example.com"}
        return web.json_response([other, {"id": self.cloud_id, "url": f"{self.site}/"}])

    async def _done(self, request: web.Request, path: str) -> web.StreamResponse:
        if self.accepted is not None and request.headers.get("Authorization", "") not in self.accepted:
            raise RefusedError(401, "Client must be authenticated to access this resource.")
        if self.budget is not None:
            self.budget -= 1
            if self.budget < 0:
                headers = {"Retry-After": "7", "RateLimit-Reason": "jira-burst-based", "X-RateLimit-Remaining": "0"}
                raise RefusedError(429, "Rate limit exceeded.", headers=headers)
        body = await self._body(request)
        self._by = self.people.get(request.headers.get("Authorization", ""), self.me)
        if self._api is not None:
            wrong = self._api.wrong(request.method, path, list(request.query.items()), body, request.content_type)
            self.strange += [f"{request.method} {path}: {each}" for each in wrong]
        for method, pattern, handler in self._routes():
            if method == request.method and (found := re.fullmatch(f"/rest/api/3{pattern}", path)):
                status, answer = await handler(body, request.query, *found.groups())
                return web.json_response(answer, status=status) if answer is not None else web.Response(status=status)
        raise RefusedError(404, "null for uri: " + path)

    async def _body(self, request: web.Request) -> Any:
        if not request.can_read_body:
            return None
        if request.content_type == "multipart/form-data":
            if request.headers.get("X-Atlassian-Token") != "no-check":
                raise RefusedError(403, "XSRF check failed")
            return await request.post()
        if request.content_type != "application/json":
            raise RefusedError(415, "Unsupported Media Type")
        return await request.json()

    def _routes(self) -> list[tuple[str, str, Callable[..., Awaitable[tuple[int, Any]]]]]:
        return [
            ("GET", "/serverInfo", self._info),
            ("GET", "/myself", self._myself),
            ("POST", "/issue", self._create),
            ("GET", "/issue/createmeta/([^/]+)/issuetypes", self._types),
            ("GET", "/issue/createmeta/([^/]+)/issuetypes/([^/]+)", self._fields),
            ("GET", "/issue/([^/]+)", self._issue),
            ("PUT", "/issue/([^/]+)", self._edit),
            ("GET", "/issue/([^/]+)/comment", self._comments),
            ("POST", "/issue/([^/]+)/comment", self._comment),
            ("GET", "/issue/([^/]+)/changelog", self._changes),
            ("POST", "/issue/([^/]+)/attachments", self._attach),
            ("GET", "/attachment/meta", self._attaching),
            ("GET", "/field", self._known_fields),
            ("GET", "/mypermissions", self._rights),
            ("GET", "/issue/([^/]+)/transitions", self._ways),
            ("POST", "/issue/([^/]+)/transitions", self._move),
            ("GET", "/priority", self._priorities),
            ("GET", "/issueLinkType", self._link_types),
            ("POST", "/issueLink", self._link),
            ("GET", "/search/jql", self._search),
            ("GET", "/user/assignable/search", self._assignable),
            ("GET", "/project/([^/]+)", self._project),
        ]

    async def _info(self, _body: Any, _query: Any) -> tuple[int, Any]:
        return 200, {"deploymentType": "Cloud", "version": "1001.0.0-SNAPSHOT", "versionNumbers": [1001, 0, 0]}

    async def _myself(self, _body: Any, _query: Any) -> tuple[int, Any]:
        return 200, self._by.json()

    async def _create(self, body: Any, _query: Any) -> tuple[int, Any]:
        fields = dict((body or {}).get("fields") or {})
        project = self.projects.get(str((fields.get("project") or {}).get("key")))
        if project is None or project.archived:
            raise RefusedError(400, project="valid project is required")
        if project.closed:
            raise RefusedError(403, "You do not have permission to create issues in this project.")
        kind = fields.get("issuetype") or {}
        if kind.get("name") not in project.types and kind.get("id") not in project.types.values():
            raise RefusedError(400, issuetype="Specify a valid issue type")
        self._check(project, fields)
        demand(project.fields, fields)
        project.issues += 1
        key = f"{project.key}-{project.issues}"
        self.issues[key] = Issue(key, fields, self._by, time.time(), time.time())
        return 201, {"id": str(10_000 + project.issues), "key": key, "self": f"{self.url}/rest/api/3/issue/{key}"}

    def _check(self, project: Project, fields: dict[str, Any]) -> None:
        check(project.fields, fields, text=document, person=self._person)

    def _person(self, value: Any) -> str:
        account = value.get("accountId") or value.get("id") if isinstance(value, dict) else None
        user = self.users.get(str(account))
        if user is None:
            return "Specify a valid account id for assignee"
        return "" if user.assignable else f"User '{user.account}' cannot be assigned issues."

    def _held(self, key: str) -> Issue:
        key = self._moved.get(key, key)
        if key not in self.issues:
            raise RefusedError(404, "Issue does not exist or you do not have permission to see it.")
        return self.issues[key]

    async def _issue(self, _body: Any, query: Any, key: str) -> tuple[int, Any]:
        return 200, self._shown(self._held(key), query.get("fields", "*all"))

    def _shown(self, issue: Issue, wanted: str) -> dict[str, Any]:
        name, kind = STATUSES[issue.status]
        fields = issue.fields | {
            "creator": issue.creator.json(),
            "created": _when(issue.created),
            "updated": _when(issue.updated),
            "status": {"id": issue.status, "name": name, "statusCategory": {"key": kind, "id": 2}},
            "resolution": {"id": "1", "name": RESOLUTION} if issue.resolved else None,
            "resolutiondate": _when(issue.resolved) if issue.resolved else None,
            "issuelinks": issue.links,
            "attachment": [
                {
                    "id": str(at),
                    "filename": each.name,
                    "size": len(each.data),
                    "mimeType": each.kind,
                    "author": each.author.json(),
                }
                for at, each in enumerate(issue.files)
            ],
        }
        names = wanted.split(",")
        kept = fields if "*all" in names else {each: value for each, value in fields.items() if each in names}
        return {"id": issue.key.rpartition("-")[2], "key": issue.key, "fields": kept}

    async def _edit(self, body: Any, _query: Any, key: str) -> tuple[int, Any]:
        issue = self._held(key)
        project = self.projects[issue.key.rpartition("-")[0]]
        if project.archived:
            raise RefusedError(400, "The project is archived; its issues can't be edited.")
        self._check(project, body.get("fields") or {})
        before = dict(issue.fields)
        issue.fields |= body.get("fields") or {}
        self.changed(issue, {name: (before.get(name), issue.fields[name]) for name in body.get("fields") or {}})
        return 204, None

    def changed(self, issue: Issue, fields: dict[str, tuple[Any, Any]]) -> None:
        """Notes a change of fields, each from what to what, in the issue's history."""
        issue.updated = time.time()
        items = [
            {"field": name, "fieldId": name, "fieldtype": "jira", "fromString": _shown(old), "toString": _shown(new)}
            for name, (old, new) in fields.items()
            if old != new
        ]
        if items:
            number = str(len(issue.history) + 1)
            entry = {"id": number, "author": self._by.json(), "created": _when(issue.updated), "items": items}
            issue.history.append(entry)

    async def _changes(self, _body: Any, query: Any, key: str) -> tuple[int, Any]:
        answer = self._paged(self._held(key).history, "values", query)
        return 200, answer | {"isLast": answer["startAt"] + len(answer["values"]) >= answer["total"]}

    async def _known_fields(self, _body: Any, _query: Any) -> tuple[int, Any]:
        known = {rule.id: rule for project in self.projects.values() for rule in project.fields.values()}
        return 200, [{"id": each.id, "key": each.id, "name": each.name} for each in known.values()]

    async def _rights(self, _body: Any, query: Any) -> tuple[int, Any]:
        key = query.get("projectKey", "")
        closed = self._visible(key).closed
        wanted = query.get("permissions", "").split(",")
        denied = {"CREATE_ISSUES"} if closed else set[str]()
        denied |= {"CREATE_ATTACHMENTS"} if key in self.unfiled else set()
        said = {name: {"key": name, "havePermission": name not in denied} for name in wanted}
        return 200, {"permissions": said}

    async def _attaching(self, _body: Any, _query: Any) -> tuple[int, Any]:
        enabled, limit = self.files
        return 200, {"enabled": enabled, "uploadLimit": limit}

    async def _attach(self, body: Any, _query: Any, key: str) -> tuple[int, Any]:
        issue, parts = self._held(key), body.getall("file", []) if hasattr(body, "getall") else []
        if not self.files[0]:
            raise RefusedError(404, "Attachments are disabled.")
        if key.rpartition("-")[0] in self.unfiled:
            raise RefusedError(403, "You do not have permission to create attachments for this issue.")
        if not parts or len(body) != len(parts):
            raise RefusedError(400, "The name of each part must be file.")
        made = [File(each.filename, each.file.read(), each.content_type, self._by) for each in parts]
        if any(len(each.data) > self.files[1] for each in made):
            raise RefusedError(413, "The attachment exceeds its maximum permitted size.")
        issue.files += made
        self.changed(issue, {"Attachment": (None, made[0].name)})
        return 200, [{"filename": each.name, "size": len(each.data)} for each in made]

    async def _comments(self, _body: Any, query: Any, key: str) -> tuple[int, Any]:
        comments, start = self._held(key).comments, int(query.get("startAt", 0))
        page = comments[start : start + min(int(query.get("maxResults", 100)), self.page)]
        return 200, {"comments": page, "startAt": start, "maxResults": self.page, "total": len(comments)}

    async def _comment(self, body: Any, _query: Any, key: str) -> tuple[int, Any]:
        issue = self._held(key)
        if said := document(body.get("body")):
            raise RefusedError(400, comment=said)
        comment = {"id": str(len(issue.comments) + 1), "author": self._by.json(), "body": body["body"]}
        issue.comments.append(comment)
        issue.updated = time.time()
        return 201, comment

    async def _ways(self, _body: Any, _query: Any, key: str) -> tuple[int, Any]:
        issue = self._held(key)
        ways = [(way, name, to) for way, (name, to) in WAYS.items() if to != issue.status]
        shown = [
            {
                "id": way,
                "name": name,
                "to": {"id": to, "name": STATUSES[to][0], "statusCategory": {"key": STATUSES[to][1]}},
                "fields": {},
            }
            for way, name, to in ways
        ]
        return 200, {"transitions": shown}

    async def _move(self, body: Any, _query: Any, key: str) -> tuple[int, Any]:
        issue, way = self._held(key), str(body["transition"].get("id", ""))
        if way not in WAYS or WAYS[way][1] == issue.status:
            raise RefusedError(400, f"Transition id '{way}' is not valid for this issue.")
        if issue.busy:
            raise RefusedError(409, "The issue is being moved by another request.")
        before, resolved = STATUSES[issue.status][0], RESOLUTION if issue.resolved else None
        issue.status = WAYS[way][1]
        issue.resolved = time.time() if STATUSES[issue.status][1] == "done" else None
        after = {"status": (before, STATUSES[issue.status][0])}
        self.changed(issue, after | {"resolution": (resolved, RESOLUTION if issue.resolved else None)})
        return 204, None

    async def _priorities(self, _body: Any, _query: Any) -> tuple[int, Any]:
        return 200, screen()["priority"].allowed

    async def _link_types(self, _body: Any, _query: Any) -> tuple[int, Any]:
        kinds = [
            {"id": "1", "name": "Duplicate", "inward": "is duplicated by", "outward": "duplicates"},
            {"id": "2", "name": "Relates", "inward": "relates to", "outward": "relates to"},
        ]
        return 200, {"issueLinkTypes": kinds}

    async def _link(self, body: Any, _query: Any) -> tuple[int, Any]:
        inward, outward = self._held(body["inwardIssue"]["key"]), self._held(body["outwardIssue"]["key"])
        if body["type"].get("name") not in {"Relates", "Duplicate"}:
            raise RefusedError(404, "No issue link type with that name.")
        if not any(link.get("outwardIssue", {}).get("key") == outward.key for link in inward.links):
            inward.links.append({"type": body["type"], "outwardIssue": {"key": outward.key}})
            outward.links.append({"type": body["type"], "inwardIssue": {"key": inward.key}})
        return 201, None

    async def _search(self, _body: Any, query: Any) -> tuple[int, Any]:
        known = [each for each in self._found(query["jql"]) if each.created + self.lag_s <= time.time()]
        start = int(query.get("nextPageToken", "t0")[1:])
        end = start + min(int(query.get("maxResults", 50)), self.page)
        answer = {"issues": [self._shown(each, query.get("fields", "id")) for each in known[start:end]]}
        last = end >= len(known)
        return 200, answer | {"isLast": last} | ({} if last else {"nextPageToken": f"t{end}"})

    def _found(self, jql: str) -> list[Issue]:
        """What a query names, in its order; it must be one of those that are understood here."""
        if several := re.fullmatch(r'labels in \(("[\w-]+"(?:, "[\w-]+")*)\) ORDER BY created ASC', jql):
            wanted = set(re.findall(r'"([\w-]+)"', several[1]))
            return [each for each in self.issues.values() if wanted & set(each.fields.get("labels", ()))]
        asked = re.fullmatch(
            r'(?:project = "(?P<project>\w+)" AND )?(?:labels = "(?P<label>(?:[^"\\]|\\.)*)"|creator = currentUser\(\))'
            r"(?: AND updated >= -(?P<minutes>\d+)m)? ORDER BY (?P<by>created|updated) (?P<order>ASC|DESC)",
            jql,
        )
        if asked is None:
            raise RefusedError(400, "Error in the JQL Query: it is unbounded, or not understood.")
        project, label, minutes = asked["project"], asked["label"], asked["minutes"]
        if project is not None and project not in self.projects:
            raise RefusedError(400, f"The value '{project}' does not exist for the field 'project'.")
        found = [each for each in self.issues.values() if project in {None, each.key.rpartition("-")[0]}]
        if label is None:
            found = [each for each in found if each.creator is self._by]
        else:
            plain = re.sub(r"\\(.)", r"\1", label)
            found = [each for each in found if plain in each.fields.get("labels", ())]
        if minutes is not None:
            found = [each for each in found if each.updated >= time.time() - 60 * int(minutes)]
        found.sort(key=lambda each: each.created if asked["by"] == "created" else each.updated)
        return found if asked["order"] == "ASC" else found[::-1]

    def _visible(self, key: str) -> Project:
        project = self.projects.get(key)
        if project is None or project.archived:
            raise RefusedError(404, f"No project could be found with key '{key}'.")
        return project

    async def _types(self, _body: Any, query: Any, key: str) -> tuple[int, Any]:
        types = [{"id": each, "name": name, "subtask": False} for name, each in self._visible(key).types.items()]
        return 200, self._paged(types, "issueTypes", query)

    async def _fields(self, _body: Any, query: Any, key: str, kind: str) -> tuple[int, Any]:
        project = self._visible(key)
        if kind not in project.types.values():
            raise RefusedError(400, "The issue type is not one of the project.")
        return 200, self._paged([rule.meta() for rule in project.fields.values()], "fields", query)

    def _paged(self, entries: list[Any], name: str, query: Any) -> dict[str, Any]:
        start, most = int(query.get("startAt", 0)), int(query.get("maxResults", 50))
        if most > 200:
            raise RefusedError(400, "Parameter 'maxResults' must not exceed the limit '200'")
        page = entries[start : start + min(most, self.page)]
        return {name: page, "startAt": start, "maxResults": most, "total": len(entries)}

    async def _assignable(self, _body: Any, query: Any) -> tuple[int, Any]:
        wanted = str(query.get("query", "")).lower()
        people = [each for each in self.users.values() if each.assignable]
        return 200, [each.json() for each in people if wanted in f"{each.display} {each.email}".lower()]

    async def _project(self, _body: Any, _query: Any, key: str) -> tuple[int, Any]:
        project = self._visible(key)
        return 200, {"id": "1", "key": project.key, "name": project.key, "archived": project.archived}


def document(value: Any) -> str:
    """What is wrong with a text, which is ADF here."""
    if said := adf_rules.wrong(value):
        return said[0]
    size = sum(len(text) for _, text in adf_rules.texts(value))
    return TOO_LONG if size > TEXT_LIMIT else ""


def _shown(value: Any) -> str | None:
    """A field's value as the history has it."""
    if value in (None, "", []):
        return None
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value.get("name") or value.get("value") or value) if isinstance(value, dict) else str(value)


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
