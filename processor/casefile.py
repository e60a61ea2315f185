"""Cases of a pipeline: `cases.yaml` names events and what must come of them; run offline or against a live model.

Offline the model's answer is canned. It names what the answer means (a category, a package, a line's number);
the codes that stand for it are looked up in what the model was offered, so that a case also proves that the
right choice was on offer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import orjson
from prometheus_client import CollectorRegistry
from pydantic import Field

from processor.contract import ATTRIBUTES, REASONS, Candidate, Event, ExcerptLine, Finding, Origin, Record, deciding
from processor.errors import ConfigError, Rejected
from processor.lang import yaml
from processor.lang.fields import ResultSchema
from processor.lang.problem import Problem, nearest
from processor.lang.validate import Part, validate
from processor.lang.yaml import Document
from processor.line import Lane, Shared
from processor.logs.redact import redactor
from processor.models.chat import Completion, Model
from processor.models.form import NONE
from processor.models.question import Meaning, Prompt
from processor.pipeline import Pipeline
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.infer import Infer, Served, as_named
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import StubModel

FILE: Final = "cases.yaml"


class Expect(Part):
    """What must come of a case; what is not named is not looked at."""

    result: dict[str, Any] = Field(
        default_factory=dict,
        description="Fields of the result and their values. Of an object only the members named are compared; "
        "`{one_of: [a, b]}` allows several values.",
        examples=[{"category": "dependency_resolution", "faulty_dependency": {"name": "left-pad"}}],
    )
    decided_by: Literal["rule", "model"] | None = Field(None, description="Who decides.", examples=["rule"])
    rule: str | None = Field(None, description="Which rule decides.", examples=["npm-eresolve"])
    evidence: list[int | str] = Field(
        default_factory=list,
        description="Evidence that must be there: numbers of lines, or parts of their text.",
        examples=[[12, "Could not resolve"]],
    )
    fingerprint_same_as: str | None = Field(
        None, description="Name of a case that shows the same fault.", examples=["first run"]
    )
    fingerprint_differs_from: list[str] = Field(
        default_factory=list, description="Names of cases that show other faults.", examples=[["another package"]]
    )
    review: bool | None = Field(None, description="Whether the finding is flagged for review.", examples=[False])
    rejected: str | None = Field(
        None, description="Reason code of the dead letter, where there must be no finding.", examples=["empty"]
    )


class Case(Part):
    """One event and what must come of it."""

    name: str = Field(description="Name, unique in the file.", min_length=1, examples=["npm: conflicting peers"])
    sample: str | None = Field(None, description="Log file, relative to the folder.", examples=["samples/npm.log"])
    text: str | None = Field(None, description="The log itself, for short ones.", examples=["E: Unable to locate"])
    payload: dict[str, Any] | None = Field(None, description="A JSON payload instead of a log.", examples=[{"a": 1}])
    attributes: dict[str, str | int] = Field(
        default_factory=dict, description="Attributes of the event.", examples=[{"repo": "acme/web"}]
    )
    answer: dict[str, Any] | None = Field(
        None,
        description="The model's canned answer by field: values, names of packages and tests, numbers of lines (or "
        "the codes themselves). Not needed where a rule decides; not used with --live.",
        examples=[{"category": "test", "faulty_dependency": None, "evidence": [41], "summary": "A test failed."}],
    )
    expect: Expect = Field(
        default_factory=Expect, description="What must come of it.", examples=[{"decided_by": "rule"}]
    )


class CasesDocument(Part):
    """`cases.yaml` of a pipeline."""

    cases: list[Case] = Field(description="The cases.", min_length=1, examples=[[{"name": "one", "text": "boom"}]])


@dataclass(slots=True)
class Outcome:
    """What came of a case; `failures` is empty where it is as expected."""

    case: Case
    finding: Finding | None = None
    rejected: Rejected | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.failures


# -- reading and checking the file ------------------------------------------------------------------------------


def load_cases(folder: Path) -> list[Case]:
    """The cases of a pipeline's folder, none where it has no file; raises ConfigError."""
    file = folder / FILE
    if not file.exists():
        return []
    model, problems = validate(CasesDocument, yaml.load(file))
    if model is None:
        raise ConfigError("\n".join(str(one) for one in problems))
    return model.cases


def check_cases(folder: Path, schema: ResultSchema | None) -> list[Problem]:
    """All that is wrong with a pipeline's cases, without running them."""
    file = folder / FILE
    if not file.exists():
        return []
    document = yaml.load(file)
    model, problems = validate(CasesDocument, document)
    if model is None:
        return list(problems)
    return [*problems, *_check(document, model.cases, folder, schema)]


