"""What points at a place in the sources: linters, formatters, analysers, documentation, licences, golden files."""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.patterns.base import Pattern, errors, kinds

PATTERNS: Final[tuple[Pattern, ...]] = (
    *errors(
        "place",
        4.5,
        r"^[ \t]*[\w./\\@+:-]+\.\w{1,12}(?::\d[\d:,-]*|\(\d[\d, ]*\)):?(?:[ \t]|$)",
        r" at \S+ line \d+\.?$|\bat line \d+, column \d+|, line \d+, characters? \d+",
    ),
    *errors(
        "linter",
        7.5,
        r"^In \S+ line \d+:$|\b(?:SC|DL)\d{4}\b",
        r"\(Severity: \d\)|\(exceeds? (?:the )?(?:maximum|limit)|┃ \[[A-Z]\]|^\S+:\d+:\d+ lint/",
        r"\b(?:un|in|mis)?formatted\b.*\b(?:files?|code)\b|\bfiles? .*\b(?:not|need|needs|had|have|require)\b.*\bformat|\bnot (?:gofmt|formatted)|\bformat violations",
        r"^\S+:\d+: \S+ ==> \S|^[ \t]*\d+:\d+\s+(?:error|✖|✘|×)\s",
        r"\bno local return\b|:no_return$|can never match|\b\w+ is declared but (?:its value is )?never (?:used|read)",
        r"\bleaks? (?:found|detected)\b|\b(?:HIGH|CRITICAL): [1-9]|^[ \t]*❯❯❱",
        r"[Mm]issing (?:licen[cs]e|copyright)|without (?:copyright|licen[cs]e|licensing)|[Nn]ot compliant|[Ll]icen[cs]e header",
        r"\.{3,} ?(?:ERROR|WARNING|FAILED|FAIL|NOT OK)$",
        r"\b(?:is|are|was|were) (?:out of (?:date|sync)|outdated|not up[ -]to[ -]date|stale)(?:!?$|[^\w!\n])|\bchanged significantly\b|\bup to date with\b.*\bnot\b",
        r"^Unused (?:files|(?:dev)?[dD]ependencies|exports|exported types|types|binaries)\b|^\S{1,60} -- \S*Cargo\.toml:$|^L: +\d+ \| P: +\d+ \| ",
        r"^[\w./\\-]+\.\w{1,8}:\d+:\d+:(?:[A-Za-z]\w* | \S+ .*\[[a-z][a-z-]+\]$)",
        r"\b(?:is|are) invalid\b|\b[Vv]alidation failed\b",
        r"^[A-Z]{1,6}\d{3,5} (?:\[\*\] )?\S|^unformatted: |\b[Ff]ile would be reformatted",
        r"^(?:The )?[Ff]ollowing .*(?:fail|not |missing|error|violat|changed|differ)",
    ),
    *errors(
        "difference",
        5,
        r"^[ \t]*@@ -\d+(?:,\d+)? \+\d+",
        r"^diff --git |^Files .+ differ$|^[Uu]ncommitted changes|\bgit diff --exit-code\b.*fail",
    ),
    # Sphinx telling what it will build: heavy, since it reads like a check that found something out of date
    *kinds("sphinx-plan", "noise", -24, r"^building \[\w+\]: targets for "),
    *kinds("difference-part", "frame", 0.5, r"^[ \t]*[-+](?:[ \t]{2,}|\d)\S|^(?:---|\+\+\+) (?:a/|b/|\S+\.\w+$)"),
)
"""Places weigh little by themselves: what is said about them decides."""
