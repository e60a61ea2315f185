"""Each file of tests/data/config_bad has one fault; lint finds it, says what the file expects, and nothing else.

A file takes the place of its part (see PLACES) in a copy of config_good; a folder is a set of homes.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from processor.casefile import check_cases
from processor.cli.lint import lint
from processor.home import Homes
from processor.lang.problem import Problem
from processor.models.adapters import Expected
from processor.pipeline import check, clashes, conflicts, try_adapter, try_rules

DATA = Path(__file__).parents[2] / "data"
GOOD = DATA / "config_good"
BAD = DATA / "config_bad"
TIERS = {"lite": Expected("lite", "acme/base-3b")}

PLACES = {
    "pipeline.yaml": "pipelines/builds/pipeline.yaml",
    "rules.yaml": "pipelines/builds/rules.yaml",
    "cases.yaml": "pipelines/builds/cases.yaml",
    "ranker.json": "pipelines/builds/ranker.json",
    "system.j2": "pipelines/builds/system.j2",
    "user.j2": "pipelines/builds/user.j2",
    "summary.j2": "pipelines/builds/summary.j2",
    "ticket.j2": "pipelines/builds/ticket.j2",
    "schema.yaml": "schemas/builds.yaml",
    "schema.json": "schemas/builds.json",
    "schema.py": "schemas/builds.py",
    "manifest.yaml": "adapters/builds/manifest.yaml",
}
"""Ending of a file's name to where it belongs."""


def expected(path: Path) -> str:
    """`file:line:column: message` as the file says in its first lines (a folder: in expect.txt)."""
    if path.is_dir():
        return (path / "expect.txt").read_text(encoding="utf-8").strip()
    match = re.search(r'expect: (.*?)(?: #}|",?)?$', path.read_text(encoding="utf-8"), re.MULTILINE)
    assert match is not None, f"{path.name} does not say what it expects"
    return match[1].replace('\\"', '"')


def problems(path: Path, scratch: Path) -> list[str]:
    """What lint finds where `path` takes its part's place, as `file:line:column: message`."""
    home = scratch / "home"
    if path.is_dir():
        shutil.copytree(path, home)
        homes = Homes(tuple(sorted(one for one in home.iterdir() if one.is_dir())))
    else:
        shutil.copytree(GOOD, home)
        place = next(target for ending, target in PLACES.items() if path.name.endswith(f".{ending}"))
        shutil.copyfile(path, home / place)
        if place in {"schemas/builds.json", "schemas/builds.py"}:
            pipeline = home / PLACES["pipeline.yaml"]
            suffix = ".json" if place.endswith(".json") else ".py:Builds"
            pipeline.write_text(pipeline.read_text().replace("schemas/builds.yaml", f"schemas/builds{suffix}"))
        homes = Homes((home,))
    found = [f"{_relative(one, home)}:{one.line}:{one.column}: {one.text}" for one in _lint(homes, home)]
    return [one.replace(f"{home.resolve()}/", "") for one in found]


def _lint(homes: Homes, home: Path) -> list[Problem]:
    checked = [check(file.parent, homes, TIERS, {"catalogue"}) for file in sorted(home.rglob("pipeline.yaml"))]
    found = [problem for one in checked for problem in one.problems]
    found += [
        problem
        for one in checked
        for problem in check_cases(one.folder, one.schema, one.model.chain if one.model else None)
    ]
    found += [problem for one in checked for problem in (*try_rules(one), *try_adapter(one, TIERS))]
    return sorted({*found, *clashes(homes), *conflicts(checked)})


def _relative(problem: Problem, home: Path) -> str:
    file = problem.file.resolve().relative_to(home.resolve())
    return str(file) if (home / "expect.txt").exists() else file.name


FILES = sorted(path for path in BAD.iterdir() if path.name[0] not in "._")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_one_fault_gives_exactly_its_message(path: Path, tmp_path: Path) -> None:
    """Lint says what is expected of a faulty file, at its place."""
    assert problems(path, tmp_path) == [expected(path)]


def test_there_are_enough_of_them() -> None:
    """The corpus covers the language: one file per kind of fault."""
    assert len(FILES) >= 45


def test_the_good_one_has_no_fault() -> None:
    """What the faulty files are made from passes, so that each has the one fault that it is named after."""
    homes = Homes((GOOD,))
    assert lint(homes, None, [GOOD / "pipelines" / "builds"]) == []
