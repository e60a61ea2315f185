"""A name that tells of a secret, and the value that goes with it, in whatever syntax a log shows the two.

Where the syntax leaves no doubt (`name=value`, `"name": "value"`, `--name value`), a password may be any word.
Elsewhere near the name, and on the next line where tools write the value below it, only what looks random is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from processor.logs.secrets.kinds import Place
from processor.logs.secrets.names import Holds, holds
from processor.logs.secrets.values import (
    _FILE,
    _VERSION,
    _WORDY,
    harmless,
    of_option,
    opaque,
    random_looking,
    without_end,
    wordlike,
)

_PLACEHOLDER: Final = re.compile(rb"\[[a-z0-9-]{2,40}:(?P<number>\d+)\]")
_NAME: Final = re.compile(rb"[\w.$-]+")
_NAMES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.$-"
_LONGEST_NAME: Final = 80
_NEAR: Final = 120
"""Bytes after a name in which its value is looked for where the syntax is unknown."""
_GLUE: Final = re.compile(
    rb"(?:\[\w{1,20}\])?(?:\\{0,3}[\"'`]|&quot;|[\])]){0,3}[ \t]{0,20}"
    rb"(?:=>|->|:=|==|::|=|:|%3D|%3d|\?=)[ \t]{0,20}(?:(?:![\w-]+|&\w+) )?"
    rb"(?:(?:\"\"|'')[ \t]?[=-]>[ \t]?)?"
    rb"(?:\{(?:[^{}\n]{1,80},)?[ \t]?\\{0,3}[\"']value\\{0,3}[\"'][ \t]{0,2}[:=][ \t]{0,2})?"
    rb"(?:(?:[bLNuU]|<<|[A-Z]\w{1,30}\(|\(\w{1,20}\) (?:\(len=\d+\) )?)(?=[\"']))?"
    rb"(?P<q>\\{0,3}[\"'`]|&quot;|\[[\"']?)?"
)
"""`name = "value"` and its kin, the value also as `b"..."`, `N'...'` or `Some("...")`."""
_TYPED: Final = re.compile(rb"(?::[ \t]?| )[&A-Za-z][\w\[\]<>&?|., ]{1,40}?[ \t]?=[ \t]?(?P<q>[\"'])")
"""`name: Type = "value"`, and without the colon in Go."""
_LONGEST_TYPE: Final = 46
_GLUE_BEGINS: Final = frozenset(b"[\\\"'`&]) \t=-:%?")
_TYPE_BEGINS: Final = frozenset(b": ")
_TAG_BEGINS: Final = frozenset(b">\"';,\\")
_BLANK: Final = frozenset(b" \t")
_LISTED: Final = re.compile(rb"(?:\\{0,3}[\"'])?[ \t]?,[ \t]{0,20}(?:<<)?(?P<q>\\{0,3}[\"'])")
"""`"--password", "value"` in a list of arguments, `{password, "value"}` of Erlang."""
_CELL: Final = re.compile(rb"[ \t]*(?:\||\xe2\x94\x82)[ \t]*(?=[^\s|])")
_CELL_BEFORE: Final = re.compile(rb"(?:\||\xe2\x94\x82)[ \t]*\Z")
_ALONE: Final = re.compile(rb"[ \t]+(?:\.{3,60}[ \t]+)?(?P<q>[\"'])?(?=[^\s:=]+[ \t]*(?:\r?\n|\Z))")
_ALONE_BEFORE: Final = re.compile(rb"(?:\A|\n|[\dZ\])|]:?[ \t])[ \t]*\Z")
"""`password value` alone on its line, but for a stamp before."""
_LIST_BEGINS: Final = frozenset(b"\\\"',")
_SCALAR_BEGINS: Final = frozenset(b":\"'")
"""What each syntax below can begin with: most names are words of prose, and no syntax fits."""
_WORD_BEFORE: Final = re.compile(rb"\b([A-Za-z]{2,12}) \Z")
_AFTER_OPTION: Final = re.compile(rb"[ \t]+(?P<q>[\"'])?(?!-)")
_TAG: Final = re.compile(
    rb"(?:[\"'][^<>\n]{0,60}>[ \t]*<value|[\"']?)(?P<q>>)(?:(?=[^<\s=])|<!\[CDATA\[)"
    rb"|[\"'] value=(?P<q2>[\"'])|,ParameterValue=(?=\S)"
    rb"|\\{0,3}[\"'],[ \t]{0,4}\\{0,3}[\"'][vV]alue\\{0,3}[\"'][ \t]?:[ \t]?(?P<q3>\\{0,3}[\"'])|;[\w;=]{0,40}\](?=\S)"
)
_WITH: Final = re.compile(
    rb"(?:[ \t]+(?:is|was|set to|of|to|as|with|by):?|[ \t]+(?:for|of)[ \t]+(?:'[^'\n]{1,200}'|[^\s:]{1,80}):)[ \t]+"
    rb"(?P<q>[\"'`])?(?=\S)"
)
_NEXT_LINE: Final = re.compile(
    rb"(?:[\"'>,|\-:= \t<\/\w{]{0,40}\r?\n(?:[^\n]{0,60}?)"
    rb"(?:\b(?:value|default)[\"']?[ \t]{0,4}[:=][ \t]{0,4}|<(?:string|value)>)"
    rb"|[\"']?\]?=>[ \t]*\r?\n[^\n]{0,60}?\bstring\(\d+\) "
    rb"|[\"']?[ \t]?[:=][ \t]?[A-Z]\w{1,20}\([ \t]*\r?\n(?:[^\n]{0,60}?[ \t])??(?=[\"']))"
    rb"(?P<q>[\"'])?",
    re.IGNORECASE,
)
_TAG_BELOW: Final = re.compile(rb">[ \t]*\r?\n(?:[^\n]{0,60}[ \t])?(?=[^\s<>]+[ \t]*(?:\r?\n|\Z))")
_TAG_ALONE: Final = re.compile(rb"(?:\A|[\n \t])<\Z")
_SETTER: Final = re.compile(
    rb"(?:\{|\b(?:define|header|append|(?:set|put|add|with|environ|env)\w{0,20})\s?\(\s?[\"'])\Z"
)
_BESIDE: Final = re.compile(rb"[ \t](?P<q>[\"'`])?(?=[\w+@!$%^&*#])")
_FOR: Final = re.compile(rb"[ \t]+(?:for|of)[ \t]+[^\n:]{1,80}:[ \t]+(?P<q>[\"'`])?(?=\S)")
_BESIDE_BEFORE: Final = re.compile(rb"(?i)\b(?:with|using|invalid|incorrect|wrong|bad)(?: the)? \Z")
_MOST_BEFORE_NEXT: Final = 42
_HEREDOC: Final = (b" = <<", b" =<<", b"= <<", b"=<<")
_BLOCK_SCALAR: Final = re.compile(
    rb"(?:[\"']?:[ \t]*(?:![\w-]+[ \t]+)?[|>][+-]?|[ \t]?=[ \t]?<<[-~]?[\"']?\w{2,20}[\"']?)[ \t]*\r?\n"
    rb"(?:[^\n]{0,60}[ \t|])?[ \t]*(?=\S+[ \t]*(?:\r?\n|$))"
)
_REVISION: Final = re.compile(rb"(?i)\b(?:at|commit|rev(?:ision)?|sha|head)[ :=]{1,2}\Z|SHA256:\Z")
_PUBLIC: Final = frozenset((b"dsa", b"ecdsa", b"eddsa", b"gpg", b"host", b"pgp", b"rsa"))
"""In a sentence, of which keys the fingerprint or the public half follows."""
_SHORTEST: Final[dict[Holds, int]] = {"password": 8, "token": 10, "session": 16}
"""Of a value in an unknown syntax, by what its name holds."""
_SHORTEST_CANDIDATE: Final = 8
_LONGEST_VALUE: Final = 4400
_MIXED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_CANDIDATE: Final = re.compile(rb"[A-Za-z0-9+/_.~!%^*@#$&-]{8,4096}={0,2}")
_UNQUOTED: Final = re.compile(rb"[^\s\"'`<>\\\x00-\x1f]{1,4096}")
_CUT: Final = re.compile(rb"[,;&|)}\]](?:[\w.-]{1,40}[\"']?[=:]|[)}\]\s,;|&]|$)")
_COMMANDS: Final = re.compile(
    rb"(?:^|[\s;])(?:ENV|ARG|setenv|setx|set -x|set -gx|config set(?: --[\w-]{1,20})?[ \t]|--?)[ \t]{0,2}[\w./:-]*$"
)


def assignments(data: bytes, first: int, last: int, end: int) -> Sequence[Place]:
    """The value of the name that a trigger ended in, within [first, last): the trigger's line and the next."""
    start, stop = _name(data, first, last, end)
    name = data[start:stop]
    if name.lower() == b"key":  # `API key: …`
        before = _WORD_BEFORE.search(data, max(first, start - 20), start)
        if before and before[1].lower() in _PUBLIC and data[stop : stop + 1] == b" ":
            return ()
        name = before[1] + b"_key" if before else name
    elif name.lower() == b"phrase" and data[max(first, start - 5) : start].lower() == b"pass ":
        name = b"passphrase"
    elif name == b"PASS" and data[stop : stop + 1] == b"=":  # of a shell, not of a test runner
        name = b"pass"
    kind = holds(name)
    if kind == "key" and name.startswith(b"--"):  # `--key …`, of a tool that has but one
        kind = "session"
    if kind == "nothing" or _in_base64(data, start, stop) or (kind == "password" and _named_only(data, first, start)):
        return ()
    placeholder = data[start - 1 : start] == b"[" and _PLACEHOLDER.match(data, start - 1)
    if placeholder:  # of one half of a pair of secrets: the other is near
        return () if kind in ("key", "password") else _near(data, placeholder.end(), last, kind)
    for place in _tight(data, start, stop, last, kind):
        if _fits(data, name, place, kind):
            return ((*place, "password" if kind == "password" else "token"),)
    return () if kind == "key" else _near(data, stop, last, kind)


