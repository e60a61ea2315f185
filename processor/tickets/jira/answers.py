"""What Jira's error answers say: which error they are, how long to wait, which fields are to blame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Any

import orjson

from processor.errors import FaultstreamError
from processor.tickets.jira.errors import Limited, Refused, Unavailable, Unsettled
from processor.tickets.jira.limits import read


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    def json(self) -> Any:
        """The JSON in it, None if it is empty. Raises ValueError for what is no JSON."""
        return orjson.loads(self.data) if self.data.strip() else None

    @property
    def fine(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    @property
    def locked_out(self) -> bool:
        """Whether it says that the credentials are not accepted."""
        names = [name.lower() for name in self.headers]
        denied = any("denied-reason" in name or "loginreason" in name for name in names)
        return self.status == 401 or (self.status == 403 and denied)


def told(answer: Answer, url: str, *, write: bool) -> FaultstreamError:
    """What an answer with an error status means, credentials apart."""
    status, said, limits = answer.status, message(answer), read(answer.headers, time())
    if 300 <= status < 400:
        return Unavailable(f"Jira at {url} redirects: check jira.url")
    if status == 429:
        reason = f"; {limits.reason}" if limits.reason else ""
        return Limited(f"Jira limits the rate of requests (429{said}{reason})", wait=limits.wait_s)
    if 400 <= status < 500 and status != 408:
        return Refused(f"Jira answered {status}{said}", status=status, fields=blamed(answer), explained=bool(said))
    kind = Unsettled if write else Unavailable
    return kind(f"Jira at {url} is not well ({status}{said})", wait=limits.wait_s)


def blamed(answer: Answer) -> dict[str, str]:
    """The fields that the answer complains of, each with what it says."""
    errors = _body(answer).get("errors")
    return {str(name): str(text) for name, text in errors.items()} if isinstance(errors, dict) else {}


def message(answer: Answer) -> str:
    """What Jira said, one line, at most 300 characters; nothing for an answer that is not Jira's JSON."""
    body = _body(answer)
    general = body.get("errorMessages") or body.get("message") or []
    said = [str(text) for text in general] if isinstance(general, list) else [str(general)]
    said += [f"{name}: {text}" for name, text in blamed(answer).items()]
    line = " ".join("; ".join(said).split())[:300]
    return f": {line}" if line else ""


def _body(answer: Answer) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
