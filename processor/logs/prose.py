"""Whether a sentence says what a log shows.

A small model repeats a worked example, the meaning of a category, half of a command, or that something failed. Who
reads that learns nothing, or something wrong: the line that shows the fault serves them better.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable
from typing import Final

_SPECIFIC: Final = re.compile(r"\S*\d\S*|\S*\w(?:[@/]|::)\w\S*|@\S+|\b[A-Z][A-Z_]{3,}\b")
"""What prose can only have from the log: numbers, versions, paths, test ids, error codes."""

_EMPTY: Final = re.compile(
    r"(?:[\w :.#\[\]'\"]{0,50}\bexit(?:ed)?(?: with)? (?:code|status):? *\d+"
    r"|the (?:command|script|step|task|job|build)\b.*\b(?:exited|failed|returned)\b[\w :-]{0,40}"
    r"|error: \S+ exited with \d+"
    r"|.*failed to execute goal .*(?:compilation failure:?|there are test failures\.?)"
    r"|coverage: [\d.]+% of statements.*|\$ \S.*|finished: \w+|\[pipeline\] .*"
    r"|\S* ?recipe for target .* failed"
    r"|npm err! failed at the .* script"
    r"|##\[\w+\].{0,40}"
    r"|error: could not (?:compile|document) `.*"
    r"|npm err(?:!|or) (?:errno|code) -?\w+"
    r"|\d+ (?:tests?|runs?|examples?|specs?|assertions?|suites?)\b[\w ,.:;()]*"
    r"|(?:tests?(?: run| files| suites)?|suites|snapshots|total time|duration|ran|start at)\b:? +\d.*"
    r"|\d+ files? (?:would be|were|was|needs?|need to be) \w*format.*"
    r"|(?:the )?following [\w ]+|_{3,} .+ _{3,}|={3,} .+ ={3,}"
    r"|fail(?:ed|ing) (?:scenarios|tests|suites|examples|specs)"
    r"|code: '?\w+'?|\d+% tests passed.*|\W*\d+ snapshots? failed.*"
    r"|(?:go: )?error loading module requirements|post job cleanup|shell: \S+( .*)?|\[command\].*"
    r")\W*"
)
"""Sentences and lines, in lower case, that say which command failed and not why."""

_ELSEWHERE: Final = re.compile(
    r"^\W*(?:hint|help|tip|note)\b ?:(?!.*\berror: | test did not )"
    r"|^\W*help \d+\]|see (?:the )?log for details|complete log of this run"
    r"|: dependency problems found|enforcer rules have failed\. look above|: failed with \d+ bugs and"
    r"|for lists of detected|the most similar commands? (?:is|are)|json\.parse note:"
    r"|the following (?:error|exception)s? (?:has |have )?occurred|not a problem with npm|for documentation about"
    r"|process didn't exit successfully|additional logging output|curl failed to verify the legitimacy"
    r"|\bout of date! the latest version|\bnew (?:\w+ )?version (?:of \S+ )?(?:is )?available|caniuse-lite is outdated"
)
"""What stands in sentences and lines, in lower case, that speak of something else, or of where to look."""

_MARKER: Final = re.compile(r"\s*(?:##\[\w+\]|\[(?i:ERROR|FATAL|WARNING|INFO)\]|(?:E|>+|[-*•✖✗×])(?=\s))\s*")
_HELP: Final = re.compile(r"\s*-> \[Help \d+\]\s*$")
"""What tools put before and behind a message: it says nothing in a sentence's place."""

_COMPARES: Final = re.compile(r"\w\S* (?:!==?|===?|<>|≠) \S")
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_UNFINISHED: Final = re.compile(r"[=,:;(\[{<|&\\-]$")
_APOSTROPHE: Final = re.compile(r"(?<=\w)'(?=\w)")

_VAGUE_WORDS: Final = """
abort aborted above action after again all and any application are because been before being below broke broken
build building builds but can cannot cause caused causes causing check checked checking checks code command commands
compilation compile compiled compiler compiles compiling completed confidence configuration configured could couldn
crash crashed critical dependencies dependency detail details did didn does doesn done due during encountered
environment error errors exception exceptions execute executed executing execution exit exitcode exited exits fail
failed failing fails failure failures fatal fault faults file files for found from had happened has have here high
how info install installation installed installing into invalid issue issues its itself job jobs least library line
lines log logs low medium message messages missing module modules more most not occurred occurring occurs one only
other out output package packages pipeline please prevented problem problems process processes program project
reason report reported repository result results return returned returns run running runs script scripts several
severity should software some something source stack stage status step steps stopped successful successfully suite
suites system task tasks test tested testing tests than that the their them then there these they this those three
tool tools total trace two unable under unexpected unknown until update updater updates updating user version
versions warn warning warnings was were what when where which while who why will with within without workflow would
wrong you your
"""
_VAGUE: Final = frozenset(_VAGUE_WORDS.split())
"""Words that fit every failed build."""


def invents(text: str, log: str) -> bool:
    """Whether anything specific in `text` does not stand in `log`, which is in lower case."""
    said = (word.strip("\"'`.,;:!?()[]{}") for word in _SPECIFIC.findall(text))
    return not all(word.lower() in log for word in said)


def says(text: str, lines: Iterable[str], log: str, asked: Collection[str] = ()) -> bool:
    """Whether `text` says something of what `lines` of `log` show, in more words than `asked`, the question's own.

    `log` is in lower case.
    """
    if is_empty(text) or _is_cut(text, log):
        return False
    shown = " ".join(lines).lower()
    return any(word in shown for word in telling(text) - frozenset(asked))


def is_specific(text: str) -> bool:
    """Whether a line has what is this fault's own: a number, a version, a path, a code."""
    return _SPECIFIC.search(text) is not None


def compares(text: str) -> bool:
    """Whether values are compared, which says what was wrong without any word."""
    return _COMPARES.search(text) is not None


@functools.lru_cache(maxsize=4096)  # builds repeat each other's lines
def is_empty(text: str) -> bool:
    """Whether a sentence or a line fits every failed build, or says which command failed and not why."""
    lower, bare = text.lower(), quoted(text).lower()
    return not (telling(text) or compares(text)) or any(
        (_EMPTY.fullmatch(lower), _EMPTY.fullmatch(bare), _ELSEWHERE.search(bare))
    )


def quoted(line: str) -> str:
    """A line of a log in the place of a sentence: without the marks that tools put around it."""
    begins = _MARKER.match(line)
    bare = line[begins.end() :] if begins is not None else line
    return _HELP.sub("", bare).strip() or line.strip()


def telling(text: str) -> frozenset[str]:
    """The words of `text` that don't fit every failed build, in lower case."""
    return words(text) - _VAGUE


def words(text: str) -> frozenset[str]:
    """The words of `text`, in lower case."""
    return frozenset(_WORD.findall(text.lower()))


def _is_cut(text: str, log: str) -> bool:
    """Whether it ends in the middle: a model that quotes a line ends at the first quotation mark of that line."""
    text = text.rstrip()
    if _UNFINISHED.search(text):
        return True
    alike = log.replace('"', "'")
    quoted = alike.find(text.lower().replace('"', "'"))
    if quoted >= 0 and alike[quoted + len(text) :].lstrip(" ").startswith("'"):
        return True
    opened = text.count('"') % 2 or text.count("`") % 2 or _APOSTROPHE.sub("", text).count("'") % 2
    return bool(opened) and not text.endswith((".", "!", "?"))
