"""A double of S3 and STS (moto): keeps buckets in memory, speaks Amazon's protocols, and takes any credentials.

`python -m tools.servers.s3 [--port N]`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools import bootstrap
from tools.servers import process
from tools.servers.jira import answers


def s3(port: int | None = None, logs: Path | None = None) -> process.Server:
    """The double; its `address` is the endpoint of S3 and of STS."""
    bootstrap.S3.ensure()
    port = port or process.free_port()
    return process.Server(
        "s3",
        [bootstrap.S3.python, "-m", "moto.server", "-H", process.LOOPBACK, "-p", port],
        address=f"http://{process.LOOPBACK}:{port}",
        ready=lambda: answers(port, "/moto-api/data.json"),
        logs=logs,
        stop_s=3,
    )


def main() -> int:
    """Runs the double in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m tools.servers.s3", description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()
    return process.serve(s3(options.port), lambda server: f"double of S3 and STS on {server.address}, Ctrl-C stops it")


if __name__ == "__main__":
    sys.exit(main())
