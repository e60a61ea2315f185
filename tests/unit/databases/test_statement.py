"""Statements: which names are parameters, and what is refused before any database sees it."""

from __future__ import annotations

import pytest

from processor.databases.statement import Statement, faults


def test_parameters_are_found_where_they_are_parameters() -> None:
    """Not in texts, quoted names, comments or casts; each is one number however often it is used."""
    sql = """SELECT a::text, ':no', ":no", $q$ :no $q$, E'\\':no' -- :no
             /* :no */ FROM t WHERE b = :b AND c = :c::int AND d = :b;"""
    statement = Statement.parse(sql)
    assert statement.names == ("b", "c")
    assert statement.numbered.endswith("WHERE b = $1 AND c = $2::int AND d = $1")
    assert faults(sql) == []


@pytest.mark.parametrize(
    ("sql", "offset", "said"),
    [
        ("UPDATE t SET a = 1", 0, "a query only reads"),
        ("-- why\nDROP TABLE t", 7, "a query only reads"),
        ("SELECT 1; DROP TABLE t", 8, "more than one statement"),
        ("SELECT * FROM t WHERE a = '{{ event.repo }}'", 27, "SQL is no template"),
        ("SELECT * FROM t WHERE a = $1", 26, "$1 is no parameter here"),
        ("SELECT * FROM t WHERE a = %(a)s", 26, "%(a)s is no parameter here"),
    ],
)
def test_what_is_no_query_is_refused(sql: str, offset: int, said: str) -> None:
    """At its place in the text."""
    found = faults(sql)
    assert [(one.offset, one.message.startswith(said)) for one in found] == [(offset, True)]