def _near(data: bytes, stop: int, last: int, kind: Holds) -> Sequence[Place]:
    """What looks random near a name that ends at `stop`, or near the one before, on its line."""
    line = data.find(b"\n", stop, last)
    line = line if line >= 0 else last
    if _plain(data[stop : min(line, stop + _LONGEST_VALUE)]):
        return ()
    found: list[Place] = []
    # Where one begins is looked for nearby alone: a line may have thousands of names and no value.
    near = stop + _NEAR + _SHORTEST_CANDIDATE
    if data.find(b"[", stop, min(line, near)) >= 0:  # numbers of placeholders don't count
        near += sum(len(one["number"]) - 1 for one in _PLACEHOLDER.finditer(data, stop, min(line, near)))
    while begun := _CANDIDATE.search(data, stop, min(line, near)):
        stop = begun.end()
        candidate = _CANDIDATE.match(data, begun.start(), line) or begun
        value = without_end(candidate[0])
        if random_looking(value, ids=kind != "session", shortest=_SHORTEST[kind]):
            if _REVISION.search(data, max(0, candidate.start() - 12), candidate.start()):
                continue
            stop = candidate.start() + len(value)
            near = stop + _NEAR + _SHORTEST_CANDIDATE
            found.append((candidate.start(), stop, "password" if kind == "password" else "token"))
    return found


