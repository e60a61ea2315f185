"""The sentence that tells a fault where nobody wrote one: the line that shows it, with what that line leaves out.

Tools spread a message over lines: which test, then why; what is wrong, then where; the words, then the values. Who
reads a list of tickets sees one line of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from processor.contract import Candidate, Excerpt
from processor.logs.cause import VALUES, continues, failed_test, why
from processor.logs.extract.located import BORDER
from processor.logs.prose import quoted, telling, words
from processor.logs.structured import unfold

ENOUGH: Final = 200
"""Characters from which on nothing is added."""

LONG: Final = 90
"""Characters of a test's name from which on its last part has to do, since the reason must have room too."""

_VALUE_LINES: Final = 6

_PLACE: Final = re.compile(r"\W*(?:-->|on|in|at) (?P<file>[\w./\\@-]+\.\w+)(?::| line )(?P<line>\d+)\b.*")
_PLACE_LINES: Final = 3
"""Lines below a message on which its place stands by itself, as rustc and Terraform print it."""

_HEADED: Final = re.compile(r"\s*\d+:\d+\s")
"""A message that begins with line and column: its file stands above (ESLint, yamllint, markdownlint)."""
_HEADER: Final = re.compile(r"\S*[\w-]\.\w{1,8}")
_HEADER_ABOVE: Final = 200

_OPEN: Final = (":", "(", "[", "{", "→", "->")
"""Ends of a message that the next line goes on with."""
_COUNTS: Final = re.compile(
    r"\b\d+ (?:\w+ )?(?:errors?|problems?|violations?|issues?)\b[^:]*$"
    r"|\b(?:errors?|problems?|violations?|issues?) (?:were |have been )?(?:encountered|found|detected)\.?$"
)
"""A message that only counts those below it."""
_COUNTED: Final = 2
_REST_LINES: Final = 4
_WORDS: Final = re.compile(r"^(?!\[\w+\]$|\[Pipeline\]).*\w")

_HOOK: Final = re.compile(r"(?P<name>\w.*?)\.{3,}(?:\([^)]*\))?Failed")
_ABOUT_HOOK: Final = re.compile(r"- (?:hook id|exit code|duration): .*")
_HOOK_LINES: Final = 7
"""A hook of pre-commit that failed; what it printed stands below what is said about it."""

_SHELLCHECK: Final = re.compile(r"In (?P<file>\S+) line (?P<line>\d+):")
_SC: Final = re.compile(r"\W*(?P<said>SC\d{4}\b.*)")
"""ShellCheck's place, and what it says below the line of source."""

_EXCEPTION: Final = re.compile(r"(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit)(?::.*)?")
_FRAME: Final = re.compile(r'\s+File "(?P<file>[^"<>]+)", line (?P<line>\d+)')
_LIBRARY: Final = re.compile(r"[\\/](?:site|dist)-packages[\\/]|[\\/]lib(?:64)?[\\/]python\d")
_FRAME_LINES: Final = 60
"""Where a Python exception was thrown: the last call of one's own above it."""

_LEGEND: Final = re.compile(r"[-+] ?(?:actual|expected|received)\b.*[-+] ?(?:actual|expected|received)\b")
_SIDE: Final = re.compile(r"\s*(?P<side>[-+])\s*\S.*")
_LEGEND_LINES, _SIDE_LINES = 20, 10
"""A runner says which side is which, and prints both values below."""

_COMMAND: Final = re.compile(
    r"(?:(?P<step>##\[group\]Run )|\[command\]|\$ |\++ )(?P<command>\S.{1,80}?)"
    r"(?P<collapsed> # collapsed multi-line command)?"
)
_COMMAND_LINES: Final = 40
_THIN: Final = 2
"""Words of its own that a sentence needs; with fewer, such as a bare path, the command that printed it goes before."""

_LIST: Final = 6
"""Lines above an entry of a list on which the message that opens it stands."""

_TOLD: Final = 3
"""Lines of a message in JSON."""

