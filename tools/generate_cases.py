"""Writes pipelines/ci_failure/cases.yaml from the recorded samples and their truth: `python -m tools.generate_cases`.

What is expected comes from the truth alone. The canned answer of the model is the truth, as far as it is on offer;
where it is not (the ranker left the category out, the dependency is not among the candidates), the case says
`gap` and expects what is left: the gaps are what the deterministic stages still miss, and are counted at the top.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from processor.casefile import Case
from processor.caserun import event_of
from processor.home import Homes
from processor.lane import Lane, Shared
from processor.logs.redact import redactor
from processor.pipeline import Pipeline
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import StubModel

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "pipelines" / "ci_failure"
SEVERITY = {"link_check": "minor", "static_check": "minor", "infra_cancel": "minor", "security_audit": "critical"}
NO_CATEGORY = "the category is not among the ranker's likeliest"
NO_DEPENDENCY = "the dependency is not on offer"
HEAD = """# Written by `python -m tools.generate_cases` from samples/truth.jsonl; do not edit.
# `faultstream test ci_failure` runs them with these answers, `faultstream test ci_failure --live` with the model.
"""


async def main() -> int:
    """Write the file; says how many truths are not on offer."""
    pipeline = Pipeline.load(FOLDER, Homes.of((), {}))
    shared = Shared("test", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(CollectorRegistry()))
    lane = Lane.by(pipeline, StubModel(), shared)
    truths = [json.loads(line) for line in (FOLDER / "samples" / "truth.jsonl").read_text().splitlines()]
    gaps: Counter[str] = Counter()
    first: dict[tuple[str, str], tuple[str, str]] = {}
    parts = ["cases:\n"]
    for truth in truths:
        case = Case(name=truth["id"], sample=f"samples/{truth['id']}.log", attributes=_attributes(truth))
        parts.append(await _written(lane, case, truth, first, gaps))
    counted = "".join(f"# {count} of {len(truths)}: {gap}\n" for gap, count in sorted(gaps.items()))
    (FOLDER / "cases.yaml").write_text(HEAD + counted + "".join(parts), encoding="utf-8")
    print(f"{len(truths)} cases; " + ", ".join(f"{gap}: {count}" for gap, count in sorted(gaps.items())))
    return 0


def _attributes(truth: Mapping[str, Any]) -> dict[str, str | int]:
    return {name: truth[name] for name in ("repo", "job")}


async def _written(
    lane: Lane, case: Case, truth: Mapping[str, Any], first: dict[tuple[str, str], tuple[str, str]], gaps: Counter[str]
) -> str:
    """A case as YAML."""
    event = event_of(case, FOLDER)
    _, session = lane.redact(event)
    reading = lane.recognise(await lane.reduce(event.body or b"", session))
    expect: dict[str, Any] = {"result": {}}
    lines = [f"  - name: {case.name}", f"    sample: {case.sample}", f"    attributes: {_flow(case.attributes)}"]
    categories = [truth["category"], *truth["category_alt"]]
    names = _names(truth)
    missing: list[str] = []
    if reading.rule is not None and reading.rule.decides:
        expect |= {"decided_by": "rule"}
        expect["result"] = _by_rule(reading.rule.fields, categories, names, missing)
    else:
        codes = lane.prompt(event, reading).codes
        offered = {name: [_said(one) for one in table.values()] for name, table in codes.items()}
        answer = _answer(truth, offered, categories, names, missing)
        lines.append(f"    answer: {_flow(answer)}")
        if NO_CATEGORY not in missing:
            expect["result"]["category"] = answer["category"]
        if NO_DEPENDENCY not in missing:
            expect["result"]["faulty_dependency"] = _dependency(names)
        if answer["evidence"]:
            expect["evidence"] = answer["evidence"]
    expect |= _fingerprints(case.name, truth, reading.anchor, first, missing)
    gaps.update(missing)
    comments = [f"    # gap: {gap}" for gap in missing]
    return "\n".join([*lines[:3], *comments, *lines[3:], f"    expect: {_flow(expect)}", ""])


def _by_rule(fields: Mapping[str, Any], categories: list[str], names: list[str], missing: list[str]) -> dict[str, Any]:
    """What a rule must answer by the truth; where it says otherwise, nothing is expected."""
    expected: dict[str, Any] = {"category": _one_of(categories), "faulty_dependency": _dependency(names)}
    name = (fields.get("faulty_dependency") or {}).get("name")
    if fields.get("category") not in categories or (name or "") not in (names or [""]):
        missing.append("a rule says otherwise than the truth")
        return {}
    return expected


def _fingerprints(
    name: str, truth: Mapping[str, Any], anchor: str, first: dict[tuple[str, str], tuple[str, str]], missing: list[str]
) -> dict[str, Any]:
    """Which other cases this one's fingerprint must equal, or differ from."""
    fault = (truth["repo"], truth["fault"])
    if fault in first:
        if first[fault][1] == anchor:
            return {"fingerprint_same_as": first[fault][0]}
        missing.append("a re-run has another fingerprint")
        return {}
    others = [one for (repo, _), one in first.items() if repo == truth["repo"]]
    first[fault] = (name, anchor)
    if any(known == anchor for _, known in others):
        missing.append("another fault of the repository has the same fingerprint")
    different = [other for other, known in others if known != anchor]
    return {"fingerprint_differs_from": different} if different else {}


def _answer(
    truth: Mapping[str, Any],
    offered: Mapping[str, list[Any]],
    categories: list[str],
    names: list[str],
    missing: list[str],
) -> dict[str, Any]:
    """The truth as far as it can be chosen; what of it can't goes to `missing`."""
    category = next((one for one in categories if one in offered["category"]), None)
    if category is None:
        missing.append(NO_CATEGORY)
    dependency = next((one for one in names if one in offered.get("faulty_dependency", [])), None)
    if names and dependency is None:
        missing.append(NO_DEPENDENCY)
    bad = {number for begin, end in truth["failing_lines"] for number in range(begin, end + 1)}
    evidence = [number for number in offered.get("evidence", []) if number in bad][:4]
    if not evidence:
        missing.append("no failing line is on offer")
    return {
        "category": category or offered["category"][0],
        "faulty_dependency": dependency,
        "failing_tests": [one for one in truth["failing_tests"] if one in offered.get("failing_tests", [])][:5],
        "severity": SEVERITY.get(truth["category"], "major"),
        "evidence": evidence,
        "summary": f"The job {truth['job']} failed: {truth['kind'].partition('/')[2].replace('_', ' ')}.",
    }


def _names(truth: Mapping[str, Any]) -> list[str]:
    dependency = truth["faulty_dependency"]
    return [dependency["name"], *dependency.get("accept", [])] if dependency else []


def _dependency(names: list[str]) -> Any:
    return {"name": _one_of(names)} if names else None


def _one_of(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else {"one_of": values}


def _said(meaning: Any) -> Any:
    return getattr(meaning, "number", None) or getattr(meaning, "name", None) or meaning


def _flow(value: Any) -> str:
    """JSON is YAML; keys without quotes read better."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
