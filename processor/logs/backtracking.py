r"""Which regular expressions can take exponential time to fail: found by looking at them, not by trying.

A backtracking matcher tries every way in which an expression can read a text. The ways grow exponentially where a
loop can come back to one of its characters in two ways over the same text, as in `(a+)+` or `(\w|\w\d)*`, and only
there (Weideman et al., Analyzing Matching Time Behavior of Backtracking Regular Expression Matchers, CIAA 2016).
Such a loop lies within one unbounded repetition, so each outermost one is made into an automaton of its own, whose
states are the characters that it reads. Two of these are followed at once: pairs that lead from a state twice to
itself over another pair, or over a step that can be made in two ways, are what is looked for.
Look-around is taken for true and back-references for nothing, which errs on the side of refusing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

_REPEATS: Final = (op.MAX_REPEAT, op.MIN_REPEAT)
_COPIES: Final = 3
"""Repetitions of a bounded one that are told apart: it can't grow, but two rounds of it may be read as one."""
_SAMPLES: Final = [chr(code) for code in range(128)] + ["é", "中", "\x85"]
"""Characters that stand for all: two sets that share one but none of these are not met in practice."""
_MANY: Final = 10
"""Rounds from which on a bounded repetition counts as an unbounded one: ten in ten are as bad."""
_MOST_STATES: Final = 150
_MOST_STEPS: Final = 100_000
"""States, and steps between them, beyond which a loop is refused unread: nobody writes one by hand."""


_Pair = tuple[int, int]
"""Two states that are followed at once, the smaller first."""


def explodes(pattern: str) -> bool:
    """Whether backtracking over `pattern` can take time exponential in the text's length. Raises re.error."""
    return any(_ambiguous(loop) for loop in _loops(parser.parse(pattern)))


def _loops(tree: Any) -> Iterator[Any]:
    """The outermost unbounded repetitions of more than one character at a time."""
    for kind, argument in tree:
        if kind in _REPEATS and argument[1] >= _MANY and not _single(argument[2]):
            yield (kind, argument)
        else:
            for part in parts(kind, argument):
                yield from _loops(part)


def parts(kind: Any, argument: Any) -> list[Any]:
    """The sub-expressions of one item of a parsed regular expression."""
    if kind in (*_REPEATS, op.POSSESSIVE_REPEAT):
        return [argument[2]]
    if kind is op.SUBPATTERN:
        return [argument[-1]]
    if kind is op.BRANCH:
        return list(argument[1])
    if kind is op.ATOMIC_GROUP:
        return [argument]
    return [argument[1]] if kind in (op.ASSERT, op.ASSERT_NOT) else []


def _single(body: Any) -> bool:
    """Whether a repeated part is one character: then its rounds can be told apart in one way only."""
    return len(body) == 1 and body[0][0] in (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY)


@dataclass
class _Automaton:
    """States that read a character, and the ways between them that read nothing (nodes and edges)."""

    reads: list[frozenset[str]] = field(default_factory=list)
    node_of: list[int] = field(default_factory=list)
    edges: list[list[int]] = field(default_factory=list)
    state_at: dict[int, int] = field(default_factory=dict)
    steps: int = 0

    def node(self) -> int:
        self.edges.append([])
        return len(self.edges) - 1

    def join(self, start: int, end: int) -> None:
        self.edges[start].append(end)

    def read(self, start: int, letters: frozenset[str]) -> int:
        """A state that is entered at `start`; gives the node after it."""
        after = self.node()
        self.state_at[start] = len(self.reads)
        self.reads.append(letters)
        self.node_of.append(after)
        return after

    def follow(self) -> list[dict[int, int]]:
        """By state the states that can come next and in how many ways (2 for more)."""
        found = []
        for after in self.node_of:
            ways: dict[int, int] = {}
            self._walk(after, set(), ways)
            found.append(ways)
        return found

    def _walk(self, node: int, seen: set[int], ways: dict[int, int]) -> None:
        self.steps += 1
        if self.steps > _MOST_STEPS:
            return
        if node in self.state_at:
            state = self.state_at[node]
            ways[state] = min(2, ways.get(state, 0) + 1)
        for after in self.edges[node]:
            if after not in seen:  # a round that reads nothing is never made
                self._walk(after, seen | {after}, ways)


def _ambiguous(loop: Any) -> bool:
    """Whether an unbounded repetition can come back to one of its characters in two ways over the same text."""
    automaton = _Automaton()
    _build(automaton, [loop], automaton.node())
    if len(automaton.reads) > _MOST_STATES:
        return True
    graph, twice = _pairs(automaton)
    if automaton.steps > _MOST_STEPS:
        return True
    back: dict[_Pair, set[_Pair]] = {}
    for pair, after in graph.items():
        for one in after:
            back.setdefault(one, set()).add(pair)
    for state in range(len(automaton.reads)):
        home = (state, state)
        round_ = _reached(graph, home) & _reached(back, home)
        if any(first != second for first, second in round_) or any(a in round_ and b in round_ for a, b in twice):
            return True
    return False


