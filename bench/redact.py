"""How well secrets are found, and how little else is touched: planted secrets in real log lines, look-alikes, speed.

    python -m bench.redact [--data DIR] [--rounds 2] [--misses]

`redact_recall`: the share of planted secrets of which nothing is left. `redact_touched_share`: the share of lines of
real logs, in which nothing was planted, that redaction changes. `redact_lookalike_share`: the share of look-alikes.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.planted import Planted, corpus, lookalikes
from processor.logs.decode import text_stream
from processor.logs.redact import Redactor, redactor
from processor.logs.text import sniff

SAMPLES = Path(__file__).parent.parent / "pipelines/ci_failure/samples"
_SEED = 20_261_122


def real_logs(data: Path | None) -> list[bytes]:
    """The recorded samples, and the dev logs where they are."""
    paths = sorted(SAMPLES.glob("*.log")) + (sorted((data / "logs").rglob("*.log")) if data else [])
    logs = (path.read_bytes() for path in paths)
    return [b"".join(text_stream((log,))) for log in logs if sniff(log) is None]


def misses(
    planted: Iterable[Planted], lines: Sequence[bytes], with_: Redactor, chance: random.Random
) -> tuple[int, list[Planted]]:
    """How many secrets were planted, each between real lines, and those of which anything is left."""
    missed = []
    total = 0
    for one in planted:
        at = chance.randrange(len(lines) - 6)
        before, after = b"\n".join(lines[at : at + 3]), b"\n".join(lines[at + 3 : at + 6])
        clean = with_.redact(b"\n".join((before, one.text.encode(), after)))
        total += 1
        if any(secret.encode() in clean for secret in one.secret):
            missed.append(one)
    return total, missed


def touched(logs: Iterable[bytes], with_: Redactor) -> tuple[int, int]:
    """Lines changed, and lines in all."""
    changed = total = 0
    for log in logs:
        clean = with_.redact(log)
        total += log.count(b"\n") + 1
        if clean is not log:
            changed += sum(a != b for a, b in zip(log.split(b"\n"), clean.split(b"\n"), strict=True))
    return changed, total


def speed(logs: Sequence[bytes], with_: Redactor) -> float:
    """Millions of bytes per second of one core's time, streamed; the best of three."""
    size = sum(map(len, logs))
    best = 0.0
    for _ in range(3):
        began = time.process_time()
        for log in logs:
            for _block in with_.session().stream((log,)):
                pass
        best = max(best, size / (time.process_time() - began) / 1e6)
    return best


def measure(data: Path | None = None, rounds: int = 2, *, show: bool = False) -> dict[str, float]:
    """The measures, over the samples and, where `data` (a folder with `logs/`) is given, its logs."""
    with_ = redactor()
    chance = random.Random(_SEED)  # noqa: S311  repeatable, and no secret
    logs = real_logs(data)
    lines = [line for log in logs for line in log.split(b"\n")[:2000] if line]
    total, missed = misses(corpus(_SEED, rounds), lines, with_, chance)
    changed, of = touched(logs, with_)
    alike = list(lookalikes(_SEED))
    harmed = [line for line in alike if with_.redact_text(line) != line]
    if show:
        for (syntax, form), count in Counter((one.syntax, one.format) for one in missed).most_common():
            print(f"missed {count:3}  {form}: {syntax}")
        print(*(f"touched  {line}" for line in harmed), sep="\n")
    return {
        "redact_recall": 1 - len(missed) / total,
        "redact_planted": float(total),
        "redact_touched_share": changed / of,
        "redact_lookalike_share": len(harmed) / len(alike),
        "redact_mb_per_s_core": speed(logs, with_),
    }


def main() -> None:
    """Prints the measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    given = os.environ.get("FAULTSTREAM_DEV_LOGS")
    parser.add_argument("--data", type=Path, default=Path(given) if given else None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--misses", action="store_true", help="show what was missed, and look-alikes that were not")
    options = parser.parse_args()
    for name, value in measure(options.data, options.rounds, show=options.misses).items():
        print(f"{name:24} {value:12.6f}")


if __name__ == "__main__":
    main()
