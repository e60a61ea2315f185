"""How many tokens a text takes: an estimate that errs on the safe side, for when the tokenizer isn't at hand.

The estimate is linear in counts of byte classes. Its weights are a quantile regression (98 of 100 samples are
not underestimated, the rest by a few per cent) on build logs under Qwen2.5's vocabulary, which takes a third
more tokens per byte for logs than for prose: a token per digit, one per piece of punctuation, and letters
that make words (many vowels) cost less than letters that don't (hashes, base64, identifiers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

TokenCounter = Callable[[str], int]
"""Counts the tokens of a text. A served model's own tokenizer can be put in `estimate`'s place."""


def _class(code: int) -> int:
    char = chr(code)
    if char in "aeiou":
        return ord("v")
    if char in "AEIOU":
        return ord("V")
    if code >= 0x80:
        return ord("!")
    if char.isalpha():
        return ord("a") if char.islower() else ord("A")
    if char.isdigit():
        return ord("0")
    if char in " \t":
        return ord(" ")
    return code if char == "\n" else ord(".")


_CLASSES: Final = bytes(_class(code) for code in range(256))
_CASES: Final = bytes.maketrans(b"vV", b"aA")


def estimate(text: str) -> int:
    """An upper estimate of the tokens in `text`; never more than its UTF-8 bytes."""
    data = text.encode("utf-8", "surrogatepass")
    classes = data.translate(_CLASSES)
    vowels = classes.count(b"v") + classes.count(b"V")
    classes = classes.translate(_CASES)
    capitals = classes.count(b"A")
    letters = classes.count(b"a") + capitals
    tokens = (
        1.336 * classes.count(b"0")
        + 0.387 * letters
        - 0.543 * vowels
        + 0.108 * capitals
        + 1.212 * (classes.count(b"aA") + classes.count(b"AAa"))  # humps of camel case
        + 0.651 * classes.count(b".")
        + 0.363 * classes.count(b" ")
        + 1.366 * classes.count(b"\n")
        + classes.count(b"!")
    )
    return min(len(data), max(int(tokens), letters // 12) + 1) if data else 0
