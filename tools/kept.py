"""What a calibration was fitted to, kept beside it, so that anybody can fit it again without a model or a log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict

from processor.models.capabilities import Engine
from tools.calibration import Point

POINTS: Final = "calibration-points.json"
"""Its name, in the folder of the calibration."""


class Kept(BaseModel):
    """The answers behind one calibration: [probability, possible answers, right, group, ranking's share] of each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipeline: str
    tier: str
    engine: Engine
    model: str
    adapter: str | None
    asked: str
    fields: tuple[str, ...]
    answers: tuple[tuple[float, int, bool, int, float | None], ...]

    def points(self) -> list[Point]:
        """The answers, as they are fitted."""
        return [
            Point(probability, options, right, f"group {group}", ranking)
            for probability, options, right, group, ranking in self.answers
        ]


def numbered(points: Sequence[Point]) -> list[Point]:
    """Points as they are kept: rounded, and their groups by number, in the order in which they come."""
    groups = {group: number for number, group in enumerate(dict.fromkeys(point.group for point in points))}
    return [
        Point(
            round(point.probability, 6), point.options, point.right, f"group {groups[point.group]}",
            None if point.ranking is None else round(point.ranking, 6),
        )
        for point in points
    ]  # fmt: skip


def packed(points: Sequence[Point]) -> list[tuple[float, int, bool, int, float | None]]:
    """What `Kept.answers` holds of numbered points."""
    return [
        (point.probability, point.options, point.right, int(point.group.removeprefix("group ")), point.ranking)
        for point in points
    ]


def read(file: Path) -> list[Kept]:
    """What a file keeps; nothing where there is none."""
    return [Kept.model_validate(each) for each in orjson.loads(file.read_bytes())] if file.exists() else []


def write(file: Path, added: Kept) -> None:
    """Puts answers into a file, in place of those that they replace."""
    others = [each for each in read(file) if _key(each) != _key(added)]
    texts = [orjson.dumps(each.model_dump(mode="json")) for each in [*others, added]]
    file.write_bytes(b"[" + b",\n".join(texts) + b"]\n")


def _key(one: Kept) -> tuple[str, str, str, str, str | None]:
    return one.pipeline, one.tier, one.engine, "" if one.adapter else one.model, one.adapter
