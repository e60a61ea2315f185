"""The rules of the ci_failure pipeline: each is true of what its tool prints, and of nothing near it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from processor.contract import Excerpt
from processor.logs import reduce
from processor.logs.rules import DEFAULT_FINAL, RuleSet
from processor.logs.trial import FILE, trial
from tests.unit.logs_extract.excerpts import excerpt

FOLDER = Path(__file__).parents[3] / "pipelines" / "ci_failure"
RAW: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules.yaml").read_text(encoding="utf-8"))
RULES = RuleSet.parse(RAW)
TRUTHS = [json.loads(line) for line in (FOLDER / "samples" / "truth.jsonl").read_text().splitlines()]
FEWEST_RECORDED = 80
NAMELESS = {"pip-build-failed", "cargo-build-script", "npm-gyp", "composer-platform"}
"""Rules that know what is at fault, and not how."""

CLEAN = [
    [
        "npm warn ERESOLVE overriding peer dependency",
        'npm warn peer react@"^16" from old@1.0.0',
        "added 96 packages in 4s",
    ],
    ["npm warn notsup Not compatible with your operating system", "found 0 vulnerabilities"],
    ["Collecting requests", "Successfully installed requests-2.31.0"],
    ["[INFO] Downloaded from central: https://repo.example/maven2/a/b/1/b-1.pom", "[INFO] BUILD SUCCESS"],
    ["go: downloading golang.org/x/sync v0.7.0", "ok  \tacme.example/a\t0.01s"],
    ["-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)", "-- Configuring done"],
    ["test result: ok. 12 passed; 0 failed", "==== 84 passed in 4.42s ====", "Tests run: 8, Failures: 0, Errors: 0"],
    ["3 - writes No space left on device to the log ... ok"],
    ["warning: Could not find remote branch x to clone.", "the timeout was not reached"],
    ["make[1]: Nothing to be done for 'all'.", "Cannot find module './local'"],
]


@cache
def read(name: str) -> Excerpt:
    """The excerpt of a sample."""
    return reduce((FOLDER / name).read_bytes())


def load(name: str) -> bytes | None:
    """A file of the pipeline's folder."""
    file = FOLDER / name
    return file.read_bytes() if file.is_file() else None


def test_rules_prove_themselves() -> None:
    """Every rule matches its examples and none of its counterexamples, wins one, and contradicts no other."""
    assert trial(RAW, load, [f"samples/{truth['id']}.log" for truth in TRUTHS]) == []


def test_every_rule_has_examples_and_counterexamples() -> None:
    """No rule goes untried, in either direction."""
    assert [rule["id"] for rule in RAW if not (rule.get("examples") and rule.get("counterexamples"))] == []


def test_most_rules_are_proven_by_recorded_logs() -> None:
    """At least the promised number match a log that a real tool wrote; the others say where their words are from."""
    recorded = {rule["id"] for rule in RAW if any(FILE.fullmatch(one) for one in rule["examples"])}
    told = {rule["id"] for rule in RAW if rule.get("source")}
    assert len(recorded - told) >= FEWEST_RECORDED
    assert {rule["id"] for rule in RAW} == recorded | told


@pytest.mark.parametrize("truth", TRUTHS, ids=[truth["id"] for truth in TRUTHS])
def test_what_a_rule_decides_is_the_truth(truth: dict[str, Any]) -> None:
    """On no recorded log does a rule decide for a category or a dependency that is wrong."""
    match = RULES.match(read(f"samples/{truth['id']}.log"))
    wanted = truth["faulty_dependency"]
    names = {wanted["name"], *wanted["accept"]} if wanted else {None}
    if match is None or not match.decides:
        said = {}
    else:
        said = {"category": match.fields["category"], "name": (match.fields["faulty_dependency"] or {}).get("name")}
    assert said.get("category", truth["category"]) in (truth["category"], *truth["category_alt"])
    assert said.get("name", next(iter(names))) in names


def test_summaries_end_as_sentences_do() -> None:
    """A capture does not take the line's own full stop with it."""
    examples = [(rule["id"], name) for rule in RAW for name in filter(FILE.fullmatch, rule["examples"])]
    told = {
        name: hit.fields["summary"]
        for rule, name in examples
        for hit in RULES.hits(read(name))
        if hit.rule.id == rule and hit.fields.get("summary")
    }
    assert told
    assert [one for one in told.items() if one[1].endswith("..")] == []


