"""What a pipeline asks of its model, and one such question made for one event.

A `Question` is a field of the result as the model meets it. A `Prompt` holds the messages, the form of the
answer, and what each code in it stands for: the prompt stage makes it, the check stage reads the answer by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from processor.contract import Candidate, ExcerptLine
from processor.models.chat import Message
from processor.models.form import Form

Meaning = str | Candidate | ExcerptLine
"""What a code stands for: a value of an enum, a candidate, a line of the log."""

Kind = Literal["enum", "candidate", "line", "text", "integer", "number", "flag"]

LINES: Final = "lines"
"""The `source` of questions about lines of the excerpt."""


@dataclass(frozen=True, slots=True)
class Question:
    """A field that the model fills.

    values: of an enum, with their definitions. source: the key in Reading.candidates that a `candidate` is one
    of. many: a list, of at most `most`; for text `most` is its length. shape: what a candidate becomes in the
    result, an object {name, version, ecosystem} or its name alone. narrowed: by a ranking, to codes.
    """

    name: str
    kind: Kind
    description: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    many: bool = False
    most: int = 0
    nullable: bool = False
    shape: Literal["object", "name"] = "name"
    narrowed: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question for one event. `codes` by field: what each code on offer stands for.

    `smaller` makes the messages again with half of the excerpt, for a server that finds these too long; the
    codes are the same.
    """

    messages: tuple[Message, ...]
    form: Form
    codes: Mapping[str, Mapping[str, Meaning]]
    smaller: Callable[[], tuple[Message, ...]] | None = None
