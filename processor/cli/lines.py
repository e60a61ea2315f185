"""Logs of which a file holds the lines, as they lie on a topic."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from processor.assemble.files import logs, records
from processor.assemble.plan import Plan
from processor.cli.inputs import Input, printable
from processor.contract import ATTRIBUTES, Record
from processor.errors import Rejected
from processor.sources.decode import Decoder

Work = Callable[[], Record]
"""Gives the record of a log. Raises Rejected, Retryable, OSError."""


def whole(log: Input) -> Record:
    """A log that is one file."""
    headers = (("subject", log.name.rpartition("/")[2].encode("utf-8", "replace")),)
    return Record("explain", 0, 0, None, b"".join(log.read()), headers, int(time.time() * 1000))


def each_log(log: Input, plan: Plan, decoder: Decoder) -> list[tuple[str, Work]]:
    """Those that the lines of a file make, named by it and by what their lines share; what is none of them comes last.

    Raises Rejected, Retryable, OSError.
    """
    found, refused = logs(records(log.read(), int(time.time() * 1000)), plan)
    made: list[tuple[str, Work]] = [(f"{log.label}: {_key(plan, each)}", partial(_same, each)) for each in found]
    if refused:
        made.append((log.label, partial(_refuse, decoder, refused[0], len(refused))))
    return made or [(log.label, partial(_nothing))]


def _key(plan: Plan, log: Record) -> str:
    headers = dict(log.headers)
    values = (headers.get(f"ce_{name}") if name in ATTRIBUTES else log.key for name in plan.key)
    return printable(", ".join(value.decode("utf-8", "replace") for value in values if value))


def _same(record: Record) -> Record:
    return record


def _refuse(decoder: Decoder, record: Record, count: int) -> Record:
    try:
        decoder.decode(record)
    except Rejected as error:
        raise Rejected(error.reason, f"{count:,} records are no lines of a log; the first: {error}") from error
    return record


def _nothing() -> Record:
    raise Rejected("empty", "there are no records")
