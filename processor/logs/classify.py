"""Rank the values of an enum field by a linear model over the excerpt's words: no model server, well under 1 ms.

`features` is shared with the trainer; whoever changes it must train again (VERSION says so).
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
import struct
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from processor.contract import Excerpt
from processor.errors import ConfigError
from processor.logs.memory import Lines, PerLine

VERSION: Final = 2
"""Version of `features` and of the weights' file."""

CLOSE: Final = 12
"""Ranked lines whose words count; those of the first HEAD count again on their own."""
HEAD: Final = 3
WORDS_PER_LINE: Final = 40

_LANE: Final = 64
_MIDDLE: Final = 1 << 63
"""Added to each lane before it is read, since weights may be negative."""
_WEIGHT: Final = 1 << 28
_SCALE: Final = 1 << 16
_UNIT: Final = _WEIGHT * _SCALE
"""Weights are kept to 28 binary places and values of features to 16: sums of up to half a million fit a lane."""

_WORD: Final = re.compile(r"[a-z][a-z_]{1,24}")

MARKERS: Final[Mapping[str, str]] = {
    "npm": r"npm (ERR!|error)",
    "yarn": r"^error .*(yarn|[Ii]ntegrity)|YN00[0-9]{2}",
    "pnpm": r"ERR_PNPM",
    "eresolve": r"ERESOLVE",
    "not-found": r"[Nn]ot found|No such file|ENOENT",
    "missing-module": r"ModuleNotFoundError|Cannot find module|No module named|cannot load such file",
    "missing-package": r"No matching (distribution|version)|no matching package|[Cc]ould not find (artifact|gem|a )",
    "unsolved": r"ResolutionImpossible|[Cc]onflicting dependencies|version solving failed|failed to select a version",
    "pip": r"pip's dependency resolver|pip install|\.whl|site-packages",
    "maven": r"\[ERROR\] Failed to execute goal|BUILD FAILURE",
    "maven-compile": r"maven-compiler-plugin|COMPILATION ERROR",
    "surefire": r"<<< (FAILURE|ERROR)!|There are test failures|Tests run:.*(Failures|Errors): [1-9]",
    "checkstyle": r"checkstyle|spotbugs|spotless|pmd|ktlint|detekt",
    "enforcer": r"maven-enforcer|[Ee]nforcer|Banned Dependency|requires Jenkins",
    "gradle": r"What went wrong|Execution failed for task",
    "cargo": r"error\[E[0-9]+\]|could not compile `",
    "cargo-test": r"test result: FAILED|^test .* FAILED",
    "clippy": r"clippy::|rustfmt|^Diff in ",
    "audit": r"RUSTSEC-|GHSA-|CVE-[0-9]|vulnerabilit|PYSEC-",
    "go": r"\.go:[0-9]+:[0-9]+: ",
    "go-module": r"go\.sum|go\.mod|unknown revision|go: module",
    "go-test": r"--- FAIL:|^FAIL\t",
    "gcc": r"\.(c|cc|cpp|h|hpp):[0-9]+:[0-9]+: (fatal )?error:",
    "linker": r"undefined (reference|symbol)|cannot find -l|ld returned|linker command failed",
    "cmake": r"CMake Error|Configuring incomplete",
    "header": r"fatal error: .*(No such file|file not found)",
    "javac": r"\.(java|kt|scala):\[?[0-9]+.*(error|symbol)|error: cannot find symbol",
    "tsc": r"error TS[0-9]+",
    "eslint": r"eslint|problems? \([0-9]+ errors?|Prettier|prettier|stylelint|tslint",
    "python-lint": r"flake8|pylint|ruff|mypy|black|isort|would reformat|\b[EFWC][0-9]{3,4}\b ",
    "line-length": r"[Ll]ine (is )?(too long|longer than)|trailing (white)?space",
    "pytest": r"^(FAILED|ERROR) .*::|=+ .*(failed|error).* in [0-9.]+s",
    "python-error": r"Traceback \(most recent call last\)",
    "jest": r"● |Tests: .*failed|Test Suites:.*failed|[0-9]+ failing|✕|✗",
    "assertion": r"[Aa]ssert(ion)?(Error)?|[Ee]xpected.*(but|to|got|received)|expected:<",
    "ctest": r"tests failed out of|\[  FAILED  \]|\*\*\*Failed",
    "phpunit": r"FAILURES!|PHPUnit|phpunit",
    "rspec": r"[0-9]+ examples?, [0-9]+ failures?|rspec \./",
    "links": r"[Dd]ead link|[Bb]roken link|awesome_bot|linkcheck|External link|→ .*https?:|\[✖\]",
    "apt": r"^E: |Unable to locate package|unmet dependencies",
    "apk": r"no such package|unable to select packages|unsatisfiable constraints",
    "docker-pull": r"manifest (unknown|for)|pull access denied|toomanyrequests|failed to resolve|ImagePullBackOff",
    "docker": r"Error response from daemon|failed to solve|executor failed running",
    "git": r"^fatal: |fatal: (unable|not a git|could not|[Rr]emote|repository|ambiguous|reference)",
    "submodule": r"submodule",
    "permission": r"[Pp]ermission( to .*)? denied|EACCES|403|[Ff]orbidden|not accessible|401|[Uu]nauthori[sz]ed",
    "ownership": r"dubious ownership|[Aa]ccess denied|[Oo]peration not permitted|EPERM",
    "dns": r"[Cc]ould not resolve host|ENOTFOUND|EAI_AGAIN|[Tt]emporary failure .*resol|no such host",
    "network": r"[Cc]onnection (timed out|refused|reset)|ETIMEDOUT|ECONNRE|TLS handshake|i/o timeout|50[234]|SSL",
    "timeout": r"[Tt]imed[ -]?out|[Tt]imeout([^=\n]|$)|deadline exceeded|exceeded the max|No output has been|stalled",
    "space": r"[Nn]o space left|ENOSPC|disk quota",
    "memory": r"[Oo]ut ?[Oo]f ?[Mm]emory|OOM|heap (space|limit|out)|Cannot allocate memory|std::bad_alloc|MemoryError",
    "killed": r"\b[Kk]illed\b|signal 9|SIGKILL|exit(ed with)? (code|status) 137",
    "cancel": r"[Cc]ancel(l)?ed|operation was canceled|SIGTERM|[Ii]nterrupted|Aborted|exit code 143",
    "runner": r"lost communication|runner (system failure|has received)|job execution|[Rr]unner.*(offline|shutdown)",
    "runner-system": r"system failure|prepare environment|no matches for kind|failed to start|cache\.zip|artifacts",
    "missing-command": r"command not found|not recognized as|executable file not found|: not found$",
    "missing-target": r"No rule to make target|Missing script|[Uu]nknown (task|option|command)|Task '.*' not found",
    "configuration": r"[Ii]nvalid (workflow|configuration|value|option)|[Cc]onfiguration error|YAML|yaml|toml|TOML",
    "tool-version": r"requires? .*(version|[0-9]+\.[0-9]+)|[Uu]nsupported (engine|class file|version)|EBADENGINE",
    "lockfile": r"lock ?file|package-lock|yarn\.lock|frozen|out of sync|--locked",
    "hash-mismatch": r"[Hh]ash(es)? (sum )?mismatch|checksum|EINTEGRITY|DO NOT MATCH THE HASHES",
    "policy": r"licen[sc]e|banned|deny|not allowed|policy|[Ff]orbidden dependency|deprecated version",
    "segfault": r"[Ss]egmentation fault|SIGSEGV|core dumped|SIGABRT|panicked at|internal compiler error",
    "size-limit": r"[Ss]ize limit|budget|exceeded by|coverage.*(below|threshold|less than)",
}
"""What tools and CI systems print, as Hyperscan expressions: features that need no words in common with training."""


