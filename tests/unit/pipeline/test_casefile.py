"""Cases: what is checked of them, how they run offline, and how failures read."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from processor.casefile import Case, check_cases, load_cases
from processor.caserun import Outcome, run_cases
from processor.cli import app
from processor.errors import ConfigError
from processor.home import Homes
from processor.pipeline import Pipeline
from processor.sources.providers import Providers
from processor.testing.model import StubModel

DATA = Path(__file__).parents[2] / "data"
GOOD = DATA / "config_good"
LOG = "$ pytest\nFAILED tests/test_a.py::test_sum - assert 1 == 2\n"
ANSWER = {"category": "test", "package": None, "evidence": [2], "severity": "minor", "summary": "test_sum fails."}


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    """The good pipeline."""
    return Pipeline.load(GOOD / "pipelines" / "builds", Homes((GOOD,)))


def outcome(pipeline: Pipeline, **parts: Any) -> Outcome:
    """What came of one case."""
    case = Case.model_validate({"name": "one", "text": LOG, "answer": ANSWER, **parts})
    return asyncio.run(run_cases(pipeline, [case]))[0]


def test_the_good_cases_pass(pipeline: Pipeline) -> None:
    """By rule, by canned answer, and with equal fingerprints."""
    found = asyncio.run(run_cases(pipeline, load_cases(pipeline.folder)))
    assert [one.failures for one in found] == [[], [], []]
    assert [one.finding.steps[0].decided_by for one in found if one.finding] == ["rule", "rule", "model"]


@pytest.mark.parametrize(
    ("expect", "failure"),
    [
        ({"result": {"category": "timeout"}}, 'result.category: expected "timeout", got "test"'),
        ({"result": {"category": {"one_of": ["timeout", "dependency"]}}},
         'result.category: expected one of ["timeout","dependency"], got "test"'),
        ({"result": {"package": {"name": "a"}}}, 'result.package: expected {"name":"a"}, got null'),
        ({"decided_by": "rule"}, "decided_by: expected rule, got the model"),
        ({"rule": "timed-out"}, "rule: expected timed-out, got none"),
        ({"evidence": ["assert 1 == 3"]},
         "evidence: expected 'assert 1 == 3', got 2: FAILED tests/test_a.py::test_sum - assert 1 == 2"),
        ({"review": True}, "review: expected true, got false"),
        ({"rejected": "empty"}, "expected a dead letter (empty), got a finding"),
    ],
)  # fmt: skip
def test_what_differs_is_said(pipeline: Pipeline, expect: dict[str, Any], failure: str) -> None:
    """Each kind of expectation says what was expected and what came."""
    assert outcome(pipeline, expect=expect).failures == [failure]


def test_what_was_not_on_offer_is_said(pipeline: Pipeline) -> None:
    """An answer that the model could not have given fails the case, and shows what it could have said."""
    found = outcome(pipeline, answer=ANSWER | {"package": "left-pad", "evidence": [7]})
    assert found.failures == [
        "package: 'left-pad' was not on offer (nothing was); evidence: 7 was not on offer (offered: 2)"
    ]
    assert outcome(pipeline, answer=None).failures == ["a model was asked, but the case has no `answer`"]
    assert outcome(pipeline, answer=ANSWER | {"severity": "bad"}).failures == [
        "severity: 'bad' was not on offer (offered: critical, minor)"
    ]


def test_dead_letters_and_unwanted_events(pipeline: Pipeline) -> None:
    """An empty log is a dead letter; an event that `match` does not want is told."""
    assert outcome(pipeline, text="", expect={"rejected": "empty"}).failures == []
    assert outcome(pipeline, text="").failures == ["expected a finding, got a dead letter: empty: the case has no body"]
    unwanted = outcome(pipeline, attributes={"type": "build.passed"}).failures
    assert unwanted == [
        f'the pipeline does not want this event: type is "build.passed", attempt is 1 (match: {pipeline.match.text})'  # type: ignore[union-attr]
    ]


HOOK = {"build": {"state": "broken", "output": LOG}, "repo": "acme/web"}
PROVIDER = """
provider: acme
recognise: {headers: [x-acme], payload: [[build.state]]}
attributes: {repo: repo}
kinds:
  - name: build
    type: {path: build.state, values: {broken: build.failed}, otherwise: build.other}
    body: build.output
