"""A proxy for the double of Data Center that checks requests as strictly as Data Center does, and then may fail.

The double takes any token, and fields that no Jira has; it has create metadata of the older form only. Here requests
are checked first, and create metadata is that of Data Center 8.4 and later; `older` leaves it to the double.
"""

from __future__ import annotations

import re
from email import message_from_bytes
from typing import Any

from aiohttp import web

from tests.servers.fault_proxy import FaultProxy
from tests.servers.jira_rules import TEXT_LIMIT, TOO_LONG, FieldRule, RefusedError, check, demand, screen

ISSUE = "/rest/api/2/issue"


class StrictJira(FaultProxy):
    """`projects` are the screens by key of the project, `types` the issue types, `people` who can be assigned."""

    def __init__(self, target: str, project: str = "BUILD") -> None:
        super().__init__(target)
        self.projects: dict[str, dict[str, FieldRule]] = {project: screen()}
        self.types = {"Bug": "1", "Task": "3"}
        self.people = {"dev1": ("Ann Dev", "ann@example.com")}
        self.accepted: set[str] | None = None
        self.archived: set[str] = set()
        self.older = False
        self.files: tuple[bool, int] = (True, 1_000_000)  # whether files are taken, and up to how many bytes
        self.unfiled: set[str] = set()  # projects in which we may not attach any

    async def _forward(self, request: web.Request) -> web.Response:
        try:
            if answer := await self._checked(request):
                return answer
        except RefusedError as error:
            return error.answer()
        return await super()._forward(request)

    async def _checked(self, request: web.Request) -> web.Response | None:
        """An answer of the proxy's own, or None for what the double is asked. Raises RefusedError."""
        if self.accepted is not None and request.headers.get("Authorization", "") not in self.accepted:
            raise RefusedError(401, "You are not authenticated. Authentication required to perform this operation.")
        if not request.path.startswith("/rest/api/2/"):
            raise RefusedError(404, "null for uri: " + request.path)
        if not self.older and (
            found := re.fullmatch(f"{ISSUE}/createmeta/([^/]+)/issuetypes(?:/([^/]+))?", request.path)
        ):
            return self._meta(found[1], found[2], request)
        if request.path == "/rest/api/2/user/assignable/search":
            return self._assignable(request)
        if request.path == "/rest/api/2/attachment/meta":
            return web.json_response({"enabled": self.files[0], "uploadLimit": self.files[1]})
        if request.path == "/rest/api/2/mypermissions":
            may = request.query.get("projectKey") not in self.unfiled  # it names all rights, whatever is asked
            told = {"CREATE_ISSUES": True, "CREATE_ATTACHMENTS": may}
            return web.json_response({"permissions": {name: {"havePermission": has} for name, has in told.items()}})
        if request.path.endswith("/attachments"):
            await self._file(request)
        elif request.method in {"POST", "PUT"}:
            self._body(request.method, request.path, await request.json())
        return None

    def _body(self, method: str, path: str, body: Any) -> None:
        if path == ISSUE:
            self._create(body["fields"])
        elif method == "PUT":
            key = path.rpartition("/")[2].rpartition("-")[0]
            check(self.projects[key], body["fields"], text=markup, person=self._person)
        elif path.endswith("/comment") and (said := markup(body.get("body"))):
            raise RefusedError(400, comment=said)

    async def _file(self, request: web.Request) -> None:
        if request.path.split("/")[-2].rpartition("-")[0] in self.unfiled:
            raise RefusedError(403, "You do not have permission to create attachments for this issue.")
        if request.headers.get("X-Atlassian-Token") not in {"no-check", "nocheck"}:
            raise RefusedError(403, "XSRF check failed")
        if not self.files[0]:
            raise RefusedError(404, "Attachments are disabled.")
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()  # the body is forwarded: read whole
        parts = [part for part in message_from_bytes(head + await request.read()).walk() if not part.is_multipart()]
        if not parts or any(part.get_param("name", header="content-disposition") != "file" for part in parts):
            raise RefusedError(400, "The name of each part must be file.")
        if any(len(part.get_payload(decode=True)) > self.files[1] for part in parts):
            raise RefusedError(413, "The attachment exceeds its maximum permitted size.")

    def _create(self, fields: dict[str, Any]) -> None:
        rules = self.projects.get(str(fields["project"].get("key")))
        if rules is None or fields["project"]["key"] in self.archived:
            raise RefusedError(400, project="project is required")
        kind = fields["issuetype"]
        if kind.get("name") not in self.types and kind.get("id") not in self.types.values():
            raise RefusedError(400, issuetype="issue type is required")
        check(rules, fields, text=markup, person=self._person)
        demand(rules, fields)

    def _person(self, value: Any) -> str:
        name = value.get("name") if isinstance(value, dict) and set(value) == {"name"} else None
        return "" if name in self.people else f"User '{name}' does not exist."

    def _meta(self, project: str, kind: str | None, request: web.Request) -> web.Response:
        if project not in self.projects or project in self.archived:
            raise RefusedError(404, f"Project '{project}' does not exist or you don't have permission to view it.")
        if kind is not None and kind not in self.types.values():
            raise RefusedError(404, "Issue type does not exist.")
        types = [{"id": each, "name": name, "subtask": False} for name, each in self.types.items()]
        values = types if kind is None else [rule.meta() for rule in self.projects[project].values()]
        start = int(request.query.get("startAt", 0))
        page = values[start : start + int(request.query.get("maxResults", 50))]
        last = start + len(page) >= len(values)
        return web.json_response({"values": page, "startAt": start, "total": len(values), "isLast": last})

    def _assignable(self, request: web.Request) -> web.Response:
        wanted = str(request.query.get("username", "")).lower()
        people = [
            {"name": name, "key": name, "displayName": shown, "emailAddress": email}
            for name, (shown, email) in self.people.items()
            if wanted in f"{name} {shown} {email}".lower()
        ]
        return web.json_response(people)


def markup(value: Any) -> str:
    """What is wrong with a text, which is markup here."""
    if not isinstance(value, str):
        return "Operation value must be a string"
    return TOO_LONG if len(value.encode("utf-16-le")) > 2 * TEXT_LIMIT else ""
