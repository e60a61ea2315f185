"""confluent-kafka alone: librdkafka in C. Runs in an environment of its own.

`python with_confluent.py BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON.
"""

from __future__ import annotations

import sys
import time

import orjson
from bare import report
from confluent_kafka import Consumer, Producer


def main(bootstrap: str, topic: str, out: str, group: str, count: int) -> None:
    """Copies `count` records: polls up to 500, sends, waits for the acknowledgements, commits."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
    consumer.subscribe([topic])
    done, started, cpu = 0, 0.0, 0.0
    while done < count:
        messages = [each for each in consumer.consume(500, timeout=1.0) if each.error() is None]
        if not messages:
            continue
        if not started:
            started, cpu = time.perf_counter(), time.process_time()
        for message in messages:
            event = orjson.loads(message.value() or b"")
            answer = {"id": event["id"], "repo": event["repo"], "commit": event["commit"], "log": event["data"]}
            producer.produce(out, orjson.dumps(answer), key=message.key())
            producer.poll(0)
        producer.flush()
        consumer.commit(asynchronous=False)
        done += len(messages)
    report(done, started, cpu)
    consumer.close()


if __name__ == "__main__":
    where, read, written, member, records = sys.argv[1:]
    main(where, read, written, member, int(records))
