"""How well and how fast `reduce` reads failing logs: `python -m bench.reduce` writes bench/results/reduce.json.

Hit: the share of logs of which a labelled line is kept. Recall: the mean over logs of the share of labelled lines kept.
Each log of the dev corpus is reduced with weights learned from logs of other projects (the patterns were written with
these logs in view: that part is not cross-validated). Beside it, at the same budget: the log's tail, its last lines
with an error word, and the lines of its rarest templates (drain3).

`--only` runs a part: quality (needs the dev corpus), pairs (what a passing run adds; needs it too), speed, memory,
stall, redact, candidates, rules. Measures that could not be taken are left out.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from bench import candidates as candidate_bench
from bench import claim as claim_bench
from bench import redact as redact_bench
from bench import stall as stall_bench
from bench.excerpts import BASELINES, held, kept
from bench.machine import machine
from processor.lifecycle import settle
from processor.logs.baseline import Baseline
from processor.logs.decode import text_stream
from processor.logs.likelihood import Model
from processor.logs.redact import redactor
from processor.logs.reduce import candidates, reduce, reduce_stream, warm
from tools.labelled import SAMPLES, corpus
from tools.measure_rules import rule_precision
from tools.train_lines import Lesson, lessons, out_of_fold

RESULTS: Final = Path(__file__).resolve().parent / "results" / "reduce.json"
BUDGETS: Final = (250, 500, 1000, 2000)
_GIGABYTE: Final = 10**9
Measures = dict[str, float]


def quality(runs: dict[str, Any]) -> Measures:
    """Hit and recall of all methods, by source and budget; needs the dev corpus."""
    logs = lessons(redactor().redact)
    models = out_of_fold(logs)
    dev = [log for log in logs if log.case.source != "samples"]
    if not dev:
        return {}
    table: dict[str, dict[str, dict[int, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for log in dev:
        for budget in BUDGETS:
            for method, share in _shares(log, models[log.case.id], budget):
                for source in (log.case.source, "all"):
                    table[source][method][budget].append(share)
    runs["quality"] = {
        source: {
            method: {str(budget): _summary(shares) for budget, shares in rows.items()}
            for method, rows in methods.items()
        }
        for source, methods in table.items()
    }
    for source, methods in runs["quality"].items():
        for method, rows in methods.items():
            cells = "   ".join(f"{budget}: {row['hit']:6.1%} {row['recall']:6.1%}" for budget, row in rows.items())
            print(f"{source:16} {method:12} {rows['1000']['logs']:4} logs  (hit, recall)  {cells}")
    best = runs["quality"]["all"]["reduce"]["1000"]
    return {"hit_1000": best["hit"], "recall_1000": best["recall"]}


def _shares(log: Lesson, model: Model, budget: int) -> Iterator[tuple[str, float]]:
    """By method the share of the labelled lines kept."""
    scores = model.correct(log.found.scores, log.found.rows)
    yield "reduce", len(kept(log.case, log.excerpt(scores, budget), budget)) / len(log.case.gold)
    for name, baseline in BASELINES.items():
        yield name, len(held(log.case, baseline(log.case.data, budget))) / len(log.case.gold)


def _summary(shares: Sequence[float]) -> dict[str, float]:
    return {
        "logs": len(shares),
        "hit": sum(share > 0 for share in shares) / len(shares),
        "recall": statistics.fmean(shares),
    }


def pairs(runs: dict[str, Any]) -> Measures:
    """What a passing run of the same job adds, over the logs that have one; needs the dev corpus."""
    folder = corpus()
    logs = lessons(redactor().redact)
    models = out_of_fold(logs)
    rows: dict[str, list[float]] = {"without": [], "with": []}
    for log in logs:
        passing = log.case.label.get("pass_path")
        if folder is None or not passing:
            continue
        baseline = Baseline.of((folder / "ci-logs" / passing).read_bytes())
        found = candidates(redactor().redact(log.case.data), baseline)
        for name, one in (("without", log), ("with", Lesson(log.case, found, log.weight))):
            scores = models[log.case.id].correct(one.found.scores, one.found.rows)
            rows[name].append(len(kept(log.case, one.excerpt(scores, 1000), 1000)) / len(log.case.gold))
    if rows["with"]:
        runs["pairs"] = {name: _summary(shares) for name, shares in rows.items()}
        print("passing run:", runs["pairs"])
    return {}


def _logs() -> list[bytes]:
    """The dev corpus, else the recorded samples."""
    folder = corpus()
    paths = SAMPLES.glob("*.log") if folder is None else (folder / "ci-logs" / "logs").rglob("*.log")
    return [path.read_bytes() for path in sorted(paths)]


def _read(log: bytes) -> None:
    """From bytes to an excerpt, secrets taken out."""
    reduce_stream(redactor().session().stream(text_stream((log,))))


def speed(runs: dict[str, Any]) -> Measures:
    """Throughput on logs of a megabyte and more, and the time that 100 KB take, in time of one core."""
    logs = _logs()
    large = [log for log in logs if len(log) >= 1_000_000]
    joined = b"".join(log for log in logs if len(log) < 1_000_000)
    large += [joined[start : start + 2_000_000] for start in range(0, len(joined) - 2_000_000, 2_000_000)]
    small = [log[-100_000:] for log in logs if len(log) >= 100_000] or [joined[-100_000:]]
    warm()
    _read(small[0])
    settle()  # as the daemon does when it has started
    rates, times = [], []
    for _ in range(3):
        began = time.process_time()
        for log in large:
            _read(log)
        rates.append(sum(map(len, large)) / (time.process_time() - began) / 1e6)
        for log in small:
            began = time.process_time()
            reduce(redactor().redact(log))
            times.append((time.process_time() - began) * 1e3)
    runs["speed"] = {"mb_per_s_core": rates, "ms_100kb_p90": sorted(times)[len(times) * 9 // 10]}
    return {"mb_per_s_core": max(rates), "ms_100kb": statistics.median(times)}


def memory(runs: dict[str, Any]) -> Measures:
    """Peak memory over a gigabyte, in megabytes, by the way that it comes.

    `faultstream reduce` reads a file and a pipe, the line what an event refers to: a file and an address.
    """
    piece = b"".join(_logs())[:20_000_000]
    with tempfile.TemporaryDirectory() as folder, claim_bench.served(Path(folder)) as server:
        log = Path(folder, "build.log")
        with log.open("wb") as file:
            for _ in range(_GIGABYTE // len(piece) + 1):
                file.write(piece)
        reduce_command, claim = ["-m", "processor", "reduce", "--lines"], ["-m", "bench.claim", folder]
        peaks = {
            "file": _peak([*reduce_command, str(log)], None),
            "pipe": _peak([*reduce_command, "-"], log),
            "claim_file": _peak([*claim, log.as_uri()], None),
            "claim_http": _peak([*claim, f"{server}/{log.name}"], None),
        }
    print("peaks, MB:", {name: round(peak) for name, peak in peaks.items()})
    runs["memory"] = peaks
    return {"rss_1gb_mb": max(peaks.values())}


def _peak(arguments: Sequence[str], standard_input: Path | None) -> float:
    command = [sys.executable, *arguments]
    source = subprocess.Popen(["cat", str(standard_input)], stdout=subprocess.PIPE) if standard_input else None
    child = subprocess.Popen(command, stdin=source.stdout if source else None, stdout=subprocess.DEVNULL)
    peak = 0.0
    while child.poll() is None:  # not wait4: its figure begins with what this process had when it forked
        peak = max(peak, _high_water(child.pid))
        time.sleep(0.05)
    if source:
        source.wait()
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {child.returncode}")
    return peak


def _high_water(pid: int) -> float:
    """The most memory that a process had at once so far, in megabytes."""
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def stall(runs: dict[str, Any]) -> Measures:
    """The event loop's longest wait while large logs pass."""
    runs["stall"] = stall_bench.measure(_logs())
    return {"loop_stall_ms": runs["stall"]["loop_stall_ms"]}


