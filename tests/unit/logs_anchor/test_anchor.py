"""Anchors and fingerprints: one name for a fault over re-runs, another for another fault."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from processor.contract import Excerpt
from processor.logs.anchor import anchor, fingerprint
from processor.logs.extract import candidates
from processor.logs.reduce import reduce
from processor.logs.rules import RuleSet
from processor.stages.recognise import Recognise
from tests.unit.logs_extract.excerpts import excerpt

PIPELINE = Path(__file__).parents[3] / "pipelines" / "ci_failure"
RULES = RuleSet.parse(yaml.safe_load((PIPELINE / "rules.yaml").read_text(encoding="utf-8")))


def name(given: Excerpt) -> str:
    """The anchor of an excerpt."""
    return anchor(given, candidates(given), RULES.match(given))


SAME = [
    (
        ["npm error notarget No matching version found for left-pad@99.0.0.", "ERROR: Job failed: exit code 1"],
        [
            "npm ERR! notarget No matching version found for left-pad@^99.1",
            "##[error]Process completed with exit code 1.",
        ],
        "rule:npm-etarget:name=left-pad",
    ),
    (
        ["FAILED tests/test_tax.py::test_gross - AssertionError: assert 118.99 == 119", "1 failed in 3.2s"],
        ["FAILED tests/test_tax.py::test_gross - AssertionError: assert 0 == 119", "1 failed in 9.9s"],
        "test:tests/test_tax.py::test_gross",
    ),
    (
        ["[ERROR] com.acme.TaxTest.rounds -- Time elapsed: 0.01 s <<< FAILURE!"],
        ["[ERROR]   TaxTest.rounds:42 expected:<1> but was:<2>"],
        "test:TaxTest.rounds",
    ),
    (
        ["ModuleNotFoundError: No module named 'httpx'"],
        ["E   ModuleNotFoundError: No module named 'httpx'"],
        "pkg:pypi/httpx",
    ),
    (
        ["job.sh: line 18: /builds/1f3c/deploy.sh: Permission denied"],
        ["job.sh: line 21: /builds/99aa/deploy.sh: Permission denied"],
        "line:job.sh: line <n>: deploy.sh: Permission denied",
    ),
    (
        ["src/delivery.ts(12,5): error TS2322: Type 'string' is not assignable to type 'number'."],
        ["src/delivery.ts:14:5 - error TS2322: Type 'string' is not assignable to type 'number'."],
        "line:src/delivery.ts:<n> error TS2322: Type 'string' is not assignable to type 'number'.",
    ),
    (
        [
            "error[E0308]: mismatched types",
            "  --> src/a.rs:4:5",
            "  |",
            "4 | x",
            "  |  ^ expected `String`, found `u8`",
        ],
        [
            "error[E0308]: mismatched types",
            "  --> src/a.rs:9:5",
            "  |",
            "9 | x",
            "  |    ^ expected `String`, found `u8`",
        ],
        "line:error[E0308]: mismatched types --> src/a.rs:<n> expected `String`, found `u<n>`",
    ),
    (
        ["fatal: unable to access 'https://bot:x@git.example:8443/a/b.git/': error: 502"],
        ["fatal: unable to access 'https://git.example/a/b.git/': error: 502"],
        "line:fatal: unable to access ' git.example/a/b.git ': error: <n>",
    ),
]


@pytest.mark.parametrize(("one", "other", "expected"), SAME, ids=[row[2] for row in SAME])
def test_a_rerun_has_the_same_anchor(one: list[str], other: list[str], expected: str) -> None:
    """Versions, figures, times, paths, line numbers and formats change; the name stays."""
    assert name(excerpt(*one)) == expected
    assert name(excerpt(*other, first=700)) == expected


def test_failing_tests_in_any_order_are_one_fault() -> None:
    """Parallel runners report in any order."""
    lines = ["--- FAIL: TestB (0.00s)", "--- FAIL: TestA (0.10s)"]
    assert name(excerpt(*lines)) == name(excerpt(*reversed(lines))) == "test:TestA"


def test_what_says_nothing_names_nothing() -> None:
    """An exit status names no fault: the line before it does, however they rank."""
    lines = ["artifact 5 of 6", "publish.sh: line 10: the artifact store said no", "ERROR: Job failed: exit code 1"]
    assert name(excerpt(*lines, ranked=(3,))) == "line:publish.sh: line <n>: the artifact store said no"


def test_the_first_compile_error_names_the_fault() -> None:
    """Later errors follow from it, whatever ranking says."""
    lines = ["limits.go:4:19: cannot use x as int value", "limits.go:8:14: undefined: maximum"]
    assert name(excerpt(*lines, ranked=(2, 1))) == "line:limits.go:<n> cannot use x as int value"


def test_a_package_far_from_an_error_does_not_name_the_fault() -> None:
    """A package that is blamed where nothing failed is not the fault's name."""
    given = excerpt("ModuleNotFoundError: No module named 'httpx'", "", "", "", "segmentation fault", ranked=(5,))
    assert name(given) == "line:segmentation fault"


def test_an_empty_excerpt_has_an_anchor() -> None:
    """Even nothing has a name, so that every finding has a fingerprint."""
    assert name(excerpt()) == "line:"


def test_fingerprint_depends_on_pipeline_scope_and_anchor() -> None:
    """32 hexadecimal digits that are the same for the same parts and differ with any of them."""
    first, parts = fingerprint("ci_failure", ["acme/web"], "pkg:npm/zod")
    assert parts == {"v": 1, "scope": ["acme/web"], "anchor": "pkg:npm/zod"}
    assert first == fingerprint("ci_failure", ("acme/web",), "pkg:npm/zod")[0]
    others = [
        ("other", ["acme/web"], "pkg:npm/zod"),
        ("ci_failure", ["acme/api"], "pkg:npm/zod"),
        ("ci_failure", ["acme/web"], "x"),
    ]
    made = {fingerprint(*other)[0] for other in others} | {first}
    assert len(made) == 4
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in made)


def recorded() -> list[tuple[dict[str, object], Excerpt]]:
    """The recorded samples with their truth, reduced."""
    truths = [
        json.loads(line) for line in (PIPELINE / "samples" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [(truth, reduce((PIPELINE / "samples" / f"{truth['id']}.log").read_bytes())) for truth in truths]


def test_recorded_repeats_have_one_fingerprint() -> None:
    """Genuine re-runs of one fault in one repository, other commits and times: one fingerprint each."""
    recognise = Recognise(RULES)
    anchors: dict[tuple[object, object], set[str]] = defaultdict(set)
    for truth, given in recorded():
        anchors[truth["repo"], truth["fault"]].add(recognise(given).anchor)
    assert len(anchors) > 20
    assert {fault: names for fault, names in anchors.items() if len(names) > 1} == {}


def test_rules_are_right_on_recorded_faults() -> None:
    """What rules decide on the recorded samples agrees with what was injected in at least 98 of 100 fields."""
    right = wrong = 0
    for truth, given in recorded():
        match = RULES.match(given)
        if match is None or not match.decides:
            continue
        allowed = [truth["category"], *truth["category_alt"]]  # type: ignore[misc]
        known = truth["faulty_dependency"]
        named = match.fields["faulty_dependency"]
        accepted = {known["name"], *known["accept"]} if isinstance(known, dict) else {None}
        fields = [match.fields["category"] in allowed, (named["name"] if named else None) in accepted]
        right += sum(fields)
        wrong += len(fields) - sum(fields)
    assert right > 50
    assert right / (right + wrong) >= 0.98
