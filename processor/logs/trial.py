"""Rules tried on their own examples: a rule proves itself, and conflicts between rules show before a log meets them.

`examples` of a rule are logs that it must match, `counterexamples` look like them and must not be matched: texts, or
files of the pipeline's folder such as `samples/npm-eresolve-a1.log`. All rules are tried on all examples.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from processor.errors import Rejected
from processor.logs.lint import RuleProblem, alike, slow
from processor.logs.reduce import reduce
from processor.logs.rules import Hit, RuleSet, agree

FILE: Final = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.(?:log|txt)")
"""What is the name of a file rather than a text; neither holds a space."""

Load = Callable[[str], bytes | None]
"""Gives the bytes of a file of the pipeline's folder, None where there is none."""


class _Tried(NamedTuple):
    """An example of a rule (or a case, which is no rule's own), and the rules that hold for it, the winner first."""

    rule: int
    path: tuple[str, ...]
    text: str
    hits: list[Hit]

    @property
    def name(self) -> str:
        """The example as a message names it."""
        return self.text if FILE.fullmatch(self.text) else repr(self.text.partition("\n")[0][:60])


def trial(raw: Sequence[Mapping[str, Any]], load: Load, cases: Iterable[str] = ()) -> list[RuleProblem]:
    """What speaks against rules that `processor.logs.lint.problems` found correct.

    Examples that a rule does not match, or loses; counterexamples that it matches; rules that contradict each other
    on an example or on one of `cases` (texts, or names of files); rules that never win, that repeat a pattern, or that
    no prefilter can leave out.
    """
    found: list[RuleProblem] = [*slow(raw), *alike(raw)]
    rules = RuleSet.parse(raw)

    @cache
    def hits(text: str) -> list[Hit] | None:
        data = load(text) if FILE.fullmatch(text) else text.encode()
        return None if data is None else rules.hits(reduce(data))

    examples: list[_Tried] = []
    for index, key, place, text in _texts(raw):
        path = (key, str(place))
        try:
            here = hits(text)
        except Rejected as error:
            found.append(RuleProblem(index, path, f"no log: {error}"))
            continue
        if here is None:
            found.append(RuleProblem(index, path, f"no file {text} in the pipeline's folder"))
        elif key == "examples":
            examples.append(_Tried(index, path, text, here))
        elif any(hit.rule.id == raw[index]["id"] for hit in here):
            found.append(RuleProblem(index, path, "the rule matches this counterexample: make it tell the two apart"))
    found += _lost(raw, examples)
    more = [_Tried(-1, (), text, _of_case(hits, text)) for text in cases]
    found += _conflicts(raw, [*examples, *more])
    return sorted(set(found))


def _of_case(hits: Callable[[str], list[Hit] | None], text: str) -> list[Hit]:
    """The rules that hold for a case. One that is no log, which a case may be about, has none."""
    try:
        return hits(text) or []
    except Rejected:
        return []


def _texts(raw: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str, int, str]]:
    """Every example and counterexample: the rule's place, the key, the place in its list, the text."""
    for index, rule in enumerate(raw):
        for key in ("examples", "counterexamples"):
            for place, text in enumerate(rule.get(key) or ()):
                yield index, key, place, text


def _lost(raw: Sequence[Mapping[str, Any]], examples: Sequence[_Tried]) -> Iterator[RuleProblem]:
    """Examples that their rule does not match, and rules that win none of theirs."""
    own: dict[int, list[_Tried]] = {}
    for one in examples:
        if any(hit.rule.id == raw[one.rule]["id"] for hit in one.hits):
            own.setdefault(one.rule, []).append(one)
        else:
            yield RuleProblem(one.rule, one.path, "the rule does not match this example")
    for index, matched in own.items():
        winners = sorted({one.hits[0].rule.id for one in matched})
        if raw[index]["id"] not in winners:
            told = " and ".join(map(repr, winners))
            message = f"the rule wins none of its examples: {told} stands before it; raise its priority, narrow the "
            yield RuleProblem(index, ("examples",), message + "other, or give an example that only this rule knows")


def _conflicts(raw: Sequence[Mapping[str, Any]], examples: Sequence[_Tried]) -> Iterator[RuleProblem]:
    """Rules of one priority that win an example together and say different things of it: then none decides."""
    places = {rule["id"]: index for index, rule in enumerate(raw)}
    seen: set[tuple[int, int]] = set()
    for one in examples:
        for other in one.hits[1:]:
            best = one.hits[0]
            if other.rule.priority != best.rule.priority or not best.rule.decides or agree(best, other):
                continue
            first, second = sorted((places[best.rule.id], places[other.rule.id]))
            if (first, second) not in seen:
                seen.add((first, second))
                message = (
                    f"rule {raw[first]['id']!r}, of the same priority, says otherwise of {one.name}, so that neither "
                    "decides: give one of them the higher priority, or tell them apart by `not`"
                )
                yield RuleProblem(second, ("id",), message)


__all__ = ["FILE", "Load", "trial"]
