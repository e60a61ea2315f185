"""FastStream as its documentation writes a consumer that publishes. Runs in an environment of its own.

`python with_faststream.py BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time

import orjson
from bare import report  # the folder of this script is on the path; the checkout need not be
from faststream.kafka import KafkaBroker, KafkaMessage


async def main(bootstrap: str, topic: str, out: str, group: str, count: int) -> None:
    """Copies `count` records, one by one, with the offsets committed by the client now and then."""
    broker = KafkaBroker(bootstrap, acks="all", logger=logging.getLogger("quiet"))
    finished = asyncio.Event()
    done, started, cpu = 0, 0.0, 0.0

    @broker.subscriber(topic, group_id=group, auto_offset_reset="earliest")
    @broker.publisher(out)
    async def handle(_body: bytes, message: KafkaMessage) -> bytes:
        nonlocal done, started, cpu
        if not started:
            started, cpu = time.perf_counter(), time.process_time()
        event = orjson.loads(message.body)
        done += 1
        if done == count:
            finished.set()
        return orjson.dumps({"id": event["id"], "repo": event["repo"], "commit": event["commit"], "log": event["data"]})

    await broker.start()
    await finished.wait()
    report(count, started, cpu)
    await broker.stop()


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    where, read, written, member, records = sys.argv[1:]
    asyncio.run(main(where, read, written, member, int(records)))
