"""prompt: Excerpt → messages. The system part is the same bytes for every event; only the user part varies.

Whatever the model chooses from stands under codes: the likeliest values of a narrowed field (k1 …), packages
(c1 …), tests (t1 …), files (f1 …), the likeliest lines (L1 …). The form of the answer depends on how many there
are by size class alone, so that a server compiles a few grammars per pipeline and never one per event.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from processor.contract import ATTRIBUTES, Candidate, Event, Excerpt, ExcerptLine, Reading, RuleMatch
from processor.errors import Rejected
from processor.lang.template import Template
from processor.lang.types import INT, STRING, Type, object_of
from processor.logs.extract import BLAMED
from processor.logs.tokens import TokenCounter, estimate
from processor.models.chat import Completion, Message, Shown
from processor.models.form import LIST_SIZES, NONE, SIZES, Form, Slot, compile_form, size_class
from processor.models.question import LINES, Meaning, Prompt, Question
from processor.models.showing import PER_LINE, beside, fewer_lines, harmless, plain, show, unmarked

USER_CONTEXT: Final[Mapping[str, Type]] = {
    "event": object_of({name: INT if each.type is int else STRING for name, each in ATTRIBUTES.items()}),
    "choices": STRING.note("What may be chosen for each field, under codes."),
    "hint": STRING.note("What a rule proposes, or nothing."),
    "excerpt": STRING.note("The excerpt; the likeliest lines begin with a code."),
}
"""What the user template may use."""

LETTERS: Final[Mapping[str, str]] = {"packages": "c", "tests": "t", "files": "f", "hosts": "h", "exit_codes": "x"}
"""First letter of the codes of each kind of candidate; a narrowed enum has k, a line L."""

MOST_CANDIDATES: Final = 8
"""Candidates of a kind that the model sees: likeliest first, and a small model is lost among many."""

MOST_LINES: Final = 8
"""Lines of the excerpt that have a code."""

MOST_GRAMMARS: Final = 32
"""Grammars that one pipeline may ask for: a server takes tens of milliseconds and megabytes for each."""

COARSER: Final = ((0, 2, MOST_CANDIDATES), (0, MOST_CANDIDATES), (MOST_CANDIDATES,))
"""Size classes for pipelines with so many grounded fields that finer ones would make too many grammars.