def _check(document: Document, cases: Sequence[Case], folder: Path, schema: ResultSchema | None) -> Iterator[Problem]:
    names = [case.name for case in cases]
    for index, case in enumerate(cases):
        at = ("cases", index)
        if names.index(case.name) != index:
            yield document.problem((*at, "name"), f"two cases are named {case.name!r}")
        if sum(one is not None for one in (case.sample, case.text, case.payload)) != 1:
            yield document.problem(at, f"case {case.name!r} needs one of sample, text and payload")
        if case.sample is not None and not (folder / case.sample).is_file():
            there = [str(one.relative_to(folder)) for one in folder.glob("samples/*") if one.is_file()]
            yield document.problem((*at, "sample"), f"no file {case.sample}", nearest(case.sample, there))
        for name, value in case.attributes.items():
            if name not in ATTRIBUTES:
                hint = nearest(name, ATTRIBUTES, most=16)
                yield document.problem((*at, "attributes", name), f"unknown attribute {name!r}", hint, key=True)
            elif not isinstance(value, ATTRIBUTES[name].type):
                yield document.problem((*at, "attributes", name), f"{name} must be {_WORDS[ATTRIBUTES[name].type]}")
        yield from _check_expected(document, index, case.expect, names, schema)


_WORDS: Final[Mapping[type, str]] = {str: "text (put it in quotes)", int: "a whole number"}


def _check_expected(
    document: Document, index: int, expect: Expect, names: Sequence[str], schema: ResultSchema | None
) -> Iterator[Problem]:
    at = ("cases", index, "expect")
    others = [*expect.fingerprint_differs_from, *([expect.fingerprint_same_as] if expect.fingerprint_same_as else [])]
    for other in others:
        if other not in names:
            key = "fingerprint_same_as" if other == expect.fingerprint_same_as else "fingerprint_differs_from"
            yield document.problem((*at, key), f"no case is named {other!r}", nearest(other, names))
    if expect.rejected is not None and expect.rejected not in REASONS:
        yield document.problem(
            (*at, "rejected"), f"unknown reason {expect.rejected!r}", nearest(expect.rejected, REASONS)
        )
    for name, wanted in expect.result.items() if schema is not None else ():
        one = schema.result_fields.get(name) if schema is not None else None
        if one is None:
            hint = nearest(name, schema.result_fields if schema is not None else ())
            yield document.problem((*at, "result", name), f"the schema has no field {name!r}", hint, key=True)
            continue
        values = wanted["one_of"] if isinstance(wanted, dict) and "one_of" in wanted else [wanted]
        for value in values if isinstance(values, list) else ():
            if one.enum and value not in one.enum:
                hint = nearest(str(value), one.enum, most=24)
                yield document.problem((*at, "result", name), f"{name} is never {value!r}", hint)


# -- running ----------------------------------------------------------------------------------------------------


class _Canned(Infer):
    """Answers with what a case says, in the codes of the prompt at hand."""

    def __init__(self, case: Case, live: Infer) -> None:
        super().__init__(StubModel(), live.tier, live.adapter)
        self._case = case
        self.fault = ""

    async def __call__(self, prompt: Prompt) -> Completion:
        """The canned answer; Rejected("internal") where there is none."""
        if self._case.answer is None:
            self.fault = "a model was asked, but the case has no `answer`"
            raise Rejected("internal", self.fault)
        answer: dict[str, Any] = {}
        faults: list[str] = []
        offered = {slot.name for slot in prompt.form.slots}
        for name, value in self._case.answer.items():
            if name not in offered and value:
                faults.append(f"{name}: {value!r} was not on offer (nothing was)")
            answer[name] = _coded(name, value, prompt.codes.get(name, {}), faults)
        if faults:
            self.fault = "; ".join(faults)
            raise Rejected("internal", self.fault)
        text = orjson.dumps({name: value for name, value in answer.items() if name in offered}).decode()
        return Completion(text, "stop", model="canned", adapter=self.adapter)


def _coded(name: str, value: Any, codes: Mapping[str, Meaning], faults: list[str]) -> Any:
    """`value` as the codes of a prompt say it."""
    if isinstance(value, list):
        return [_coded(name, one, codes, faults) for one in value]
    if not codes:
        return value
    if value is None:
        return NONE
    if value in codes:
        return value
    wanted = value.get("name") if isinstance(value, dict) else value
    for code, meaning in codes.items():
        if wanted == _said(meaning):
            return code
    offered = ", ".join(str(_said(one)) for one in codes.values())
    faults.append(f"{name}: {wanted!r} was not on offer (offered: {offered:.300})")
    return value


def _said(meaning: Meaning) -> str | int:
    if isinstance(meaning, Candidate):
        return meaning.name
    return meaning.number if isinstance(meaning, ExcerptLine) else meaning


