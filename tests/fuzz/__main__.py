"""`make fuzz`: looks for bytes that break a property, led by the code that they reach (Atheris, on libFuzzer).

    python -m tests.fuzz [--seconds 600] [PROPERTY …]

Each property is tried for its share of the time, in a process of its own; what was found interesting is kept under
`.cache/fuzz/` and gone on with. A finding is minimised and written to `.cache/fuzz/findings/`: give the file's path
instead of a property's name to see it again, and turn it into a test.
"""

# ruff: noqa: T201  (a program)

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz import seeds
from tests.fuzz.properties import PROPERTIES
from tools.bootstrap import CHECKOUT, FUZZ, SetupError

CACHE = CHECKOUT / ".cache" / "fuzz"
FINDINGS = CACHE / "findings"
LONGEST = 4_096
SLOW_S = 10
"""An input that takes so long is a finding."""


def main() -> int:
    """0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for all properties together")
    parser.add_argument("what", nargs="*", metavar="PROPERTY", help="all by default, or the file of a finding")
    options = parser.parse_args()
    files = [Path(one) for one in options.what if one not in PROPERTIES]
    for file in files:
        PROPERTIES[file.name.partition("-")[0]](file.read_bytes())
    if files:
        return 0
    try:
        python = FUZZ.ensure()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 2
    names = options.what or list(PROPERTIES)
    FINDINGS.mkdir(parents=True, exist_ok=True)
    seeds.write(CACHE / "seeds")
    seeds.write_words(CACHE / "words")
    found = [name for name in names if not fuzz(python, name, max(1, options.seconds // len(names)))]
    print(
        f"{len(names) - len(found)} of {len(names)} properties held"
        + (f"; broken: {', '.join(found)}" if found else "")
    )
    return 1 if found else 0


def fuzz(python: Path, name: str, seconds: int) -> bool:
    """Tries one property; whether nothing was found."""
    corpus = CACHE / name
    corpus.mkdir(exist_ok=True)
    limits = [f"-max_total_time={seconds}", f"-timeout={SLOW_S}", f"-max_len={LONGEST}", "-print_final_stats=1"]
    places = [f"-dict={CACHE / 'words'}", f"-artifact_prefix={FINDINGS / name}-", str(corpus), str(CACHE / "seeds")]
    done = subprocess.run(
        [python, "-m", "tests.fuzz.one", name, *limits, *places],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    told = done.stdout + done.stderr
    runs = re.search(r"number_of_executed_units: (\d+)", told)
    covered = re.findall(r"cov: (\d+)", told)
    print(f"{name:20} {runs[1] if runs else '?':>9} runs, {covered[-1] if covered else '?'} places reached", flush=True)
    if done.returncode:
        noise = ("INFO", "WARNING", "#")
        print("\n".join(line for line in told.splitlines() if not line.startswith(noise)), flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
