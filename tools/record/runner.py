"""The runner: checks a project out, echoes and runs a job's commands, says how it ended.

It is the recorder's own; its words are printed while the job runs, and nothing is written into a log later
but what :func:`tools.record.scrub.scrub` replaces.
"""

from __future__ import annotations

import os
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tools.record.fault import Fault
from tools.record.machine import Machine

BOUND_S = 900


@dataclass(frozen=True)
class Outcome:
    """What a job printed and how it ended: its exit status, or 124 (too long), 130 (cancelled)."""

    log: bytes
    status: int


def job_script(fault: Fault, commit: str) -> str:
    """The bash script of the job, checkout included."""
    name = fault.repo
    checkout = fault.checkout or (
        f"git init --quiet --initial-branch=main /builds/{name}",
        f"cd /builds/{name}",
        f"git remote add origin file:///srv/git/{name}.git",
        f"git fetch --depth 20 origin +{commit}:refs/remotes/origin/{fault.branch}",
        f"git -c advice.detachedHead=false checkout --force {commit}",
    )
    lines = [
        "set -eo pipefail",
        f"echo 'Running with record-runner 1.0, job {fault.job}, project {name}, branch {fault.branch}'",
        *_afterwards(fault),
        'echo "Running on $(hostname), $(uname -sm), $(nproc) cores"',
    ]
    if fault.style == "plain":
        lines.append(_heading("Getting source from Git repository"))
        for command in checkout:
            lines += [_heading(f"$ {command}"), command]
    else:
        lines += [_group("\n".join(checkout)), *checkout]
    for command in fault.script:
        shown = command.replace("{commit}", commit)
        lines += [_heading(f"$ {shown}") if fault.style == "plain" else _group(shown), shown]
    lines.append("echo 'Job succeeded'")
    return "\n".join(lines) + "\n"


def _afterwards(fault: Fault) -> list[str]:
    """What runs when the job ends: the runner's after-script, whose own failures change nothing."""
    if not fault.after:
        return []
    title = _heading if fault.style == "plain" else _group
    lines = ["afterwards() { status=$?; set +e", _heading("Running the after-script")]
    for command in fault.after:
        lines += [title(f"$ {command}" if fault.style == "plain" else command), command]
    return [*lines, "exit $status; }", "trap afterwards EXIT"]


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _heading(text: str) -> str:
    return f"printf '%s\\n' {_quote(text)}"


def _group(text: str) -> str:
    first = text.split("\n", maxsplit=1)[0]
    return f"printf '%s\\n' {_quote('##[group]Run ' + first)} {_quote(text)} 'shell: bash -e' '##[endgroup]'"


class Runner:
    """Runs jobs on a machine and hears them out."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def run(self, fault: Fault, commit: str) -> Outcome:
        """Run the job of ``fault`` and keep what it printed, as the runner saw it."""
        script = self.machine.put("job.sh", job_script(fault, commit))
        env = {"TERM": "xterm-256color"} if fault.tty else {}
        env |= {
            "CI_PROJECT": fault.repo,
            "CI_COMMIT_SHA": commit,
            "CI_COMMIT_REF_NAME": fault.branch,
            "CI_JOB_NAME": fault.job,
            **fault.env,
        }
        command = self.machine.command(script, fault.sandbox, env)
        printer = _Printer(stamped=fault.style == "steps")
        status = self._listen(command, fault, printer)
        printer.line(self._verdict(fault, status))
        return Outcome(bytes(printer.log), status)

    def quietly(self, script: str, fault: Fault) -> None:
        """Run ``script`` unrecorded on the machine (with network and as root); raises if it fails."""
        command = self.machine.command(self.machine.put("setup.sh", script), type(fault.sandbox)(), fault.env)
        done = subprocess.run(command, capture_output=True, timeout=BOUND_S, check=False)
        if done.returncode:
            raise RuntimeError(f"setup failed:\n{(done.stdout + done.stderr)[-3000:].decode(errors='replace')}")

    @staticmethod
    def _verdict(fault: Fault, status: int) -> str:
        if status == 124 and fault.sandbox.timeout_s:
            text = f"Job failed: execution took longer than {fault.sandbox.timeout_s} seconds"
        elif status == 130:
            text = "Job canceled: the operation was canceled by the user"
        else:
            text = f"Job failed: exit code {status}"
        if fault.style == "plain":
            return f"ERROR: {text}"
        return f"##[error]{text if status in (124, 130) else f'Process completed with exit code {status}.'}"

    def _listen(self, command: list[str], fault: Fault, printer: _Printer) -> int:
        reader, writer = _terminal() if fault.tty else os.pipe()
        process = subprocess.Popen(command, stdout=writer, stderr=writer, start_new_session=True)
        os.close(writer)
        ends = _Ends(fault, time.monotonic())
        status = 0
        with open(reader, "rb", buffering=0, closefd=True) as stream:  # noqa: PTH123 - a descriptor, not a path
            os.set_blocking(reader, False)
            while True:
                status = status or ends.status(printer.line)
                if status:
                    _end(process)
                chunk = _read(stream.read)
                if chunk:
                    printer.feed(chunk)
                elif chunk == b"" or (status and process.poll() is not None):
                    break
                else:
                    time.sleep(0.005)
        code = process.wait(timeout=60)
        printer.flush()
        return status or (128 - code if code < 0 else code)


@dataclass(frozen=True)
class _Ends:
    """When the runner, not the job, ends the job."""

    fault: Fault
    started: float

    def status(self, say: Callable[[str], None]) -> int:
        spent = time.monotonic() - self.started
        sandbox = self.fault.sandbox
        if sandbox.cancel_s and spent > sandbox.cancel_s:
            say("Received a request to cancel this job, ending its processes")
            return 130
        if spent > (sandbox.timeout_s or BOUND_S):
            return 124
        return 0


def _read(read: Callable[[int], bytes | None]) -> bytes | None:
    try:
        return read(65536)
    except OSError:  # a terminal whose last holder is gone answers EIO
        return b""


def _terminal() -> tuple[int, int]:
    reader, writer = os.openpty()
    termios.tcsetwinsize(writer, (40, 120))
    return reader, writer


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


class _Printer:
    """Keeps output, with a time stamp before each line where the style wants one."""

    def __init__(self, *, stamped: bool) -> None:
        self.log = bytearray()
        self._stamped = stamped
        self._partial = b""

    def feed(self, chunk: bytes) -> None:
        *whole, self._partial = (self._partial + chunk).split(b"\n")
        for line in whole:
            self._add(line)

    def flush(self) -> None:
        if self._partial:
            self._add(self._partial)
            self._partial = b""

    def line(self, text: str) -> None:
        self.flush()
        self._add(text.encode())

    def _add(self, line: bytes) -> None:
        if self._stamped:
            now = datetime.now(UTC)
            self.log += f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond:06d}0Z ".encode()
        self.log += line + b"\n"
