"""A server as a child process: started on loopback, awaited, stopped by its process id, its output kept in a file."""

from __future__ import annotations

import atexit
import collections
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from tools import bootstrap

LOOPBACK = "127.0.0.1"


class ServerError(Exception):
    """A server did not come up; the message has the end of its log."""


# Below those that systems give to outgoing connections, one of which may have taken the port of a server that is
# down for a moment.
PORTS = range(12_000, 32_000)
RESERVED = 64
_reserved: collections.deque[socket.socket] = collections.deque()


@atexit.register
def _release() -> None:
    """Gives back what is reserved, or each of them would be warned of."""
    while _reserved:
        _reserved.pop().close()


def free_port() -> int:
    """A port on loopback that nobody listens on, and that no other process is given by this function meanwhile.

    It is ours by a socket of another protocol on the same number, until we end or have asked for many more.
    """
    while True:
        port = secrets.choice(PORTS)
        mark = socket.socket(type=socket.SOCK_DGRAM)
        try:
            mark.bind((LOOPBACK, port))
            with socket.socket() as probe:
                probe.bind((LOOPBACK, port))
        except OSError:
            mark.close()
            continue
        _reserved.append(mark)
        if len(_reserved) > RESERVED:
            _reserved.popleft().close()
        return port


def accepts(host: str, port: int, timeout: float = 1) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False


# Reads "+pid" and "-pid" lines; when the pipe closes, because we ended in whatever way, it kills the groups left.
REAPER = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class _Reaper:
    """One helper process that ends our servers if we are killed before we could do it ourselves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def note(self, sign: str, pid: int) -> None:
        """Notes that the group `pid` is ours (`+`) or has ended (`-`)."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                # A session of its own: what ends our group, Ctrl-C or a kill, must not end the reaper before us.
                self._process = subprocess.Popen(
                    [sys.executable, "-S", "-c", REAPER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    start_new_session=True,
                )
                atexit.register(self._close, self._process)
            pipe = self._process.stdin
            if pipe is not None:
                with contextlib.suppress(OSError):
                    print(f"{sign}{pid}", file=pipe, flush=True)

    @staticmethod
    def _close(process: subprocess.Popen[str]) -> None:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()


_reaper = _Reaper()


class Server:
    """A child process that serves at `address`.

    `command` is run in a process group of its own, so that Ctrl-C reaches only us and we stop it in order;
    `ready` is asked until it says yes or `patience_s` are over. An empty `command` stands for a server that somebody
    else runs: it is awaited, and never stopped.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[object],
        *,
        address: str,
        ready: Callable[[], bool],
        logs: Path | None = None,
        env: Mapping[str, str] | None = None,
        patience_s: float = 60,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_s: float = 10,
    ) -> None:
        self.name = name
        self.address = address
        port = address.rpartition(":")[2].partition("/")[0]
        self.log = Path(logs or bootstrap.cache() / "logs", f"{name}-{port}.log")
        self.seconds_to_ready = 0.0
        self._command = [str(word) for word in command]
        self._ready = ready
        self._env = {**os.environ, **(env or {})}
        self._patience_s = patience_s
        self._stop_signal = stop_signal
        self._stop_s = stop_s
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, while it runs as our child."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def launch(self) -> None:
        """Starts the process without waiting for it to be ready."""
        if self._process is None and self._command:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                self._process = self._popen(log)
                _reaper.note("+", self._process.pid)

    def _popen(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self._env,
            start_new_session=True,
        )

    def wait_ready(self, tick: Callable[[float], None] | None = None) -> Self:
        """Waits until it is ready; `tick` is called with the seconds waited. Raises ServerError."""
        started = time.monotonic()
        while not self._ready():
            waited = time.monotonic() - started
            if self._process is not None and self._process.poll() is not None:
                raise ServerError(self._told(f"ended with exit code {self._process.returncode}"))
            if waited > self._patience_s:
                raise ServerError(self._told(f"was not ready after {self._patience_s:.0f} s"))
            if tick:
                tick(waited)
            time.sleep(0.1)
        self.seconds_to_ready = time.monotonic() - started
        return self

    def start(self) -> Self:
        """Starts it and waits until it is ready; nothing is left behind if that fails. Raises ServerError."""
        self.launch()
        try:
            return self.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Asks it to end, kills it after a while; its helpers die with it. Does nothing if it is not ours."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self._stop_s)
        self._kill_group(process)

    def kill(self) -> None:
        """Kills it without warning, as a crash would; `start` brings it back on the data it left."""
        process, self._process = self._process, None
        if process is not None:
            self._kill_group(process)

    def _kill_group(self, process: subprocess.Popen[bytes]) -> None:
        # The group's number is the process's, which stays reserved until it was waited for or its group is empty.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _reaper.note("-", process.pid)

    def _told(self, what: str) -> str:
        if not self._command:
            return f"{self.name} at {self.address} {what}"
        with contextlib.suppress(OSError):
            tail = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
            return f"{self.name} at {self.address} {what}; the end of {self.log}:\n" + "\n".join(tail)
        return f"{self.name} at {self.address} {what}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(server: Server, told: Callable[[Server], str]) -> int:
    """Runs a server in the foreground until Ctrl-C or SIGTERM: what the commands `tools.servers.*` do."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        with server:
            print(told(server), flush=True)
            while server.pid is not None:
                time.sleep(0.5)
        print(f"{server.name} ended; its log is {server.log}")
        return 1
    except ServerError as error:
        print(error)
        return 1
    except KeyboardInterrupt:
        print(f"\n{server.name} stopped")
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
