"""What Jira's answers mean for who asked."""

from __future__ import annotations

from collections.abc import Mapping

from processor.errors import FaultstreamError, Retryable


class Unavailable(Retryable):
    """Jira can't be reached, is not well, or asks to wait."""


class Unauthorised(Unavailable):
    """Jira does not accept the credentials; the token may be rotated, so the role keeps trying."""


class Limited(Unavailable):
    """Jira allows no more requests now. That is no trouble: what waits is sent when its turn comes."""


class Unsettled(Unavailable):
    """A write was sent and no answer says whether it was done: look before it is repeated."""


class Late(Retryable):
    """A request was not sent, since nobody may rely any more on what it was to follow from."""


class Refused(FaultstreamError):
    """Jira refuses the request for good; `fields` are the fields that it blames, with its messages.

    `explained` says that it gave a reason, as Jira does, and not only a status, as a proxy might.
    """

    def __init__(
        self, message: str, *, status: int = 0, fields: Mapping[str, str] | None = None, explained: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.fields = dict(fields or {})
        self.explained = explained
