"""What the evaluation counts, and the ranker that is committed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from processor.contract import Excerpt, ExcerptLine
from processor.logs.classify import Ranker
from tools import train_ranker
from tools.evaluate import Answer, averaged, by_ranking, figures, small_classes, table
from tools.labelled import Labelled, excerpt_of
from tools.lessons import lessons
from tools.record.fault import CATEGORIES
from tools.train_ranker import LIMIT_BYTES, WEIGHTS, accuracy, commonest, dump, fit, out_of_fold, partitions


def labelled(name: str, *categories: str, text: str = "boom", names: tuple[str, ...] = ()) -> Labelled:
    """A log with a truth."""
    excerpt = Excerpt((ExcerptLine(1, text),), 1, ranked=(1,))
    return Labelled(name, "dev", name, Path(name), 1.0, False, excerpt, categories, frozenset(names), True)


def test_figures_count_what_was_decided() -> None:
    """Shares are of decided logs; another right category counts; names are compared without case."""
    logs = [
        labelled("a", "test", "compile"),
        labelled("b", "dependency_missing", names=("PyYAML", "yaml")),
        labelled("c", "dependency_missing", names=("lodash",)),
        labelled("d", "compile"),
        labelled("e", "test"),
    ]
    answers = {
        "a": Answer("compile", None),
        "b": Answer("dependency_missing", "pyyaml"),
        "c": Answer("test", "react"),
        "d": Answer("compile", "left-pad"),
    }
    found = figures("some", "dev", logs, answers)
    assert (found.logs, found.decided, found.accuracy) == (5, 4, 0.75)
    assert (found.dependency_exact, found.dependency_logs) == (0.5, 2)
    assert (found.named_where_none, found.none_logs) == (0.5, 2)
    assert found.commonest == 0.5


def test_a_summary_tells_by_a_word_of_the_lines_that_show_the_fault(tmp_path: Path) -> None:
    """Not by words that fit every build; deciders without summaries and logs without marked lines are not counted."""
    path = tmp_path / "log"
    path.write_bytes(b"error: the build failed\nno rule to make target gen\n")
    log = replace(labelled("a", "build"), path=path, failing=frozenset({2}))
    unmarked = labelled("b", "build")
    answers = {"a": Answer("build", None, "The build failed with an error."), "b": Answer("build", None, "gen")}
    found = figures("some", "dev", [log, unmarked], answers)
    assert (found.summary_tells, found.summary_logs) == (0.0, 1)
    assert figures("some", "dev", [log], {"a": Answer("build", None, "Nothing makes gen.")}).summary_tells == 1.0
    assert figures("some", "dev", [log], {"a": Answer("build", None)}).summary_logs == 0


def test_macro_f1_leaves_small_classes_out() -> None:
    """Only classes of five logs and more are averaged; the others are listed."""
    logs = [labelled(f"t{n}", "test") for n in range(5)] + [labelled("c", "compile")]
    answers = {log.id: Answer("test", None) for log in logs}
    assert figures("always test", "dev", logs, answers).macro_f1 == pytest.approx(10 / 11)
    assert small_classes(logs) == {"compile": 1}


def test_nothing_decided_is_no_share() -> None:
    """A decider without answers has no accuracy, and the table says so."""
    found = figures("nobody", "dev", [labelled("a", "test")], {})
    assert found.accuracy is None
    assert "0/1" in table([found])


def test_figures_of_several_ways_are_means_with_least_and_most() -> None:
    """What was decided once, such as a rule's answer, has no range; what nobody counted has no mean."""
    logs = [labelled(f"t{n}", "test") for n in range(4)]
    halves = [
        {log.id: Answer("test" if n < right else "compile", None) for n, log in enumerate(logs)} for right in (1, 3)
    ]
    ways = [figures("ranking", "dev", logs, answers) for answers in halves]
    found = averaged(ways)
    assert (found.accuracy, found.accuracy_range, found.dependency_exact) == (0.5, (0.25, 0.75), None)
    assert "0.50  0.25-0.75" in table([found])
    assert ways[0].accuracy_range is None
    assert averaged([figures("nobody", "dev", logs, {})]).accuracy_range is None