def test_recorded_logs_meet_their_own_rules_alone() -> None:
    """A sample that is a rule's example is, where another rule decides it, one on which both say the same."""
    wrong = []
    for rule in RAW:
        for name in filter(FILE.fullmatch, rule["examples"]):
            hits = RULES.hits(read(name))
            own = next(hit for hit in hits if hit.rule.id == rule["id"])
            category = own.fields.get("category")
            if own.rule.decides and hits[0].fields.get("category") != category:
                wrong.append((rule["id"], hits[0].rule.id, name))
    assert wrong == []


FINAL = [rule for rule in RAW if rule.get("decides", True)]


@pytest.mark.parametrize("rule", FINAL, ids=[rule["id"] for rule in FINAL])
def test_what_a_job_may_survive_decides_only_at_the_end(rule: dict[str, Any]) -> None:
    """A pull or a fetch that fails, and is forgiven, does not decide what broke a job that went on for long."""
    names = [one for one in rule["examples"] if FILE.fullmatch(one)]
    excerpts = [read(name) for name in names] or [excerpt(*rule["examples"][0].splitlines())]
    longer = [replace(one, total_lines=one.total_lines + rule.get("final", DEFAULT_FINAL) + 1) for one in excerpts]
    assert [match.rule for one in longer if (match := RULES.match(one)) is not None and match.decides] == []


@pytest.mark.parametrize("lines", CLEAN, ids=[lines[0][:30] for lines in CLEAN])
def test_what_did_not_fail_matches_nothing(lines: list[str]) -> None:
    """Warnings, progress and success look similar and are no faults."""
    assert RULES.match(excerpt(*lines)) is None


def test_every_deciding_rule_gives_a_whole_answer() -> None:
    """What decides says category, severity, summary and the dependency, be it null."""
    needed = {"category", "faulty_dependency", "severity", "summary"}
    assert [rule.id for rule in RULES.rules if rule.decides and not needed <= set(rule.fields)] == []


def test_every_hint_names_a_category_or_a_dependency() -> None:
    """A rule that only proposes proposes something."""
    hints = [rule for rule in RULES.rules if not rule.decides]
    assert {rule.id for rule in hints if "category" not in rule.fields} <= NAMELESS
    assert all("faulty_dependency" in rule.fields for rule in hints if "category" not in rule.fields)


QUOTED = [
    "HEAD is now at 4f1c2aa {}",
    "* 4f1c2aa90b {}",
    "[main 4f1c2aa] {}",
    "Commit message: {}",
    "CI_COMMIT_MESSAGE={}",
    "  PR_TITLE: {}",
    "$ echo '{}'",
    "+ echo '{}'",
    "##[group]Run echo {}",
    "    raise OSError('{}')",
    "  12 | throw new Error('{}');",
    "✓ says so: {}",
    "ok 12 - {}",
    "--- PASS: TestTold/{} (0.00s)",
    "tests/test_told.py::test_told[{}] PASSED",
    "it tells of {} ... ok",
    "docs/faq.md:12:{}",
]
SAID = [
    "npm ERR! code ENOSPC: write: No space left on device",
    "E: Unable to locate package left-pad",
    "fatal: couldn't find remote ref refs/heads/gone",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
]


@pytest.mark.parametrize("frame", QUOTED)
def test_what_is_only_told_of_is_no_fault(frame: str) -> None:
    """A commit message, an echoed command, source, a passed test or a hit of grep fools no rule."""
    matched = [said for said in SAID if RULES.match(excerpt("Running job", frame.format(said), "all is well"))]
    assert matched == []


def test_the_same_words_said_by_a_tool_are_a_fault() -> None:
    """What is told of above is a fault where it stands alone."""
    assert [said for said in SAID if RULES.match(excerpt(said)) is None] == []


def test_a_missing_make_target_after_a_failed_clone_is_a_consequence() -> None:
    """A cause that stands before it keeps make's complaint from deciding."""
    lines = [
        "fatal: unable to access 'https://git.example/a/': Empty reply",
        "make: *** No rule to make target 'x'.  Stop.",
    ]
    match = RULES.match(excerpt(*lines))
    assert match is None or match.rule != "make-no-target"


def test_tests_that_fail_later_keep_an_install_warning_from_deciding() -> None:
    """A job that went on after an unresolved peer failed for something else."""
    lines = [
        "npm ERR! Could not resolve dependency:",
        'npm ERR! peer a@"1" from b@2',
        *["…"] * 40,
        "Tests:       3 failed, 9 passed",
    ]
    match = RULES.match(excerpt(*lines))
    assert match is not None
    assert not match.decides
