"""Dead letters: an event that can't become a finding, kept whole with the reason, and sent back when asked."""

from __future__ import annotations

import uuid
from typing import Final

import orjson

from processor.contract import ORIGIN_HEADER, Origin, Outbound, Record
from processor.errors import FaultstreamError

REASON: Final = "fs-reason"
ERROR: Final = "fs-error"
PIPELINE: Final = "fs-pipeline"
TIME: Final = "fs-time"
ATTEMPT: Final = "fs-attempt"
OWN: Final = frozenset({REASON, ERROR, PIPELINE, TIME, ATTEMPT, ORIGIN_HEADER})
"""Headers that are ours; a copy carries them once."""


def dead_letter(
    prefix: str, record: Record, reason: str, error: str, pipeline: str | None, origin: Origin, time: str
) -> Outbound:
    """The record as it was received, on `<prefix>.dead-letters`, with what is known of the failure.

    `error` must be redacted, `time` is RFC 3339. `fs-attempt` counts from 1 and grows with each replay;
    `fs-origin` is the JSON list [group, topic, partition, offset] or, of a replay, [.., replay id].
    """
    theirs = tuple(header for header in record.headers if header[0] not in OWN)
    ours = (
        (REASON, reason.encode()),
        (ERROR, error.encode("utf-8", "replace")),
        (PIPELINE, (pipeline or "").encode()),
        (ORIGIN_HEADER, encode_origin(origin)),
        (TIME, time.encode()),
        (ATTEMPT, str(attempt(record) + 1).encode()),
    )
    return Outbound(f"{prefix}.dead-letters", record.key, record.value, theirs + ours)


def replayable(prefix: str, record: Record, *, replay: str | None = None) -> Outbound:
    """A dead letter as it goes back: to `<prefix>.retry.<pipeline>`, which that pipeline alone reads.

    What the ticket role could not do (a signal, a ticket command) goes back to the topic that it was read from.

    Its origin is kept, so that a finding that was made already has the same id; `replay` (see `new_replay`) makes
    it a deliberate repeat with an id of its own. Raises FaultstreamError for a record that is no dead letter, or
    one that no pipeline had taken yet.
    """
    headers = dict(record.headers)
    pipeline = headers.get(PIPELINE, b"").decode()
    origin = decode_origin(headers[ORIGIN_HEADER]) if ORIGIN_HEADER in headers else None
    back = f"{prefix}.retry.{pipeline}"
    if origin is not None and origin.topic in {f"{prefix}.signals", f"{prefix}.ticket-commands"}:
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
