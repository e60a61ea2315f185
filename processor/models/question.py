"""What a pipeline asks of its model, and one such question made for one event.

A `Question` is a field of the result as the model meets it. A `Prompt` holds the messages, the form of the
answer, and what each code in it stands for: the prompt stage makes it, the check stage reads the answer by it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from processor.bound import Bound
from processor.contract import Candidate, ExcerptLine
from processor.errors import ConfigError
from processor.lang.fields import LARGEST, Field, ResultSchema
from processor.models.chat import Message, Shown
from processor.models.form import Form

Meaning = str | Candidate | ExcerptLine
"""What a code stands for: a value of an enum, a candidate, a line of the log."""

Kind = Literal["enum", "candidate", "line", "text", "integer", "number", "flag"]

LINES: Final = "lines"
"""The `source` of questions about lines of the excerpt."""

LENGTH: Final = 200
"""Longest text in characters where the schema sets no limit."""

MOST: Final = 5
"""Most items of a list where the schema sets no limit."""


@dataclass(frozen=True, slots=True)
class Question:
    """A field that the model fills.

    values: of an enum, with their definitions; narrowed: those are under codes, by a ranking. source: the key in
    Reading.candidates that a candidate is one of. many: a list, of `least` to `most`. length, shortest: of a text, in
    characters. minimum, maximum: of a number. shape: what a candidate becomes in the result, an object {name, version,
    ecosystem}, its name, or its name as a whole number.
    """

    name: str
    kind: Kind
    values: Mapping[str, str] = field(default_factory=dict)
    narrowed: bool = False
    source: str = ""
    shape: Literal["object", "name", "integer"] = "name"
    many: bool = False
    most: int = MOST
    length: int = LENGTH
    nullable: bool = False
    least: int = 0
    shortest: int = 0
    minimum: float = -LARGEST
    maximum: float = LARGEST

    @property
    def own_codes(self) -> Mapping[str, Meaning]:
        """The codes of a plain enum: its values, each for itself."""
        return {value: value for value in self.values}


def questions(schema: ResultSchema, narrowed: Collection[str] = ()) -> tuple[Question, ...]:
    """What is asked for each field of a schema, in its order; `narrowed` are the fields that a ranking narrows.

    Raises ConfigError for a field that has no place in a flat form: an object or a list that nothing grounds.
    """
    return tuple(_question(each, each.name in narrowed) for each in schema.fields.values())


_SCALARS: Final[Mapping[str, Kind]] = {"string": "text", "integer": "integer", "number": "number", "boolean": "flag"}


def _question(each: Field, narrowed: bool) -> Question:
    one = each.item if each.type == "list" and each.item is not None else each
    many, most, nullable = each.type == "list", each.max_items or MOST, each.nullable
    if each.ground == "excerpt.lines":
        return Question(each.name, "line", source=LINES, many=True, most=most, nullable=nullable)
    if each.ground is not None and each.min_items:
        raise ConfigError(f"schema: {each.name}: a log may name none of them; drop the least number of items")
    if each.ground is not None:
        shape: Literal["object", "name", "integer"] = "object" if one.type == "object" else "name"
        if one.type == "integer":
            shape = "integer"
        source = each.ground.removeprefix("candidates.")
        return Question(each.name, "candidate", source=source, shape=shape, many=many, most=most, nullable=nullable)
    if one.enum:
        values = dict(one.enum)
        least = each.min_items or 0
        return Question(
            each.name, "enum", values, narrowed and not many, many=many, most=most, nullable=nullable, least=least
        )
    kind = _SCALARS.get(one.type)
    if kind is None or (many and kind != "text"):
        raise ConfigError(f"schema: {each.name}: a model can't be asked for this; ground it, or make it flat")
    return Question(
        each.name,
        kind,
        many=many,
        most=most,
        length=one.max_length or LENGTH,
        nullable=nullable,
        least=each.min_items or 0,
        shortest=one.min_length or 0,
        minimum=-LARGEST if one.minimum is None else one.minimum,
        maximum=LARGEST if one.maximum is None else one.maximum,
    )


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question for one event. `codes` by field: what each code on offer stands for.

    `smaller` makes the prompt again with half of the excerpt, for a server that finds this one too long, or gives None
    where there is nothing left to leave out; the codes are the same. `shown` says how many lines of the excerpt, and of
    how many, are in it where not all are. `event` is the id of the event's finding: whatever is chosen by chance for an
    event (a share of them goes to another version of an adapter) is chosen by it, so that a repeat chooses alike.
    `gist` makes its text with no more of the excerpt than the lines that have a code and those beside them.
    `replica` is the server that answered the event's last question, if it has had one, `bound` the time for them all.
    """

    messages: tuple[Message, ...]
    form: Form
    codes: Mapping[str, Mapping[str, Meaning]]
    smaller: Callable[[], Prompt | None] | None = None
    event: str = ""
    shown: Shown | None = None
    replica: str = ""
    bound: Bound | None = None
    gist: Callable[[], str] | None = None