def _pairs(automaton: _Automaton) -> tuple[dict[_Pair, set[_Pair]], set[tuple[_Pair, _Pair]]]:
    """Which pairs of states follow which over one text, and the steps of twins that can be made in two ways."""
    follow = automaton.follow()
    graph: dict[_Pair, set[_Pair]] = {}
    twice: set[tuple[_Pair, _Pair]] = set()
    todo = [(state, state) for state in range(len(follow))]
    while todo:
        pair = todo.pop()
        if pair in graph:
            continue
        graph[pair] = set()
        automaton.steps += len(follow[pair[0]]) * len(follow[pair[1]])
        if automaton.steps > _MOST_STEPS:
            break
        for first, ways in follow[pair[0]].items():
            for second in follow[pair[1]]:
                if automaton.reads[first] & automaton.reads[second]:
                    after = (min(first, second), max(first, second))
                    graph[pair].add(after)
                    todo.append(after)
                    if pair[0] == pair[1] and first == second and ways > 1:
                        twice.add((pair, after))
    return graph, twice


def _build(automaton: _Automaton, items: Any, start: int) -> int:
    """Add a sequence from the node `start` on; gives the node where it ends."""
    for kind, argument in items:
        if kind in (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY):
            start = automaton.read(start, _letters(kind, argument))
            start = _step(automaton, start)
        elif kind in _REPEATS:
            start = _repeat(automaton, argument, start)
        elif kind is op.BRANCH:
            end = automaton.node()
            for branch in argument[1]:
                automaton.join(_build(automaton, branch, _step(automaton, start)), end)
            start = end
        elif kind in (op.SUBPATTERN, op.ATOMIC_GROUP, op.POSSESSIVE_REPEAT):
            for part in parts(kind, argument):
                start = _build(automaton, part, start)
    return start


def _step(automaton: _Automaton, start: int) -> int:
    """A new node after `start`, so that what begins there is told from what else begins at `start`."""
    after = automaton.node()
    automaton.join(start, after)
    return after


def _repeat(automaton: _Automaton, argument: Any, start: int) -> int:
    """A repetition: the rounds that must be, then those that may be, or a loop."""
    least, most, body = argument
    for _ in range(min(least, _COPIES)):
        first = _step(automaton, start)
        start = _build(automaton, body, first)
    end = automaton.node()
    if most >= _MANY:
        entry = _step(automaton, start)
        automaton.join(entry, end)
        round_ = _step(automaton, entry)  # apart from the entry: to go on and to begin anew are two ways
        last = _build(automaton, body, round_)
        automaton.join(last, round_)
        automaton.join(last, end)
        return end
    for _ in range(min(most - least, _COPIES)):
        automaton.join(start, end)
        start = _build(automaton, body, _step(automaton, start))
    automaton.join(start, end)
    return end


def _letters(kind: Any, argument: Any) -> frozenset[str]:
    """The sample characters that an item reads, found by asking `re` itself."""
    if kind is op.ANY:
        return frozenset(_SAMPLES) - {"\n"}
    if kind is op.LITERAL:
        return frozenset((chr(argument),))
    if kind is op.NOT_LITERAL:
        return frozenset(_SAMPLES) - {chr(argument)}
    return frozenset(letter for letter in _SAMPLES if _within(letter, argument))


def _within(letter: str, items: Any) -> bool:
    """Whether a character is in a class."""
    negated = items[0][0] is op.NEGATE
    inside = any(_is(letter, kind, argument) for kind, argument in items if kind is not op.NEGATE)
    return inside != negated


_CATEGORIES: Final = {
    op.CATEGORY_DIGIT: re.compile(r"\d"), op.CATEGORY_NOT_DIGIT: re.compile(r"\D"),
    op.CATEGORY_SPACE: re.compile(r"\s"), op.CATEGORY_NOT_SPACE: re.compile(r"\S"),
    op.CATEGORY_WORD: re.compile(r"\w"), op.CATEGORY_NOT_WORD: re.compile(r"\W"),
}  # fmt: skip


def _is(letter: str, kind: Any, argument: Any) -> bool:
    if kind is op.LITERAL:
        return bool(ord(letter) == argument)
    if kind is op.RANGE:
        return bool(argument[0] <= ord(letter) <= argument[1])
    return bool(_CATEGORIES[argument].match(letter))


def _reached(graph: Mapping[_Pair, Iterable[_Pair]], start: _Pair) -> set[_Pair]:
    """Nodes that can be reached from `start`, itself included."""
    found = {start}
    todo = [start]
    while todo:
        new = set(graph.get(todo.pop(), ())) - found
        found |= new
        todo += new
    return found
