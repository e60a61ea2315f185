"""From a folder to a compiled pipeline: what it holds, its version, what the templates and predicates may name."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from processor.contract import ATTRIBUTES, Confidence, Finding, Usage
from processor.home import Homes
from processor.pipeline import Pipeline, PipelineError, contexts, decode_config, load_all
from processor.stages.emit import BUILD, slim
from processor.tickets import parts
from tests.unit.tickets.world import command

GOOD = Path(__file__).parents[2] / "data" / "config_good"
TIERS = ("lite", "pro")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the good home, to change."""
    return shutil.copytree(GOOD, tmp_path / "home")


def load(home: Path) -> Pipeline:
    """The pipeline of the home."""
    return Pipeline.load(home / "pipelines" / "builds", Homes((home,)), TIERS)


def test_a_pipeline_is_compiled(home: Path) -> None:
    """Everything that the line needs is there, ready to use."""
    pipeline = load(home)
    assert pipeline.name == "builds"
    assert pipeline.topics == ("ci.builds.failed",)
    assert pipeline.decode.assembled, "what is put together is read otherwise than the records that it comes as"
    assert decode_config(pipeline.source).attributes == {"repo": ("x-project",), "commit": ("build.sha", "after")}
    assert pipeline.match is not None
    assert pipeline.match.evaluate({"event": {"type": "build.failed", "attempt": 1}})
    assert "category: What kind of failure it is." in pipeline.prompt.system
    assert [one.name for one in pipeline.questions] == ["category", "package", "evidence", "severity", "summary"]
    assert pipeline.ground == {"package": "candidates.packages", "evidence": "excerpt.lines"}
    assert pipeline.rankers["category"][1] == 2
    assert pipeline.ticket is not None
    assert pipeline.ticket.max_age == 86_400
    assert pipeline.ticket.labels[1].render(finding={"result": {"category": "test"}}) == "test"


@pytest.mark.parametrize(
    "name",
    ["pipelines/builds/pipeline.yaml", "pipelines/builds/user.j2", "pipelines/builds/ticket.j2", "schemas/builds.yaml",
     "pipelines/builds/rules.yaml", "pipelines/builds/ranker.json"],
)  # fmt: skip
def test_the_version_is_the_digest_of_every_file(home: Path, name: str) -> None:
    """A changed byte in any file that it loads changes the version; a case does not, nor does its adapter.

    An adapter has versions of its own, which findings name.
    """
    before = load(home).version
    (home / "adapters/builds/manifest.yaml").write_text("base_model: acme/base-3b\n")
    (home / "pipelines/builds/cases.yaml").write_text("cases: [{name: a, text: b}]\n")
    assert load(home).version == before
    (home / name).write_text((home / name).read_text() + "\n")
    assert load(home).version != before


def test_a_calibration_holds_for_as_much_as_the_model_reads(home: Path) -> None:
    """What it was measured with is asked: another share of the excerpt is another question."""
    file = home / "pipelines" / "builds" / "pipeline.yaml"
    whole = load(home)
    assert whole.prompt.excerpt_tokens is None
    file.write_text(file.read_text().replace("user: user.j2}", "user: user.j2, excerpt_tokens: 300}"))
    part = load(home)
    assert part.prompt.excerpt_tokens == 300
    assert part.calibrations.asked != whole.calibrations.asked


def test_a_wrong_pipeline_raises_with_all_problems(home: Path) -> None:
    """`run` refuses to start, and says everything at once."""
    file = home / "pipelines/builds/pipeline.yaml"
    file.write_text(file.read_text().replace("event.attempt", "event.atempt").replace("max_age: 24h", "max_age: 24x"))
    with pytest.raises(PipelineError) as error:
        load_all(Homes((home,)), TIERS)
    assert [problem.message for problem in error.value.problems] == [
        "event has no 'atempt'",
        "max_age: '24x' is no duration; write a number with ms, s, m, h, d or w, such as 24h",
    ]


def test_the_bundled_pipelines_load() -> None:
    """What ships has no problems, with or without a larger model."""
    for tiers in (None, ("lite",), TIERS):
        assert {"ci_failure", "log_router"} <= {one.name for one in load_all(Homes.of((), {}), tiers)}


def test_a_users_pipeline_wins_and_finds_bundled_schemas(home: Path) -> None:
    """A home overlays the bundled one by stem, and may use its schemas."""
    file = home / "pipelines/builds/pipeline.yaml"
    file.write_text(file.read_text().replace("schemas/builds.yaml", "schemas/builds2.yaml"))
    other = home.parent / "other"
    (other / "schemas").mkdir(parents=True)
    shutil.copyfile(home / "schemas/builds.yaml", other / "schemas/builds2.yaml")
    assert Pipeline.load(file.parent, Homes((home, other)), TIERS).schema.name == "builds2"


def test_what_predicates_may_name_is_what_findings_hold() -> None:
    """The type of `finding` has exactly the members that a signal carries."""
    finding = Finding("", "", "", "", {}, {}, [], Confidence(None), [], Usage(), {}, {}, "", "", "")
    typed = contexts.ticket_roots(None)["finding"]
    assert set(typed.members) == set(slim(finding))
    assert set(typed.members["build"].members) == set(BUILD)
    assert set(typed.members["confidence"].members) == {one.name for one in dataclasses.fields(Confidence)}
    assert set(contexts.EVENT.members) == set(ATTRIBUTES)


def test_what_ticket_templates_may_name_is_what_they_are_given() -> None:
    """`parts` has exactly the pieces that descriptions are rendered with."""
    assert set(contexts.PARTS.members) == set(parts.parts(command()))
