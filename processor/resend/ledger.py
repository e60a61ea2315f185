"""What was sent once more, kept on the compacted topic `<p>.replays`: JSON by key, the last of a key counts.

Its records are written together with the copies that they tell of. Unlike the offsets of a group, which brokers forget
a week after it was last used, they stay; and they can tell of any choice of letters, not only of all up to a place.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast

import orjson

from processor.contract import FORMAT, Outbound, Record, too_new, update_first
from processor.errors import Fatal, Retryable
from processor.resend.sender import Sender
from processor.sources.ended import ahead_of
from processor.sources.history import History

Entry = Mapping[str, Any]


def ledger(prefix: str) -> str:
    """The topic of a deployment."""
    return f"{prefix}.replays"


async def entries(history: History, prefix: str, sender: Sender | None = None) -> dict[str, Entry]:
    """What the topic says now, by key; to whoever has a sender all of what those before it have said.

    Raises Retryable, and Fatal for an entry of a later version: what it says was sent would be sent again.
    """
    found: dict[str, Entry] = {}
    topic = ledger(prefix)
    async with aclosing(await _records(history, topic, sender)) as records:
        async for record in records:
            key = (record.key or b"").decode("utf-8", "replace")
            if record.value is None:
                found.pop(key, None)
                continue
            found[key] = _read(f"{topic}: {key}", record.value)
    return found


async def _records(history: History, topic: str, sender: Sender | None) -> AsyncGenerator[Record, None]:
    """Up to the end that the brokers tell, which may be an old one, or up to what the sender writes for that."""
    if not (spans := await history.spans([topic])):
        raise Retryable(f"there is no topic {topic}; `faultstream topics` says what is missing")
    if sender is None:
        return history.between(spans)
    end = f"end {uuid.uuid4().hex}".encode()
    await sender.write([], lambda _: [Outbound(topic, end, None, partition=tp.partition) for tp in spans])
    return ahead_of(history, dict.fromkeys(spans, end))


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
