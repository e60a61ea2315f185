"""Reading JSON that a model or its server wrote: strictly where that works, forgiving where nothing is lost by it.

Guided decoding does not keep a model to JSON in all respects. xgrammar lets it write tabs and other control characters
raw into a text that has a maxLength; an escape may be half a surrogate pair; and what is legal (a NUL) may be poison
to whoever reads it next.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def loads(data: bytes | str) -> Any:
    """The value of a JSON document; raw control characters and lone surrogates in its texts are let through.

    Raises ValueError. NaN, infinities and numbers beyond a double are none of JSON's.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        try:
            return json.loads(text, strict=False, parse_constant=_refused, parse_float=_finite)
        except (ValueError, RecursionError):
            raise error from None


def clean(text: str) -> str:
    """`text` without control characters (tab and newline aside) and with no half of a surrogate pair."""
    if text.isprintable():
        return text
    return _SURROGATE.sub("\ufffd", _CONTROL.sub("", text))


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits:.20} is beyond a double")
    return value
