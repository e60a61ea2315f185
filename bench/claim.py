"""What the line finds in logs that events refer to: `python -m bench.claim FOLDER ADDRESS …`.

Prints the last line of each finding's evidence. It is a process of its own so that its parent can watch how much
memory that takes (`python -m bench.reduce --only memory`). Rules decide, or a model answers that is in the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from processor.contract import ATTRIBUTES, Event, Origin, Record
from processor.home import Homes
from processor.lane import Lane, Shared
from processor.logs.redact import redactor
from processor.pipeline import Pipeline
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics
from processor.testing.model import StubModel

_MOST = 2_000_000_000


async def through(addresses: Sequence[str], root: Path) -> list[int]:
    """The last line of the evidence that the line finds in the log behind each address; files may lie below `root`."""
    allowed = FetchSettings(
        allow=["127.0.0.1"], schemes=["file", "http"], roots=[root], private=True, max_bytes=_MOST, timeout_s=600
    )
    homes = Homes.of()
    pipeline = Pipeline.load(homes.pipelines()["ci_failure"], homes)
    found = []
    async with Fetch(allowed) as fetch:
        shared = Shared("bench", fetch, Redact(redactor()), LineMetrics(CollectorRegistry()))
        lane = Lane.by(pipeline, StubModel(), shared)
        attributes = {name: each.default for name, each in ATTRIBUTES.items()}
        for address in addresses:
            origin, record = Origin("bench", "logs", 0, 0), Record("logs", 0, 0, None, None)
            finding = await lane.find(Event(origin, record, attributes, reference=address))
            found.append(max((line.line for line in finding.evidence), default=0))
    return found


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Says nothing of requests."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of the files in a folder, on this machine."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(through(sys.argv[2:], Path(sys.argv[1])))))
