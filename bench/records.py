"""Failed builds of about 2 KB, all different: CloudEvents in structured mode, so that every peer has JSON to parse."""

from __future__ import annotations

import random
from collections.abc import Iterator

import orjson

from processor.contract import Outbound

PASSING = (
    "npm info run install {w}@{a}.{b}.{c} node_modules/{w}",
    "[INFO] Compiling {a} source files to target/classes/{w}",
    "tests/test_{w}.py::test_{w}_{a} PASSED [ {b}%]",
    "  ✓ {w} › renders the {w} panel ({a} ms)",
    "Downloaded {w} v{a}.{b}.{c}",
)
FAILING = (
    "error: the {w} step gave {a} where {b} was expected",
    "Error: {w} did not finish: exit status {a}",
    "AssertionError: expected {a} to equal {b} in {w}",
)
WORDS = ("parser", "router", "ledger", "kernel", "widget", "broker", "tensor", "socket", "packet", "cursor")


def log(rng: random.Random, size: int) -> str:
    """A log of about `size` bytes with one failing line near its end, that no rule knows."""

    def line(form: str) -> str:
        return form.format(w=rng.choice(WORDS), a=rng.randrange(1000), b=rng.randrange(100), c=rng.randrange(10))

    lines = [line(rng.choice(PASSING)) for _ in range(size // 44)]
    lines.append(line(rng.choice(FAILING)))
    lines += ["", "##[error]Process completed with exit code 1."]
    return "\n".join(lines) + "\n"


def records(topic: str, count: int, *, size: int = 2000, partitions: int = 4, seed: int = 7) -> Iterator[Outbound]:
    """`count` records; `size` is that of the whole value."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    for number in range(count):
        repo = f"acme/{rng.choice(WORDS)}"
        event = {
            "specversion": "1.0",
            "type": "build.failed",
            "source": "https://ci.example",
            "id": str(number),
            "time": "2026-01-01T00:00:00Z",
            "datacontenttype": "text/plain",
            "repo": repo,
            "branch": "main",
            "commit": f"{rng.getrandbits(160):040x}",
            "job": "test",
            "runid": str(number),
            "data": log(rng, size - 380),
        }
        headers = (("content-type", b"application/cloudevents+json"),)
        yield Outbound(topic, repo.encode(), orjson.dumps(event), headers, number % partitions)
