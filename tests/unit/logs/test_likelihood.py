"""What was learned about lines: its file, what it does to scores, and that training makes it again."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from processor.logs import likelihood
from processor.logs.likelihood import FEATURES, Model, learned
from processor.logs.reduce import candidates
from tools import train_lines
from tools.labelled import corpus


def test_the_file_fits_the_features() -> None:
    """One table per feature, one finite weight per bucket."""
    tables = learned().tables
    assert [len(table) for table in tables] == [len(bounds) + 1 for bounds in FEATURES.values()]
    assert all(math.isfinite(weight) for table in tables for weight in table)


def test_a_file_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that were learned for other features are never used."""
    other = tmp_path / "lines.json"
    other.write_text('{"version": 0, "bias": 0, "weights": {}}')
    monkeypatch.setattr(likelihood, "WEIGHTS", other)
    with pytest.raises(ValueError, match="train_lines"):
        learned.__wrapped__()


def test_correction_is_the_logistic_of_the_sum() -> None:
    """A score is multiplied by the likelihood; a line without features keeps nothing."""
    model = Model(-1.0, ((0.5, 2.0), (0.0, 1.0)))
    corrected = model.correct({1: 8.0, 2: 4.0}, {1: (1, 0)})
    assert corrected[1] == pytest.approx(8 / (1 + math.exp(-1.0)))
    assert corrected[2] == 0


def test_buckets_are_within_their_tables() -> None:
    """Whatever a log holds, its rows can be looked up."""
    log = "\n".join(["\t\t error: x" * (n % 7) for n in range(3000)]).encode()
    sizes = [len(bounds) + 1 for bounds in FEATURES.values()]
    rows = candidates(log).rows
    assert rows
    assert all(0 <= bucket < size for row in rows.values() for bucket, size in zip(row, sizes, strict=True))


def test_training_makes_the_shipped_weights_again() -> None:
    """The same logs teach the same weights (to a hundredth: linear algebra differs between processors)."""
    if corpus() is None:
        pytest.skip("the dev corpus is absent ($FAULTSTREAM_DATA)")
    again = train_lines.fit(train_lines.lessons())
    assert again.bias == pytest.approx(learned().bias, abs=0.01)
    for mine, theirs in zip(again.tables, learned().tables, strict=True):
        assert mine == pytest.approx(theirs, abs=0.01)
