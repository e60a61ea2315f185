"""Records one job: project, commit, job, log, checked truth."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tools.record.fault import Fault, Kind
from tools.record.machine import Machine
from tools.record.runner import Outcome, Runner
from tools.record.scrub import leaks, scrub

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z ")
AUTHORS = ("Dana Reyes <dana@acme.example>", "Noor Haddad <noor@acme.example>", "Ilya Brandt <ilya@acme.example>")


class RecordingError(Exception):
    """The job did not show what was injected; the log is not kept."""


@dataclass(frozen=True)
class Sample:
    """A kept log and its line of ``truth.jsonl``."""

    log: bytes
    truth: dict[str, Any]


def sample_id(kind: Kind, variant: int, run: int) -> str:
    """The stable name of a sample: kind, variant as a letter, run as a number."""
    return f"{kind.name.replace('/', '-').replace('_', '-')}-{chr(ord('a') + variant)}{run + 1}"


def record(kind: Kind, variant: int, run: int, cache_dir: Path) -> Sample:
    """Run the job and keep its log with its truth; raises :class:`RecordingError` if the fault does not show."""
    fault = kind.make(run, **kind.variants[variant])
    identity = sample_id(kind, variant, run)
    digest = hashlib.sha256(identity.encode()).hexdigest()
    scratch = Path(tempfile.mkdtemp(prefix="record-"))
    machine = Machine(scratch, cache_dir, f"runner-{digest[:6]}")
    try:
        runner = Runner(machine)
        commit = _commit(fault, runner, int(digest[:4], 16))
        outcome = runner.run(fault, commit)
        log = scrub(outcome.log, scratch)
    finally:
        machine.discard()
    lines = check(fault, outcome, log)
    return Sample(log, _truth(kind, variant, fault, identity, commit, lines))


def check(fault: Fault, outcome: Outcome, log: bytes) -> list[tuple[int, int]]:
    """The failing lines; raises :class:`RecordingError` where the log does not show the injected fault."""
    if outcome.status == 0:
        raise RecordingError(f"the job passed:\n{_tail(log)}")
    if leaked := leaks(log):
        raise RecordingError(f"machine paths are left: {leaked[:5]}")
    text = plain(log)
    found: list[tuple[int, int]] = []
    for span in fault.spans:
        places = span.find(text)
        if not places:
            raise RecordingError(f"no line for {span.first!r}:\n{_tail(log)}")
        found += places
    everything = "\n".join(text)
    names = (fault.dependency.name, *fault.dependency.accept) if fault.dependency else ()
    if names and not any(name in everything for name in names):
        raise RecordingError(f"the log names none of {names}")
    for test in fault.failing_tests:
        if test not in everything:
            raise RecordingError(f"the log does not name the test {test!r}:\n{_tail(log)}")
    return _merged(found)


def plain(log: bytes) -> list[str]:
    """The log's lines without escapes, carriage returns at the end and the runner's time stamps."""
    lines = log.decode(errors="replace").split("\n")
    return [STAMP.sub("", ESCAPES.sub("", line).rstrip("\r")) for line in lines]


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(set(spans)):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _tail(log: bytes) -> str:
    return log[-1500:].decode(errors="replace")


def _commit(fault: Fault, runner: Runner, seed: int) -> str:
    """Put the project into a bare repository on the machine; the hash of its head."""
    source = runner.machine.scratch / "up" / "srv" / "source"
    for path, text in fault.files.items():
        target = source / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755 if path in fault.executables else 0o644)
    author = AUTHORS[seed % len(AUTHORS)]
    identity = author.replace(">", "").split(" <")
    who = "\n".join(
        f"export GIT_{role}_NAME='{identity[0]}' GIT_{role}_EMAIL={identity[1]}" for role in ("AUTHOR", "COMMITTER")
    )
    bare = f"/srv/git/{fault.repo}.git"
    runner.quietly(
        f"""set -e
cd /srv/source
{chr(10).join(fault.setup)}
{who}
git config --system safe.directory '*'
git config --system init.defaultBranch main
git init --quiet
git add --all
git commit --quiet -m 'Change {seed} of {fault.repo}'
git branch -M main
[ {fault.branch} = main ] || git checkout --quiet -b {fault.branch}
git clone --quiet --bare . {bare}
git -C {bare} config uploadpack.allowAnySHA1InWant true
git rev-parse HEAD > /run/job/commit
cd / && rm -rf /srv/source
""",
        fault,
    )
    return (runner.machine.scratch / "in" / "commit").read_text().strip()


def _truth(
    kind: Kind, variant: int, fault: Fault, identity: str, commit: str, lines: list[tuple[int, int]]
) -> dict[str, Any]:
    return {
        "id": identity,
        "kind": kind.name,
        "toolchain": kind.toolchain,
        "repo": fault.repo,
        "branch": fault.branch,
        "commit": commit,
        "job": fault.job,
        "fault": f"{kind.name}:{fault.target or chr(ord('a') + variant)}",
        "category": fault.category,
        "category_alt": [one for one in fault.alt if one != fault.category],
        "faulty_dependency": fault.dependency.as_json() if fault.dependency else None,
        "failing_tests": list(fault.failing_tests),
        "failing_lines": [list(pair) for pair in lines],
        "tools": {name: _version(command) for name, command in kind.tools.items()},
    }


@cache
def _version(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=dict(os.environ))
    found = re.search(r"\d+\.\d+(\.\d+)?[\w.-]*", done.stdout + done.stderr)
    return found.group(0) if found else "unknown"
