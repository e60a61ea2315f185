"""redact: secrets leave an event's body and attributes before anything else sees them.

The record that the event was read from keeps its original bytes: dead letters need them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from processor.contract import Event
from processor.logs.redact import Redactor, Session
from processor.logs.text import require_text

INLINE_BYTES = 64_000
"""Bodies up to this size are read on the event loop (under a few milliseconds), larger ones in a thread."""

_SEPARATOR = "\n\x1f\n"


class Redact:
    """Takes secrets out; one numbering for all of an event, so that equal secrets keep equal placeholders."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    async def __call__(self, event: Event, body: bytes) -> Event:
        """The event with a clean body (as UTF-8 text) and attributes. Raises Rejected ("empty", "binary")."""
        session = self._redactor.session()
        if len(body) <= INLINE_BYTES:
            clean = self._body(session, body)
        else:
            clean = await asyncio.to_thread(self._body, session, body)
        return replace(event, body=clean, payload=None, attributes=self._attributes(session, event))

    def text(self, text: str) -> str:
        """A text such as an error's, without secrets."""
        return self._redactor.redact_text(text)

    def _body(self, session: Session, body: bytes) -> bytes:
        return session.redact(require_text(body))

    def _attributes(self, session: Session, event: Event) -> dict[str, object]:
        """All of them are looked through at once: one scan, and nothing to do if it finds nothing."""
        texts = {name: value for name, value in event.attributes.items() if isinstance(value, str) and value}
        clean = session.redact_text(_SEPARATOR.join(texts.values()))
        parts = clean.split(_SEPARATOR)
        if len(parts) != len(texts):  # a secret ran over the separator: one by one then
            parts = [session.redact_text(value) for value in texts.values()]
        return event.attributes | dict(zip(texts, parts, strict=True))
