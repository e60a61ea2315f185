"""The yardstick: a Faust agent with a table, as Faust's documentation writes one that counts.

`python bare_faust.py BOOTSTRAP TOPIC ID PARTITIONS COUNT` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from typing import Any

import faust
import orjson


async def main(bootstrap: str, topic: str, group: str, partitions: int, count: int, folder: str) -> None:
    """Counts `count` records by fingerprint."""
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=folder,
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
    )
    table = app.Table("counts", default=int, partitions=partitions)
    kinds: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    finished = asyncio.Event()

    @app.agent(app.topic(topic, **kinds))
    async def handle(stream: Any) -> None:
        done, started, cpu = 0, 0.0, 0.0
        async for value in stream:
            if not started:
                started, cpu = time.perf_counter(), time.process_time()
            finding = orjson.loads(value)["finding"]
            table[finding["fingerprint"]] += 1
            done += 1
            if done == count:
                seconds = time.perf_counter() - started
                used = time.process_time() - cpu
                print(json.dumps({"per_s": done / seconds, "cpu_us": used / done * 1e6}), flush=True)
                finished.set()

    await app.start()
    await finished.wait()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    where, read, member, parts, records = sys.argv[1:]
    with tempfile.TemporaryDirectory() as data:
        asyncio.get_event_loop_policy().new_event_loop().run_until_complete(
            main(where, read, member, int(parts), int(records), data)
        )
    os._exit(0)  # what was to be measured is told; a stop takes Faust seconds
