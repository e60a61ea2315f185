"""Secrets out of logs, attributes, headers, error texts and tickets.

Hyperscan looks for the triggers of all kinds in one pass without the GIL; Python's `re` takes out the exact
span, at hits only, so that a text without secrets costs a scan. The same secret gets the same placeholder
within a session (one log with its attributes): `[aws-key:1]`. Newlines stay, so line numbers never shift;
what helps a diagnosis (versions, digests, commit and integrity hashes, UUIDs) stays too.

A text is read in blocks that depend on its bytes alone, so that a stream gives what the whole would, however
it is cut into chunks.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from processor.logs.decode import regroup
from processor.logs.scan import Hit, Scanner
from processor.logs.secrets import SECRETS, Finder, Secret
from processor.logs.secrets.assignment import assignments
from processor.logs.secrets.commands import commands
from processor.logs.secrets.layout import columns, manifests
from processor.logs.secrets.pem import key_blocks, key_ends, open_lines
from processor.logs.secrets.public import public
from processor.logs.secrets.uncoloured import Uncoloured
from processor.logs.secrets.unnamed import assigned, below, unnamed, wrapped
from processor.logs.secrets.values import matches, random_looking
from processor.logs.secrets.wrapped import Wrapped, ends_line

REDACTION: Final = "config/redaction.yaml"
"""Where in a home stands what else is secret; see `processor.logs.secrets.own`."""
BLOCK: Final = 1 << 16
"""Bytes that are looked at together: few enough that other threads wait for a millisecond, not for many."""
_CONTEXT: Final = 256
"""Before a secret, how far what tells that it is one may begin."""
_REACH: Final = 8192
"""On a very long line, how far before and after a trigger the secret is looked for."""
_BEHIND: Final = 2 * _REACH
"""Before the end of a block on such a line, how much may depend on what comes next."""
_DENSE: Final = 4 * _REACH
"""Of a block, how much is held back at most where it is full of secrets."""
_PASSES: Final = 40
"""A placeholder can bare what stood hidden beside it, so a text with secrets is looked at again."""
POINTS: Final = frozenset({"named", "assigned", "unnamed", "wrapped", "below", "key-block", "key-end"})
"""Checks that look at each trigger by itself; the others at a line at a time."""
_WRAPPED: Final = 20
"""The least bytes of a secret at the end of a line for it to go on with the next."""
_APART: Final = {"assigned": 12, "unnamed": 8}
"""By check how far behind a trigger's end others end in the same value at most, and in another one never."""
_NAMELESS: Final = frozenset(_APART)
"""Checks whose triggers have no literal text, and which find for themselves what they need of the line."""


class Span(NamedTuple):
    """A secret at [start, stop) of a text; what tells that it is one may begin at `first`."""

    start: int
    stop: int
    name: str
    first: int


@dataclass(frozen=True, slots=True)
class Found:
    """The secrets of a block without its colours, in order, and where something begins whose end it does not hold."""

    block: Uncoloured
    spans: list[Span]
    open: int | None = None

    def before(self, near: int) -> list[Span]:
        """The secrets that end more than so many bytes before the end."""
        return [span for span in self.spans if span.stop < len(self.block.text) - near]


