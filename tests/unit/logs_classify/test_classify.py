"""The ranker: its features, its weights' file, its probabilities."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from processor.errors import ConfigError
from processor.logs.classify import MARKERS, VERSION, Ranker, features
from tests.unit.logs_extract.excerpts import excerpt

LINES = (
    "$ npm ci",
    "npm error code ERESOLVE",
    "npm error Could not resolve dependency: react 18",
    "ERROR: exit code 1",
)


def write(path: Path, **changes: Any) -> Path:
    """A small weights' file with changes."""
    weights = {"w:resolve": [[0, 2.0]], "t:npm": [[0, 1.0], [1, -1.0]], "bias": [[2, 0.25]]}
    raw = {"version": VERSION, "values": ["dependency_resolution", "test", "compile"], "weights": weights, **changes}
    path.write_text(json.dumps(raw), encoding="utf-8")
    return path


def test_features_are_words_pairs_and_markers() -> None:
    """Words of ranked lines, pairs of them, words of the first lines, and what tools print."""
    found = features(excerpt(*LINES, ranked=(3, 2)))
    assert {"w:resolve", "h:resolve", "b:not_resolve", "t:npm", "t:eresolve", "bias"} <= found.keys()
    assert "w:exit" not in found


def test_features_do_not_see_figures() -> None:
    """Numbers, case and places don't matter: two runs of one fault have the same features."""
    other = [line.replace("18", "17").replace("1", "9") for line in LINES]
    assert features(excerpt(*LINES)) == features(excerpt(*other, first=4000))


def test_markers_count_more_where_the_fault_is() -> None:
    """On ranked lines twice what they do elsewhere, once however often; a limit that is given is no timeout."""
    found = features(excerpt("npm error code 1", "git fetch # timeout=10", "ERESOLVE", "npm error again", ranked=(3,)))
    assert (found["t:eresolve"], found["t:npm"]) == (0.5, 0.25)
    assert "t:timeout" not in found
    assert features(excerpt("npm error code 1", "npm error again", ranked=(2,)))["t:npm"] == 0.5


def test_features_without_ranked_lines_take_the_last() -> None:
    """A log without error words is judged by its end."""
    assert "w:quietly" in features(excerpt("a", "it ended quietly", ranked=()))


def test_features_of_nothing() -> None:
    """An empty excerpt has the bias alone."""
    assert features(excerpt()) == {"bias": 1.0}


def test_rank_orders_by_probability(tmp_path: Path) -> None:
    """Probabilities add up to one, likeliest first; the weights decide."""
    ranked = Ranker.load(write(tmp_path / "ranker.json")).rank(excerpt(*LINES))
    assert [value for value, _ in ranked] == ["dependency_resolution", "compile", "test"]
    assert sum(share for _, share in ranked) == pytest.approx(1.0)
    assert ranked[0][1] > ranked[1][1] > ranked[2][1]


def test_equal_values_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """Without any known feature the ranking is even and deterministic."""
    ranked = Ranker.load(write(tmp_path / "ranker.json", weights={})).rank(excerpt("x"))
    assert ranked == (("dependency_resolution", 1 / 3), ("test", 1 / 3), ("compile", 1 / 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 99}, "made for version 99 of the features"),
        ({"weights": 3}, "not a ranker's weights"),
        ({"weights": {"w:a": [["x", "y"]]}}, "not a ranker's weights"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """The error names the file and what is wrong."""
    path = write(tmp_path / "ranker.json", **changes)
    with pytest.raises(ConfigError, match=message):
        Ranker.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """So is a file that isn't there, or isn't JSON."""
    with pytest.raises(ConfigError, match="not a ranker's weights"):
        Ranker.load(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("nothing", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a ranker's weights"):
        Ranker.load(tmp_path / "text.json")


def test_every_marker_matches_on_its_own() -> None:
    """Markers are Hyperscan expressions that compile, and names are unique in kind."""
    assert len(MARKERS) == len(set(MARKERS.values())) > 40
