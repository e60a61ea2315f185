"""When two questions are the same, and when they are alike enough for one answer.

The same: the same model, form and text. It is asked at temperature 0 with a fixed seed, so that it has the same answer.

Alike: builds of one broken branch fail the same way, and hardly two of their logs are equal. So two questions are alike
if all that an answer can refer to is equal: the fault, by its fingerprint; every code and what it stands for; the hint,
and all else that stands beside the log; the lines that have a code and the line on either side of each. Times,
durations, speeds, places in files, hashes, addresses, ports and ids of processes are left out of the comparison, and
nothing else is: codes of errors, counts and versions tell faults apart. What else was shown of the log, mostly what went
well before, may differ.

Nothing that was left out may stand in an answer that several questions share: `shares` says whether its texts name
anything that is not in what is equal.
"""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from processor.contract import Candidate, Event, Reading
from processor.logs.prose import invents
from processor.models.form import Form
from processor.models.lenient import loads
from processor.models.question import Meaning, Prompt

_WHEN: Final = r"\b\d{4}-\d\d-\d\d(?:[T_ ]\d\d[:_]\d\d(?:[:_]\d\d(?:[.,_]\d+)?)?(?: ?(?:Z\b|UTC\b|[+-]\d\d:?\d\d))?)?|\b\d\d?:\d\d:\d\d(?:[.,]\d+)?\b"
_ID: Final = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b0x[0-9a-fA-F]+\b|@[0-9a-f]{5,}\b"
_HASH: Final = r"\b(?=[a-f]*[0-9])(?=[0-9]*[a-f])[0-9a-f]{7,}\b"
_TOOK: Final = r"(?<![\w.])\d+(?:[.,]\d+)? ?(?:ns|us|µs|ms|s|secs?|seconds?|m|mins?|minutes?)\b|(?<![\w.])\d+(?:[.,]\d+)? ?[kMG]i?B/s|\[ *\d+%\]"
_PLACE: Final = (
    r"(?<=\.)[A-Za-z]\w{0,9}(?::\d+){1,2}(?![\w.])|(?<=\.)[A-Za-z]\w{0,9}:?[(\[]\d+(?:, ?\d+)?[)\]]|\bline +\d+\b"
)
_PROCESS: Final = r"\b(?:pid|PID|goroutine|port)[ =:#]{1,2}\d+\b|\b\d{1,3}(?:\.\d{1,3}){3}:\d+\b|(?<=/tmp/)[^/\s'\":]+"
_VARIES: Final = re.compile("|".join((_WHEN, _ID, _HASH, _TOOK, _PLACE, _PROCESS)))
_BLANK: Final = re.compile(r"[ \t]+")
_BETWEEN: Final = re.compile(r"[\s,;\"'`()\[\]{}]+")

_LEFT_OUT: Final = "…"
"""What stands for lines that are not shown; how many these are says nothing."""


@functools.lru_cache(maxsize=16_384)  # builds repeat each other's lines
def steady(line: str) -> str:
    """A line without what varies between two runs of one build."""
    return _BLANK.sub(" ", _VARIES.sub("<n>", line))


def same(who: Iterable[str], prompt: Prompt) -> bytes:
    """The key of a question to `who`: equal for the same question alone."""
    said = [part for message in prompt.messages for part in (message.role, message.content)]
    return _digest("same", *who, prompt.form.name, prompt.form.grammar, *said)


def gist_of(prompt: Prompt) -> str:
    """What is compared of the text of two questions; empty where they can't be alike: figures may tell of anything."""
    if prompt.gist is None or any(slot.kind in ("integer", "number", "flag") for slot in prompt.form.slots):
        return ""
    return "\n".join([steady(line) for line in prompt.gist().split("\n") if line != _LEFT_OUT])


def alike(who: Iterable[str], prompt: Prompt, gist: str, scope: Sequence[str], event: Event, reading: Reading) -> bytes:
    """The key of a question to `who` with this gist: equal for questions that are alike.

    `scope` names the attributes that events of the same fault share.
    """
    fault = [reading.anchor, *(str(event.attributes.get(name, "")) for name in scope)]
    return _digest(
        "alike",
        *who,
        prompt.form.name,
        prompt.form.grammar,
        prompt.messages[0].content,
        gist,
        *fault,
        *_codes(prompt.codes),
    )


def shares(text: str, form: Form, gist: str, unused: Collection[str] = ()) -> bool:
    """Whether an answer (`text`, to `form`) names nothing that does not stand in the gist of its question.

    Of its texts those that are `unused` don't matter.
    """
    given = loads(text[text.find("{") : text.rfind("}") + 1])
    if not isinstance(given, Mapping):
        return False
    said = [given.get(slot.name) for slot in form.slots if slot.kind in ("text", "texts") and slot.name not in unused]
    texts = [each for one in said for each in (one if isinstance(one, list) else [one]) if isinstance(each, str)]
    log = gist.lower()
    return all(not invents(each, log) and all(_stands(figure, log) for figure in _figures(each)) for each in texts)


def _figures(text: str) -> list[str]:
    words = (word.strip(".:!?").lower() for word in _BETWEEN.split(text))
    return [word for word in words if any(letter.isdigit() for letter in word)]


def _stands(figure: str, log: str) -> bool:
    """Whether a figure stands there as a whole: 3 is not in 137."""
    return re.search(rf"(?<![\w.]){re.escape(figure)}(?![\w])", log) is not None


def _codes(codes: Mapping[str, Mapping[str, Meaning]]) -> list[str]:
    return [
        f"{field} {code} {_named(meaning)}" for field, offered in codes.items() for code, meaning in offered.items()
    ]


def _named(meaning: Meaning) -> str:
    if isinstance(meaning, Candidate):
        return f"{meaning.identity} {meaning.version}"
    return meaning if isinstance(meaning, str) else ""  # lines stand in the gist, behind their codes


def _digest(*parts: str) -> bytes:
    """Parts can't run into each other: each is preceded by its length."""
    hashed = hashlib.blake2b(digest_size=20)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        hashed.update(len(data).to_bytes(8, "big"))
        hashed.update(data)
    return hashed.digest()
