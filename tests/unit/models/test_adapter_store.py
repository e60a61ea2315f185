"""The store: versions that never change, pointers that move as a whole."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from processor.errors import ConfigError
from processor.home import Homes
from processor.models.adapters import Expected
from processor.models.adapters.folder import CONFIG
from processor.models.adapters.publish import Folders, checked
from processor.models.adapters.store import Store
from processor.models.adapters.weights import FILE as WEIGHTS
from processor.testing.lora import make_adapter

EXPECTED = Expected("lite", "acme/base-3b")


class World:
    """A home, a store and a clock."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.now = 1000.0
        self.store = Store(folder / "store", lambda: self.now)
        self.homes = Homes((self.home,))
        self.folder = self.home / "adapters" / "ci"

    def version(self, seed: int) -> str:
        """Adds a version whose weights are by `seed`."""
        make_adapter(self.folder, seed)
        return self.store.add(checked(self.homes, "ci", EXPECTED))

    def publish(self, seed: int, share: float | None = None) -> str:
        """Adds and publishes a version."""
        version = self.version(seed)
        self.now += 1
        self.store.publish("ci", version, share)
        return version


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty store."""
    return World(tmp_path)


def test_a_version_outlives_its_folder(world: World) -> None:
    """What is overwritten, even in place, is another version; the first one stays what it was."""
    first = world.version(1)
    kept = (world.store.folder("ci", first) / WEIGHTS).read_bytes()
    with (world.folder / WEIGHTS).open("r+b") as opened:
        opened.seek(-4, os.SEEK_END)
        opened.write(b"\0\0\0\0")
    second = world.store.add(checked(world.homes, "ci", EXPECTED))
    assert first != second
    assert (world.store.folder("ci", first) / WEIGHTS).read_bytes() == kept
    assert world.store.versions("ci") == sorted([first, second])


def test_the_same_content_is_the_same_version(world: World) -> None:
    """A touched folder is no new version; a new manifest comes to the old one."""
    first = world.version(1)
    os.utime(world.folder / WEIGHTS)
    (world.folder / "manifest.yaml").write_text("base_model: acme/base-3b\ndescription: better known now\n")
    assert world.store.add(checked(world.homes, "ci", EXPECTED)) == first
    assert "better known" in (world.store.folder("ci", first) / "manifest.yaml").read_text()


def test_publish_canary_promote_and_back(world: World) -> None:
    """The pointer follows, and a roll-back goes through what was served, never through what was only tried."""
    a, b = world.publish(1), world.publish(2)
    c = world.publish(3, share=0.1)
    pointer = world.store.pointer("ci")
    assert (pointer.version, pointer.candidate, pointer.share) == (b, c, 0.1)
    assert world.store.rollback("ci").routed == (b,), "first the candidate is taken back"
    assert world.store.rollback("ci").version == a
    assert world.store.rollback("ci", to=b).version == b
    world.store.publish("ci", c, 0.5)
    assert world.store.promote("ci").routed == (c,)
    assert [world.store.rollback("ci").version, world.store.rollback("ci").version] == [b, a]
    with pytest.raises(ConfigError, match="no version before this one"):
        world.store.rollback("ci")


def test_what_cant_be_done_says_why(world: World) -> None:
    """A candidate beside nothing, a promotion of nothing, a version that isn't there."""
    a = world.version(1)
    with pytest.raises(ConfigError, match="nothing is served yet that a candidate could stand beside"):
        world.store.publish("ci", a, 0.1)
    with pytest.raises(ConfigError, match="there is no candidate; publish one with --share"):
        world.store.promote("ci")
    with pytest.raises(ConfigError, match=f"no version 0000 of the adapter ci; there are {a}"):
        world.store.publish("ci", "0000")
    world.store.publish("ci", a)
    with pytest.raises(ConfigError, match="all traffic goes to already"):
        world.store.publish("ci", a, 0.1)


def test_a_pointer_that_is_none_says_so(world: World) -> None:
    """A person who edited it is told the file and the remedy."""
    world.publish(1)
    file = world.store.root / "pointers" / "ci.json"
    for text in ("{", "[]", '{"name": "ci"}', '{"name": "ci", "history": [], "other": 1}'):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"ci\.json: no pointer of an adapter .* remove it and publish again"):
            world.store.pointer("ci")


def test_a_store_that_cant_be_made_names_the_setting(tmp_path: Path) -> None:
    """A file in its place."""
    (tmp_path / "store").write_text("")
    world = World(tmp_path)
    with pytest.raises(ConfigError, match=r"can't be written: .*; see models\.<tier>\.adapters\.store"):
        world.publish(1)


def test_prune_keeps_what_may_be_needed(world: World) -> None:
    """What is served, what a roll-back goes to, the last few, and whatever is young, stays."""
    versions = [world.publish(seed) for seed in range(6)]
    assert world.store.prune("ci", keep=2, older_s=3600) == []
    world.now += 7200
    assert world.store.prune("ci", keep=2, older_s=3600) == [each for each in sorted(versions) if each in versions[:4]]
    assert world.store.versions("ci") == sorted(versions[4:])


def test_watching_publishes_each_content_once(world: World) -> None:
    """After a roll-back neither this daemon nor one that starts later brings the newer files back."""
    make_adapter(world.folder, 1)
    watch = Folders(world.store, world.homes, EXPECTED)
    first = watch.look("ci").published
    assert first is not None
    assert watch.look("ci").published is None
    make_adapter(world.folder, 2)
    assert watch.look("ci").published is None, "it may still be written"
    second = watch.look("ci").published
    assert second not in (None, first)
    assert world.store.rollback("ci").version == first
    for daemon in (watch, Folders(world.store, world.homes, EXPECTED)):
        assert daemon.look("ci").published is None
    assert world.store.pointer("ci").version == first


def test_watching_waits_for_a_whole_folder(world: World) -> None:
    """Weights that were copied in part are a problem, until they are whole."""
    make_adapter(world.folder, 1)
    whole = (world.folder / WEIGHTS).read_bytes()
    (world.folder / WEIGHTS).write_bytes(whole[:-8])
    watch = Folders(world.store, world.homes, EXPECTED)
    assert "cut off" in watch.look("ci").problems[0].message
    assert "cut off" in watch.look("ci").problems[0].message, "it is told until it is mended"
    (world.folder / WEIGHTS).write_bytes(whole)
    assert watch.look("ci").problems
    assert watch.look("ci").published == world.store.pointer("ci").version


def test_a_home_may_speak_of_an_adapter_by_its_manifest_alone(world: World) -> None:
    """The versions come from elsewhere; without any, what is missing is told."""
    make_adapter(world.folder, 1)
    version = world.store.add(checked(world.homes, "ci", EXPECTED))
    for name in (CONFIG, WEIGHTS):
        (world.folder / name).unlink()
    watch = Folders(world.store, world.homes, EXPECTED)
    assert "no adapter_config.json and no adapter_model.safetensors" in watch.look("ci").problems[0].message
    world.store.publish("ci", version)
    assert not Folders(world.store, world.homes, EXPECTED).look("ci").problems


def _publish_many(root: Path, version: str, times: int) -> None:
    store = Store(root)
    for _ in range(times):
        store.publish("ci", version)


def test_pointers_are_written_by_several_at_once(world: World) -> None:
    """No change of another process is lost, and readers always see a whole pointer."""
    version = world.version(1)
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_publish_many, args=(world.store.root, version, 25)) for _ in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert world.store.pointer("ci").version in (None, version)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(world.store.pointer("ci").history) == 75