"""

LINES_PROVIDER = """
provider: acme
recognise: {payload: [[ship.text]]}
kinds:
  - name: line
    type: {path: ship.state, values: {broken: build.failed}, otherwise: build.failed}
    attributes: {run_id: ship.run}
    body: ship.text
"""


def of_payload(tmp_path: Path, **parts: Any) -> Outcome:
    """What came of a case with a payload, where a mapping of one's own knows that."""
    home = shutil.copytree(GOOD, tmp_path / "home")
    (home / "config/providers").mkdir(parents=True)
    (home / "config/providers/acme.yaml").write_text(PROVIDER)
    file = home / "pipelines/builds/pipeline.yaml"
    text = re.sub("  (assemble|attributes|  repo|  commit):.*\n", "", file.read_text())
    file.write_text(text.replace("  max_bytes:", "  attributes: {branch: x-branch}\n  max_bytes:"))
    case = Case.model_validate({"name": "one", "answer": ANSWER, **parts})
    pipeline = Pipeline.load(file.parent, Homes((home,)))
    providers = Providers.load(list(Homes((home,)).providers().values()))
    return asyncio.run(run_cases(pipeline, [case], providers=providers))[0]


def test_a_payload_is_read_as_the_daemon_reads_it(tmp_path: Path) -> None:
    """By the mapping that knows it; what the case says of the event comes on top."""
    found = of_payload(tmp_path, payload=HOOK, headers={"x-branch": "main"}, attributes={"job": "unit"})
    assert (found.failures, found.rejected) == ([], None)
    assert found.finding is not None
    assert found.finding.build == {**found.finding.build, "repo": "acme/web", "branch": "main", "job": "unit"}
    assert [line.text for line in found.finding.evidence] == ["FAILED tests/test_a.py::test_sum - assert 1 == 2"]


@pytest.mark.parametrize(
    ("parts", "failure"),
    [
        ({"payload": {"build": {"state": "fine"}}}, 'the pipeline does not want this event: type is "build.other", '),
        ({"payload": {"a": 1}, "headers": {"X-Acme": "1"}}, "the pipeline does not want this event: type is "),
    ],
)
def test_a_payload_that_makes_no_finding(tmp_path: Path, parts: dict[str, Any], failure: str) -> None:
    """Since the build did not fail, as far as is known."""
    assert [each[: len(failure)] for each in of_payload(tmp_path, **parts).failures] == [failure]


def test_headers_of_a_log_are_mapped_as_well(tmp_path: Path) -> None:
    """`source.attributes` names them."""
    found = of_payload(tmp_path, text=LOG, headers={"X-Branch": "main"})
    assert found.finding is not None
    assert found.finding.build["branch"] == "main"


def of_lines(folder: Path, *values: dict[str, Any], parts: dict[str, Any] | None = None) -> Outcome:
    """What came of a case whose lines a log shipper sent, where the pipeline lies in a folder of its own."""
    shutil.copytree(GOOD, folder, dirs_exist_ok=True)
    home = folder / "pipelines" / "builds"
    text = (home / "pipeline.yaml").read_text().replace("  attributes:\n", "  attributes:\n    run_id: run\n")
    (home / "pipeline.yaml").write_text(text)
    (home / "lines.jsonl").write_text("\n".join(json.dumps(each) for each in values))
    case = {"name": "one", "lines": "lines.jsonl", "answer": ANSWER, **(parts or {})}
    loaded = Pipeline.load(home, Homes((folder,)))
    providers = Providers.load(list(Homes((folder,)).providers().values()))
    return asyncio.run(run_cases(loaded, [Case.model_validate(case)], providers=providers))[0]


