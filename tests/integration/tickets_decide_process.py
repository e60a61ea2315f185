"""*decide* as a process that freezes itself: `python tickets_decide_process.py BOOTSTRAP PREFIX PARTITIONS SESSION_S`.

It stops right after its first commands are acknowledged, before its table is written: the worst moment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

from processor.cluster.client import KafkaClient
from processor.contract import Outbound
from processor.sinks.kafka import KafkaSink, KafkaSinkConfig
from processor.telemetry import configure_logs
from processor.tickets.decide import Decide, FaustConfig
from processor.tickets.messages import Topics
from processor.tickets.policy import Policy
from processor.tickets.signals import Signals


async def main(bootstrap: str, prefix: str, partitions: str, session_s: str) -> None:
    """Runs until it is told to stop."""
    client, topics = KafkaClient(bootstrap), Topics(prefix)
    sink = KafkaSink(KafkaSinkConfig(client.arguments()))
    await sink.start()
    frozen = False

    async def publish(records: Sequence[Outbound]) -> None:
        nonlocal frozen
        await sink.publish(records)
        if not frozen:
            frozen = True
            os.kill(os.getpid(), signal.SIGSTOP)

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    config = FaustConfig(client, int(partitions), session_timeout_s=float(session_s))
    await Decide(config, topics, [Signals(topics, {"ci": Policy()})], publish).run(stop)
    await sink.stop()


if __name__ == "__main__":
    configure_logs("warning")
    asyncio.run(main(*sys.argv[1:]))
