"""Lines of JSON: ranked, extracted from and named by what they say, shown as they are, under their own numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processor.logs import reduce
from processor.logs.anchor import anchor
from processor.logs.extract import candidates
from processor.logs.structured import ranked_as, shorten, unfold

STACK = "TypeError: Cannot read 'total'\n    at total (/app/src/cart.js:12:3)\n    at run (/app/src/main.js:4:1)"
DOTNET = "System.InvalidOperationException: no currency\n   at Acme.Cart.Total() in /src/Cart.cs:line 12"
JAVA = "java.lang.IllegalStateException: no bean\n\tat com.acme.Main.main(Main.java:5)\n\t... 3 more"
PYTHON = "Traceback (most recent call last):\n  File \"/srv/jobs.py\", line 12, in run\nKeyError: 'x'"

Row = dict[str, Any]

ERRORS: dict[str, tuple[Row, str, str]] = {
    "pino": ({"level": 50, "pid": 1, "err": {"stack": STACK}, "msg": "failed"}, "files", "/app/src/cart.js:12"),
    "zap": ({"level": "fatal", "msg": "no", "stacktrace": "main.main\n\t/src/cart.go:41"}, "files", "/src/cart.go:41"),
    "structlog": ({"event": "job failed", "level": "error", "exception": PYTHON}, "files", "/srv/jobs.py:12"),
    "serilog": (
        {"@t": "2026-01-01T00:00:00Z", "@mt": "no {x}", "@l": "Fatal", "@x": DOTNET},
        "files",
        "/src/Cart.cs:12",
    ),
    "logback": ({"@timestamp": "2026", "level": "ERROR", "message": "no", "stack_trace": JAVA}, "files", "Main.java:5"),
    "gelf": (
        {"host": "ci", "short_message": "Could not resolve host: git.example", "level": 3},
        "hosts",
        "git.example",
    ),
    "docker": (
        {"log": "npm error 404  '@acme/ui@9' is not in this registry.\n", "stream": "stderr"},
        "packages",
        "@acme/ui",
    ),
    "go test": ({"Action": "output", "Output": "    cart_test.go:12: got 3, want 4\n"}, "files", "cart_test.go:12"),
}
HEALTHY = [
    json.dumps({"level": 30, "time": n, "msg": f"GET /health {n}: fine, error count {n % 3}"}) for n in range(600)
]


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
@pytest.mark.parametrize("logger", ERRORS)
def test_what_is_said_is_ranked_and_extracted(logger: str, separators: tuple[str, str]) -> None:
    """In a large log of JSON and in a small one the error is ranked first, and what its stack names is a candidate."""
    row, kind, name = ERRORS[logger]
    line = json.dumps(row, separators=separators)
    for before, after in ((HEALTHY[:500], HEALTHY[500:]), (HEALTHY[:5], HEALTHY[:5])):
        excerpt = reduce("\n".join([*before, line, *after]).encode(), 400)
        assert excerpt.ranked[0] == len(before) + 1
        assert line in [one.text for one in excerpt.lines]
        assert name in [one.name for one in candidates(excerpt)[kind]]


def test_level_decides() -> None:
    """A word such as error in a message of information is none; the level says what is."""
    assert not ranked_as(b'{"level":"info","msg":"error handler registered"}').lower().startswith(b"error:")
    assert ranked_as(b'{"level":"crit","msg":"disk"}') == b"ERROR: disk"
    assert ranked_as(b'{"severity":"WARNING","message":"slow"}') == b"warning: slow"
    assert ranked_as(b'{"level":4,"short_message":"slow"}') == b"warning: slow"
    assert ranked_as(b"{ not json }") == b"{ not json }"


def test_cut_lines_are_read_too() -> None:
    """A line of which only the beginning is left still says what it says."""
    assert unfold('{"level":"error","msg":"no \\"route\\" to host\\nat a') == ['no "route" to host', "at a"]
    assert unfold('{"level":"error","msg":"broken \\u12') == ["broken \\u12"]


def test_long_stacks_lose_their_middle() -> None:
    """Of a stack of sixty frames the message, both ends and the cause are shown, in one line."""
    frames = [f"    at step{n} (/app/node_modules/koa/lib/x{n}.js:{n}:7)" for n in range(60)]
    stack = "\n".join([STACK, *frames, "Caused by: Error: refused", "    at dial (/app/src/net.js:9:1)", *frames])
    line = json.dumps({"level": 50, "err": {"stack": stack}, "msg": "request failed"})
    shown = reduce("\n".join([*HEALTHY, line]).encode(), 600).lines[-1]
    assert shown.number == len(HEALTHY) + 1
    assert all(
        part in shown.text for part in ("cart.js:12:3", " … ", "Caused by: Error: refused", "net.js:9:1", "request")
    )
    assert "step30 " not in shown.text
    assert shorten(line[:900].encode(), 1200) == line[:900].encode()


def test_a_fault_has_one_name_whatever_stands_beside_its_message() -> None:
    """Host, process and order of fields don't tell two runs of one fault apart."""
    rows = [
        {"level": "error", "hostname": "ci-a", "pid": 12, "msg": "cannot open the ledger"},
        {"msg": "cannot open the ledger", "hostname": "runner-b", "level": "error", "request": "ab12"},
    ]
    excerpts = [reduce("\n".join([*HEALTHY[:9], json.dumps(row)]).encode()) for row in rows]
    assert len({anchor(excerpt, candidates(excerpt)) for excerpt in excerpts}) == 1