class Redactor:
    """Takes secrets out. Stateless and safe to share between threads; numbering is per session.

    `secrets` are the kinds looked for, in order of precedence. A value that one of `allow` matches whole is none.
    """

    def __init__(self, secrets: tuple[Secret, ...] = SECRETS, allow: Sequence[re.Pattern[bytes]] = ()) -> None:
        self._secrets: Final = secrets
        self._allow: Final = allow
        self._finders: Final = [self._finder(secret) for secret in secrets]
        self._nameless: Final = frozenset(index for index, secret in enumerate(secrets) if secret.check in _NAMELESS)
        self._scanner: Final = Scanner([(one.trigger, one.caseless) for one in secrets], alone=sorted(self._nameless))
        names = sorted({secret.name for secret in secrets} | {"password", "token"})
        self._placeholder: Final = re.compile(rb"\[(?:" + "|".join(names).encode() + rb"):\d+\]")

    def session(self) -> Session:
        """A fresh numbering, to be used for everything that belongs to one event."""
        return Session(self)

    def redact(self, data: bytes) -> bytes:
        """`data` without secrets: same number of newlines; the very same object if there was none."""
        return Session(self).redact(data)

    def redact_text(self, text: str) -> str:
        """`text` without secrets."""
        return Session(self).redact_text(text)

    def find(self, data: bytes) -> Found:
        """The secrets in `data`, in order, without overlaps; its first byte is the one before the text."""
        block = Uncoloured(data)
        hits = self._scanner.hits(block.text)
        return Found(block, *self._resolve(block.text, hits)) if hits else Found(block, [])

    def _finder(self, secret: Secret) -> Finder:
        """How the exact place of a kind is found, once its trigger was."""
        match secret.check:
            case "named":
                return assignments
            case "assigned":
                return assigned
            case "unnamed":
                return unnamed
            case "wrapped":
                return functools.partial(wrapped, secret=self._any)
            case "below":
                return below
            case "column":
                return columns
            case "manifest":
                return manifests
            case "command":
                return commands
            case "key-block":
                return key_blocks
            case "key-end":
                return key_ends
            case _:
                pattern = re.compile(secret.regex.encode(), re.MULTILINE | (re.IGNORECASE if secret.caseless else 0))
                return functools.partial(matches, secret, pattern)

    def _resolve(self, data: bytes, hits: list[Hit]) -> tuple[list[Span], int | None]:
        spans: list[tuple[int, Span]] = []
        reached = dict.fromkeys((index for index, _ in hits), -1)
        opened: list[int] = []
        start = line = -1
        for index, end in hits:
            if end <= reached[index]:
                continue
            find, secret = self._finders[index], self._secrets[index]
            if index in self._nameless:  # most hits, of which hardly one is a secret
                first = max(0, end - _CONTEXT)
                places = find(data, first, end, end)
                reached[index] = end if places else end + _APART[secret.check]
                if not places:
                    continue
            else:
                if end > line or line - end >= _REACH // 2:  # hits come in order of their ends, often many on a line
                    start, line = _line(data, end)
                first, last = start, line
                if secret.lines:
                    last, whole = _lines(data, last, secret.lines)
                    if not whole:
                        opened.append(first)
                if secret.check in POINTS:
                    reached[index] = end
                else:
                    first = max(first, reached[index])
                    reached[index] = line
                places = find(data, first, last, end)
            for at, stop, name in places:
                if self._redacted(data, at, stop) or self._allowed(data[at:stop]) or public(data, at):
                    continue
                if secret.check == "key-block" and stop == len(data):
                    opened.append(at)
                reached[index] = max(reached[index], stop)
                spans.append((index, Span(at, stop, name, min(at, max(first, at - _CONTEXT)))))
        clear = _untangle(spans)
        return self._wrapped(data, clear, opened), min(opened, default=None)

    def _wrapped(self, data: bytes, spans: list[Span], opened: list[int]) -> list[Span]:
        """The spans, and what goes on with one of them on the next lines, where a tool wrapped its own."""
        more: dict[int, Span] = {}
        rows = Wrapped(data)
        for span in spans:
            if span.name == "private-key" or not ends_line(data, span.stop):
                continue
            if not random_looking(data[span.start : span.stop], ids=True, shortest=_WRAPPED):
                continue
            parts, whole = rows.continued(span.stop)
            if not whole:
                opened.append(span.first)
            for start, stop in parts:
                more.setdefault(start, Span(start, stop, span.name, span.first))
        return _untangle([(0, span) for span in spans] + [(1, span) for span in more.values()]) if more else spans

    def _redacted(self, data: bytes, start: int, stop: int) -> bool:
        """Whether a value touches a placeholder: it was redacted before."""
        found = self._placeholder.finditer(data, max(0, start - 40), stop + 40)
        return any(one.start() < stop and one.end() > start for one in found)

    def _allowed(self, value: bytes) -> bool:
        return any(pattern.fullmatch(value) for pattern in self._allow)

    def _any(self, text: bytes) -> bool:
        return bool(self.find(b"\n" + text).spans)


