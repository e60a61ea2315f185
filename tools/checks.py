"""What `make test` runs: format, lint, types, layers, then all tests; one summary line at the end.

    python -m tools.checks [--then-tests] [-- arguments of pytest]

A failed check doesn't keep the others from running: all that is wrong is shown at once.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.bootstrap import CHECKOUT

# Console scripts without a module of their own lie beside the interpreter.
BIN = Path(sys.executable).parent
PROCESSES = 2
"""Tests wait for brokers more than they compute; tests/processes.py says what runs beside what."""
ALONE = re.compile(
    r"-n.*|--numprocesses\b.*|--pdb|--trace|-s|--capture=no|--co|--collect-only|--setup-.*|--sw|--stepwise|no:xdist"
)
"""Arguments of pytest that want one process, or say themselves how many."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CHECKS = {
    "format": [sys.executable, "-m", "ruff", "format", "--check", "--quiet", "."],
    "lint": [sys.executable, "-m", "ruff", "check", "--quiet", "."],
    "types": [sys.executable, "-m", "mypy"],
    "layers": [str(BIN / "lint-imports"), "--no-cache"],
    "pipelines": [sys.executable, "-m", "processor", "lint"],
}


def run(name: str) -> bool:
    """Runs one check; what it prints is shown if it fails."""
    started = time.monotonic()
    done = subprocess.run(CHECKS[name], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    passed = done.returncode == 0
    verdict = f"{name:10s} {'fine' if passed else 'FAILED'} ({time.monotonic() - started:.0f} s)\n"
    print(verdict if passed else f"{verdict}{done.stdout}{done.stderr}\n", end="", flush=True)
    return passed


def shared(arguments: list[str]) -> list[str]:
    """The arguments with what has pytest share the tests out, where there are cores for it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < PROCESSES or any(ALONE.fullmatch(word) for word in arguments):
        return arguments
    return ["-n", str(PROCESSES), "--dist", "loadfile", *arguments]


def tests(arguments: list[str]) -> tuple[int, str]:
    """Runs pytest, showing what it prints; returns its exit code and its closing line."""
    words = [sys.executable, "-m", "pytest", *(["--color=yes"] if sys.stdout.isatty() else []), *shared(arguments)]
    closing = ""
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}  # the pipe would hold back what is going on
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches pytest, too; what it says in the end is shown
    with subprocess.Popen(words, cwd=CHECKOUT, env=env, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            closing = COLOUR.sub("", line).strip(" =\n") or closing
        return process.wait(), closing


def main() -> int:
    """0 if everything passed."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks", description=__doc__)
    parser.add_argument("--then-tests", action="store_true")
    parser.add_argument("pytest", nargs="*", help="after --: arguments of pytest")
    options = parser.parse_args()
    with ThreadPoolExecutor(PROCESSES) as pool:
        failed = [name for name, passed in zip(CHECKS, pool.map(run, CHECKS), strict=True) if not passed]
    closing = ""
    if options.then_tests:
        code, closing = tests(options.pytest)
        failed += ["tests"] if code else []
        verdict = CHECKOUT / ".demo" / "test-verdict.txt"
        verdict.parent.mkdir(exist_ok=True)
        verdict.write_text(f"{closing}\n", encoding="utf-8")
    required = os.environ.get("REQUIRE")
    print(f"\nchecks: {len(CHECKS) - len([name for name in failed if name in CHECKS])} of {len(CHECKS)} fine", end="")
    print(f", {', '.join(failed)} failed" if failed else "", end="")
    print(f"; required: {required}" if required else "")
    if closing:
        print(closing)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
