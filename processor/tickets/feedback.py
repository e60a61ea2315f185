"""Feedback: what people say of findings by what they do with tickets, on `<p>.feedback`.

Who it was is not part of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import orjson

from processor.contract import FORMAT, Outbound, TopicPartition
from processor.tickets.book import Book
from processor.tickets.messages import Command, TicketState, Topics, event

NAMESPACE: Final = uuid.UUID("6f0f4c3e-6f53-4b55-9e0c-0b1d6c1e7a55")
"""Of the ids of feedback."""

HEARD: Final = 32
"""Changes that are remembered per fingerprint, to tell of each once."""

LONGEST: Final = 255
"""Most characters of a value; names of resolutions and categories are shorter."""

Kind = Literal["wrong", "right", "resolution", "transition", "category"]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person did with the ticket of a fault.

    `kind`: wrong: labelled as wrong; right: that label was taken off; resolution, transition: closed, or moved;
    category: the field with the category was changed. `field` went from `before` to `after`; `resolution` is how the
    ticket is resolved now. `findings` are the ids of the fault's latest findings. The same `id` is the same change.
    """

    id: str
    kind: Kind
    fingerprint: str
    pipeline: str
    findings: tuple[str, ...]
    ticket: str
    field: str
    before: str | None
    after: str | None
    resolution: str | None
    time: str
    v: int = FORMAT

    def record(self, topics: Topics) -> Outbound:
        """The record of the feedback."""
        return Outbound(topics.feedback, self.fingerprint.encode(), orjson.dumps(self))


def heard(fingerprint: str, ticket: str, change: str, **said: Any) -> Command:
    """The command that tells a fault's writer of a change: the fields of its feedback, and which change it was."""
    identity = f"heard-{uuid.uuid5(NAMESPACE, f'{ticket}/{change}')}"
    return Command("heard", fingerprint, "", {"id": identity, **said}, 0, "", "", key=ticket)


class Heard:
    """Makes feedback of what was heard of a ticket, once, with what the writer knows of the fault."""

    def __init__(self, book: Book, topics: Topics, redact: Callable[[str], str]) -> None:
        self._book = book
        self._topics = topics
        self._redact = redact

    def __call__(self, at: TopicPartition, command: Command, state: TicketState | None) -> None:
        """Has the feedback leave with the command's offset; nothing for a ticket that is not the fault's."""
        ticket = command.key or ""
        if state is None or ticket not in {state.key, *state.previous} or command.id in state.heard:
            return
        said = command.finding
        made = Feedback(
            command.id.removeprefix("heard-"),
            said["kind"],
            state.fingerprint,
            state.pipeline,
            # An order's id has a word before it, an outcome's a number behind it.
            tuple(each for each in state.seen if not each.startswith("order-") and "/" not in each),
            ticket,
            str(said.get("field", "")),
            self._text(said.get("before")),
            self._text(said.get("after")),
            self._text(said.get("resolution")),
            str(said.get("time", "")),
        )
        self._book.add(at, state.fingerprint, made.record(self._topics))
        told = replace(command, pipeline=state.pipeline)
        self._book.tell(at, event("feedback", told, ticket, f"{made.kind}: {made.field} is {made.after or 'empty'}"))
        self._book.keep(at, replace(state, heard=(*state.heard, command.id)[-HEARD:]))

    def _text(self, value: Any) -> str | None:
        return self._redact(str(value))[:LONGEST] if value else None