def test_ways_to_leave_groups_out_differ_and_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ranks all logs; the first is the one that models are asked with."""
    monkeypatch.setattr(train_ranker, "PARTITIONS", 3)
    monkeypatch.setattr(train_ranker, "written", tuple)
    monkeypatch.setattr(train_ranker, "_written_features", tuple)
    texts = {"test": "assertion failed in a test", "compile": "cannot find symbol"}
    logs = [
        labelled(f"{name}{n}", name, text=f"{text} in {'abcdefghij'[n]}x")
        for name, text in texts.items()
        for n in range(10)
    ]
    ways = partitions(logs)
    assert ways == partitions(logs)
    assert ways[0] == out_of_fold(logs)
    assert all(set(ranked) == {log.id for log in logs} for ranked in ways)
    assert ways[0] != ways[1]


def test_ranking_alone_names_what_an_error_blames() -> None:
    """Where the category needs a package it names the likeliest; elsewhere only one that an error blames."""
    text = "npm error notarget No matching version found for left-pad@99.0.0."
    log = labelled("a", "dependency_resolution", text=text)
    ranked = {"a": (("dependency_resolution", 0.9), ("test", 0.1))}
    assert by_ranking([log], ranked)["a"] == Answer("dependency_resolution", "left-pad")
    plain = labelled("b", "test", text="it failed")
    assert by_ranking([plain], {"b": (("test", 1.0),)})["b"] == Answer("test", None)


def test_accuracy_counts_repeats_of_a_fault_once() -> None:
    """Two runs of one fault weigh as much as one log."""
    logs = [labelled("a", "test"), labelled("b", "compile")]
    ranked = {"a": (("test", 0.6), ("compile", 0.4)), "b": (("test", 0.6), ("compile", 0.4))}
    assert accuracy(logs, ranked, 1) == 0.5
    assert accuracy(logs, ranked, 2) == 1.0
    assert commonest(logs) == 0.5


def test_what_a_rule_proposes_counts_in_rankings(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does in the line, where the ranker is told of it."""
    monkeypatch.setattr(train_ranker, "written", tuple)
    monkeypatch.setattr(train_ranker, "_written_features", tuple)
    logs = [labelled(f"{name}{n}", name, text=f"it failed {n}") for name in ("test", "compile") for n in range(10)]
    told = [replace(log, proposed=log.categories[0]) for log in logs]
    assert accuracy(told, out_of_fold(told), 1) == 1.0
    assert accuracy(logs, out_of_fold(logs), 1) < 1.0


def test_lessons_teach_what_no_log_shows() -> None:
    """Each has a category of the schema and is read once; a ranker knows all of them, whatever its logs are."""
    assert {category for category, _ in lessons()} == CATEGORIES
    texts = [tuple(line.text for line in excerpt.lines) for _, excerpt in lessons()]
    assert len(texts) == len(set(texts)) > 500
    logs = [labelled(f"t{n}", "test", text="assertion failed in a test") for n in range(3)]
    ranked = train_ranker.train(logs).rank(excerpt_of(b"error: no space left on device, disk quota exceeded"))
    assert {name for name, _ in ranked} == CATEGORIES
    assert [name for name, _ in ranked[:2]] == ["test", "resource"]


def test_training_again_gives_the_same_weights() -> None:
    """The file depends on the logs alone."""
    texts = {"test": "assertion failed in a test", "compile": "cannot find symbol", "resource": "no space left"}
    logs = [labelled(f"{name}{n}", name, text=f"{text} {n}") for name, text in texts.items() for n in range(3)]
    assert dump(fit(logs)) == dump(fit(list(logs)))


def test_committed_ranker_fits_the_features_and_its_limit() -> None:
    """It loads, is small, knows the categories, and tells a full disk from a failed test."""
    ranker = Ranker.load(WEIGHTS)
    assert WEIGHTS.stat().st_size <= LIMIT_BYTES
    assert set(ranker.values) == CATEGORIES
    full = excerpt_of(b"$ tar cf image.tar build\ntar: image.tar: Cannot write: No space left on device\n")
    failed = excerpt_of(b"FAILED tests/test_tax.py::test_gross - assert 14.7 == 14.68\n1 failed, 30 passed in 2.1s\n")
    assert "resource" in [name for name, _ in ranker.rank(full)[:2]]
    assert ranker.rank(failed)[0][0] == "test"