def _in_base64(data: bytes, start: int, stop: int) -> bool:
    """Whether what looks like a name stands between signs of base64."""
    if data[stop : stop + 1] in (b"+", b"/"):
        return True
    before = data[max(0, start - 2) : start]
    return before.endswith(b"+") and (before[:-1].isalnum() or before[:-1] == b"/")


def _named_only(data: bytes, first: int, start: int) -> bool:
    """Whether what stands before `secret` tells that the name of one follows."""
    if data[start - 1 : start] == b":":
        return data.find(b"arn:aws", max(first, start - 60), start) >= 0
    return data.endswith((b"o such ", b"nknown "), first, start)


def _plain(text: bytes) -> bool:
    """Whether a text has neither digits nor capital letters, hence nothing random."""
    return len(text.translate(None, _MIXED)) == len(text)


def _name(data: bytes, first: int, last: int, end: int) -> tuple[int, int]:
    """The whole name around a trigger's end."""
    while end > first and data[end - 1] not in _NAMES:  # a trigger may end with what follows the name
        end -= 1
    before = data[max(first, end - _LONGEST_NAME) : end]
    start = end - len(before) + len(before.rstrip(_NAMES))
    name = _NAME.match(data, start, min(last, end + _LONGEST_NAME))
    return name.span() if name else (end, end)


def _tight(data: bytes, start: int, stop: int, last: int, kind: Holds) -> Iterator[tuple[int, int]]:
    """Where the value lies, by each syntax that fits."""
    follows = data[stop] if stop < last else ord("\n")
    if follows in _GLUE_BEGINS and (glue := _GLUE.match(data, stop, last)):
        yield _value(data, glue.end(), last, glue["q"])
    may_be_typed = follows in _TYPE_BEGINS and data.find(b"=", stop + 2, min(last, stop + _LONGEST_TYPE)) > 0
    if may_be_typed and (typed := _TYPED.match(data, stop, last)):
        yield _value(data, typed.end(), last, typed["q"])
    if follows in _TAG_BEGINS and (tag := _TAG.match(data, stop, last)):
        yield _value(data, tag.end(), last, tag["q"] or tag["q2"] or tag["q3"])
    if kind != "key" and follows in _BLANK:
        option = _AFTER_OPTION.match(data, stop, last)
        if option and _COMMANDS.search(data, max(0, start - 60), start + 2):
            yield _value(data, option.end(), last, option["q"])
        if kind == "password":
            yield from _by_itself(data, start, stop, last)
        prose = _WITH.match(data, stop, last)
        if prose:
            yield _value(data, prose.end(), last, prose["q"])
    if follows in _LIST_BEGINS and (data[start : start + 1] == b"-" or _SETTER.search(data, max(0, start - 40), start)):
        listed = _LISTED.match(data, stop, last)
        if listed:
            yield _value(data, listed.end(), last, listed["q"])
    if data.find(b"\n", stop, last) >= 0:
        yield from _below(data, start, stop, last)


