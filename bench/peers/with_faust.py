"""A Faust agent as its documentation writes one that forwards to another topic; bytes in and out, parsed by orjson.

`python with_faust.py BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from typing import Any

import faust
import orjson
from bare import report


async def main(bootstrap: str, topic: str, out: str, group: str, count: int, folder: str) -> None:
    """Copies `count` records, one by one, with the offsets committed by the library now and then."""
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=folder,
        web_enabled=False,
        topic_disable_leader=True,
    )
    kinds: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    written = app.topic(out, **kinds)
    finished = asyncio.Event()

    @app.agent(app.topic(topic, **kinds))
    async def handle(stream: Any) -> None:
        done, started, cpu = 0, 0.0, 0.0
        async for key, body in stream.items():
            if not started:
                started, cpu = time.perf_counter(), time.process_time()
            event = orjson.loads(body)
            answer = {"id": event["id"], "repo": event["repo"], "commit": event["commit"], "log": event["data"]}
            await written.send(key=key, value=orjson.dumps(answer))
            done += 1
            if done == count:
                report(count, started, cpu)
                finished.set()

    await app.start()
    await finished.wait()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    where, read, sent, member, records = sys.argv[1:]
    with tempfile.TemporaryDirectory() as data:
        asyncio.get_event_loop_policy().new_event_loop().run_until_complete(
            main(where, read, sent, member, int(records), data)
        )
    sys.stdout.flush()
    os._exit(0)  # what was to be measured is told; a stop takes Faust seconds
