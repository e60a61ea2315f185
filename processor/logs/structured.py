"""Lines of JSON as loggers write them: what they say is read as if it had been printed.

pino and bunyan (`msg`, `err.stack`, levels from 10 to 60), zap, logrus, slog (`level`, `msg`, `error`, `stacktrace`),
structlog (`event`, `exception`), Serilog (`@l`, `@m`, `@x`), logback and ECS (`message`, `stack_trace`, `log.level`),
GELF (`short_message`, `full_message`, syslog's levels), Docker (`log`), `go test -json` (`Output`), cargo (`rendered`).
Fields are found by their names, so that lines that were cut, or are no JSON at all, are read as well.
"""

from __future__ import annotations

import json
import re
from typing import Final

from processor.logs.streams import behind

_BEGINS: Final = re.compile(r'\s*\{\s*"[\w@.$-]{1,60}"\s*:')
_TEXT: Final = re.compile(
    r'"(?:msg|message|@mt?|(?:short|full)_message|event|log|text(?:Payload)?|err|error|(?:error|exception)\.?\w{0,20}|exc_info'
    r'|stack(?:_?trace)?|errorVerbose|@x|rendered|Output)"\s*:\s*"((?:[^"\\]|\\.){1,16000})',
    re.DOTALL,
)
_LEVEL: Final = re.compile(
    r'"(?:log\.?|@)?(?:l|level|lvl|severity|level_?name|loglevel)"\s*:\s*"?([A-Za-z]{3,12}|\d{1,2})\b', re.IGNORECASE
)
_LONGEST: Final = 16_000
_MOST: Final = 200
"""Lines that one line is unfolded into at most."""
_READ: Final = 8
"""Of which so many count for its rank."""
_NEWLINE: Final = re.compile(r"\\r?\\n|\\n")
_ENDS: Final = 5
_CAUSE: Final = re.compile(r"\s*(?:Caused by|Suppressed|\[cause\]|---> |During handling|The above exception)")

_OBJECT: Final = b'\n{"'
_SAMPLED: Final = 24
"""Lines that are looked at before all are counted."""
_FIELD: Final = re.compile(rb'\n\s*\{[^\n]{0,2000}?"(?:msg|message|@mt?|short_message|event|log|Output)"\s*:\s*"')
"""What stands before the message in a line of a block."""


def prevails(block: bytes) -> bool:
    """Whether a good part of a block's lines begin as objects of JSON do."""
    places = range(0, len(block), len(block) // _SAMPLED + 1)
    if not any(block.startswith(_OBJECT, block.find(b"\n", start)) for start in places):
        return False
    begun = block.count(_OBJECT)
    return begun > 3 and begun * 4 > block.count(b"\n")


def messages(block: bytes) -> bytes:
    """A block of lines without what stands before their messages."""
    return _FIELD.sub(b"\n", b"\n" + block)[1:]


def unfold(line: str) -> list[str]:
    r"""What a line of JSON says: the lines of its message and of its stack.

    A line that a speaker's name leads (`streams`) is itself and what stands behind; any other line is what it is.

    >>> unfold('{"level":50,"msg":"no","err":{"stack":"Error: no\\n    at f (a.js:1:2)"}}')
    ['no', 'Error: no', '    at f (a.js:1:2)']
    """
    if not is_json(line):
        rest = behind(line)
        return [line] if rest is line else [line, *unfold(rest)]
    texts = dict.fromkeys(_plain(found[1]) for found in _TEXT.finditer(line[:_LONGEST]))
    said = [part for text in texts for part in text.splitlines() if part.strip()]
    return said[:_MOST] or [line]


def is_json(line: str) -> bool:
    """Whether a line begins as an object of JSON does."""
    return line.lstrip(" ")[:1] == "{" and _BEGINS.match(line) is not None


def ranked_as(line: bytes) -> bytes:
    """What a line is ranked by: of JSON the level and what it says; any other line as it is."""
    if b"{" not in line[:80]:
        return line
    text = line[:_LONGEST].decode("utf-8", "replace")
    if not is_json(text) or (said := unfold(text)) == [text]:
        return line
    level = _LEVEL.search(text)
    return f"{_LABELS.get(_severity(level[1]), '') if level else ''}{' '.join(said[:_READ])}".encode()


_LABELS: Final = {"error": "ERROR: ", "warning": "warning: "}
_WORDS: Final = {
    word: level
    for level, words in (
        ("error", "error err fatal ftl critical crit panic dpanic emerg emergency alert severe"),
        ("warning", "warning warn wrn"),
        ("information", "information info inf debug dbg trace verbose notice default"),
    )
    for word in words.split()
}


def _severity(level: str) -> str:
    """`error`, `warning`, `information`, or nothing where the word or figure is not known."""
    if not level.isdigit():
        return _WORDS.get(level.lower(), "")
    number = int(level)
    if number <= 7:  # syslog
        return "error" if number <= 3 else "warning" if number == 4 else "information"
    return "error" if number >= 50 else "warning" if number >= 40 else "information"


def _plain(text: str) -> str:
    """A string of JSON without its escapes; one that was cut loses its last one."""
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return _NEWLINE.sub("\n", text).replace("\\t", "\t").replace('\\"', '"').replace("\\\\", "\\")


def shorten(line: bytes, longest: int) -> bytes:
    """A long line of JSON without the middle of the stack that is in it: causes and both ends stay."""
    if len(line) <= longest or line.count(b"\\n") <= 2 * _ENDS or b"{" not in line[:80]:
        return line
    parts = line.split(b"\\n")
    last = len(parts) - _ENDS
    kept: list[bytes] = []
    for place, part in enumerate(parts):
        if (
            place < _ENDS
            or place >= last
            or any(_CAUSE.match(near.decode("utf-8", "replace")) for near in parts[max(0, place - 1) : place + 1])
        ):
            kept.append(part)
        elif kept[-1] != _CUT:
            kept.append(_CUT)
    return b"\\n".join(kept)


_CUT: Final = " … ".encode()
