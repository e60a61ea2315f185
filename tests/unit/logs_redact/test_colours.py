"""Secrets in logs that have colours: found as if there were none, wherever a tool puts them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest

from processor.logs.redact import redactor
from processor.logs.secrets.uncoloured import Uncoloured
from tests.unit.logs_redact.test_shapes import SHAPES, some

WORD = re.compile(r"[\w.-]+|[^\w\s.-]+")


def words(text: str, escape: str = "\x1b") -> str:
    """Each word and each sign in a colour of its own, as who shows JSON or code does."""
    colours = itertools.cycle(("32", "1;36", "38;5;208", "0;33"))
    return WORD.sub(lambda word: f"{escape}[{next(colours)}m{word[0]}{escape}[0m", text)


def lines(text: str) -> str:
    """Each line in one colour, and a terminal told to forget what stood behind it."""
    return "\n".join(f"\x1b[0;31m\x1b[K{line}\x1b[m\x1b[K" for line in text.split("\n"))


def middle(text: str) -> str:
    """Something that was searched for within each word, as `grep` shows it."""
    return re.sub(r"(\w{3})(\w{2})(?=\w{3})", "\\1\x1b[01;31m\x1b[K\\2\x1b[m\x1b[K", text)


def written_out(text: str) -> str:
    """The same within JSON."""
    return words(text, "\\u001b")


@pytest.mark.parametrize("coloured", [words, lines, middle, written_out])
@pytest.mark.parametrize(("shape", "secret"), [each for each in SHAPES if "\x1b" not in each[0]])
def test_colours_hide_nothing(shape: str, secret: str, coloured: Callable[[str], str]) -> None:
    """What is found without them is found with them, to the last byte."""
    clean = redactor().redact_text(coloured(f"before\n{shape.format(secret)}\nbehind"))
    seen = Uncoloured(b"\n" + clean.encode()).text[1:].decode()
    assert seen == redactor().redact_text(f"before\n{shape.format(secret)}\nbehind")


def test_one_secret_in_two_colours_is_one() -> None:
    """Its number tells that it is the same."""
    token = "ghp_" + some(36)
    clean = redactor().redact_text(f"\x1b[32m{token[:9]}\x1b[1m{token[9:]}\x1b[0m and {token}")
    assert clean == "\x1b[32m[github-token:1]\x1b[0m and [github-token:1]"


def test_what_stays_keeps_its_colours() -> None:
    """The very same object where there is no secret."""
    data = b"\x1b[36;1m##[group]Run\x1b[0m 1.2.3 \\033[1;33mwarning:\\033[0m x\n" * 3
    assert redactor().redact(data) is data


def test_places_are_those_of_the_data() -> None:
    """A place behind a code, and one before it; at the ends too."""
    seen = Uncoloured(b"\n\x1b[1mab\x1b[0mc\x1b[K\x1b[m")
    assert seen.text == b"\nabc"
    assert [seen.start(at) for at in range(5)] == [0, 5, 6, 11, 18]
    assert [seen.stop(at) for at in range(5)] == [0, 1, 6, 7, 12]
