"""What differs between Jira Cloud and Data Center: paths, texts, users, the search.

Cloud: REST v3 with texts as Atlassian Document Format (developer.atlassian.com/cloud/jira/platform/rest/v3).
Data Center: REST v2 with wiki markup (developer.atlassian.com/server/jira/platform/rest).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from processor.tickets import adf, fit, wiki
from processor.tickets.document import Document, of
from processor.tickets.jira.issues import mapping

PAGE: Final = 100
"""Most entries that are asked for at once; both Jiras allow as many everywhere."""

ACCOUNT_ID: Final = r"[0-9]+:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{24}"
"""What the ids of accounts look like on Cloud, so that they need no look-up."""


class Dialect(Protocol):
    """How one of the two Jiras is spoken to."""

    api: str
    """What paths begin with."""
    search: str
    """Path of the search below `api`."""
    handle: str
    """What users are named by in requests."""
    asks_users: str
    """Parameter of the look-up of users."""

    def written(self, text: Document | str) -> Any:
        """A description or comment as requests carry it, within Jira's limit."""

    def read(self, raw: Any) -> str:
        """The text of a description or comment as answers carry it."""

    def reworded(self, raw: Any, old: str, new: str) -> Any:
        """A description with the sentence `old` said as `new`; None unless it stands there exactly once."""

    def next_page(self, answer: Mapping[str, Any], seen: int) -> dict[str, str] | None:
        """Parameters of the next page of a search of which `seen` issues were read; None after the last."""


class DataCenter:
    """REST v2."""

    api = "/rest/api/2"
    search = "/search"
    handle = "name"
    asks_users = "username"

    def written(self, text: Document | str) -> str:
        """Wiki markup."""
        return wiki.wiki(fit.fitted(of(text), wiki.size))

    def read(self, raw: Any) -> str:
        """The markup, with the line ends that it was sent with."""
        return str(raw or "").replace("\r\n", "\n").strip()

    def reworded(self, raw: Any, old: str, new: str) -> str | None:
        """The markup with the other sentence."""
        text = self.read(raw)
        return text.replace(old, new) if old and text.count(old) == 1 else None

    def next_page(self, answer: Mapping[str, Any], seen: int) -> dict[str, str] | None:
        """By number, up to the total."""
        return {"startAt": str(seen)} if seen < int(answer.get("total") or 0) else None


class Cloud:
    """REST v3."""

    api = "/rest/api/3"
    search = "/search/jql"
    handle = "accountId"
    asks_users = "query"

    def written(self, text: Document | str) -> dict[str, Any]:
        """ADF."""
        return adf.adf(fit.fitted(of(text), adf.size))

    def read(self, raw: Any) -> str:
        """All texts, blocks parted by empty lines, whatever nodes people have added."""
        return raw.strip() if isinstance(raw, str) else adf.plain(mapping(raw)).strip()

    def reworded(self, raw: Any, old: str, new: str) -> Any:
        """The same document, in which one text says something else."""
        return adf.replaced(mapping(raw), old, new) if old else None

    def next_page(self, answer: Mapping[str, Any], seen: int) -> dict[str, str] | None:  # noqa: ARG002  the protocol's
        """By the token of the answer."""
        token = answer.get("nextPageToken")
        return {"nextPageToken": str(token)} if token and not answer.get("isLast") else None