async def run_cases(
    pipeline: Pipeline, cases: Iterable[Case], live: Model | None = None, served: Served = as_named
) -> list[Outcome]:
    """Run cases through the pipeline's line: with canned answers, or with `live` where a model is given.

    `served` says which version of its adapter that is asked.
    """
    metrics, tier = LineMetrics(CollectorRegistry()), pipeline.model.tier
    shared = Shared("test", Fetch(FetchSettings()), Redact(redactor()), metrics, served={tier: served})
    lane = Lane.by(pipeline, live or StubModel(), shared)
    outcomes = [await _run(lane, case, offline=live is None) for case in cases]
    for one in outcomes:
        one.failures += _compare_fingerprints(one, outcomes)
    return outcomes


async def _run(lane: Lane, case: Case, *, offline: bool) -> Outcome:
    outcome = Outcome(case)
    canned = _Canned(case, lane.judge.ask.infer)
    try:
        event = event_of(case, lane.pipeline.folder)
        if lane.pipeline.match is not None and not lane.pipeline.match.evaluate({"event": event.attributes}):
            outcome.failures.append(f"the pipeline does not want this event (match: {lane.pipeline.match.text})")
            return outcome
        outcome.finding = await (lane.answered_by(canned) if offline else lane).find(event)
    except Rejected as error:
        outcome.rejected = error
    if canned.fault:
        outcome.failures.append(canned.fault)
    else:
        outcome.failures += compare(case.expect, outcome)
    return outcome


def event_of(case: Case, folder: Path) -> Event:
    """The event of a case: defaults, its attributes, its body. Raises Rejected ("empty"), as decoding a record does."""
    attributes = {name: one.default for name, one in ATTRIBUTES.items()} | dict(case.attributes)
    body = None
    if case.sample is not None:
        body = (folder / case.sample).read_bytes()
    elif case.text is not None:
        body = case.text.encode()
    if not body and case.payload is None:
        raise Rejected("empty", "the case has no body")
    record = Record("test", 0, 0, None, body)
    return Event(Origin("test", "test", 0, 0), record, attributes, body, case.payload)


# -- comparing --------------------------------------------------------------------------------------------------


def compare(expect: Expect, outcome: Outcome) -> list[str]:
    """What differs from what was expected, a line each."""
    rejected, finding = outcome.rejected, outcome.finding
    if rejected is not None or finding is None:
        if rejected is not None and rejected.reason == expect.rejected:
            return []
        reason = f"{rejected.reason}: {rejected}" if rejected is not None else "nothing"
        return [f"expected {expect.rejected or 'a finding'}, got a dead letter: {reason}"]
    if expect.rejected is not None:
        return [f"expected a dead letter ({expect.rejected}), got a finding"]
    found: list[str] = []
    for name, wanted in expect.result.items():
        found += _differences(f"result.{name}", wanted, finding.result.get(name))
    step = deciding(finding.steps) or finding.steps[-1]
    if expect.decided_by is not None and step.decided_by != expect.decided_by:
        by = f"rule {step.rule}" if step.rule else "the model"
        found.append(f"decided_by: expected {expect.decided_by}, got {by}")
    if expect.rule is not None and step.rule != expect.rule:
        found.append(f"rule: expected {expect.rule}, got {step.rule or 'none'}")
    if expect.review is not None and finding.review != expect.review:
        found.append(f"review: expected {_json(expect.review)}, got {_json(finding.review)}")
    for one in expect.evidence:
        if not any(one == line.line if isinstance(one, int) else one in line.text for line in finding.evidence):
            lines = "; ".join(f"{line.line}: {line.text:.60}" for line in finding.evidence) or "none"
            found.append(f"evidence: expected {one!r}, got {lines}")
    return found


def _differences(path: str, wanted: Any, got: Any) -> list[str]:
    if isinstance(wanted, dict) and set(wanted) == {"one_of"}:
        options = wanted["one_of"]
        if any(not _differences(path, one, got) for one in options):
            return []
        return [f"{path}: expected one of {_json(options)}, got {_json(got)}"]
    if isinstance(wanted, dict) and isinstance(got, dict):
        return [one for key, value in wanted.items() for one in _differences(f"{path}.{key}", value, got.get(key))]
    return [] if wanted == got else [f"{path}: expected {_json(wanted)}, got {_json(got)}"]


def _compare_fingerprints(one: Outcome, outcomes: Sequence[Outcome]) -> list[str]:
    expect, mine = one.case.expect, one.finding
    if mine is None:
        return []
    by_name = {each.case.name: each.finding for each in outcomes}
    found: list[str] = []
    same = expect.fingerprint_same_as
    other = by_name.get(same) if same is not None else None
    if other is not None and other.fingerprint != mine.fingerprint:
        found.append(f"fingerprint: not that of {same!r}: {_anchor(mine)} and {_anchor(other)}")
    for name in expect.fingerprint_differs_from:
        other = by_name.get(name)
        if other is not None and other.fingerprint == mine.fingerprint:
            found.append(f"fingerprint: the same as that of {name!r}: {_anchor(mine)}")
    return found


def _anchor(finding: Finding) -> str:
    return repr(finding.fingerprint_parts.get("anchor", ""))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
