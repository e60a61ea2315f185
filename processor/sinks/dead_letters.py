"""Dead letters: an event that can't become a finding, kept whole with the reason, and sent back when asked."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import orjson

from processor.contract import ORIGIN_HEADER, Headers, Origin, Outbound, Record, Step
from processor.errors import FaultstreamError

REASON: Final = "fs-reason"
ERROR: Final = "fs-error"
PIPELINE: Final = "fs-pipeline"
TIME: Final = "fs-time"
ATTEMPT: Final = "fs-attempt"
OUTPUT: Final = "fs-output"
SPENT: Final = "fs-spent"
BODY_LEFT_OUT: Final = "fs-body-left-out"
"""Bytes of an event whose letter had to be written without them, for its topic took no more."""
OWN: Final = frozenset({REASON, ERROR, PIPELINE, TIME, ATTEMPT, OUTPUT, SPENT, BODY_LEFT_OUT, ORIGIN_HEADER})
"""Headers that are ours; a copy carries them once."""

_READ, _SHOWN = 16_000, 4_000


def dead_letter(
    prefix: str,
    record: Record,
    reason: str,
    error: str,
    pipeline: str | None,
    origin: Origin,
    time: str,
    output: str = "",
    spent: Sequence[Step] = (),
) -> Outbound:
    """The record as it was received, on `<prefix>.dead-letters`, with what is known of the failure.

    `error` and `output` (what a model wrote, if that is why) must be redacted, `time` is RFC 3339, `spent` are steps of
    models that came to nothing. `fs-attempt` counts from 1 and grows with each replay; `fs-origin` is the JSON list
    [group, topic, partition, offset] or, of a replay, [.., replay id].
    """
    theirs = tuple(header for header in record.headers if header[0] not in OWN)
    ours: Headers = (
        (REASON, reason.encode()),
        (ERROR, error.encode("utf-8", "replace")),
        (PIPELINE, (pipeline or "").encode()),
        (ORIGIN_HEADER, encode_origin(origin)),
        (TIME, time.encode()),
        (ATTEMPT, str(attempt(record) + 1).encode()),
    )
    if output:
        ours = (*ours, (OUTPUT, output.encode("utf-8", "replace")))
    if spent:
        ours = (*ours, (SPENT, encode_spent(spent)))
    return Outbound(f"{prefix}.dead-letters", record.key, record.value, (*theirs, *ours))


def shown(redact: Callable[[str], str], output: str) -> str:
    """The start of what a model wrote, without secrets, for the header `fs-output`."""
    if len(output) > _READ:  # a word that is cut in two might be a secret that is not recognised any more
        output = output[:_READ].rpartition(" ")[0]
    return redact(output)[:_SHOWN] if output else ""


def without_body(letter: Outbound) -> Outbound:
    """A letter whose body does not fit, with a header that says how many bytes it had."""
    size = str(len(letter.value or b"")).encode()
    return replace(letter, value=None, headers=(*letter.headers, (BODY_LEFT_OUT, size)))


def replayable(prefix: str, record: Record, *, replay: str | None = None) -> Outbound:
    """A dead letter as it goes back: to `<prefix>.retry.<pipeline>`, which that pipeline alone reads.

    What the ticket role could not do (a signal, a ticket command) goes back to the topic that it was read from.

    Its origin is kept, so that a finding that was made already has the same id; `replay` (see `new_replay`) makes
    it a deliberate repeat with an id of its own. Raises FaultstreamError for a record that is no dead letter, one that
    no pipeline had taken yet, or one without its bytes.
    """
    headers = dict(record.headers)
    if BODY_LEFT_OUT in headers:
        raise FaultstreamError(f"{record.topic}/{record.partition}/{record.offset} is without its bytes")
    pipeline = headers.get(PIPELINE, b"").decode()
    origin = decode_origin(headers[ORIGIN_HEADER]) if ORIGIN_HEADER in headers else None
    back = f"{prefix}.retry.{pipeline}"
    if origin is not None and origin.topic in {
        f"{prefix}.signals",
        f"{prefix}.group-signals",
        f"{prefix}.ticket-commands",
    }:
        back = origin.topic
    elif origin is None or not pipeline:
        raise FaultstreamError(f"{record.topic}/{record.partition}/{record.offset} names no pipeline to go back to")
    if replay is not None:
        origin = Origin(origin.group, origin.topic, origin.partition, origin.offset, replay)
    theirs = tuple(header for header in record.headers if header[0] not in OWN)
    ours = ((ORIGIN_HEADER, encode_origin(origin)), (ATTEMPT, headers.get(ATTEMPT, b"1")))
    return Outbound(back, record.key, record.value, theirs + ours)


def new_replay() -> str:
    """An id for a deliberate repeat."""
    return uuid.uuid4().hex


def attempt(record: Record) -> int:
    """How often the record has become a dead letter already."""
    value = dict(record.headers).get(ATTEMPT, b"0")
    return int(value) if value.isdigit() else 0


def encode_spent(steps: Sequence[Step]) -> bytes:
    """The value of the header `fs-spent`: of each step its tier, model, adapter and usage, as findings have them."""
    return orjson.dumps([
        {"tier": each.tier, "model": each.model, "adapter": each.adapter, "usage": each.usage} for each in steps
    ])  # fmt: skip


def encode_origin(origin: Origin) -> bytes:
    """The value of the header `fs-origin`."""
    parts = [origin.group, origin.topic, origin.partition, origin.offset]
    return orjson.dumps(parts if origin.replay is None else [*parts, origin.replay])


def decode_origin(value: bytes) -> Origin:
    """The origin that a header names. Raises FaultstreamError for anything else."""
    try:
        group, topic, partition, offset, *replay = orjson.loads(value)
        return Origin(str(group), str(topic), int(partition), int(offset), str(replay[0]) if replay else None)
    except (orjson.JSONDecodeError, TypeError, ValueError) as error:
        raise FaultstreamError(f"{ORIGIN_HEADER}: {error}") from error
