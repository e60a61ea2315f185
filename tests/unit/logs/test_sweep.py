"""No expression that reads logs can be kept busy: all are looked at, and tried on texts made to hurt each."""

from __future__ import annotations

import importlib
import pkgutil
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest
import yaml

import processor.logs
from processor.logs.backtracking import parts
from processor.logs.extract.ecosystems import PATTERNS
from processor.logs.extract.patterns import LONGEST
from processor.logs.lint import regexes

RULES = Path(__file__).parents[3] / "pipelines" / "ci_failure" / "rules.yaml"
MOST_S = 2.0
"""Time that one expression may take on one line of LONGEST characters; cubic time would be a minute."""

Expression = re.Pattern[str] | re.Pattern[bytes]


def compiled() -> dict[str, Expression]:
    """Every expression that modules of `processor.logs` hold, and those of rules, by where they are from."""
    found: dict[str, Expression] = {}
    for module in pkgutil.walk_packages(processor.logs.__path__, "processor.logs."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                found[f"{module.name}.{name}"] = value
    for index, pattern in enumerate(PATTERNS):
        found[f"extract {index}"] = re.compile(pattern.source)
    for rule in yaml.safe_load(RULES.read_text(encoding="utf-8")):
        for path, source in regexes(rule):
            found[f"rule {rule['id']} {'.'.join(path)}"] = re.compile(source)
    return found


EXPRESSIONS = compiled()


def sample(items: Any) -> str:
    """A text that a part of an expression matches, look-around and conditions aside."""
    return "".join(_one(kind, argument) for kind, argument in items)


def _one(kind: Any, argument: Any) -> str:
    if kind is op.LITERAL:
        return chr(argument)
    if kind is op.ANY:
        return "a"
    if kind in (op.IN, op.NOT_LITERAL):
        letters = re.compile("".join(_class(kind, argument)))
        return next((letter for letter in "a1A -/.:_=\t\"'(" if letters.fullmatch(letter)), "~")
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        least: int = argument[0]
        return sample(argument[2]) * max(1, least)
    if kind is op.BRANCH:
        return sample(argument[1][0])
    if kind is op.SUBPATTERN:
        return sample(argument[-1])
    return sample(argument) if kind is op.ATOMIC_GROUP else ""


_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d", op.CATEGORY_NOT_DIGIT: r"\D", op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S", op.CATEGORY_WORD: r"\w", op.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


def _class(kind: Any, argument: Any) -> Iterator[str]:
    if kind is op.NOT_LITERAL:
        yield f"[^{re.escape(chr(argument))}]"
        return
    yield "["
    for inner, value in argument:
        if inner is op.NEGATE:
            yield "^"
        elif inner is op.LITERAL:
            yield re.escape(chr(value))
        elif inner is op.RANGE:
            yield f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        elif inner is op.CATEGORY:
            yield _CATEGORIES[value]
    yield "]"


def pumps(items: Any, before: str = "") -> Iterator[str]:
    """Texts that run into each repetition of an expression and then don't fit: what backtracking takes longest on."""
    for kind, argument in items:
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT) and argument[1] >= 10:
            body = sample(argument[2]) or "a"
            yield before[-200:] + body * (LONGEST // len(body)) + "\x01"
            yield (before[-200:] + body) * (LONGEST // len(before[-200:] + body)) + "\x01"
        for part in parts(kind, argument):
            yield from pumps(part, before)
        before += _one(kind, argument)


def hostile(expression: Expression) -> Sequence[str]:
    """Up to two dozen texts, each no longer than a line that is read."""
    tree = parser.parse(expression.pattern, expression.flags & ~re.UNICODE)
    return [text[: LONGEST + 1] for text in dict.fromkeys(pumps(tree))][:24]


def takes_long(expression: Expression, text: str) -> bool:
    """Whether a search takes more than MOST_S of this process's time; it is stopped then."""
    line: Any = text.encode() if isinstance(expression.pattern, bytes) else text
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_S)
    try:
        expression.search(line)
    except TimeoutError:
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return False


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Lets a timer end a search with an error."""

    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    yield
    signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("start", range(8))
def test_no_expression_takes_long(start: int) -> None:
    """On what is made to hurt it, each expression fails in time that grows no faster than the line's square."""
    names = sorted(EXPRESSIONS)[start::8]
    assert not [name for name in names for text in hostile(EXPRESSIONS[name]) if takes_long(EXPRESSIONS[name], text)]


@pytest.mark.parametrize("pattern", [r"^(?:a|aa)+$", r"-(?:--?[\w-]+ )*x", r"^\w+(?: > .+)+ FAILED$"])
def test_the_sweep_finds_what_is_slow(pattern: str) -> None:
    """Expressions that take exponential time do so on one of the texts that are made for them."""
    expression = re.compile(pattern)
    assert any(takes_long(expression, text) for text in hostile(expression))
