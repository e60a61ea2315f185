"""`python -m tests.chaos [--minutes 30] [--seed N]`: runs one after the other, each with a seed of its own.

Exit code 1 if anything was lost or came twice, or a daemon fell by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.cluster import Cluster
from tests.chaos.faults import schedule
from tests.chaos.run import Run, Verdict
from tests.chaos.subjects import Copying

ROUND_S = 120.0


async def once(folder: Path, seed: int, seconds: float, brokers: int, daemons: int, rate: float) -> Verdict:
    """One run on a cluster of its own."""
    cluster = Cluster(folder, brokers)
    subject = Copying()
    try:
        await cluster.start()
        async with Run(cluster, subject, folder, daemons, rate=rate) as run:
            run.produce()
            await run.until(lambda: run.has(1))
            await run.suffer(schedule(seed, seconds, daemons, subject.session_s))
            return await run.verdict()
    finally:
        await cluster.stop()


def main() -> int:
    """0 if nothing was lost and nothing came twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=None, help="by default in turns")
    parser.add_argument("--daemons", type=int, default=3)
    parser.add_argument("--rate", type=float, default=100, help="events a second")
    parser.add_argument("--round", type=float, default=ROUND_S, help="seconds of faults in one run")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that brokers are away is no news here
    seed = random.randrange(10**6) if options.seed is None else options.seed  # noqa: S311 (no secret)
    ends = time.monotonic() + 60 * options.minutes
    bad = 0
    turn = 0
    while turn == 0 or time.monotonic() < ends:
        brokers = options.brokers or (1, 3)[turn % 2]
        seconds = min(options.round, max(20.0, ends - time.monotonic()))
        print(f"run {turn + 1}: seed {seed + turn}, {brokers} brokers, {options.daemons} daemons", flush=True)
        folder = Path(tempfile.mkdtemp(prefix="faultstream-chaos-"))
        verdict = asyncio.run(once(folder, seed + turn, seconds, brokers, options.daemons, options.rate))
        print(f"run {turn + 1}: {verdict}\n  logs: {folder}", flush=True)
        bad += bool(verdict.lost or verdict.repeated or verdict.fell)
        turn += 1
    print(f"{turn} runs, {bad} of them bad; seed {seed}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
