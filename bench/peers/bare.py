"""The yardstick: aiokafka alone. Polls up to 500 records, parses each, sends one output each, commits after the acks.

`python bare.py BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def main(bootstrap: str, topic: str, out: str, group: str, count: int) -> None:
    """Copies `count` records."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await consumer.start()
    await producer.start()
    done, started, cpu = 0, 0.0, 0.0
    while done < count:
        batches = await consumer.getmany(timeout_ms=1000, max_records=500)
        if not started and batches:
            started, cpu = time.perf_counter(), time.process_time()
        acks = []
        for messages in batches.values():
            for message in messages:
                event = orjson.loads(message.value)
                answer = {"id": event["id"], "repo": event["repo"], "commit": event["commit"], "log": event["data"]}
                acks.append(await producer.send(out, orjson.dumps(answer), key=message.key))
        if acks:
            await asyncio.gather(*acks)
            await consumer.commit()
            done += len(acks)
    report(done, started, cpu)
    await consumer.stop()
    await producer.stop()


def report(done: int, started: float, cpu: float, **more: float) -> None:
    """Prints what was measured since the first record."""
    seconds = time.perf_counter() - started
    told = {
        "records_per_s": round(done / seconds, 1),
        "cpu_us_per_record": round((time.process_time() - cpu) / done * 1e6, 1),
        "rss_mb": peak_mb(),
        **more,
    }
    print(json.dumps(told), flush=True)


def peak_mb() -> int:
    """The most memory that this process has had, in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would tell of the process that started this one, where that had more
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return round(int(peak.split()[1]) / 1024)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2)


if __name__ == "__main__":
    where, read, written, member, records = sys.argv[1:]
    asyncio.run(main(where, read, written, member, int(records)))
