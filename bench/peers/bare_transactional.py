"""The yardstick with transactions: aiokafka alone, outputs and offsets of each poll of up to 500 records as one.

`python bare_transactional.py BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from bare import report


async def main(bootstrap: str, topic: str, out: str, group: str, count: int) -> None:
    """Copies `count` records."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=group)
    await consumer.start()
    await producer.start()
    done, started, cpu = 0, 0.0, 0.0
    while done < count:
        batches = await consumer.getmany(timeout_ms=1000, max_records=500)
        if not batches:
            continue
        if not started:
            started, cpu = time.perf_counter(), time.process_time()
        async with producer.transaction():
            for messages in batches.values():
                for message in messages:
                    event = orjson.loads(message.value)
                    answer = {"id": event["id"], "repo": event["repo"], "commit": event["commit"], "log": event["data"]}
                    await producer.send(out, orjson.dumps(answer), key=message.key)
            ends = {partition: messages[-1].offset + 1 for partition, messages in batches.items()}
            await producer.send_offsets_to_transaction(ends, group)
        done += sum(map(len, batches.values()))
    report(done, started, cpu)
    await consumer.stop()
    await producer.stop()


if __name__ == "__main__":
    where, read, written, member, records = sys.argv[1:]
    asyncio.run(main(where, read, written, member, int(records)))