def _below(data: bytes, start: int, stop: int, last: int) -> Iterator[tuple[int, int]]:
    """Where the value lies, by each syntax that has it on the next line."""
    follows = data[stop]
    if data.find(b"\n", stop, min(last, stop + _MOST_BEFORE_NEXT)) >= 0:
        if below := _NEXT_LINE.match(data, stop, last):
            yield _value(data, below.end(), last, below["q"])
        if follows == ord(">") and _TAG_ALONE.search(data, max(0, start - 60), start):
            tag = _TAG_BELOW.match(data, stop, last)
            if tag:
                yield _value(data, tag.end(), last, None)
    begins = follows in _SCALAR_BEGINS or data.startswith(_HEREDOC, stop)
    if begins and (scalar := _BLOCK_SCALAR.match(data, stop, last)):
        yield _value(data, scalar.end(), last, None)


def _by_itself(data: bytes, start: int, stop: int, last: int) -> Iterator[tuple[int, int]]:
    """Where a value lies that has a table's cell or the rest of the line to itself, or that is told of; no word."""
    before = data[max(0, start - 60) : start]
    place = None
    if (cell := _CELL.match(data, stop, last)) and _CELL_BEFORE.search(before):
        place = _value(data, cell.end(), last, None)
    elif (alone := _ALONE.match(data, stop, last)) and _ALONE_BEFORE.search(before):
        place = _value(data, alone.end(), last, alone["q"])
    elif (beside := _BESIDE.match(data, stop, last)) and _BESIDE_BEFORE.search(before):
        place = _value(data, beside.end(), last, beside["q"])
    elif told := _FOR.match(data, stop, last):
        place = _value(data, told.end(), last, told["q"])
    if place and not _WORDY.match(data[slice(*place)]) and not _FILE.search(data[slice(*place)]):
        yield place


def _value(data: bytes, start: int, last: int, quote: bytes | None) -> tuple[int, int]:
    """A value up to its closing quote, or without quotes up to what ends it."""
    line = data.find(b"\n", start, last)
    last = min(line if line >= 0 else last, start + 4096)
    if quote == b">":
        stop = data.find(b"<", start, last)
        return start, stop if stop >= 0 else last
    if quote and not quote.startswith(b"["):
        stop = data.find(quote, start, last)
        while stop > start and quote[:1] != b"\\" and data[stop - 1 : stop] == b"\\":
            stop = data.find(quote, stop + 1, last)
        if stop >= 0:
            return start, stop
    run = _UNQUOTED.match(data, start, last)
    if not run:
        return start, start
    cut = _CUT.search(run[0])
    value = without_end(run[0][: cut.start()] if cut else run[0])
    return start, start + len(value)


def _fits(data: bytes, name: bytes, place: tuple[int, int], kind: Holds) -> bool:
    """Whether the value in this place is a secret, by what its name holds."""
    value = data[slice(*place)]
    if not value or harmless(value) or value.lower() == name.lower():
        return False
    if kind == "password":
        return not (name == b"pass" and value.isdigit()) and _password(data, place, value)
    if value.isalpha() and holds(value) != "nothing":  # `<add key="SmtpPassword" …`
        return False
    if kind == "key":
        return random_looking(value)
    if kind == "session":
        return random_looking(value, ids=True, shortest=8)
    return opaque(value, ids=True)


def _password(data: bytes, place: tuple[int, int], value: bytes) -> bool:
    """Any value but numbers behind a colon and words of a sentence."""
    start, stop = place
    before = data[start - 1 : start]
    sign = data[max(0, start - 4) : start].rstrip(b" \t")[-1:]
    if len(value) < 2 or (_VERSION.match(value) and (sign or b":") not in b"=\"'"):
        return False
    if not _WORDY.match(value):
        return True
    if value.count(b" ") > 1:
        return False
    if len(value) >= _SHORTEST["password"] and sign == b"=" and not wordlike(value):
        return True
    after = data[stop : stop + 1]
    if before in b"=:@>\"'" or after in (b"", b"\n", b"\r", b",", b'"', b"'"):
        return True
    return of_option(data[max(0, start - 60) : start], value)
