"""Runs the cases of a pipeline, offline or against a live model.

Offline the model's answer is canned. It names what the answer means (a category, a package, a line's number);
the codes that stand for it are looked up in what the model was offered, so that a case also proves that the
right choice was on offer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from prometheus_client import CollectorRegistry

from processor.assemble.files import logs, records
from processor.casefile import Case, Expect
from processor.chain.query import Given
from processor.contract import ATTRIBUTES, Candidate, Event, ExcerptLine, Finding, Origin, Record, deciding
from processor.databases.ports import Database
from processor.errors import ConfigError, Rejected
from processor.lane import Lane, Shared
from processor.logs.redact import redactor
from processor.models.chat import Completion, Model
from processor.models.form import NONE
from processor.models.question import Meaning, Prompt
from processor.pipeline import Pipeline
from processor.pipeline.chain import QueryConfig
from processor.pipeline.lines import line_plan
from processor.settings.fetch import FetchSettings
from processor.sources.decode import Decoder
from processor.sources.providers import Providers
from processor.stages.fetch import Fetch
from processor.stages.infer import Infer, Served
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import StubModel
from processor.tiers.ask import Ask

NOBODY: Final = Providers()
"""No provider's payload is known."""


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


class _Canned(Infer):
    """Answers with what a case says, in the codes of the prompt at hand. `faults` is where it says what is missing."""

    def __init__(self, given: Any, where: str, live: Infer, faults: list[str]) -> None:
        super().__init__(StubModel(), live.tier, live.adapter)
        self._given, self._where, self._faults = given, where, faults

    async def __call__(self, prompt: Prompt) -> Completion:
        """The canned answer; Rejected("internal") where there is none."""
        if not isinstance(self._given, dict):
            self._faults.append(f"a model was asked, but the case has no `{self._where}`")
            raise Rejected("internal", self._faults[-1])
        answer: dict[str, Any] = {}
        faults: list[str] = []
        offered = {slot.name for slot in prompt.form.slots}
        for name, value in self._given.items():
            if name not in offered and value:
                faults.append(f"{name}: {value!r} was not on offer (nothing was)")
            answer[name] = _coded(name, value, prompt.codes.get(name, {}), faults)
        if faults:
            self._faults.append("; ".join(faults))
            raise Rejected("internal", self._faults[-1])
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
    pipeline: Pipeline,
    cases: Iterable[Case],
    live: Mapping[str, Model] | None = None,
    served: Mapping[str, Served] | None = None,
    providers: Providers = NOBODY,
    redaction: Path | None = None,
) -> list[Outcome]:
    """Run cases through the pipeline's line: with canned answers, or with those of `live` models, by tier.

    `served` by tier says which version of an adapter is asked there; `providers` are those that know payloads, and
    `redaction` says what a home counts as secret beside what is known. Raises ConfigError.
    """
    metrics = LineMetrics(CollectorRegistry())
    shared = Shared("test", Fetch(FetchSettings()), Redact(redactor(redaction)), metrics, served=served or {})
    lane = Lane.by(pipeline, StubModel(), shared, others=live)
    outcomes = [await _run(lane, case, providers, offline=live is None) for case in cases]
    for one in outcomes:
        one.failures += _compare_fingerprints(one, outcomes)
    return outcomes


async def _run(lane: Lane, case: Case, providers: Providers, *, offline: bool) -> Outcome:
    outcome = Outcome(case)
    missing: list[str] = []

    def canned(ask: Ask) -> Infer:
        own = ask is lane.judge.ask
        given, where = (case.answer, "answer") if own else (case.chain.get(ask.step), f"chain.{ask.step}")
        return _Canned(given, where, ask.infer, missing) if offline else ask.infer

    try:
        event = _event(case, lane.pipeline, providers)
        match = lane.pipeline.match
        if match is not None and not match.evaluate({"event": event.attributes}):
            asked = [name for name in ATTRIBUTES if re.search(rf"event\.{name}\b", match.text)]
            told = ", ".join(f"{name} is {_json(event.attributes[name])}" for name in asked)
            outcome.failures.append(f"the pipeline does not want this event: {told} (match: {match.text})")
            return outcome
        outcome.finding = await lane.answered_by(canned, _given(lane.pipeline, case)).find(event)
    except Rejected as error:
        outcome.rejected = error
    if missing:
        outcome.failures.append(missing[0])
    else:
        outcome.failures += compare(case.expect, outcome)
    return outcome


def _given(pipeline: Pipeline, case: Case) -> dict[str, Database]:
    """The databases of a case: each query gives the rows that the case has for its step."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for step in pipeline.chain:
        if isinstance(step.does, QueryConfig) and step.name in case.chain:
            given = case.chain[step.name]
            rows[step.does.query.where] = given if isinstance(given, list) else [] if given is None else [given]
    database = Given(rows)
    return {query.database: database for query in pipeline.queries}


def event_of(case: Case, folder: Path) -> Event:
    """The event of a log: defaults, the case's attributes, its body. Raises Rejected ("empty"), as decoding does."""
    attributes = {name: one.default for name, one in ATTRIBUTES.items()} | dict(case.attributes)
    body = None
    if case.sample is not None:
        body = (folder / case.sample).read_bytes()
    elif case.text is not None:
        body = case.text.encode()
    if not body:
        raise Rejected("empty", "the case has no body")
    return Event(Origin("test", "test", 0, 0), Record("test", 0, 0, None, body), attributes, body)


def _event(case: Case, pipeline: Pipeline, providers: Providers) -> Event:
    """The event of a case. A payload, and whatever has headers, is decoded as the daemon decodes a record."""
    if case.lines:
        return _of_lines(case, pipeline, providers)
    if case.payload is None and not case.headers:
        return event_of(case, pipeline.folder)
    body = orjson.dumps(case.payload) if case.payload is not None else event_of(case, pipeline.folder).body
    headers = tuple((name, value.encode()) for name, value in case.headers.items())
    event = Decoder(pipeline.decode, providers, "test").decode(Record("test", 0, 0, None, body, headers))
    event.attributes |= case.attributes
    return event


def _of_lines(case: Case, pipeline: Pipeline, providers: Providers) -> Event:
    """The event of the one log that the lines of a case make. Raises Rejected, as decoding a log does; ConfigError."""
    plan = line_plan(pipeline, providers, "test")
    if plan is None:
        raise ConfigError(f"case {case.name!r} has lines, but {pipeline.name} reads whole logs (no source.assemble)")
    found, refused = logs(records([(pipeline.folder / str(case.lines)).read_bytes()]), plan)
    if len(found) != 1 and not refused:
        raise ConfigError(f"case {case.name!r}: {case.lines} has the lines of {len(found)} logs, a case is about one")
    event = Decoder(pipeline.decode, providers, "test").decode(refused[0] if refused else found[0])
    event.attributes |= case.attributes
    return event


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
        by = f"rule {step.rule}" if step.rule else "the model" if step.decided_by == "model" else "the chain"
        found.append(f"decided_by: expected {expect.decided_by}, got {by}")
    if expect.rule is not None and step.rule != expect.rule:
        found.append(f"rule: expected {expect.rule}, got {step.rule or 'none'}")
    for name, wanted in expect.chain.items():
        found += _differences(f"chain.{name}", wanted, finding.chain.get(name))
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