def redact(runs: dict[str, Any]) -> Measures:
    """How well secrets are found."""
    folder = corpus()
    runs["redact"] = redact_bench.measure(folder and folder / "ci-logs")
    return {name: runs["redact"][name] for name in ("redact_recall", "redact_touched_share")}


def candidates_found(runs: dict[str, Any]) -> Measures:
    """How often the true dependency is among the candidates; needs the dev corpus."""
    folder = corpus()
    if folder is None:
        return {}
    runs["candidates"] = candidate_bench.measure(folder / "ci-logs")
    return {"candidate_recall": runs["candidates"]["candidate_recall"]}


def rules(runs: dict[str, Any]) -> Measures:
    """How right the rules are; needs the dev corpus."""
    runs["rules"] = rule_precision()
    precision = runs["rules"]["rule_precision"]
    return {} if precision is None else {"rule_precision": precision}


PARTS: Final[Mapping[str, Callable[[dict[str, Any]], Measures]]] = {
    "quality": quality,
    "pairs": pairs,
    "speed": speed,
    "memory": memory,
    "stall": stall,
    "redact": redact,
    "candidates": candidates_found,
    "rules": rules,
}


def main() -> None:
    """Measures; what `--only` leaves out keeps the figures of the run before."""
    parser = argparse.ArgumentParser(prog="python -m bench.reduce", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be given more than once")
    options = parser.parse_args()
    result: dict[str, Any] = {"measures": {}, "runs": {}, "machine": machine()}
    if options.only and RESULTS.exists():
        result |= {name: json.loads(RESULTS.read_text())[name] for name in ("measures", "runs")}
    for name in options.only or PARTS:
        print(f"{name} …", flush=True)
        result["measures"] |= PARTS[name](result["runs"])
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    for name, value in sorted(result["measures"].items()):
        print(f"{name:24} {value:10.4f}")


if __name__ == "__main__":
    main()
