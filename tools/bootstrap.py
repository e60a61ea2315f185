"""Sets up what `make demo`, `make test` and `make model-server` need, with nothing but Python's venv and pip.

    python3 -m tools.bootstrap TARGET … [--engine llamacpp|vllm] [--run COMMAND …]

Environments are pinned by `requirements/*.txt` (hashes checked, wheels only but for SOURCES). The checkout's own is
`.venv`; the servers' ones and the model's weights live in a cache outside the checkout (`$FAULTSTREAM_CACHE`, else
`$XDG_CACHE_HOME/faultstream`, else `~/.cache/faultstream`), named by digest, so that every checkout shares them.
Each part is made under a file lock and marked when it is complete: two runs at once don't collide, one that was
broken off is taken up again, one that is complete costs milliseconds.
"""

from __future__ import annotations

import sys

# Said before anything newer is parsed or imported: this is the first file that a bare machine runs.
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    found = sys.version.split()[0]
    sys.exit(f"faultstream needs Python 3.11, 3.12 or 3.13, this is {found}; name one: make PYTHON=python3.12 …")

import argparse
import concurrent.futures
import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
REQUIREMENTS = CHECKOUT / "requirements"
SOURCES: Mapping[str, tuple[str, ...]] = {"miner": ("drain3",)}
"""By set what is published as source alone: pure Python, which a wheel is made of on the spot."""
MARKER = ".faultstream.json"
NETWORK = (
    "Check the network, the proxy (HTTPS_PROXY) and pip's own settings (`pip config list`), then run the same command "
    "again: it goes on where it stopped."
)
NO_VENV = "On Debian and Ubuntu the module is a package of its own: apt-get install python3-venv."
STARTED = time.monotonic()


class SetupError(Exception):
    """A part could not be set up; the message says which, why, and what to do."""


