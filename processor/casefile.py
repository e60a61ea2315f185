"""Cases of a pipeline: `cases.yaml` names events and what must come of them. `caserun` runs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from processor.contract import ATTRIBUTES
from processor.errors import ConfigError
from processor.lang import yaml
from processor.lang.fields import ResultSchema
from processor.lang.problem import Problem, nearest
from processor.lang.validate import Part, validate
from processor.lang.yaml import Document, Path_
from processor.pipeline.chain import StepPart
from processor.reasons import REASONS

FILE: Final = "cases.yaml"


class Expect(Part):
    """What must come of a case; what is not named is not looked at."""

    result: dict[str, Any] = Field(
        default_factory=dict,
        description="Fields of the result and their values. Of an object only the members named are compared; "
        "`{one_of: [a, b]}` allows several values.",
        examples=[{"category": "dependency_resolution", "faulty_dependency": {"name": "left-pad"}}],
    )
    decided_by: Literal["rule", "model", "evaluate"] | None = Field(
        None, description="Who decides; `evaluate` is a step of the chain that ended it.", examples=["rule"]
    )
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
    chain: dict[str, Any] = Field(
        default_factory=dict,
        description="What steps of the chain must give, by name; of a mapping only the members named are compared.",
        examples=[{"judged": {"urgent": True}}],
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
    lines: str | None = Field(
        None,
        description="File of the lines of a log as they lie on the topic, a record a line (`source.assemble`): the "
        "values, or what `kcat -J` prints. Relative to the folder.",
        examples=["samples/lines.jsonl"],
    )
    payload: dict[str, Any] | None = Field(
        None,
        description="A JSON payload instead of a log, such as a webhook's. It is read as the daemon reads it: by the "
        "mappings under config/providers and by `source.attributes`.",
        examples=[{"build": {"status": "failure"}}],
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Headers of the record; with them a log is read as the daemon does it, too (`source.attributes`).",
        examples=[{"x-drone-event": "build"}],
    )
    attributes: dict[str, str | int] = Field(
        default_factory=dict,
        description="Attributes of the event, in place of what payload and headers tell.",
        examples=[{"repo": "acme/web"}],
    )
    answer: dict[str, Any] | None = Field(
        None,
        description="The model's canned answer by field: values, names of packages and tests, numbers of lines (or "
        "the codes themselves). Not needed where a rule decides; not used with --live.",
        examples=[{"category": "test", "faulty_dependency": None, "evidence": [41], "summary": "A test failed."}],
    )
    chain: dict[str, Any] = Field(
        default_factory=dict,
        description="What steps of the chain give, by name: of a query a row, a list of rows or null (there is none), "
        "of a question the answer as in `answer` (not used with --live). Expressions are evaluated.",
        examples=[{"owner": {"team": "web"}}],
    )
    expect: Expect = Field(
        default_factory=Expect, description="What must come of it.", examples=[{"decided_by": "rule"}]
    )


class CasesDocument(Part):
    """`cases.yaml` of a pipeline."""

    cases: list[Case] = Field(description="The cases.", min_length=1, examples=[[{"name": "one", "text": "boom"}]])


def load_cases(folder: Path) -> list[Case]:
    """The cases of a pipeline's folder, none where it has no file; raises ConfigError."""
    file = folder / FILE
    if not file.exists():
        return []
    model, problems = validate(CasesDocument, yaml.load(file))
    if model is None:
        raise ConfigError("\n".join(str(one) for one in problems))
    return model.cases


def check_cases(folder: Path, schema: ResultSchema | None, chain: Sequence[StepPart] | None = None) -> list[Problem]:
    """All that is wrong with a pipeline's cases, without running them; `chain` are the steps of its chain, if known."""
    file = folder / FILE
    if not file.exists():
        return []
    document = yaml.load(file)
    model, problems = validate(CasesDocument, document)
    if model is None:
        return list(problems)
    steps = list(_check_chain(document, model.cases, chain)) if chain is not None else []
    return [*problems, *_check(document, model.cases, folder, schema), *steps]


def _check(document: Document, cases: Sequence[Case], folder: Path, schema: ResultSchema | None) -> Iterator[Problem]:
    names = [case.name for case in cases]
    for index, case in enumerate(cases):
        at = ("cases", index)
        if names.index(case.name) != index:
            yield document.problem((*at, "name"), f"two cases are named {case.name!r}")
        if sum(one is not None for one in (case.sample, case.text, case.lines, case.payload)) != 1:
            yield document.problem(at, f"case {case.name!r} needs one of sample, text, lines and payload")
        if case.headers and case.lines is not None:
            yield document.problem(
                (*at, "headers"), "records of lines have their own headers", "write them in the file"
            )
        for key, file in (("sample", case.sample), ("lines", case.lines)):
            if file is not None and not (folder / file).is_file():
                there = [str(one.relative_to(folder)) for one in folder.glob("samples/*") if one.is_file()]
                yield document.problem((*at, key), f"no file {file}", nearest(file, there))
        for name, value in case.attributes.items():
            if name not in ATTRIBUTES:
                hint = nearest(name, ATTRIBUTES, most=16)
                yield document.problem((*at, "attributes", name), f"unknown attribute {name!r}", hint, key=True)
            elif not isinstance(value, ATTRIBUTES[name].type):
                yield document.problem((*at, "attributes", name), f"{name} must be {_WORDS[ATTRIBUTES[name].type]}")
        yield from _check_expected(document, index, case.expect, names, schema)


def _check_chain(document: Document, cases: Sequence[Case], chain: Sequence[StepPart]) -> Iterator[Problem]:
    """Names in `chain` of cases that no step has, nor any column of a query."""
    steps = {step.name: step for step in chain}
    for index, case in enumerate(cases):
        at: Path_ = ("cases", index)
        places: list[tuple[Path_, str]] = [((*at, "chain", name), name) for name in case.chain]
        places += [((*at, "expect", "chain", name), name) for name in case.expect.chain]
        for path, name in places:
            if name not in steps:
                yield document.problem(path, f"the chain has no step {name!r}", nearest(name, steps), key=True)
        for name, rows in case.chain.items():
            query = steps[name].query if name in steps else None
            given = rows if isinstance(rows, list) else [rows]
            for column in {key: None for row in given if isinstance(row, dict) for key in row}:
                if query is not None and column not in query.columns:
                    told, hint = f"the query {name} has no column {column!r}", nearest(column, query.columns)
                    yield document.problem((*at, "chain", name), told, hint, key=True)


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
