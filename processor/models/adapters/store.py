"""The versions of adapters: copies that never change, and for each adapter a pointer to the one that is served.

    <store>/versions/<name>/<digest>/   adapter_config.json, weights, manifest.yaml; read by the model servers
    <store>/pointers/<name>.json        which version is served, which is tried on a share of the traffic

Several daemons and commands share one store. A pointer is replaced as a whole, under a lock, so that a reader sees
the old one or the new one; whoever reads notices a change by the time stamp of the folder of pointers.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import orjson

from processor.errors import ConfigError
from processor.models.adapters.folder import CONFIG, SERVED, Adapter, digest
from processor.models.adapters.manifest import FILE as MANIFEST

DIGITS: Final = 12
"""Hexadecimal digits of the digest that a version is named by."""

_MOST_HISTORY: Final = 200
_COPIED: Final = (".yaml", ".yml", ".json", ".md", ".safetensors")


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a pointer and when (Unix seconds). `version` is the one that it was about."""

    action: str
    version: str
    at: float


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which version of an adapter is served, and which gets a `share` (0 to 1) of the traffic to be tried."""

    name: str
    version: str | None = None
    candidate: str | None = None
    share: float = 0.0
    history: tuple[Change, ...] = ()

    @property
    def routed(self) -> tuple[str, ...]:
        """The versions that get traffic."""
        return tuple(each for each in (self.version, self.candidate) if each is not None)

    @property
    def known(self) -> frozenset[str]:
        """Every version that there has been."""
        return frozenset(change.version for change in self.history)

    @property
    def before(self) -> str | None:
        """The version that was served before this one: what a roll-back goes to."""
        stack: list[str] = []
        for change in self.history:
            if change.action == "rollback" and change.version in stack:
                del stack[stack.index(change.version) + 1 :]
            elif change.action in ("publish", "promote", "rollback"):
                stack = [each for each in stack if each != change.version] + [change.version]
        return stack[-2] if len(stack) > 1 else None


def served_name(name: str, version: str) -> str:
    """The immutable name under which servers know a version: `<name>@<digest>`."""
    return f"{name}@{version}"


class Store:
    """A folder of versions and pointers. `clock` gives Unix seconds. Errors are ConfigErrors that name the file."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        self.root = root
        self._versions = root / "versions"
        self._pointers = root / "pointers"
        self._clock = clock

    def folder(self, name: str, version: str) -> Path:
        """Where a version lies."""
        return self._versions / name / version

    def relative(self, served: str) -> str:
        """Path of a served name's version within the store."""
        name, _, version = served.rpartition("@")
        return f"versions/{name}/{version}"

    def stamp(self) -> int:
        """Changes whenever a pointer does; 0 where there is none yet."""
        try:
            return self._pointers.stat().st_mtime_ns
        except OSError:  # reading the pointers says why
            return 0

    def names(self) -> list[str]:
        """The adapters that have a pointer."""
        return sorted(file.stem for file in self._pointers.glob("*.json"))

    def pointer(self, name: str) -> Pointer:
        """The pointer of an adapter; an empty one where nothing was published. Raises ConfigError."""
        file = self._file(name)
        try:
            read = orjson.loads(file.read_bytes())
            history = tuple(Change(**each) for each in read.pop("history"))
            return Pointer(**read, history=history)
        except FileNotFoundError:
            return Pointer(name)
        except OSError as error:
            raise ConfigError(f"{file}: can't be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError) as error:
            remedy = "put back a copy, or remove it and publish again"
            raise ConfigError(f"{file}: no pointer of an adapter ({error}); {remedy}") from error

    def versions(self, name: str) -> list[str]:
        """The versions that are kept of an adapter."""
        return sorted(each.name for each in (self._versions / name).glob("[0-9a-f]*") if (each / CONFIG).is_file())

    def add(self, adapter: Adapter) -> str:
        """Keeps a copy of an adapter as a version, if there is none, and returns its name. No traffic goes there yet.

        Raises ConfigError where the folder changes meanwhile, or the store can't be written.
        """
        found = digest(adapter.folder)
        version = found[:DIGITS]
        target = self.folder(adapter.name, version)
        with self._telling(target):
            if (target / CONFIG).is_file():
                self._describe(adapter.folder, target)
                return version
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
            try:
                self._copy(adapter.folder, scratch)
                if digest(scratch) != found:
                    raise ConfigError(f"{adapter.folder}: changed while it was copied; publish it when it is whole")
                scratch.chmod(0o755)  # servers run as other users
                scratch.rename(target)
            except FileExistsError:  # another daemon was first, with the same content
                pass
            except OSError:
                if not (target / CONFIG).is_file():
                    raise
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        return version

    def publish(self, name: str, version: str, share: float | None = None) -> Pointer:
        """All traffic goes to `version`, or as a candidate a `share` of it. Raises ConfigError."""
        if not (self.folder(name, version) / CONFIG).is_file():
            there = ", ".join(self.versions(name)) or "none"
            raise ConfigError(f"{self.root}: no version {version} of the adapter {name}; there are {there}")

        def change(old: Pointer) -> Pointer:
            if share is None:
                return self._changed(old, "publish", version, version=version, candidate=None, share=0.0)
            if old.version is None:
                raise ConfigError(
                    f"{name}: nothing is served yet that a candidate could stand beside; publish it whole"
                )
            if old.version == version:
                raise ConfigError(f"{name}: {version} is what all traffic goes to already")
            return self._changed(old, "candidate", version, candidate=version, share=share)

        return self._update(name, change)

    def publish_new(self, name: str, version: str) -> bool:
        """All traffic goes to `version` unless it was published before: a roll-back from it stands."""
        old = self.pointer(name)
        new = self._update(
            name,
            lambda now: (
                now
                if version in now.known
                else self._changed(now, "publish", version, version=version, candidate=None, share=0.0)
            ),
        )
        return version not in old.known and new.version == version

    def promote(self, name: str) -> Pointer:
        """The candidate gets all traffic. Raises ConfigError where there is none."""

        def change(old: Pointer) -> Pointer:
            if old.candidate is None:
                raise ConfigError(f"{name}: there is no candidate; publish one with --share")
            return self._changed(old, "promote", old.candidate, version=old.candidate, candidate=None, share=0.0)

        return self._update(name, change)

    def rollback(self, name: str, to: str | None = None) -> Pointer:
        """Takes the candidate back, if there is one, else goes to the version before (or `to`). Raises ConfigError."""

        def change(old: Pointer) -> Pointer:
            if old.candidate is not None and to is None:
                return self._changed(old, "withdraw", old.candidate, candidate=None, share=0.0)
            version = to or old.before
            if version is None or version not in self.versions(name):
                kept = ", ".join(self.versions(name)) or "none"
                raise ConfigError(
                    f"{name}: there is no version {version or 'before this one'} to go back to; kept: {kept}"
                )
            return self._changed(old, "rollback", version, version=version, candidate=None, share=0.0)

        return self._update(name, change)

    def prune(self, name: str, keep: int, older_s: float) -> list[str]:
        """Deletes versions that are not served, but for the last `keep` and those of the last `older_s` seconds."""
        pointer = self.pointer(name)
        last: dict[str, float] = {}
        for change in pointer.history:
            last.pop(change.version, None)
            last[change.version] = change.at
        spare = [*list(last)[-keep:], *pointer.routed, *([pointer.before] if pointer.before else [])]
        late = self._clock() - older_s
        old = [each for each in self.versions(name) if each not in spare and last.get(each, 0.0) < late]
        for version in old:
            with self._telling(self.folder(name, version)):
                shutil.rmtree(self.folder(name, version))
        return old

    def _changed(self, old: Pointer, action: str, about: str, **fields: object) -> Pointer:
        history = (*old.history, Change(action, about, self._clock()))[-_MOST_HISTORY:]
        return replace(old, history=history, **fields)  # type: ignore[arg-type]

    def _update(self, name: str, change: Callable[[Pointer], Pointer]) -> Pointer:
        """Replaces a pointer by what `change` makes of it, while nobody else does."""
        file = self._file(name)
        with self._telling(file):
            self._pointers.mkdir(parents=True, exist_ok=True)
            with (self.root / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                old = self.pointer(name)
                new = change(old)
                if new is old:
                    return old
                # Made outside: the folder of pointers changes once, when the pointer is whole.
                scratch = self.root / f".{name}.{os.getpid()}"
                with scratch.open("wb") as opened:
                    opened.write(orjson.dumps(asdict(new), option=orjson.OPT_INDENT_2))
                    opened.flush()
                    os.fsync(opened.fileno())
                scratch.replace(file)
        return new

    def _file(self, name: str) -> Path:
        return self._pointers / f"{name}.json"

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        """Copies what a version is made of, to the disk; links are followed, folders within are left out."""
        for file in sorted(source.iterdir()):
            wanted = file.name in SERVED or (file.suffix in _COPIED and file.suffix != ".safetensors")
            if file.is_file() and wanted and not file.name.startswith("."):
                copy = target / file.name
                shutil.copyfile(file, copy)
                copy.chmod(0o444)
                with copy.open("rb") as opened:
                    os.fsync(opened.fileno())

    @staticmethod
    def _describe(source: Path, target: Path) -> None:
        """Manifest and calibration may change without the adapter: the copy gets the new ones."""
        for file in sorted(source.iterdir()):
            if not file.is_file() or file.name in SERVED or file.suffix not in _COPIED or file.name.startswith("."):
                continue
            copy = target / file.name
            if file.suffix == ".safetensors" or (copy.is_file() and copy.read_bytes() == file.read_bytes()):
                continue
            scratch = target / f".{file.name}.{os.getpid()}"
            shutil.copyfile(file, scratch)
            scratch.chmod(0o444)
            scratch.replace(copy)

    @contextmanager
    def _telling(self, place: Path) -> Iterator[None]:
        """What the file system says against it, with the setting that names the store."""
        try:
            yield
        except OSError as error:
            setting = "models.<tier>.adapters.store"
            raise ConfigError(f"{place}: can't be written: {error.strerror or error}; see {setting}") from error


__all__ = ["DIGITS", "MANIFEST", "Change", "Pointer", "Store", "served_name"]
