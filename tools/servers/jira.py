"""A Jira double (`jira820`): keeps state, speaks Jira Data Center 8.20's REST v2 with JQL, and has a web page.

It accepts any token and is lenient in many ways; tests put a fault proxy of their own in front of it.
`python -m tools.servers.jira [--port N] [--project KEY]`.
"""

from __future__ import annotations

import argparse
import http.client
import sys
from pathlib import Path

from tools import bootstrap
from tools.servers import process

PROJECT = "BUILD"


def answers(port: int, path: str, timeout: float = 2, host: str = process.LOOPBACK) -> bool:
    """Whether a GET of `path` is answered with 200."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def jira(port: int | None = None, logs: Path | None = None, project: str = PROJECT) -> process.Server:
    """The double; its `address` is the base URL, `{address}/demo/` its page, on which a ticket is shown by a click."""
    bootstrap.SERVERS.ensure()
    port = port or process.free_port()
    env = {"JIRA820_HOST": process.LOOPBACK, "JIRA820_PORT": str(port), "JIRA820_PROJECT_KEY": project}
    return process.Server(
        "jira",
        [bootstrap.SERVERS.python, "-m", "jira820"],
        address=f"http://{process.LOOPBACK}:{port}",
        ready=lambda: answers(port, "/rest/api/2/serverInfo"),
        logs=logs,
        env=env,
        stop_s=3,
    )


def main() -> int:
    """Runs the double in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m tools.servers.jira", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--project", default=PROJECT, help="key of its project")
    options = parser.parse_args()
    return process.serve(
        jira(options.port, project=options.project),
        lambda server: f"Jira double on {server.address}, project {options.project}, Ctrl-C stops it",
    )


if __name__ == "__main__":
    sys.exit(main())