_ROOTS: Final = re.compile(
    r"(?<![\w./])(?:file://)?(?:/(?:home/runner/work|__w|home/travis/build|builds)/[\w.-]+/[\w.-]+"
    r"|/(?:var/lib/jenkins|home/jenkins/agent)/workspace/[\w.@-]+|/github/workspace|/home/circleci/project)/"
)
"""Where CI systems check sources out."""

_DIFFERS: Final = re.compile(r"diff --git a/\S+ b/(?P<new>\S+)|(?:---|\+\+\+) (?:[ab]/)?(?P<file>\S+).*|@@ .*")
_CHANGED: Final = re.compile(r"[-+](?![-+]{2} )(?P<text>.*\S.*)")


def headline(excerpt: Excerpt, candidates: Mapping[str, tuple[Candidate, ...]], number: int) -> str:
    """A sentence of line `number`, which is empty where there is none.

    Before it goes the failing test or the file, behind it what the lines below add: where, which values, the rest.
    """
    texts = {line.number: line.text for line in excerpt.lines}
    line = texts.get(number, "")
    if changed := _changed(texts, number):
        return _ROOTS.sub("", changed)
    said = _hook(texts, number) or _shellcheck(texts, number) or _message(line)
    said = _opened(texts, number, said)
    if _HEADED.match(line) and (file := _file_above(texts, number)):
        said = f"{file}:{said}"
    rest = _rest(texts, number, said)
    for more in (*rest.values(), *_values(texts, max(rest, default=number))):
        said = _joined(said, more)
    said += _place(texts, number, said) or _thrown(texts, number, said)
    test = failed_test(candidates)
    if _LEGEND.search(line):
        said = _difference(texts, number - 1) or said
    if test is not None and number in why(test, candidates["tests"], excerpt):
        said = _of_test(test.name, said)
    elif test is not None and number in test.lines and not telling(said) - words(test.name):
        said = _joined(said, _difference(texts, number))
    elif len(telling(said)) < _THIN:
        said = _of_command(texts, number, said)
    return " ".join(_ROOTS.sub("", said).split())


def _of_test(name: str, said: str) -> str:
    last = re.split(r"::|[.>/]\s?", name)[-1]
    if not last or last in said:
        return said
    # a test's class and method without their package
    short = ".".join(name.split(".")[-2:]) if re.fullmatch(r"[\w$.]+", name) else name
    return f"{short if len(short) <= LONG else last}: {said}"


def _message(line: str) -> str:
    """What a line says, without the name of the program that leads it."""
    parts = unfold(line)
    led = len(parts) > 1 and parts[0] is line
    return "; ".join(map(quoted, parts[led:][:_TOLD]))


def _opened(texts: Mapping[int, str], number: int, said: str) -> str:
    """A single word, such as a package that a tool lists, behind the message that opens the list."""
    if not said or " " in said:
        return said
    for above in range(number - 1, max(0, number - _LIST), -1):
        text = quoted(texts.get(above, ""))
        if " " in text:
            return f"{text} {said}" if text.endswith(":") and telling(text) else said
    return said


def _joined(said: str, more: str) -> str:
    if len(said) >= ENOUGH or not more or more in said:
        return said
    return f"{said}{' ' if said.endswith(_OPEN) else '; '}{more}"


def _rest(texts: Mapping[int, str], number: int, said: str) -> dict[int, str]:
    """The next lines, where a message is open at its end or only counts what follows."""
    rest: dict[int, str] = {}
    wanted = _COUNTED if _COUNTS.search(said) else int(said.endswith(_OPEN))
    for below in range(number + 1, number + 1 + _REST_LINES):
        more = " ".join(quoted(texts.get(below, "")).split())
        if wanted and _WORDS.search(more):
            rest[below] = more
            wanted = max(wanted - 1, int(more.endswith(_OPEN)))
    return rest


def _values(texts: Mapping[int, str], number: int) -> Iterator[str]:
    for below in range(number + 1, number + 1 + _VALUE_LINES):
        text = texts.get(below, "")
        if VALUES.match(text):
            yield " ".join(quoted(text).split())
        elif text.strip() and not continues(text):
            return


