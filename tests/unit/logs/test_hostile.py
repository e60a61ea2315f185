"""Logs that break readers: by accident, or because somebody wants them to."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from processor.contract import Excerpt, ExcerptLine
from processor.logs import mask, reduce, reduce_stream
from processor.logs.extract import candidates
from processor.logs.redact import redactor
from processor.tickets import wiki
from tests.fuzz.seeds import made_up


def test_last_line_that_shows_nothing_counts() -> None:
    """A log that was cut within a time stamp or a colour code has as many lines as its bytes say."""
    for end in (b"2024-05-01T10:00:00.1234567Z", b"\x1b[0m"):
        excerpt = reduce(b"one\n" + end)
        assert (excerpt.total_lines, [line.number for line in excerpt.lines]) == (2, [1, 2])
        long = b"all is well\n" * 3_000 + end
        assert reduce(long).total_lines == reduce_stream([long]).total_lines == 3_001


def test_small_log_in_chunks_is_read_as_the_whole_is() -> None:
    """Whether a log is small does not depend on how it comes."""
    log = b"one\nerror: two\nthree\n" * 40
    assert reduce_stream([log[:30], b"", log[30:]]) == reduce(log)


def test_secrets_are_numbered_alike_in_a_stream() -> None:
    """What a second look finds gets the number that it gets in the whole."""
    log = b"A" * 80 + b"\x00jn5YIDPmfe/x\nAuthorization:r tjn5YIDPmNF.23.8"
    assert b"".join(redactor().session().stream([log[:90], log[90:]])) == redactor().redact(log)


def test_masked_package_with_a_figure_stays_masked() -> None:
    """A package such as jinja2 is masked once and for all."""
    masked = mask(".venv/lib/python3.11/site-packages/jinja2/__init__.py:12: in <module>")
    assert mask(masked) == masked == "jinja<n>: __init__.py:<n>: in <module>"


@pytest.mark.parametrize(
    ("read", "line"),
    [
        (mask, "a-" * 1_000 + "!"),
        (wiki.escape, "\n" * 8_000 + "*"),
        (lambda line: candidates(Excerpt((ExcerptLine(1, line),), 1)), "/" * 1_980 + ". : 12: error"),
        (lambda line: candidates(Excerpt((ExcerptLine(1, line),), 1)), "0" * 1_980 + " PASSED"),
    ],
)
def test_repetition_costs_little(read: Callable[[str], object], line: str) -> None:
    """A line of one thing over and over is no way to keep a processor busy."""
    read("warm up")
    began = time.process_time()
    read(line)
    assert time.process_time() - began < 0.1


def test_no_part_of_a_chain_of_secrets_is_left() -> None:
    """Where one secret stands behind another, each is found once the one before is gone, and goes as a whole."""
    secrets = [made_up(22, start) for start in range(3, 11)]
    clean = redactor().redact(b"Bearer " + b" ig ".join(secrets))
    assert redactor().redact(clean) == clean
    assert not any(secret[-6:] in clean for secret in secrets)
