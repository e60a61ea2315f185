"""A Faust agent as its documentation writes one that forwards to another topic; bytes in and out, parsed by orjson.

`python -m bench.peers.with_faust BOOTSTRAP IN OUT GROUP COUNT` prints one line of JSON.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson

from bench.peers.faust_agent import Bare, run


async def main(folder: str) -> None:
    """Copies the records, one by one, with the offsets committed by the library now and then."""
    bootstrap, topic, out, group, count = sys.argv[1:]
    bare = Bare(bootstrap, group, int(count), folder)
    written = bare.topic(out)

    @bare.app.agent(bare.topic(topic))
    async def handle(stream: Any) -> None:
        async for key, body in bare.clocked(stream.items()):
            event = orjson.loads(body)
            answer = {"id": event["id"], "repo": event["repo"], "commit": event["commit"], "log": event["data"]}
            await written.send(key=key, value=orjson.dumps(answer))

    await bare.run()


if __name__ == "__main__":
    run(main)
