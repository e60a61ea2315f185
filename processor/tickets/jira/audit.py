"""The audit log: a line for each request that changes Jira, with what was changed and no text of it."""

from __future__ import annotations

import re
from typing import Any, Final

import structlog

from processor.tickets.jira.answers import Answer
from processor.tickets.jira.issues import mapping
from processor.tickets.jira.kinds import FINGERPRINT, Kind
from processor.tickets.jira.upload import Upload

log = structlog.get_logger(__name__)

_PATH: Final = re.compile(
    r"/rest/api/[^/]+/(?P<what>[A-Za-z]+)(?:/(?P<key>[A-Z][A-Z0-9_]*-\d+))?(?:/(?P<part>[A-Za-z]+))?"
)


def about(method: str, path: str) -> tuple[Kind, str | None]:
    """The rank of a request, and the issue that it is about."""
    found = _PATH.match(path)
    return Kind.EDIT if method == "PUT" else Kind.CREATE, found["key"] if found else None


def write_down(method: str, path: str, body: Any, outcome: str, answer: Answer | None = None) -> None:
    """Logs a request that changes something: method, issue, names of fields, fault, and what came of it."""
    found = _PATH.match(path)
    if method == "GET" or found is None:
        return
    log.info(
        "jira was asked for a change",
        action="audit",
        method=method,
        what=found["part"] or found["what"],
        key=found["key"] or _made(answer),
        fields=_fields(body),
        fingerprint=FINGERPRINT.get(),
        outcome=outcome,
    )


def _fields(body: Any) -> list[str]:
    """Names of what the body sets, or of the file that it is; none of another body that is no JSON."""
    if isinstance(body, Upload):
        return [body.name]
    sent = mapping(body)
    inner = [mapping(sent.get(name)) for name in ("fields", "update") if name in sent]
    return sorted(str(name) for part in inner or [sent] for name in part)


def _made(answer: Answer | None) -> str | None:
    """The key that a new issue got."""
    if answer is None or not answer.fine:
        return None
    try:
        key = mapping(answer.json()).get("key")
    except ValueError:
        return None
    return key if isinstance(key, str) else None