class MarkerReader:
    """Finds the markers on a line."""

    cues: Final = tuple(MARKERS.values())
    _names: Final = tuple(MARKERS)

    def read(self, _line: str, cued: Collection[int]) -> frozenset[str]:
        """The markers' names."""
        return frozenset([self._names[cue] for cue in cued])


@functools.cache
def _lines() -> Lines:
    return Lines(MarkerReader())


def _worded(lines: Sequence[str]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """The words on each line, and the pairs of words."""
    found = [_WORD.findall(line[:400].lower())[:WORDS_PER_LINE] for line in lines]
    return [(frozenset(words), frozenset(map("_".join, itertools.pairwise(words)))) for words in found]


_WORDS: Final = PerLine(_worded)
_NONE: Final[frozenset[str]] = frozenset()
_MARKED: Final = 0.5
"""The value of a marker on one of the lines whose words count."""
_ASIDE: Final = 0.25
"""The value of one elsewhere in the excerpt, where CI systems and steps that passed have their say as well."""

PROPOSED: Final = 2.0
"""How far what a rule proposes is lifted, as a logarithm of odds: proposals are mostly right, on logs of other tools
too, but one that the words contradict strongly must still lose."""


def features(excerpt: Excerpt) -> dict[str, float]:
    """The excerpt as sparse features: words (w:, of the first lines h:), pairs of words (b:), tool markers (t:).

    Numbers, paths' separators and case are gone; each kind is scaled to unit length, so that a long excerpt says
    nothing louder than a short one.
    """
    marked = [marks for (marks,) in _lines()([line.text for line in excerpt.lines])]
    return {"bias": 1.0} | {prefix + one: scale for prefix, scale, group in _groups(excerpt, marked) for one in group}


def _groups(excerpt: Excerpt, marked: Sequence[frozenset[str]]) -> list[tuple[str, float, frozenset[str]]]:
    """The features by kind: prefix, the value that all of the kind have, names without the prefix.

    `marked` are the markers on each line of the excerpt.
    """
    places = _places(excerpt)
    worded = _WORDS([excerpt.lines[at].text for at in places])
    kinds = (
        ("w:", _all([words for words, _ in worded])),
        ("h:", _all([words for words, _ in worded[:HEAD]])),
        ("b:", _all([pairs for _, pairs in worded])),
    )
    near, aside = _marks(marked, places)
    return [
        *[(prefix, _scale(group), group) for prefix, group in kinds if group],
        ("t:", _MARKED, near),
        ("t:", _ASIDE, aside),
    ]


def _marks(marked: Sequence[frozenset[str]], places: Sequence[int]) -> tuple[frozenset[str], frozenset[str]]:
    """The markers on the lines whose words count, and those that are elsewhere only."""
    near = _all([marked[at] for at in places])
    return near, _all(marked) - near


def _places(excerpt: Excerpt) -> list[int]:
    """Indexes of the lines whose words count: those ranked first, or the last ones where none is ranked."""
    by_number = {line.number: at for at, line in enumerate(excerpt.lines)}
    ranked = [by_number[number] for number in excerpt.ranked if number in by_number][:CLOSE]
    return ranked or list(range(len(excerpt.lines)))[-CLOSE:]


def _all(groups: Sequence[frozenset[str]]) -> frozenset[str]:
    return _NONE.union(*groups)


def _scale(group: frozenset[str]) -> float:
    return 1.0 / math.sqrt(len(group))


class _Known(NamedTuple):
    """The words on a line and the pairs of words, and those of them that have a weight, also at the head."""

    words: frozenset[str]
    pairs: frozenset[str]
    weighed: frozenset[str]
    heads: frozenset[str]
    paired: frozenset[str]


class Ranker:
    """A multinomial linear model with sparse weights.

    The weights of a feature are kept as one integer, 64 bits for each value, so that adding up the features of an
    excerpt is one addition a feature and not one for each of its values.
    """

    def __init__(self, values: Sequence[str], weights: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        self.values = tuple(values)
        self._lanes = struct.Struct(f"<{len(self.values)}q")
        self._middle = sum(_MIDDLE << _LANE * at for at in range(len(self.values)))
        self._weights: dict[str, dict[str, int]] = {}
        for name, pairs in weights.items():
            prefix, separator, feature = name.partition(":")
            packed = sum(round(weight * _WEIGHT) << _LANE * at for at, weight in pairs)
            self._weights.setdefault(prefix + separator, {})[feature] = packed
        self._known = PerLine(self._read)

    @classmethod
    def load(cls, path: Path) -> Ranker:
        """Read the weights of a ranker.json.

        The file holds {"version", "values": [...], "weights": {feature: [[index of the value, weight], ...]}}.
        Raises ConfigError where it can't be read or was made for other features.
        """
        try:
            raw = json.loads(path.read_bytes())
            version, values, weights = raw["version"], raw["values"], raw["weights"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not a ranker's weights: {error}") from error
        if version != VERSION:
            raise ConfigError(f"{path}: made for version {version} of the features, this is {VERSION}: train it again")
        try:
            return cls(values, {name: [(int(at), float(w)) for at, w in pairs] for name, pairs in weights.items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path}: not a ranker's weights: {error}") from error

    def rank(
        self, excerpt: Excerpt, marked: Sequence[frozenset[str]] | None = None, proposed: object = None
    ) -> tuple[tuple[str, float], ...]:
        """Every value with its probability, likeliest first; equal ones in the file's order.

        `marked` is what a MarkerReader found on each line of the excerpt, if it was asked; `proposed` is the value that
        a rule proposes, if one does.
        """
        if marked is None:
            marked = [marks for (marks,) in _lines()([line.text for line in excerpt.lines])]
        places = _places(excerpt)
        read = self._known([excerpt.lines[at].text for at in places])
        head = read[:HEAD]
        groups = (
            ("w:", _all([each.words for each in read]), _all([each.weighed for each in read])),
            ("h:", _all([each.words for each in head]), _all([each.heads for each in head])),
            ("b:", _all([each.pairs for each in read]), _all([each.paired for each in read])),
        )
        near, aside = _marks(marked, places)
        added = self._sum("bias", ("",), 1.0) + self._sum("t:", near, _MARKED) + self._sum("t:", aside, _ASIDE)
        added += sum(self._sum(kind, known, _scale(group)) for kind, group, known in groups if group)
        # With the middle each lane is positive; turning its bit again makes signed numbers of them.
        lanes = self._lanes.unpack(((added + self._middle) ^ self._middle).to_bytes(self._lanes.size, "little"))
        logits = [lane / _UNIT + (value == proposed) * PROPOSED for lane, value in zip(lanes, self.values, strict=True)]
        highest = max(logits, default=0.0)
        odds = [math.exp(logit - highest) for logit in logits]
        total = sum(odds)
        ranked = sorted(range(len(odds)), key=lambda at: (-odds[at], at))
        return tuple((self.values[at], odds[at] / total) for at in ranked)

    def _sum(self, kind: str, names: Iterable[str], scale: float) -> int:
        """The weights of features of a kind, times the value that all of them have."""
        return sum(filter(None, map(self._weights.get(kind, {}).get, names))) * round(scale * _SCALE)

    def _read(self, lines: Sequence[str]) -> list[_Known]:
        """What is on lines, and what of it has a weight: most words have none."""
        weighed, heads, paired = (self._weights.get(kind, {}).keys() for kind in ("w:", "h:", "b:"))
        return [
            _Known(words, pairs, frozenset(words & weighed), frozenset(words & heads), frozenset(pairs & paired))
            for words, pairs in _worded(lines)
        ]