def test_a_case_may_be_lines(tmp_path: Path) -> None:
    """They become the log; the case's attributes are added to what they say."""
    rows = [{"run": "7", "message": each} for each in [*LOG.splitlines(), "Job failed"]]
    found = of_lines(tmp_path / "home", *rows, parts={"attributes": {"repo": "acme/web"}})
    assert found.failures == []
    assert found.finding is not None
    assert (found.finding.build["run_id"], found.finding.build["repo"]) == ("7", "acme/web")
    assert found.finding.event["assembled"]["ended_by"] == "end"
    assert [line.line for line in found.finding.evidence] == [2]


def test_lines_are_read_by_the_mappings_of_providers(tmp_path: Path) -> None:
    """As the daemon reads them: which run they are of, and the line itself, only a mapping knows."""
    (tmp_path / "home/config/providers").mkdir(parents=True)
    (tmp_path / "home/config/providers/acme.yaml").write_text(LINES_PROVIDER)
    rows = [{"ship": {"run": "9", "text": each}} for each in [*LOG.splitlines(), "Job failed"]]
    found = of_lines(tmp_path / "home", *rows, parts={"attributes": {"repo": "acme/web"}})
    assert (found.failures, found.rejected) == ([], None)
    assert found.finding is not None
    assert (found.finding.build["run_id"], found.finding.event["assembled"]["records"]) == ("9", 3)


@pytest.mark.parametrize(
    ("rows", "parts", "failures"),
    [
        ([{"message": "x"}], {"expect": {"rejected": "no_log_key"}}, []),
        ([{"run": "7", "message": "Job succeeded"}], {}, ['the pipeline does not want this event: type is "build.pa']),
    ],
)
def test_lines_that_make_no_finding(
    rows: list[dict[str, Any]], parts: dict[str, Any], failures: list[str], tmp_path: Path
) -> None:
    """Because they are none of a log, or the build passed."""
    found = of_lines(tmp_path / "home", *rows, parts=parts).failures
    assert [each[: len(wanted)] for each, wanted in zip(found, failures, strict=True)] == failures


def test_lines_of_several_logs_are_no_case(tmp_path: Path) -> None:
    """Nor are lines one where the pipeline reads whole logs."""
    with pytest.raises(ConfigError, match=r"lines\.jsonl has the lines of 2 logs, a case is about one"):
        of_lines(tmp_path / "home", {"run": "7", "message": "x"}, {"run": "8", "message": "x"})
    whole = Pipeline.load(Homes.of((), {}).pipelines()["ci_failure"], Homes.of((), {}))
    with pytest.raises(ConfigError, match="ci_failure reads whole logs"):
        outcome(whole, text=None, lines="x.jsonl")


def test_what_a_home_keeps_secret_is_kept_from_its_cases(pipeline: Pipeline, tmp_path: Path) -> None:
    """As the daemon keeps it."""
    file = tmp_path / "redaction.yaml"
    file.write_text("patterns:\n  - {name: acme-token, pattern: 'acme_[0-9a-f]{8}'}\n")
    log = LOG.replace("1 == 2", "'acme_0123abcd' == 2")
    case = Case.model_validate({"name": "one", "text": log, "answer": ANSWER})
    found = asyncio.run(run_cases(pipeline, [case], redaction=file))[0].finding
    assert found is not None
    assert [line.text for line in found.evidence] == ["FAILED tests/test_a.py::test_sum - assert '[acme-token:1]' == 2"]