def _difference(texts: Mapping[int, str], number: int) -> str:
    """The two values that a failing test compares, where its runner shows them as a difference."""
    for below in range(number + 1, number + 1 + _LEGEND_LINES):
        if BORDER.match(texts.get(below, "")):
            return ""
        if found := _LEGEND.search(texts.get(below, "")):
            sides = (_SIDE.fullmatch(texts.get(at, "")) for at in range(below + 1, below + 1 + _SIDE_LINES))
            values = {side["side"]: " ".join(side[0].split()) for side in sides if side is not None}
            return ", ".join([found[0].rstrip("):"), *values.values()]) if len(values) > 1 else ""
    return ""


def _place(texts: Mapping[int, str], number: int, said: str) -> str:
    for below in range(number + 1, number + 1 + _PLACE_LINES):
        if found := _PLACE.fullmatch(texts.get(below, "")):
            return "" if found["file"] in said else f" ({found['file']}:{found['line']})"
    return ""


def _hook(texts: Mapping[int, str], number: int) -> str:
    found = _HOOK.fullmatch(texts.get(number, "").strip())
    if found is None:
        return ""
    below = (texts.get(at, "").strip() for at in range(number + 1, number + 1 + _HOOK_LINES))
    printed = next((text for text in below if text and not _ABOUT_HOOK.fullmatch(text)), "")
    return f"{found['name']} failed{': ' if printed else ''}{printed.removeprefix('- ')}"


def _shellcheck(texts: Mapping[int, str], number: int) -> str:
    found = _SHELLCHECK.fullmatch(texts.get(number, "").strip())
    below = (_SC.match(texts.get(at, "")) for at in range(number + 1, number + 5))
    said = next(filter(None, below), None) if found is not None else None
    return f"{found['file']}:{found['line']}: {said['said']}" if found is not None and said is not None else ""


def _thrown(texts: Mapping[int, str], number: int, said: str) -> str:
    """Where a Python exception was thrown."""
    if not _EXCEPTION.fullmatch(texts.get(number, "")):
        return ""
    for above in range(number - 1, max(0, number - _FRAME_LINES), -1):
        text = texts.get(above, "")
        if text and not text[0].isspace():
            return ""
        found = _FRAME.match(text)
        if found is not None and not _LIBRARY.search(found["file"]):
            return "" if found["file"] in said else f" ({found['file']}:{found['line']})"
    return ""


def _of_command(texts: Mapping[int, str], number: int, said: str) -> str:
    """A sentence behind the command that printed it, where the excerpt has that and there was only one."""
    for above in range(number - 1, max(0, number - _COMMAND_LINES), -1):
        if found := _COMMAND.fullmatch(texts.get(above, "")):
            several = found["step"] and not texts.get(above + 2, "").startswith("shell: ")
            return said if several or found["collapsed"] else f"{found['command']}: {said}"
    return said


def _file_above(texts: Mapping[int, str], number: int) -> str:
    """The file under which a message of a linter stands."""
    for above in range(number - 1, max(0, number - _HEADER_ABOVE), -1):
        text = texts.get(above, "").strip()
        if _HEADER.fullmatch(text):
            return text
        if not _HEADED.match(texts.get(above, "")):
            return ""
    return ""


def _changed(texts: Mapping[int, str], number: int) -> str:
    """What a difference between files is, for a line of one: the file, and the first lines that differ."""
    line = texts.get(number, "")
    if not (_DIFFERS.fullmatch(line) or _CHANGED.match(line)):
        return ""
    start = next((at for at in range(number, max(0, number - 12), -1) if _DIFFERS.fullmatch(texts.get(at, ""))), 0)
    while start and _DIFFERS.fullmatch(texts.get(start - 1, "")):
        start -= 1
    if not start:
        return ""
    file, changed = "", list[str]()
    for at in range(start, start + 16):
        if found := _DIFFERS.fullmatch(texts.get(at, "")):
            file = file or found["new"] or (found["file"] if found["file"] != "/dev/null" else "") or ""
        elif texts.get(at, "") and (found := _CHANGED.match(texts[at])) and len(changed) < 2:
            changed.append(" ".join(texts[at].split()))
    return f"{file} differs: {', '.join(changed)}" if file and changed else ""
