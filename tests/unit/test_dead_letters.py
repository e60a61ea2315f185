"""Dead letters keep what was received, and go back to their own pipeline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.contract import ORIGIN_HEADER, Origin, Record
from processor.errors import FaultstreamError
from processor.logs.redact import redactor
from processor.sinks.dead_letters import (
    BODY_LEFT_OUT,
    attempt,
    dead_letter,
    decode_origin,
    encode_origin,
    new_replay,
    replayable,
    shown,
)

ORIGIN = Origin("fs.line", "ci.builds.failed", 3, 1881)
RECEIVED = Record("ci.builds.failed", 3, 1881, b"acme/web", b"\x00log", (("ce_type", b"build.failed"), ("x", b"")), 5)


def letter(record: Record = RECEIVED) -> Record:
    """The dead letter as it is read from its topic."""
    made = dead_letter("fs", record, "binary", "not a log", "ci_failure", ORIGIN, "2026-01-01T00:00:00Z")
    return Record(made.topic, 0, 7, made.key, made.value, made.headers)


def test_a_dead_letter_is_the_record_with_the_reason() -> None:
    """Key, bytes and headers as received, ours after them."""
    made = letter()
    assert (made.topic, made.key, made.value) == ("fs.dead-letters", b"acme/web", b"\x00log")
    assert made.headers[:2] == RECEIVED.headers
    assert dict(made.headers[2:]) == {
        "fs-reason": b"binary",
        "fs-error": b"not a log",
        "fs-pipeline": b"ci_failure",
        "fs-origin": b'["fs.line","ci.builds.failed",3,1881]',
        "fs-time": b"2026-01-01T00:00:00Z",
        "fs-attempt": b"1",
    }


def test_it_goes_back_to_its_pipeline_alone() -> None:
    """With its origin, hence with the same ids, and without the old reason."""
    back = replayable("fs", letter())
    assert (back.topic, back.key, back.value) == ("fs.retry.ci_failure", b"acme/web", b"\x00log")
    assert dict(back.headers) == {**dict(RECEIVED.headers), "fs-origin": encode_origin(ORIGIN), "fs-attempt": b"1"}


def test_attempts_are_counted_over_replays() -> None:
    """A second failure is attempt 2, with each header once."""
    back = replayable("fs", letter())
    again = letter(Record(back.topic, 0, 0, back.key, back.value, back.headers))
    assert attempt(again) == 2
    assert len(dict(again.headers)) == len(again.headers)


def test_a_deliberate_repeat_has_ids_of_its_own() -> None:
    """The replay id becomes part of the origin."""
    replay = new_replay()
    origin = decode_origin(dict(replayable("fs", letter(), replay=replay).headers)[ORIGIN_HEADER])
    assert origin == Origin("fs.line", "ci.builds.failed", 3, 1881, replay)
    assert origin.id("ci_failure") != ORIGIN.id("ci_failure")


def test_what_names_no_pipeline_is_refused() -> None:
    """Nobody would read it."""
    with pytest.raises(FaultstreamError, match=r"ci\.builds\.failed/3/1881 names no pipeline"):
        replayable("fs", RECEIVED)


def test_a_letter_without_its_bytes_stays() -> None:
    """It would come back as an empty event. A mark that came with the event itself counts for nothing."""
    marked = replace(RECEIVED, headers=((BODY_LEFT_OUT, b"9"),))
    assert replayable("fs", letter(marked)).value == b"\x00log"
    made = letter()
    with pytest.raises(FaultstreamError, match=r"fs\.dead-letters/0/7 is without its bytes"):
        replayable("fs", replace(made, headers=(*made.headers, (BODY_LEFT_OUT, b"9"))))


@pytest.mark.parametrize("value", [b"", b"{", b"[1]", b'["g","t","x",1]', b"7"])
def test_an_origin_that_is_none(value: bytes) -> None:
    """Headers come from outside."""
    with pytest.raises(FaultstreamError, match="fs-origin"):
        decode_origin(value)


def test_what_a_model_wrote_is_kept_beside_the_error() -> None:
    """It does not travel on with a replay."""
    made = dead_letter("fs", RECEIVED, "invalid_output", "no JSON", "p", ORIGIN, "2026-01-01T00:00:00Z", '{"a":')
    assert dict(made.headers)["fs-output"] == b'{"a":'
    back = replayable("fs", Record(made.topic, 0, 7, made.key, made.value, made.headers))
    assert "fs-output" not in dict(back.headers)


def test_what_is_kept_of_an_output_is_bounded_and_has_no_half_of_a_secret() -> None:
    """It is redacted before it is cut, and cut between words before that."""
    secret = "ghp_" + "a1B2c3D4" * 5
    redact = redactor().redact_text
    assert secret not in shown(redact, f"x {secret} y")
    for before in (15_955, 15_970, 15_990, 15_999, 16_000):
        text = " " * before + secret + " more" * 20
        assert "ghp_" not in shown(lambda read: redact(read)[-4000:], text)
    assert len(shown(redact, " " * 250_000)) <= 4_000
