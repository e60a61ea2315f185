"""What is wrong in a file that a person wrote, where, and the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake at a 1-based line and column of a file; `hint` is the remedy, mostly the nearest valid name."""

    file: Path
    line: int
    column: int
    message: str
    hint: str = ""

    @property
    def text(self) -> str:
        """The message with its hint, without the place."""
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


@dataclass(frozen=True, slots=True)
class Issue:
    """One mistake in a piece of text (a predicate, a template) at an offset in characters from its start."""

    offset: int
    message: str
    hint: str = ""


def nearest(name: str, valid: Iterable[str], *, most: int = 8) -> str:
    """The hint for an unknown name: the closest valid one, else the list of valid ones if it is short.

    >>> nearest("budget", ["budget_tokens", "context"])
    "did you mean 'budget_tokens'?"
    """
    names = sorted({str(one) for one in valid})
    close = get_close_matches(name, names, n=1, cutoff=0.6) or get_close_matches(
        name.lower(), [one for one in names if one.lower().startswith(name.lower()[:4])], n=1, cutoff=0.4
    )
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:most]) + (", …" if len(names) > most else "")
    return f"valid: {shown}"


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """1-based line and column of a character offset in `text`."""
    before = text[: max(0, min(offset, len(text)))]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