With the last ones the form is the same for every event: it has room for codes also where there is nothing to choose.
"""

LineCodes = dict[str, ExcerptLine]

Render = Callable[[Excerpt], str]
"""The user part of an event with an excerpt of its log."""


class BuildPrompt:
    """Makes the prompt of an event.

    `name` is the pipeline's; `context_tokens` what the server takes in all, counted by `count`; `excerpt_tokens` how
    much of the excerpt the model is to read, None for all. `chained` says that the pipeline has a chain, whose results
    the user template may use.
    """

    def __init__(
        self,
        name: str,
        system: str,
        user: Template,
        questions: Sequence[Question],
        context_tokens: int = 8192,
        max_tokens: int = 192,
        count: TokenCounter = estimate,
        *,
        excerpt_tokens: int | None = None,
        chained: bool = False,
    ) -> None:
        self._name = name
        self._excerpt_tokens = excerpt_tokens
        self._chained = chained
        self._system = Message("system", system)
        self._user = user
        self._questions = tuple(questions)
        self._forms: dict[tuple[int, ...], Form] = {}
        self._grammars: set[str] = set()
        self._sizes = _size_classes(self._questions)
        self._count = count
        self._room = context_tokens - max_tokens - count(system) - 32  # the chat template's own

    @property
    def prefix(self) -> tuple[Message, ...]:
        """The messages of a question whose beginning is that of every event's; chat templates want a user's part."""
        return self._system, Message("user", ".")

    def __call__(self, event: Event, reading: Reading) -> Prompt:
        """The prompt; raises Rejected ("prompt_too_long", "template_failed")."""
        asked = excerpt = self._to_read(reading.excerpt)
        lines = _line_codes(excerpt)
        codes = {each.name: _codes(each, reading, lines) for each in self._questions}
        fixed: dict[str, object] = {
            "event": _plain_attributes(event.attributes),
            "choices": _choices(self._questions, codes),
            "hint": _hint(reading.rule),
        }
        if self._chained:
            fixed["chain"] = harmless(reading.chain)
        labels = {line.number: code for code, line in lines.items()}
        rest = functools.partial(self._render, fixed, labels)
        user = rest(excerpt)
        if len(user) > self._room and self._count(user) > self._room:
            excerpt, user = self._shrunk(rest, excerpt, labels)
        prompt = Prompt(
            (self._system, Message("user", user)),
            self._form(codes),
            codes,
            event=event.origin.id(self._name),
            replica=reading.replica,
            bound=reading.bound,
        )
        return self._holding(prompt, rest, excerpt, labels, len(asked.lines))

    def _holding(self, prompt: Prompt, rest: Render, excerpt: Excerpt, labels: Mapping[int, str], of: int) -> Prompt:
        """`prompt` with what it says of the excerpt in it, which had `of` lines, and how to make that smaller."""

        def smaller() -> Prompt | None:
            if len(excerpt.lines) <= 1:
                return None
            half = fewer_lines(excerpt, self._cost(excerpt) // 2, self._count, labels)
            shorter = replace(prompt, messages=(self._system, Message("user", rest(half))))
            return self._holding(shorter, rest, half, labels, of)

        kept = len(excerpt.lines)
        shown = Shown(kept, of) if kept < of else None
        return replace(prompt, smaller=smaller, shown=shown, gist=lambda: rest(beside(excerpt, labels)))

    def repair(self, prompt: Prompt, answer: Completion, fault: str) -> Prompt:
        """The prompt again with the answer that it got and what is wrong with that."""
        asked = Message("user", f"That answer is wrong: {fault}. Answer again, as one short JSON object.")
        said = Message("assistant", plain(answer.text.strip()[:400]) or "{}")

        def smaller() -> Prompt | None:
            shorter = prompt.smaller() if prompt.smaller is not None else None
            return None if shorter is None else self.repair(shorter, answer, fault)

        return replace(prompt, messages=(*prompt.messages, said, asked), smaller=smaller)

    def _render(self, fixed: Mapping[str, object], labels: Mapping[int, str], excerpt: Excerpt) -> str:
        return self._user.render(**fixed, excerpt=show(excerpt, labels))

    def _to_read(self, excerpt: Excerpt) -> Excerpt:
        """The part of the excerpt that the model is to read.

        Its tokens were counted already: lines cost by their length, as counting each would take longer than all else
        that a question takes.
        """
        most = self._excerpt_tokens
        if most is None or excerpt.tokens <= most:
            return excerpt
        dense = excerpt.tokens / sum([len(line.text) + 1 for line in excerpt.lines])
        return fewer_lines(excerpt, most, lambda text: int(len(text) * dense))

    def _cost(self, excerpt: Excerpt) -> int:
        """Tokens of the lines as `fewer_lines` counts them, so that less than that leaves one out."""
        return sum([self._count(line.text) + PER_LINE for line in excerpt.lines])

    def _shrunk(self, rest: Render, excerpt: Excerpt, labels: Mapping[int, str]) -> tuple[Excerpt, str]:
        """As much of the excerpt as there is room for, and the user part; the system part is never touched."""
        tokens = self._cost(excerpt)
        while len(excerpt.lines) > 1:
            tokens = tokens * 2 // 3
            excerpt = fewer_lines(excerpt, tokens, self._count, labels)
            user = rest(excerpt)
            if self._count(user) <= self._room:
                return excerpt, user
        raise Rejected("prompt_too_long", "the system prompt and the smallest excerpt exceed the model's context")

    @property
    def grammars(self) -> int:
        """How many different forms were asked for so far: so many grammars a server has compiled for this pipeline."""
        return len(self._grammars)

    def _form(self, codes: Mapping[str, Mapping[str, Meaning]]) -> Form:
        """The form for so many codes; made once for each combination of size classes."""
        counts = tuple([len(each) for each in codes.values()])
        form = self._forms.get(counts)
        if form is None:
            form = self._forms[counts] = _form(self._name, self._questions, counts, self._sizes)
            self._grammars.add(form.grammar)
        return form


def largest_form(name: str, questions: Sequence[Question]) -> Form:
    """A pipeline's form with as much on offer as there can be: what strains a server's grammar most."""
    return _form(name, questions, [_most(each) for each in questions], _size_classes(questions))


def _form(name: str, questions: Sequence[Question], counts: Sequence[int], sizes: tuple[int, ...]) -> Form:
    slots = [_slot(each, count, sizes) for each, count in zip(questions, counts, strict=True)]
    return compile_form(name, tuple(slot for slot in slots if slot is not None))


def _most(question: Question) -> int:
    """Most codes that a question ever has on offer."""
    if question.kind == "enum":
        return len(question.values)
    return {"candidate": MOST_CANDIDATES, "line": MOST_LINES}.get(question.kind, 0)


def _size_classes(questions: Sequence[Question]) -> tuple[int, ...]:
    """The finest size classes of single choices with which all of a pipeline's forms are at most MOST_GRAMMARS.

    Fields that choose from the same candidates are offered as many.
    """
    asked = [each for each in questions if each.kind == "candidate"]
    single = {(each.source, each.nullable) for each in asked if not each.many}
    several = {each.source for each in asked if each.many} - {source for source, nullable in single if not nullable}
    for sizes in (SIZES, *COARSER[:-1]):
        classes = sum(size <= MOST_CANDIDATES for size in sizes)
        if classes ** len(single) * 2 ** len(several) <= MOST_GRAMMARS:
            return sizes
    return COARSER[-1]


def _codes(question: Question, reading: Reading, lines: LineCodes) -> Mapping[str, Meaning]:
    """The codes on offer for a question and what they stand for; a plain enum's values stand for themselves."""
    if question.kind == "line":
        return lines
    if question.kind == "candidate":
        found = reading.candidates.get(question.source, ())
        if question.nullable and not question.many:
            # What is merely mentioned tempts a small model; "none" is the better answer then.
            found = tuple([each for each in found if each.score >= BLAMED])
        found = found[:MOST_CANDIDATES]
        letter = LETTERS.get(question.source, question.source[:1])
        return {f"{letter}{index}": each for index, each in enumerate(found, 1)}
    if question.narrowed:
        likely = [value for value, _ in reading.narrowed.get(question.name, ())] or list(question.values)
        return {f"k{index}": value for index, value in enumerate(likely, 1)}
    return question.own_codes


