"""Where the content lies: homes (folders with pipelines, schemas, adapters, config) that overlay each other.

The user's homes come first, in order, and the bundled one last. Content is keyed by one stem: a stem in a
home of the user's wins over the bundled one; the same stem in two homes of the user's is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from processor.errors import ConfigError

VARIABLE = "FAULTSTREAM_HOME"


def bundled() -> Path:
    """The home that travels with the package: `_bundled` when installed, the checkout's root when not."""
    inside = Path(__file__).parent / "_bundled"
    return inside if inside.is_dir() else Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Homes:
    """The homes to look in, the user's first, the bundled one last."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, given: Sequence[Path] = (), environ: Mapping[str, str] = os.environ) -> Homes:
        """The homes from `--home` options, else from $FAULTSTREAM_HOME; the bundled one is always last.

        Raises ConfigError where a folder that was named does not exist.
        """
        named = list(given) or [Path(p) for p in environ.get(VARIABLE, "").split(os.pathsep) if p]
        for path in named:
            if not path.is_dir():
                raise ConfigError(f"home {path} is no folder; fix --home or ${VARIABLE}")
        unique = list(dict.fromkeys(path.resolve() for path in [*named, bundled()]))
        return cls(tuple(unique))

    @property
    def own(self) -> tuple[Path, ...]:
        """The user's homes, without the bundled one."""
        return tuple(path for path in self.paths if path != bundled().resolve())

    def find(self, relative: str) -> Path | None:
        """The first home's file or folder at `relative` (say, `schemas/ci_failure.yaml`), or None."""
        return next((path / relative for path in self.paths if (path / relative).exists()), None)

    def pipelines(self) -> dict[str, Path]:
        """Folder of each pipeline by stem, sorted."""
        return self._overlay("pipelines", lambda folder: (folder / "pipeline.yaml").is_file())

    def providers(self) -> dict[str, Path]:
        """File of each provider mapping (`config/providers/<stem>.yaml`) by stem, sorted."""
        return {p: f for p, f in self._overlay("config/providers", Path.is_file).items() if f.suffix == ".yaml"}

    def clashes(self) -> Iterator[tuple[str, Path, Path]]:
        """Stems that stand in two homes of the user's: (stem, first folder, second folder)."""
        seen: dict[str, Path] = {}
        for home in self.own:
            for folder in sorted((home / "pipelines").glob("*/pipeline.yaml")):
                stem = folder.parent.name
                if stem in seen:
                    yield stem, seen[stem], folder.parent
                seen.setdefault(stem, folder.parent)

    def _overlay(self, part: str, wanted: Callable[[Path], bool]) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for home in reversed(self.paths):
            for path in sorted((home / part).glob("*")):
                if wanted(path):
                    found[path.stem] = path
        return dict(sorted(found.items()))
