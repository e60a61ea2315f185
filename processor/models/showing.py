"""How an excerpt is shown to a model, and which of its lines.

Text from logs can't pass for anything else: each of its lines begins with a bar, after the code if it has one,
and the markers of chat templates are broken up.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from processor.contract import Excerpt, ExcerptLine

PER_LINE: Final = 3
"""Tokens of a line's code, bar and end."""


def show(excerpt: Excerpt, labels: Mapping[int, str]) -> str:
    """The excerpt as the model sees it: a bar before each line, before that its code if `labels` has one."""
    parts: list[str] = []
    following = 1
    for number, text, _score, repeated in excerpt.lines:
        if number > following:
            parts.append("…")
        times = f" (× {repeated})" if repeated > 1 and text else ""
        parts.append(f"{labels.get(number, '')}| {plain(text)}{times}")
        following = number + repeated
    if excerpt.total_lines >= following:
        parts.append("…")
    return "\n".join(parts)


def fewer_lines(
    excerpt: Excerpt, tokens: int, count: Callable[[str], int], first: Collection[int] = frozenset()
) -> Excerpt:
    """What tells most and fits into `tokens`: lines whose numbers are in `first`, then by score; at least one line.

    A line that is too long for what is left makes room for those behind it.
    """
    kept: list[ExcerptLine] = []
    for line in sorted(excerpt.lines, key=lambda line: (line.number not in first, -line.score, line.number)):
        cost = count(line.text) + PER_LINE
        if cost <= tokens or not kept:
            tokens -= cost
            kept.append(line)
    kept.sort(key=lambda line: line.number)
    numbers = {line.number for line in kept}
    ranked = tuple([number for number in excerpt.ranked if number in numbers])
    return replace(excerpt, lines=tuple(kept), ranked=ranked, tokens=0)


def beside(excerpt: Excerpt, labels: Mapping[int, str]) -> Excerpt:
    """The lines with codes, and the line on either side of each."""
    near = {at for number in labels for at in (number - 1, number, number + 1)}
    return replace(excerpt, lines=tuple([line for line in excerpt.lines if line.number in near]), tokens=0)


_MARKERS: Final = re.compile(
    r"[<\[|](?:(?<=<)(?=[|/]?(?:im_|end|start_of|begin_of|eot|system|user|assistant|s>|tool_|think|fim_|bos|eos|pad|\|))"
    r"|(?<=\|)(?=>)|(?<=\[)(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_)))"
)
_BREAKS: Final = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")


@functools.lru_cache(maxsize=16_384)  # builds repeat each other's lines
def plain(text: str) -> str:
    """Text from outside on one line, with what chat templates would take for their own markers broken up."""
    return unmarked(text if text.isprintable() else _BREAKS.sub(" ", text))


def unmarked(text: str) -> str:
    """Text with what chat templates would take for their own markers broken up; the very same where there is none."""
    if "<" not in text and "[" not in text and "|>" not in text:
        return text
    return _MARKERS.sub(lambda marker: f"{marker[0]} ", text)


def harmless(value: Any) -> Any:
    """What a chain's step gave, its texts as `plain` leaves them: from a database or a model, they are data alike."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {name: harmless(each) for name, each in value.items()}
    return [harmless(each) for each in value] if isinstance(value, list) else value