def test_fingerprints_are_compared_between_cases(pipeline: Pipeline) -> None:
    """The same fault has the same fingerprint, another fault another; both are said where not so."""
    other = LOG.replace("test_sum", "test_product")
    cases = [
        Case.model_validate({"name": "a", "text": LOG, "answer": ANSWER}),
        Case.model_validate(
            {"name": "b", "text": other, "answer": ANSWER, "expect": {"fingerprint_same_as": "a"}}
        ),
        Case.model_validate(
            {"name": "c", "text": f"again\n{LOG}", "answer": {**ANSWER, "evidence": [3]},
             "expect": {"fingerprint_differs_from": ["a", "b"]}}
        ),
    ]  # fmt: skip
    found = asyncio.run(run_cases(pipeline, cases))
    assert [len(one.failures) for one in found] == [0, 1, 1]
    assert found[1].failures[0].startswith("fingerprint: not that of 'a'")
    assert found[2].failures[0].startswith("fingerprint: the same as that of 'a'")


def test_a_live_model_is_asked(pipeline: Pipeline) -> None:
    """With a model the canned answers play no part."""
    model = StubModel()
    found = asyncio.run(run_cases(pipeline, load_cases(pipeline.folder)[2:], {"lite": model}))
    assert model.requests == 1
    assert found[0].finding is not None
    # What the stub says fits every failed build, so that the log is quoted.
    assert found[0].finding.result["summary"] == "FAILED tests/test_a.py::test_sum - assert 1 == 2"


@pytest.mark.parametrize("name", ["ci_failure", "log_router"])
def test_the_bundled_cases_have_no_mistakes(name: str) -> None:
    """Samples are there, fields and values exist."""
    folder = Homes.of((), {}).pipelines()[name]
    pipeline = Pipeline.load(folder, Homes.of((), {}))
    assert check_cases(folder, pipeline.schema) == []
    assert load_cases(folder)


@pytest.mark.parametrize("given", ["payload: {a: 1}", 'text: ""'])
def test_lint_takes_cases_that_have_no_log(tmp_path: Path, given: str) -> None:
    """Rules are tried on the logs of cases, and on no others."""
    home = shutil.copytree(GOOD, tmp_path / "home")
    (home / "pipelines/builds/cases.yaml").write_text(f"cases: [{{name: one, {given}}}]\n")
    found = CliRunner().invoke(app, ["lint", str(home)])
    assert (found.exit_code, found.stdout) == (0, "")


def test_the_commands_say_it_and_exit(tmp_path: Path) -> None:
    """`test` and `lint` exit 0 where all is well, 1 with a readable difference where not, 2 on a wrong name."""
    runner = CliRunner()
    home = shutil.copytree(GOOD, tmp_path / "home")
    fine = runner.invoke(app, ["test", str(home)])
    assert (fine.exit_code, fine.stdout) == (0, "builds: 3 of 3 cases passed (2 decided by rules)\n")
    cases = home / "pipelines/builds/cases.yaml"
    cases.write_text(cases.read_text().replace("name: left_pad}", "name: right_pad}"))
    wrong = runner.invoke(app, ["test", str(home)])
    assert wrong.exit_code == 1
    assert "✗ builds: a missing module\n    result.package.name\n" in wrong.stdout
    assert '      - "right_pad"\n      + "left_pad"\n' in wrong.stdout
    file = home / "pipelines/builds/user.j2"
    file.write_text("{{ excrpt }}\n{{ excerpt }}\n")
    lint = runner.invoke(app, ["lint", str(home)])
    assert lint.exit_code == 1
    assert "user.j2:1:4: unknown variable 'excrpt'; did you mean 'excerpt'?" in lint.stdout
    (home / "config/providers").mkdir(parents=True)
    (home / "config/providers/acme.yaml").write_text(PROVIDER.replace("recognise", "recognize"))
    mapping = runner.invoke(app, ["lint", str(home)])
    assert "acme.yaml:3:1: unknown key 'recognize'; did you mean 'recognise'?" in mapping.stdout
    missing = runner.invoke(app, ["lint", "bilds"])
    assert "bilds: no pipeline of this name" in str(missing.exception)
    schema = runner.invoke(app, ["schema", "log_router", "--finding"])
    assert '"const": "log_router"' in schema.stdout
