"""From a folder to a version: what `faultstream adapters publish` does, and what a daemon does by itself.

A daemon publishes what a folder holds once. What was published before stays as it is, so that a roll-back stands while
the folder still holds the newer files, and daemons with older files (a rolling upgrade) don't bring these back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from processor.errors import ConfigError
from processor.home import Homes
from processor.lang.problem import Problem
from processor.models.adapters.folder import SERVED, Adapter, Expected, inspect
from processor.models.adapters.store import Store

KEPT: Final = 5
KEPT_S: Final = 86_400.0
"""So many versions of an adapter are kept for a roll-back, and for so many seconds all of them."""

Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a look at a folder: problems, or the version that was published just now."""

    problems: tuple[Problem, ...] = ()
    published: str | None = None


class Folders:
    """The folders of adapters in the homes, watched for changes."""

    def __init__(self, store: Store, homes: Homes, expected: Expected) -> None:
        self._store = store
        self._homes = homes
        self._expected = expected
        self._done: dict[str, tuple[Signature, Outcome]] = {}
        self._last: dict[str, Signature] = {}

    def look(self, name: str) -> Outcome:
        """Publishes an adapter's folder if it is new or has changed, and is whole. Raises ConfigError."""
        folder = self._homes.find(f"adapters/{name}")
        if folder is None or not folder.is_dir():
            return Outcome() if self._store.pointer(name).version else Outcome((missing(self._homes, name),))
        now = signature(folder)
        before, self._last[name] = self._last.get(name, now), now
        done = self._done.get(name)
        if done is not None and (done[0] == now or before != now):  # the same, or still being written
            return Outcome(done[1].problems)
        outcome = self._publish(name, folder)
        if signature(folder) == now:
            self._done[name] = (now, outcome)
        return outcome

    def _publish(self, name: str, folder: Path) -> Outcome:
        adapter, problems = inspect(folder, self._expected)
        if adapter is None:
            empty = not any((folder / each).exists() for each in SERVED)
            # A manifest alone is how a home speaks of an adapter whose versions come from elsewhere.
            return Outcome() if empty and self._store.pointer(name).version else Outcome(tuple(problems))
        version = self._store.add(adapter)
        new = self._store.publish_new(name, version)
        if new:
            self._store.prune(name, KEPT, KEPT_S)
        return Outcome(published=version if new else None)


def signature(folder: Path) -> Signature:
    """Name, inode, time and size of each file: what changes when a file does. Raises ConfigError."""
    try:
        files = [(file.name, file.stat()) for file in sorted(folder.iterdir()) if file.is_file()]
    except OSError as error:
        raise ConfigError(f"{folder}: can't be read: {error.strerror}") from error
    return tuple([(name, at.st_ino, at.st_mtime_ns, at.st_size) for name, at in files])


def missing(homes: Homes, name: str) -> Problem:
    """That no home has an adapter's folder."""
    return Problem(homes.paths[0] / "adapters" / name / SERVED[0], 1, 1, f"no adapter {name!r} in any home")


def checked(homes: Homes, name: str, expected: Expected, source: Path | None = None) -> Adapter:
    """The adapter of a name in the homes, or in the folder `source`. Raises ConfigError with all that is wrong."""
    folder = source or homes.find(f"adapters/{name}")
    if folder is None or not folder.is_dir():
        raise ConfigError(str(missing(homes, name)) if source is None else f"{source}: no such folder")
    adapter, problems = inspect(folder, expected)
    if adapter is None:
        raise ConfigError("\n".join(map(str, problems)))
    return replace(adapter, name=name)
