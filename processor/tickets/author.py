"""Who writes the texts of tickets, and what else a pipeline says about its tickets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from processor.tickets.attachment import Attachment
from processor.tickets.document import Document
from processor.tickets.messages import Command


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What a pipeline says about faults that come again. Times are seconds.

    `never_touch`: the resolutions after which a ticket is left alone, and no new one is filed. `follow_duplicates`:
    whether the ticket that one was closed as a duplicate of takes its place. `when_green`: what
    happens when the jobs pass again, by which `transition` and `resolution` where they are named.
    """

    comment_every: float = 0.0
    reopen_within: float = 1_209_600.0
    never_touch: frozenset[str] = frozenset()
    follow_duplicates: bool = True
    when_green: Literal["resolve", "comment", "nothing"] = "comment"
    transition: str | None = None
    resolution: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A ticket to be: its project, its fields by the names that pipelines give them, and what went wrong in writing it.

    Values are as Data Center takes them, but for the description, which is a Document: the client puts them into the
    words of the Jira that it speaks to.
    """

    project: str
    fields: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class Author(Protocol):
    """Writes the texts of tickets."""

    def draft(self, command: Command) -> Draft:
        """The new ticket of a command. Raises Rejected where its pipeline is not known here."""

    def attachment(self, command: Command) -> Attachment | None:
        """The file that a new ticket gets; the same command gives the same one."""

    def recurrence(self, pipeline: str) -> Recurrence:
        """What to do when a fault of the pipeline is seen again."""

    def dry_run(self, pipeline: str) -> bool:
        """Whether to say what would be done, and do nothing."""

    def seen(self, count: int, first: str, last: str) -> str:
        """The sentence of a description that says how often and when; the writer keeps it up to date."""

    def comment(self, command: Command) -> Document:
        """The comment that says that the fault was seen again; the same command gives the same text."""

    def passed(self, command: Command) -> Document:
        """The comment that says that the fault is gone, or flaky; the same command gives the same text."""
