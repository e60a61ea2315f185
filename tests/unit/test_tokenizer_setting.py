"""A tier's tokenizer: read before anything starts, and what its pipelines' budgets are counted by."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from processor import app
from processor.errors import ConfigError
from processor.home import Homes
from processor.lane import Lane, Shared
from processor.logs.redact import redactor
from processor.logs.tokens import estimate
from processor.settings import Settings
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import StubModel


def _settings(tokenizer: Path | None) -> Settings:
    return Settings.model_validate({"models": {"lite": {"urls": ["http://127.0.0.1:1/v1"], "tokenizer": tokenizer}}})


def test_a_tokenizer_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """The daemon says which file is missing before it joins its group."""
    pytest.importorskip("tokenizers", reason="needs tokenizers")
    with pytest.raises(ConfigError, match=r"gone\.json: can't be read"):
        app.load(_settings(tmp_path / "gone.json"), Homes.of([]))


def test_a_lane_counts_by_the_tokenizer_of_its_tier(tmp_path: Path) -> None:
    """With a tokenizer of words the budget is in words; without one it is estimated."""
    library = pytest.importorskip("tokenizers", reason="needs tokenizers")
    made = library.Tokenizer(library.models.WordLevel({"?": 0}, unk_token="?"))
    made.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    made.save(str(tmp_path / "tokenizer.json"))
    shared = Shared("t", Fetch(FetchSettings()), Redact(redactor()), LineMetrics(CollectorRegistry()))
    counts = []
    for tokenizer in (tmp_path / "tokenizer.json", None):
        settings = _settings(tokenizer)
        pipeline = next(each for each in app.load(settings, Homes.of([])) if each.name == "ci_failure")
        counts.append(Lane.on(pipeline, settings, {"lite": StubModel()}, shared).reduce.count)
    assert counts[0]("three-letter words, 1,000 of them") == 5
    assert counts[1] is estimate
