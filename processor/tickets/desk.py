"""What all who work on a fault's ticket have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from processor.tickets.author import Author
from processor.tickets.book import Book
from processor.tickets.jira import JiraClient


@dataclass(frozen=True, slots=True)
class Desk:
    """Jira, the author of texts, and the book of states; `touch_s` are left between two looks without news."""

    jira: JiraClient
    author: Author
    book: Book
    redact: Callable[[str], str]
    clock: Callable[[], float]
    touch_s: float
