"""redact: secrets leave an event's attributes, and with the same numbering its log, before anything else sees them.

The record that the event was read from keeps its original bytes: dead letters need them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from processor.contract import Event
from processor.logs.redact import Redactor, Session

_SEPARATOR = "\n\x1f\n"


class Redact:
    """Takes secrets out; one numbering for all of an event, so that equal secrets keep equal placeholders."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, event: Event) -> tuple[Event, Session]:
        """The event with clean attributes and nothing else of its content, and the session to read its log in.

        A log is redacted while it is reduced, block by block, so that one of any size is never held as a whole.
        """
        session = self._redactor.session()
        return replace(event, body=None, payload=None, attributes=self._attributes(session, event)), session

    def text(self, text: str) -> str:
        """A text such as an error's, without secrets."""
        return self._redactor.redact_text(text)

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Texts that belong together, such as those of a database's rows, without secrets."""
        return _cleaned(self._redactor.session(), texts)

    def _attributes(self, session: Session, event: Event) -> dict[str, object]:
        texts = {name: value for name, value in event.attributes.items() if isinstance(value, str) and value}
        return event.attributes | dict(zip(texts, _cleaned(session, list(texts.values())), strict=True))


def _cleaned(session: Session, texts: Sequence[str]) -> list[str]:
    """All of them are looked through at once: one scan, and nothing to do if it finds nothing."""
    if not texts:
        return []
    parts = session.redact_text(_SEPARATOR.join(texts)).split(_SEPARATOR)
    if len(parts) != len(texts):  # a secret ran over the separator: one by one then
        parts = [session.redact_text(value) for value in texts]
    return parts
