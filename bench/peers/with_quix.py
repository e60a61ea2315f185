"""Quix Streams as its documentation writes a function between two topics. Runs in an environment of its own.

`python with_quix.py BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON.
"""

from __future__ import annotations

import sys
import tempfile
import time
from typing import Any

import orjson
from bare import report
from quixstreams import Application


def main(bootstrap: str, topic: str, out: str, group: str, count: int, folder: str) -> None:
    """Copies `count` records; the time ends with the last one's function, before its write is acknowledged."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        state_dir=folder,
        loglevel="ERROR",
    )
    done, started, cpu = 0, 0.0, 0.0

    def handle(body: bytes) -> Any:
        nonlocal done, started, cpu
        if not started:
            started, cpu = time.perf_counter(), time.process_time()
        event = orjson.loads(body)
        done += 1
        if done == count:
            report(count, started, cpu)
            app.stop()
        return orjson.dumps({"id": event["id"], "repo": event["repo"], "commit": event["commit"], "log": event["data"]})

    frame = app.dataframe(app.topic(topic, value_deserializer="bytes", key_deserializer="bytes"))
    frame.apply(handle).to_topic(app.topic(out, value_serializer="bytes", key_serializer="bytes"))
    app.run()


if __name__ == "__main__":
    where, read, written, member, records = sys.argv[1:]
    with tempfile.TemporaryDirectory() as state:
        main(where, read, written, member, int(records), state)
