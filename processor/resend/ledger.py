"""What was sent once more, kept on the compacted topic `<p>.replays`: JSON by key, the last of a key counts.

Its records are written together with the copies that they tell of. Unlike the offsets of a group, which brokers forget
a week after it was last used, they stay; and they can tell of any choice of letters, not only of all up to a place.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, cast

import orjson

from processor.contract import FORMAT, Outbound, too_new, update_first
from processor.errors import Fatal, Retryable
from processor.sources.history import History

Entry = Mapping[str, Any]


def ledger(prefix: str) -> str:
    """The topic of a deployment."""
    return f"{prefix}.replays"


async def entries(history: History, prefix: str) -> dict[str, Entry]:
    """What the topic says now, by key.

    Raises Retryable, and Fatal for an entry of a later version: what it says was sent would be sent again.
    """
    found: dict[str, Entry] = {}
    topic = ledger(prefix)
    if not (spans := await history.spans([topic])):
        raise Retryable(f"there is no topic {topic}; `faultstream topics` says what is missing")
    async with aclosing(history.between(spans)) as records:
        async for record in records:
            key = (record.key or b"").decode("utf-8", "replace")
            if record.value is None:
                found.pop(key, None)
                continue
            found[key] = _read(f"{topic}: {key}", record.value)
    return found


def _read(what: str, value: bytes) -> Entry:
    try:
        read = orjson.loads(value)
        version = read["v"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Fatal(f"{what} can't be read; who wrote it?") from error
    if too_new(version):
        raise Fatal(update_first(what, version))
    return cast("Entry", read)


def entry(prefix: str, key: str, value: Entry | None) -> Outbound:
    """The record that sets an entry, or takes it away."""
    body = None if value is None else orjson.dumps({**value, "v": FORMAT})
    return Outbound(ledger(prefix), key.encode(), body)