def _line_codes(excerpt: Excerpt) -> LineCodes:
    """Codes of the likeliest lines, in the order in which they are read."""
    likely = set(excerpt.ranked[:MOST_LINES])
    lines = [line for line in excerpt.lines if line.number in likely] or list(excerpt.lines[-MOST_LINES:])
    return {f"L{index}": line for index, line in enumerate(lines, 1)}


def _slot(question: Question, offered: int, sizes: tuple[int, ...]) -> Slot | None:
    """The slot of a question by its size class; None where there is nothing to choose from."""
    if question.kind == "text":
        kind: Literal["text", "texts"] = "texts" if question.many else "text"
        return Slot(
            question.name,
            kind,
            most=question.most,
            length=question.length,
            nullable=question.nullable,
            least=question.least,
            shortest=question.shortest,
        )
    if question.kind in ("integer", "number", "flag"):
        return Slot(
            question.name,
            question.kind,
            nullable=question.nullable,
            minimum=question.minimum,
            maximum=question.maximum,
        )
    if not offered and not sizes[0]:
        return None
    if question.kind == "enum":
        options = tuple(question.values)
        if question.narrowed:
            options = tuple(f"k{index}" for index in range(1, offered + 1))
    else:
        letter = "L" if question.source == LINES else LETTERS.get(question.source, question.source[:1])
        size = max(sizes[0], size_class(offered, LIST_SIZES if question.many else sizes))
        options = tuple(f"{letter}{index}" for index in range(1, size + 1))
    if question.many:
        return Slot(question.name, "choices", options, most=question.most, least=question.least)
    return Slot(question.name, "choice", options, nullable=question.nullable)


def _choices(questions: Sequence[Question], codes: Mapping[str, Mapping[str, Meaning]]) -> str:
    """The tables of what may be chosen, a field a paragraph; fields with fixed values are left to the system part.

    So is what the values of a narrowed field mean, which is the same for every event.
    """
    parts: list[str] = []
    for question in questions:
        offered = codes[question.name]
        if question.kind == "candidate":
            rows = [f"{code} {_named(each)}" for code, each in offered.items() if isinstance(each, Candidate)]
        elif question.kind == "enum" and question.narrowed:
            rows = [f"{code} {value}" for code, value in offered.items()]
        else:
            continue
        if rows:
            rows += [NONE] if question.nullable and not question.many else []
            parts.append("\n".join([f"{question.name}:", *rows]))
    return "\n".join(parts)


def _named(candidate: Candidate) -> str:
    version = f" {candidate.version}" if candidate.version else ""
    ecosystem = f" ({candidate.ecosystem})" if candidate.ecosystem else ""
    place = f" at {candidate.place}" if candidate.place and candidate.place not in candidate.name else ""
    return plain(f"{candidate.name}{version}{ecosystem}{place}")[:160]


def _plain_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Attributes as `plain` leaves them; most have nothing to break up, so all are looked through at once."""
    together = "".join([each for each in attributes.values() if isinstance(each, str)])
    if together.isprintable() and unmarked(together) is together:
        return attributes
    return {name: plain(each) if isinstance(each, str) else each for name, each in attributes.items()}


def _hint(rule: RuleMatch | None) -> str:
    """What a rule that does not decide proposes."""
    if rule is None or rule.decides or not rule.fields:
        return ""
    fields = [f"{name} {value}" for name, value in rule.fields.items() if isinstance(value, str)]
    return plain(f"Known pattern {rule.rule}: {', '.join(fields)}") if fields else ""
