"""What the account may do in a project, as far as Jira tells: a server that only looks like one may not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

from processor.tickets.jira.errors import Refused
from processor.tickets.jira.issues import mapping

ATTACH: Final = "CREATE_ATTACHMENTS"

Get = Callable[[str, Mapping[str, str]], Awaitable[Any]]


async def rights(get: Get, project: str, wanted: Collection[str]) -> dict[str, bool]:
    """Whether the account has these rights; without those of which nothing is told. Raises Refused, Unavailable."""
    answer = mapping(await get("/mypermissions", {"projectKey": project, "permissions": ",".join(wanted)}))
    told = mapping(answer.get("permissions"))
    return {name: mapping(told[name]).get("havePermission") is not False for name in wanted if name in told}


async def may_attach(get: Get, project: str) -> bool:
    """Whether tickets of a project may get files, where nothing speaks against it. Raises Unavailable."""
    try:
        return (await rights(get, project, [ATTACH])).get(ATTACH, True)
    except Refused:  # not told; what is wrong with the project itself is told where tickets are asked for
        return True
