"""The yardstick: a Faust agent with a table, as Faust's documentation writes one that counts.

`python -m bench.tickets.bare_faust BOOTSTRAP TOPIC ID PARTITIONS COUNT` prints one line of JSON.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson

from bench.peers.faust_agent import Bare, run


async def main(folder: str) -> None:
    """Counts the records by fingerprint."""
    bootstrap, topic, group, partitions, count = sys.argv[1:]
    bare = Bare(bootstrap, group, int(count), folder, topic_partitions=int(partitions))
    table = bare.app.Table("counts", default=int, partitions=int(partitions))

    @bare.app.agent(bare.topic(topic))
    async def handle(stream: Any) -> None:
        async for value in bare.clocked(stream):
            table[orjson.loads(value)["finding"]["fingerprint"]] += 1

    await bare.run()


if __name__ == "__main__":
    run(main)
