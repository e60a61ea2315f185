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
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

from processor.settings.kafka import Carrier
from processor.testing.model import FakeModelServer
from tests.chaos.cluster import Cluster
from tests.chaos.faults import schedule
from tests.chaos.run import Run, Verdict
from tests.chaos.subjects import Copying, Line

ROUND_S = 180.0
GAP_S = 3.0


@dataclass(frozen=True, slots=True)
class Round:
    """One run on a cluster of its own."""

    folder: Path
    seed: int
    seconds: float
    brokers: int
    daemons: int
    rate: float
    gap_s: float
    line: bool
    records: Carrier

    def __str__(self) -> str:
        subject = "line" if self.line else "engine"
        size = f"{self.brokers} brokers, {self.daemons} daemons, {self.seconds:.0f} s"
        return f"{subject}, {self.records}, seed {self.seed}, {size}"

    async def run(self) -> Verdict:
        """What came of it."""
        cluster = Cluster(self.folder, self.brokers)
        async with FakeModelServer() as model:
            subject = Line(self.folder, model, records=self.records) if self.line else Copying(records=self.records)
            faults = schedule(
                self.seed, self.seconds, self.daemons, subject.session_s, subject.kinds, self.gap_s * (1 + self.line)
            )
            try:
                await cluster.start()
                async with Run(cluster, subject, self.folder, self.daemons, rate=self.rate) as run:
                    run.produce()
                    await run.until(lambda: run.has(1), 300)
                    await run.suffer(faults, partial(print, flush=True), most_s=self.seconds)
                    return await run.verdict(600)  # a slow machine may have fallen far behind
            finally:
                await cluster.stop()


def main() -> int:
    """0 if nothing was lost and nothing came twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=None, help="by default in turns")
    parser.add_argument("--daemons", type=int, default=3)
    parser.add_argument("--rate", type=float, default=100, help="events a second; a fifth of it on the whole line")
    parser.add_argument("--gap", type=float, default=GAP_S, help="seconds between faults, on average and roughly")
    parser.add_argument("--subject", choices=("engine", "line"), default=None, help="by default in turns")
    parser.add_argument("--client", choices=get_args(Carrier), default="aiokafka", help="what fetches records")
    parser.add_argument("--round", type=float, default=ROUND_S, help="seconds of faults in one run")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that brokers are away is no news here
    seed = random.randrange(10**6) if options.seed is None else options.seed  # noqa: S311 (no secret)
    ends = time.monotonic() + 60 * options.minutes
    bad = 0
    turn = 0
    while turn == 0 or time.monotonic() < ends:
        line = options.subject == "line" if options.subject else turn % 4 in (2, 3)
        one = Round(
            folder=Path(tempfile.mkdtemp(prefix="faultstream-chaos-")),
            seed=seed + turn,
            seconds=min(options.round, max(20.0, ends - time.monotonic())),
            brokers=options.brokers or (1, 3)[turn % 2],
            daemons=options.daemons,
            rate=options.rate / (5 if line else 1),
            gap_s=options.gap,
            line=line,
            records=options.client,
        )
        print(f"run {turn + 1}: {one}", flush=True)
        verdict = asyncio.run(one.run())
        print(f"run {turn + 1}: {verdict}\n  logs: {one.folder}", flush=True)
        bad += bool(verdict.lost or verdict.repeated or verdict.fell)
        turn += 1
    print(f"{turn} runs, {bad} of them bad; seed {seed}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
