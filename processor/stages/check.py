"""check: completion → Answer. Parses, maps codes back to what they stand for, validates, and says how sure.

A grammar makes most answers valid; this stage relies on none of it. What is wrong with an answer is said in
words, for the one repair that the line asks for, and is the text of the dead letter after that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from processor.contract import Candidate, Confidence, Evidence, Excerpt, ExcerptLine, Reading, RuleMatch
from processor.errors import FaultstreamError, Rejected
from processor.logs.cause import beside, cause, near, only_ended
from processor.logs.headline import headline
from processor.logs.prose import invents, is_specific, says, telling, words
from processor.models.calibration import Calibration
from processor.models.certainty import Choice, choices
from processor.models.chat import Completion
from processor.models.form import NONE
from processor.models.lenient import clean, loads
from processor.models.question import Meaning, Prompt, Question

_EVIDENCE_CHARS: Final = 500

_LONGEST: Final = 65_536
"""Characters of the longest answer that is looked at: several times what `max_tokens` allows at most."""

_ENDED: Final = frozenset({"stop", "", "eos", "eos_token", "end_turn"})
"""Reasons for which an answer is whole; servers say more than one. Others are `abort`, `error`, `content_filter`."""

_SENTENCE: Final = 80
"""A text field with room for so many characters holds prose; a shorter one holds a name."""

_HALF_ESCAPE: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9A-Fa-f]{0,3})?\Z")
"""An escape that the text ends within, behind any number of whole ones that stand for a backslash."""

SUMMARY: Final = "summary"
"""The text field that says what broke: tickets begin with it."""


Calibrated = Callable[[Completion], Calibration | None]


class Schema(Protocol):
    """What a result must be; `validate` gives it normalised or raises ValueError with what is wrong."""

    def validate(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The validated result."""
        ...


