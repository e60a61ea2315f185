"""What Jira's error answers say: which error they are, how long to wait, which fields are to blame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Final

import orjson

from processor.errors import FaultstreamError
from processor.tickets.jira.errors import Refused, Unavailable, Unsettled

LONGEST_WAIT_S: Final = 3600.0
"""Most seconds that a server's wish to wait is obeyed for at once."""


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
    status, said = answer.status, message(answer)
    if 300 <= status < 400:
        return Unavailable(f"Jira at {url} redirects: check jira.url")
    if status == 429:
        reason = answer.headers.get("RateLimit-Reason") or answer.headers.get("X-RateLimit-Reason")
        reason = f"; {' '.join(reason.split())[:80]}" if reason else ""
        return Unavailable(f"Jira limits the rate of requests (429{said}{reason})", wait=retry_after(answer))
    if 400 <= status < 500 and status != 408:
        return Refused(f"Jira answered {status}{said}", status=status, fields=blamed(answer))
    kind = Unsettled if write else Unavailable
    return kind(f"Jira at {url} is not well ({status}{said})", wait=retry_after(answer))


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


def retry_after(answer: Answer) -> float | None:
    """Seconds that `Retry-After` asks for, which is a number or an HTTP date (RFC 9110, 10.2.3); at most an hour."""
    value = (answer.headers.get("Retry-After") or "").strip()
    if not value:
        return None
    try:
        number = value.replace(".", "", 1).isdigit()
        seconds = float(value) if number else parsedate_to_datetime(value).timestamp() - time()
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S)


def _body(answer: Answer) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