class Session:
    """One event's redaction: the same secret gets the same number in its log, attributes and headers."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._numbers: dict[tuple[str, bytes], int] = {}
        self._last: Counter[str] = Counter()
        self._taken = 0

    @property
    def found(self) -> int:
        """How many different secrets were taken out so far."""
        return len(self._numbers)

    def redact(self, data: bytes) -> bytes:
        """`data` without secrets: same number of newlines; the very same object if there was none."""
        before = self._taken
        clean = b"".join(self.stream((data,)))
        return clean if self._taken > before else data

    def redact_text(self, text: str) -> str:
        """`text` without secrets."""
        data = text.encode("utf-8", "surrogatepass")
        clean = self.redact(data)
        return text if clean is data else clean.decode("utf-8", "surrogatepass")

    def stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The clean text of a log that comes in chunks of any size, block by block; memory stays bounded.

        Chunks are UTF-8 (`processor.logs.decode.text_stream` makes them so). Joined, the blocks are what
        `redact` gives for the joined chunks: a secret that is cut by the border of chunks is found.
        """
        held: list[bytes] = []
        for piece in regroup(chunks, BLOCK):
            last = len(piece) < BLOCK
            if clean := self._clean(held, piece, last=last):
                yield clean
            if last:
                return
        if clean := self._clean(held, b"", last=True):
            yield clean

    def _clean(self, held: list[bytes], text: bytes, *, last: bool) -> bytes:
        """The clean text as far as it does not depend on what is still to come.

        Each pass is given what the one before has made of the text, and holds back for itself what may go on
        (`held`, by pass, behind the byte before it): what a pass finds does not depend on where blocks end. A text
        that a pass has left as it was is looked at again only together with what a later pass holds back.
        """
        changed = True
        for number in range(_PASSES + 1):
            if number == len(held):
                if not changed:
                    break
                held.append(b"\n")
            if not text and not last:
                break
            if changed:
                text, held[number], changed = self._look(held[number], text, last=last)
            elif len(held[number]) > 1:
                text, held[number], changed = self._settle(held[number], text, last=last)
            elif text:
                held[number] = text[-1:]
        return text

    def _settle(self, held: bytes, text: bytes, *, last: bool) -> tuple[bytes, bytes, bool]:
        """One pass over what it holds back and, of a text that the pass before left as it was, what settles that."""
        near = text.find(b"\n", _REACH) + 1
        if near and not last:
            clean, rest, changed = self._look(held, text[:near], last=False)
            if len(rest) <= near:
                return clean + text[near + 1 - len(rest) :], text[-1:], changed
        return self._look(held, text, last=last)

    def _look(self, held: bytes, text: bytes, *, last: bool) -> tuple[bytes, bytes, bool]:
        """One pass over a text behind what it held back: what is clean, what is held back, whether it was changed."""
        end = len(text) if last else text.rfind(b"\n") + 1
        if end:  # most of what is looked at is copied once, and what is found clean once more
            block, rest = b"".join((held, memoryview(text)[:end])), text[end:]
        else:
            data = held + text
            end = data.rfind(b"\n", 1) + 1 or len(data)
            block, rest = data[:end], data[end:]
        found = self._redactor.find(block)
        cut, changed = len(block) if last else _settled(found), False
        while len(block) - cut > _DENSE and (ready := found.before(_BEHIND)):
            # On a long line full of secrets each stands in the context of the next: all would be held to its end, and
            # looked at again with each block. What is found is taken out at once instead, where it stands.
            block, changed = block[:1] + self._replace(found.block, ready, len(block)), True
            found = self._redactor.find(block)
            cut = _settled(found)
        if cut <= 1:
            return b"", block + rest, changed
        spans = [span for span in found.spans if found.block.stop(span.stop) <= cut]
        return self._replace(found.block, spans, cut), block[cut - 1 :] + rest, changed or bool(spans)

    def _replace(self, block: Uncoloured, spans: list[Span], stop: int) -> bytes:
        """The data between the first byte and `stop` without secrets."""
        self._taken += len(spans)
        parts: list[bytes] = []
        position = 1
        for span in spans:
            parts.append(block.data[position : block.start(span.start)])
            parts.append(self._placeholder(span.name, block.text[span.start : span.stop]))
            position = block.stop(span.stop)
        return b"".join([*parts, block.data[position:stop]])

    def _placeholder(self, name: str, secret: bytes) -> bytes:
        number = self._numbers.get((name, secret))
        if number is None:
            self._last[name] += 1
            number = self._numbers[name, secret] = self._last[name]
        return b"[%s:%d]" % (name.encode(), number) + b"\n" * secret.count(b"\n")


