"""Values that people write in YAML with a unit: durations (`24h`), sizes (`50MB`), points in time."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, WithJsonSchema

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|KiB|MiB|GiB)")
_BYTES: Final = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3,
                 "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}  # fmt: skip


def parse_duration(value: Any) -> float:
    """Seconds in `90s`, `15m`, `24h`, `14d`, `1h30m`; raises ValueError."""
    if isinstance(value, str):
        parts = _DURATION.findall(value)
        if parts and "".join(number + unit for number, unit in parts) == value:
            return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    raise ValueError(f"{value!r} is no duration; write a number with ms, s, m, h, d or w, such as 24h")


def parse_size(value: Any) -> int:
    """Bytes in `50MB`, `64KiB` or a whole number; raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no size; write a number of bytes, or one with kB, MB, GB, KiB, MiB or GiB")
    return int(float(match[1]) * _BYTES[match[2]])


def parse_start(value: Any) -> Literal["latest", "earliest"] | datetime:
    """`latest`, `earliest` or a time with its zone (RFC 3339); raises ValueError."""
    if isinstance(value, datetime):
        return value
    if value == "latest" or value == "earliest":
        return value  # type: ignore[no-any-return]
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{value!r}: write latest, earliest or a time with its zone, such as 2026-11-01T00:00:00Z")
    return moment


def format_duration(seconds: float) -> str:
    """A duration as people write it: 86400 as `1d`, 5400 as `90m`."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds / _SECONDS[unit])}{unit}"
    return f"{round(seconds * 1000)}ms"


Duration = Annotated[
    float,
    BeforeValidator(lambda value: value if isinstance(value, float) else parse_duration(value)),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"}),
]
"""Seconds, written as `24h`."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}),
]
"""Bytes, written as `50MB`."""

Start = Annotated[
    Literal["latest", "earliest"] | datetime, BeforeValidator(parse_start), WithJsonSchema({"type": "string"})
]
"""Where a new group begins to read."""