class Invalid(FaultstreamError):
    """The model's answer can't be used; the message says why, for the model and for people.

    `reason` tells an answer that was cut off from one that is wrong; `output` is what the model wrote, unredacted.
    """

    def __init__(
        self, message: str, reason: Literal["invalid_output", "cut_off"] = "invalid_output", output: str = ""
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.output = output

    def rejected(self) -> Rejected:
        """The dead letter's error, when neither the repair nor a larger model helped."""
        return Rejected("invalid_output", f"the model's answer can't be used: {self}", self.output)


@dataclass(frozen=True, slots=True)
class Read:
    """How a completion was read: how sure each choice was (None: not known), which texts gave way to the log's own."""

    choices: Mapping[str, Choice] | None = None
    gave_way: frozenset[str] = frozenset()


NEW: Final = Read()
"""Of a completion that was not read before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A valid result with its evidence.

    `certainty` is the raw probability of the choices, which is no calibrated confidence: `confidence.value` is
    None unless a calibration of just this model turns the one into the other.
    """

    result: dict[str, Any]
    evidence: tuple[Evidence, ...]
    confidence: Confidence
    certainty: float | None = None
    read: Read = NEW


class Check:
    """Reads answers to `questions` into results of `schema`. `calibrated` finds the calibration that holds for one."""

    def __init__(self, schema: Schema, questions: Sequence[Question], calibrated: Calibrated = lambda _: None) -> None:
        self._schema = schema
        self._calibrated = calibrated
        self._questions = tuple(questions)
        self._names = tuple(dict.fromkeys(value for each in questions for value in each.values if "_" in value))
        self._asked = words(" ".join(meaning for each in questions for meaning in each.values.values()))

    def __call__(self, prompt: Prompt, completion: Completion, reading: Reading, before: Read = NEW) -> Answer:
        """The answer of a model. Raises Invalid.

        `before` is how it was read for an earlier event: its tokens are not at hand any more, and what gave way does so
        again.
        """
        try:
            return self._answer(prompt, completion, reading, before)
        except Invalid as fault:
            fault.output = completion.text
            raise

    def _answer(self, prompt: Prompt, completion: Completion, reading: Reading, before: Read) -> Answer:
        given = self._given(completion)
        result: dict[str, Any] = {}
        lines: list[ExcerptLine] = []
        gave_way: set[str] = set()
        for question in self._questions:
            value = _read(question, given, prompt.codes.get(question.name, {}))
            if question.kind == "line":
                lines += [each for each in value if isinstance(each, ExcerptLine)]
            else:
                result[question.name] = value
        # What shows the fault best is shown whatever was chosen: a reader should not have to look for it.
        best = cause(reading.excerpt, reading.candidates)
        chosen = near(reading.excerpt).intersection(line.number for line in lines)
        evidence = _evidence(reading.excerpt, [*chosen, best, *_places(self._questions, prompt, result)])
        for question in self._questions:
            text = result.get(question.name)
            if not _is_prose(question) or not isinstance(text, str):
                continue
            if question.name in before.gave_way or not self._holds(question, text, reading, evidence):
                result[question.name] = headline(reading.excerpt, reading.candidates, best)[: question.length]
                gave_way.add(question.name)
        made = choices(completion, prompt.form) if before.choices is None else before.choices
        sure = None if made is None else math.prod([each.probability for each in made.values()])
        confidence = self._confidence(completion, made, ranked(reading, result))
        return Answer(self._valid(result), evidence, confidence, sure, Read(made, frozenset(gave_way)))

    def _given(self, completion: Completion) -> dict[str, Any]:
        """The object that the model wrote. Where it was cut off in a last sentence, the rest is whole and counts."""
        if not completion.cut_off:
            return _parse(_whole(completion))
        last = self._questions[-1] if self._questions else None
        given, ends = _closed(completion.text) if last is not None and _is_prose(last) else ({}, False)
        text = given.get(last.name) if last is not None else None
        if last is None or not isinstance(text, str) or list(given)[-1] != last.name:
            raise Invalid("it was cut off; keep every text short", "cut_off")
        return given if ends else given | {last.name: f"{text.rpartition(' ')[0][: last.length - 1]}…"}

    def _confidence(
        self, completion: Completion, made: Mapping[str, Choice] | None, shares: Mapping[str, float]
    ) -> Confidence:
        calibration = self._calibrated(completion) if made is not None else None
        if made is None or calibration is None:
            return Confidence(None)
        return Confidence(round(calibration.confidence(made, shares), 4), calibrated=True)

    def _holds(self, question: Question, text: str, reading: Reading, evidence: Sequence[Evidence]) -> bool:
        """Whether a sentence invents nothing, repeats no part of the question, and, as a summary, says something."""
        repeated = [*self._names, *([reading.rule.rule] if reading.rule is not None else [])]
        log = "\n".join([line.text for line in reading.excerpt.lines]).lower()
        if any(name in text for name in repeated) or invents(text, log):
            return False
        # That a test failed stands in another field: a summary says why.
        tests = words(" ".join(test.name for test in reading.candidates.get("tests", ())))
        return question.name != SUMMARY or says(text, [each.text for each in evidence], log, self._asked | tests)

    def decided(self, reading: Reading, rule: RuleMatch) -> Answer:
        """The answer of a rule that decides; the rule's measured precision is its confidence.

        Fields that the rule leaves out are null or empty. Raises Rejected ("internal") where the schema forbids
        that, which lint finds beforehand.
        """
        result: dict[str, Any] = {}
        for question in self._questions:
            if question.kind != "line":
                result[question.name] = rule.fields.get(question.name, [] if question.many else None)
        lines = list(rule.lines)
        if isinstance(result.get(SUMMARY), str) and lines:  # else the pipeline's own expressions have made it
            result[SUMMARY], quoted = self._detailed(result[SUMMARY], reading, rule)
            lines += quoted
        try:
            valid = self._valid(result)
        except Invalid as error:
            raise Rejected("internal", f"rule {rule.rule}: {error}") from error
        confidence = Confidence(rule.precision, calibrated=rule.precision is not None)
        if only_ended(rule.lines, reading.excerpt):  # which shows nobody what happened
            lines.append(cause(reading.excerpt, reading.candidates))
        return Answer(valid, _evidence(reading.excerpt, lines), confidence, rule.precision)

    def _detailed(self, summary: str, reading: Reading, rule: RuleMatch) -> tuple[str, list[int]]:
        """A rule's sentence; where it is the same for all that the rule hits, with what the log says there.

        And the line that says it, which shows a reader what the sentence quotes.
        """
        if any(capture and capture in summary for capture in rule.captures.values()):
            return summary, []
        at = beside(rule.lines, reading.excerpt, reading.candidates)
        told = headline(reading.excerpt, reading.candidates, at) if at else ""
        length = next((each.length for each in self._questions if each.name == SUMMARY), 0)
        more = telling(told) - telling(summary)
        if len(more) <= 1 and not is_specific(told):
            return summary, []
        return f"{summary.rstrip('.')}: {told}"[:length], [at]

    def _valid(self, result: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._schema.validate(result)
        except ValueError as error:
            raise Invalid(str(error)) from error


def ranked(reading: Reading, result: Mapping[str, Any]) -> dict[str, float]:
    """By narrowed field, what the deterministic ranking gives the value that the result has."""
    return {
        name: dict(values).get(result[name], 0.0)
        for name, values in reading.narrowed.items()
        if isinstance(result.get(name), str)
    }


def _places(questions: Sequence[Question], prompt: Prompt, result: Mapping[str, Any]) -> Iterator[int]:
    """The lines that tell where the chosen tests stand."""
    for question in questions:
        if question.source == "tests":
            named = result[question.name] if question.many else [result[question.name]]
            for each in prompt.codes.get(question.name, {}).values():
                if isinstance(each, Candidate) and each.place and each.name in named:
                    yield each.lines[-1]


def _is_prose(question: Question) -> bool:
    return question.kind == "text" and question.length >= _SENTENCE


def _whole(completion: Completion) -> str:
    """The text of an answer that ended by itself and is no longer than any answer could be."""
    if completion.finish_reason not in _ENDED:
        raise Invalid(f"the server ended it ({completion.finish_reason[:40]})")
    if len(completion.text) > _LONGEST:
        raise Invalid(f"it has {len(completion.text):,} characters; write one short JSON object")
    if not completion.text.strip():
        raise Invalid("it is empty; write one short JSON object")
    return completion.text


def _parse(text: str) -> dict[str, Any]:
    """The JSON object in the text, a code fence around it forgiven."""
    start, end = text.find("{"), text.rfind("}")
    try:
        given = loads(text[start : end + 1])
    except ValueError as error:
        raise Invalid(f"it is no JSON object ({error})") from error
    if not isinstance(given, dict):
        raise Invalid("it is no JSON object")
    return given


def _closed(text: str) -> tuple[dict[str, Any], bool]:
    """The JSON object that was cut off in its last text or behind it; empty for any other. Whether that text ends."""
    kept = _HALF_ESCAPE.sub(r"\1", text[:_LONGEST])
    for end in ("", "}", '"}'):
        with suppress(Invalid):
            return _parse(kept + end), end != '"}'
    return {}, False


def _read(question: Question, given: Mapping[str, Any], codes: Mapping[str, Meaning]) -> Any:
    """What the answer holds for `question`, codes turned into what they stand for."""
    if question.kind in ("text", "integer", "number", "flag"):
        return _cleaned(_member(question, given))
    if not codes:
        return [] if question.many else None
    value = _member(question, given)
    if question.many:
        chosen = list(dict.fromkeys(value)) if _is_words(value) else None
        if chosen is None:
            raise Invalid(f"{question.name} is no list of codes")
        if len(chosen) < question.least <= len(value):
            raise Invalid(f"{question.name} repeats itself; it needs {question.least} that differ")
        # A code of the size class beyond what was on offer stands for nothing.
        return [_meaning(question, codes[code]) for code in chosen if code in codes]
    if question.nullable and value in (None, NONE):
        return None
    if not isinstance(value, str) or value not in codes:
        raise Invalid(f"{question.name} must be one of {', '.join([*codes, *[NONE] * question.nullable])}")
    return _meaning(question, codes[value])


def _member(question: Question, given: Mapping[str, Any]) -> Any:
    if question.name not in given:
        raise Invalid(f"{question.name} is missing")
    return given[question.name]


def _cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [clean(each) if isinstance(each, str) else each for each in value]
    return clean(value) if isinstance(value, str) else value


def _is_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _meaning(question: Question, meaning: Meaning) -> Any:
    if not isinstance(meaning, Candidate):
        return meaning
    if question.shape == "object":
        return {"name": meaning.name, "version": meaning.version, "ecosystem": meaning.ecosystem}
    return int(meaning.name) if question.shape == "integer" and meaning.name.isdecimal() else meaning.name


def _evidence(excerpt: Excerpt, numbers: Sequence[int]) -> tuple[Evidence, ...]:
    """The lines with these numbers, in order."""
    wanted = set(numbers)
    return tuple(Evidence(line.number, line.text[:_EVIDENCE_CHARS]) for line in excerpt.lines if line.number in wanted)