@functools.cache
def redactor(file: Path | None = None) -> Redactor:
    """The redactor of all known kinds, compiled at first use, and of those that a home's `redaction.yaml` adds.

    Raises ConfigError with all that is wrong with the file.
    """
    if file is None:
        return Redactor()
    from processor.logs.secrets.own import read  # what reads YAML is needed by those alone who have such a file

    own = read(file)
    return Redactor((*own.secrets, *SECRETS), own.allow)


def _settled(found: Found) -> int:
    """How far the secrets found in a block do not depend on what comes behind it; up to a line's end where it can."""
    text = found.block.text
    # A line that is longer than a block goes on, but for its end.
    cut = open_lines(text) if text.endswith(b"\n") else len(text) - _BEHIND
    if found.open is not None:
        cut = min(cut, _begin(text, found.open))
    for span in reversed(found.spans):
        if span.first < cut < span.stop:
            cut = _begin(text, span.first)
    if cut == len(text):
        return len(found.block.data)
    return found.block.stop(cut) if cut > 0 else cut


def _begin(data: bytes, at: int) -> int:
    """Where the line begins that something stands on, or itself where that is out of reach."""
    return data.rfind(b"\n", max(0, at - _REACH), at) + 1 or at


def _line(data: bytes, end: int) -> tuple[int, int]:
    """The line that a trigger ended on, within reach."""
    end -= data[end - 1 : end] == b"\n"
    first = max(data.rfind(b"\n", 0, end) + 1, end - _REACH)
    last = data.find(b"\n", end)
    return first, min(last if last >= 0 else len(data), end + _REACH)


def _lines(data: bytes, last: int, more: int) -> tuple[int, bool]:
    """The end of so many lines more, within reach, and whether the data holds them."""
    limit = last + _REACH
    for _ in range(more):
        last = data.find(b"\n", last + 1, limit)
        if last < 0:
            return min(limit, len(data)), limit <= len(data)
    return last, True


def _untangle(spans: list[tuple[int, Span]]) -> list[Span]:
    """The spans in order of place; of those that overlap the first kind's, then the longest.

    Where another begins within one, or with it, and ends behind it, they are one: what a format or a syntax leaves
    of a value is as secret as the rest.
    """
    taken: list[Span] = []
    for _, span in sorted(spans, key=lambda each: (each[0], each[1].start, -each[1].stop)):
        at = bisect.bisect_right(taken, span.start, key=_start)
        beyond = taken[at].start if at < len(taken) else span.stop
        if at == 0 or taken[at - 1].stop <= span.start:
            if span.stop <= beyond:
                taken.insert(at, span)
        elif taken[at - 1].stop < span.stop:
            taken[at - 1] = taken[at - 1]._replace(stop=min(span.stop, beyond))
    return taken


def _start(span: Span) -> int:
    return span.start