def cache() -> Path:
    """The folder outside the checkout for what is slow to fetch."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("FAULTSTREAM_CACHE") or Path(base, "faultstream"))


def say(part: str, text: str) -> None:
    """One line of progress: seconds since the start, which part, what."""
    print(f"[{time.monotonic() - STARTED:4.0f} s] {part}: {text}", flush=True)


def megabytes(*folders: Path) -> float:
    """What lies under `folders` now, in MB; files may come and go meanwhile."""
    size = 0
    for folder in folders:
        for path, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError):
                    size += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118  a Path per file is slow
    return size / 1e6


@contextlib.contextmanager
def heartbeat(part: str, progress: Callable[[], str], every: float = 5) -> Iterator[None]:
    """Says `progress()` every few seconds for as long as the block runs."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            say(part, progress())

    thread = threading.Thread(target=beat, name=f"progress of {part}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file `path`; says so when another run has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(path.stem, "another run is setting this up; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def command(part: str, words: Sequence[object], *, remedy: str, env: dict[str, str] | None = None) -> str:
    """Runs a command to its end and returns what it printed.

    Raises SetupError with its last lines and `remedy`.
    """
    done = subprocess.run(
        [str(word) for word in words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(env or {})},
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join("    " + line for line in done.stdout.strip().splitlines()[-12:])
        raise SetupError(
            f"{part}: `{Path(str(words[0])).name} {' '.join(map(str, words[1:4]))} …` failed:\n{tail}\n{remedy}"
        )
    return done.stdout


@functools.cache
def pip_command() -> tuple[str | Path, ...]:
    """A pip that can install into other environments (22.3 and later): this interpreter's, else one of our own.

    Sharing one spares each environment the five to ten seconds that its own pip takes.
    """
    asked = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"pip (\d+)\.(\d+)", asked.stdout)
    if found and (int(found[1]), int(found[2])) >= (22, 3):
        return (sys.executable, "-m", "pip")
    home = cache() / "envs" / f"pip-{sys.version_info.major}.{sys.version_info.minor}"
    python = home / "bin" / "python"
    with locked(cache() / "locks" / "pip.lock"):
        if subprocess.run(
            ["/bin/sh", "-c", f"'{python}' -m pip --version"], capture_output=True, check=False
        ).returncode:
            shutil.rmtree(home, ignore_errors=True)
            command("pip", [sys.executable, "-m", "venv", home], remedy=NO_VENV)
            (home / MARKER).touch()
    return (python, "-m", "pip")


def pip(part: str, *words: object, into: Path | None = None, scratch: Path) -> None:
    """Runs pip for the environment `into`, its temporary files under `scratch`, so that progress can be seen there."""
    scratch.mkdir(parents=True, exist_ok=True)
    base = [
        *pip_command(),
        *(("--python", into) if into else ()),
        "--disable-pip-version-check",
        "--no-input",
    ]
    try:
        command(part, [*base, *words], remedy=NETWORK, env={"TMPDIR": str(scratch), "PIP_PROGRESS_BAR": "off"})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def digest(requirement: str) -> str:
    """Twelve hex digits that name a pinned set."""
    return hashlib.sha256((REQUIREMENTS / f"{requirement}.txt").read_bytes()).hexdigest()[:12]


def pins(requirement: str) -> dict[str, str]:
    """Name to version of a pinned set, without what is pinned for some platforms or versions only."""
    lines = (REQUIREMENTS / f"{requirement}.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.removesuffix("\\").strip().partition("==") for line in lines if "==" in line and ";" not in line]
    return {_normal(name): version for name, _, version in pinned}


def _normal(name: str) -> str:
    """A distribution's name as the packaging standard (PEP 503) compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Environment:
    """A virtual environment with one or more pinned sets of requirements.

    `editable`: the checkout itself is installed into it. `bytecode`: compiled at once, for servers whose many
    processes would each compile the same modules. `keep_wheels`: whether pip keeps what it fetched in its own cache.
    """

    name: str
    sets: tuple[str, ...]
    editable: bool = False
    bytecode: bool = False
    keep_wheels: bool = True
    platforms: tuple[str, ...] = field(default=("linux", "darwin"))

    @property
    def path(self) -> Path:
        """Where it is, or will be."""
        if self.editable:
            return Path(os.environ.get("FAULTSTREAM_VENV") or CHECKOUT / ".venv")
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return cache() / "envs" / f"{self.name}-{version}-{'-'.join(map(digest, self.sets))}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"

    def made(self) -> dict[str, str] | None:
        """Digests of the sets that are in it; None where it doesn't exist or wasn't made here."""
        try:
            content = json.loads((self.path / MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return dict(content) if self.python.exists() else None

    def missing(self) -> list[str]:
        """Sets that are still to be installed, or anew."""
        made = self.made() or {}
        wanted = {name: digest(name) for name in self.sets} | ({"checkout": str(CHECKOUT)} if self.editable else {})
        return [name for name, value in wanted.items() if made.get(name) != value]

    def ready(self) -> bool:
        """Whether it can be used as it is."""
        return self.foreign() or not self.missing()

    def foreign(self) -> bool:
        """Whether it is the user's own `.venv`, which is used as it is and never changed."""
        return self.editable and self.python.exists() and not (self.path / MARKER).exists()

    def ensure(self) -> Path:
        """Makes what is missing of it and returns its interpreter. Raises SetupError."""
        if sys.platform not in self.platforms:
            raise SetupError(f"{self.name}: there is none for {sys.platform}, only for {', '.join(self.platforms)}.")
        if self.foreign():
            self._check_foreign()
        elif self.missing():
            with locked(cache() / "locks" / f"{self.name}.lock"):
                if self.missing():  # another run may have made it meanwhile
                    self._make()
        return self.python

    def _make(self) -> None:
        started = time.monotonic()
        if self.made() is None:
            say(self.name, f"making the environment {self.path}")
            shutil.rmtree(self.path, ignore_errors=True)
            command(self.name, [sys.executable, "-m", "venv", "--without-pip", self.path], remedy=NO_VENV)
            self._mark({})
        for name in self.missing():
            self._checkout() if name == "checkout" else self._install(name)
        if self.bytecode:
            say(self.name, "compiling its modules once")
            flags: list[str | Path] = ["-m", "compileall", "-q", "-j", "0", self.path / "lib"]
            # A package may hold a file for another Python version; that one stays uncompiled.
            subprocess.run([self.python, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        say(self.name, f"ready after {time.monotonic() - started:.0f} s, {megabytes(self.path):.0f} MB")

    def _check_foreign(self) -> None:
        """Says where the user's own environment differs from the pins; raises SetupError if something isn't there."""
        script = "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"
        listed = command(self.name, [self.python, "-c", script], remedy=f"Remove {self.path}.")
        there = {_normal(name): version for name, version in (line.split() for line in listed.splitlines())}
        wanted = {name: version for one in self.sets for name, version in pins(one).items()}
        absent = sorted(name for name in wanted if name not in there)
        if absent:
            raise SetupError(
                f"{self.name}: {self.path} was not made by this tool, so it is left alone; it lacks "
                f"{', '.join(absent)}. Remove it, or install requirements/*.txt into it, or set "
                "FAULTSTREAM_VENV to another folder."
            )
        other = [f"{name} {there[name]} (pinned: {wanted[name]})" for name in wanted if there[name] != wanted[name]]
        if other:
            say(self.name, f"using your own {self.path.name}, which differs: {', '.join(other)}")

    def _install(self, name: str) -> None:
        file = REQUIREMENTS / f"{name}.txt"
        count = sum(1 for line in file.read_text(encoding="utf-8").splitlines() if "==" in line)
        say(self.name, f"installing requirements/{name}.txt, {count} packages")
        scratch = cache() / "tmp" / f"{self.name}-{os.getpid()}"
        # The pinned list is complete, so nothing is resolved; wheels only, so nothing is built.
        words = ["install", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-compile"]
        words += [word for package in SOURCES.get(name, ()) for word in ("--no-binary", package)]
        words += [] if self.keep_wheels else ["--no-cache-dir"]
        with heartbeat(self.name, lambda: f"{megabytes(self.path, scratch):.0f} MB so far"):
            pip(self.name, *words, "-r", file, into=self.python, scratch=scratch)
        self._mark({name: digest(name)})

    def _checkout(self) -> None:
        """What an editable install would leave, without the build backend, which only builds need."""
        site = next((self.path / "lib").glob("python3.*/site-packages"))
        version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
        info = site / f"faultstream-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: faultstream\nVersion: {version}\n", encoding="utf-8"
        )
        (site / "faultstream-checkout.pth").write_text(f"{CHECKOUT}\n", encoding="utf-8")
        script = self.path / "bin" / "faultstream"
        script.write_text(
            f"#!{self.python}\nimport sys\nfrom processor.cli import main\n\nsys.exit(main())\n", encoding="utf-8"
        )
        script.chmod(0o755)
        self._mark({"checkout": str(CHECKOUT)})

    def _mark(self, done: dict[str, str]) -> None:
        marker = self.path / MARKER
        new = marker.with_suffix(".new")
        new.write_text(json.dumps((self.made() or {}) | done), encoding="utf-8")
        new.replace(marker)


DAEMON = Environment("daemon", ("daemon",), editable=True)
DEV = Environment("daemon", ("daemon", "dev"), editable=True)
READING = Environment("daemon", ("daemon", "dev", "miner"), editable=True)
SERVERS = Environment("servers", ("demo",))
S3 = Environment("s3", ("s3",))
POSTGRES = Environment("postgres", ("postgres",))
BENCH = Environment("bench", ("bench",))
FUZZ = Environment("fuzz", ("daemon", "fuzz"), platforms=("linux",))
VLLM = Environment("vllm", ("vllm",), bytecode=True, keep_wheels=False, platforms=("linux",))
VLLM_GPU = Environment("vllm-gpu", ("vllm-gpu",), bytecode=True, keep_wheels=False, platforms=("linux",))


@functools.cache
def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU that answers."""
    try:
        return subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def default_engine() -> str:
    """`$ENGINE`, else vllm where there is a GPU, else llamacpp."""
    return os.environ.get("ENGINE") or ("vllm" if has_gpu() else "llamacpp")


def together(parts: dict[str, Callable[[], object]]) -> None:
    """Runs the parts at once and waits for all; raises SetupError with every part's fault."""
    faults = []
    with concurrent.futures.ThreadPoolExecutor(len(parts), thread_name_prefix="setup") as pool:
        for future in concurrent.futures.as_completed([pool.submit(part) for part in parts.values()]):
            try:
                future.result()
            except SetupError as fault:
                say("setup", f"a part failed, the others go on: {str(fault).splitlines()[0]}")
                faults.append(str(fault))
    if faults:
        raise SetupError("\n".join(faults))


TARGETS = {
    "demo": "the daemon and the demo's servers; the model goes on being fetched while --run runs",
    "test": "what the tests need, and what $REQUIRE names",
    "dev": "lint, types and unit tests",
    "bench": "dev, and the demo's servers",
    "reading": "dev, and what the reading of logs is compared with",
    "servers": "the demo's servers",
    "model": "a model server",
    "vllm": "vLLM and the weights in its form",
}


def plan(targets: Collection[str], engine: str, required: str = "") -> dict[str, Callable[[], object]]:
    """What is to be set up for the targets: name to the function that does it. `required` is `$REQUIRE`."""
    from tools import weights
    from tools.servers import kafka

    wanted = set(targets)
    parts: dict[str, Callable[[], object]] = {}
    if "reading" in wanted:
        parts["checkout"] = READING.ensure
    elif wanted & {"test", "dev", "bench"}:
        parts["checkout"] = DEV.ensure
    elif "demo" in wanted:
        parts["checkout"] = DAEMON.ensure
    if wanted & {"demo", "test", "bench", "servers"} or ("model" in wanted and engine == "llamacpp"):
        parts["servers"] = SERVERS.ensure
    if "test" in wanted:
        parts["s3"] = S3.ensure
        parts["postgres"] = POSTGRES.ensure
    if (
        "vllm" in wanted
        or (wanted & {"demo", "model"} and engine == "vllm")
        or ("test" in wanted and "vllm" in required)
    ):
        parts["vllm"] = weights.ensure_converted
    if "test" in wanted or (wanted & {"demo", "model"} and engine == "llamacpp"):
        parts["model"] = weights.DEMO.ensure
    if "test" in wanted:
        parts["smaller-model"] = weights.SMALLER.ensure
    # Where it can't be had at all, the tests that need it say so.
    if "test" in wanted and "kafka" in required and not kafka.obstacle() and not os.environ.get("KAFKA_BOOTSTRAP"):
        parts["kafka"] = kafka.fetch
    return parts


def run(parts: dict[str, Callable[[], object]], words: Sequence[str]) -> int:
    """Runs a command as soon as the environments are there; the models are fetched meanwhile, and it waits for them.

    So the demo's first events flow while the weights are still on their way.
    """
    early = {name: part for name, part in parts.items() if name in {"checkout", "servers"}}
    late = {name: part for name, part in parts.items() if name not in early}
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="models") as pool:
        models = pool.submit(together, late) if late else None
        together(early)
        code = subprocess.call(words)
        # A command that is over needs them no more; what its own try at them met, it has told.
        if models and models.done():
            models.exception()
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 when everything is there, 1 with what to do about it; with --run that command's exit code."""
    what = "\n".join(f"  {name:8s} {text}" for name, text in TARGETS.items())
    parser = argparse.ArgumentParser(
        prog="python3 -m tools.bootstrap",
        description=(__doc__ or "").split("\n\n")[0],
        epilog=f"targets:\n{what}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("targets", nargs="+", choices=list(TARGETS), metavar="TARGET")
    parser.add_argument("--engine", choices=["llamacpp", "vllm"], default=None)
    parser.add_argument("--run", nargs=argparse.REMAINDER, default=[], help="a command to run when all is there")
    options = parser.parse_args(arguments)
    try:
        parts = plan(options.targets, options.engine or default_engine(), os.environ.get("REQUIRE", ""))
        if options.run:
            return run(parts, options.run)
        together(parts)
    except SetupError as fault:
        print(f"\nSetting up failed.\n{fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nBroken off; the same command goes on where this one stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
