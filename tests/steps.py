"""How much work our own code does, counted: a figure that is the same on every machine, at whatever load."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Self

from processor import __file__ as package

OURS = package.removesuffix("__init__.py")


class Steps:
    """Counts the lines of `processor` that run inside of it, each turn of a loop too; those of libraries aren't."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._former = sys.gettrace()
        sys.settrace(self._entered)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._former)

    def _entered(self, frame: FrameType, event: str, _: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(OURS) else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        self.count += event == "line"
        return self._line
