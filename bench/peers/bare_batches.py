"""aiokafka alone, at its best: outputs packed into batches by hand, one acknowledgement each.

`python bare_batches.py [--once] BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON; --once: with transactions.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from bare import report


async def main(bootstrap: str, topic: str, out: str, group: str, count: int, *, once: bool) -> None:
    """Copies `count` records."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    kind = {"transactional_id": group} if once else {"enable_idempotence": True}
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_batch_size=262_144, **kind)
    await consumer.start()
    await producer.start()
    done, started, cpu = 0, 0.0, 0.0
    while done < count:
        found = await consumer.getmany(timeout_ms=1000, max_records=500)
        if not found:
            continue
        if not started:
            started, cpu = time.perf_counter(), time.process_time()
        ends = {partition: messages[-1].offset + 1 for partition, messages in found.items()}
        if once:
            async with producer.transaction():
                await send(producer, out, found)
                await producer.send_offsets_to_transaction(ends, group)
        else:
            await asyncio.gather(*await send(producer, out, found))
            await consumer.commit(ends)
        done += sum(map(len, found.values()))
    report(done, started, cpu)
    await consumer.stop()
    await producer.stop()


async def send(producer: AIOKafkaProducer, out: str, found: dict[Any, list[Any]]) -> list[asyncio.Future[Any]]:
    """Sends an output for each message, to the partition of the same number."""
    sent = []
    for partition, messages in found.items():
        batch = producer.create_batch()
        for message in messages:
            event = orjson.loads(message.value)
            answer = {"id": event["id"], "repo": event["repo"], "commit": event["commit"], "log": event["data"]}
            value = orjson.dumps(answer)
            if batch.append(timestamp=None, key=message.key, value=value) is None:
                sent.append(await producer.send_batch(batch, out, partition=partition.partition))
                batch = producer.create_batch()
                batch.append(timestamp=None, key=message.key, value=value)
        sent.append(await producer.send_batch(batch, out, partition=partition.partition))
    return sent


if __name__ == "__main__":
    where, read, written, member, records = (word for word in sys.argv[1:] if word != "--once")
    asyncio.run(main(where, read, written, member, int(records), once="--once" in sys.argv))
