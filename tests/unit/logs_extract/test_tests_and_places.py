"""Failing tests, files, hosts and exit codes as tools print them."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.logs.extract import candidates
from tests.unit.logs_extract.excerpts import excerpt

FAILING = [
    (
        "FAILED tests/test_tax.py::test_gross[0.19] - AssertionError: assert 1 == 2",
        "tests/test_tax.py::test_gross[0.19]",
    ),
    ("ERROR tests/test_store.py::test_kept - FileNotFoundError", "tests/test_store.py::test_kept"),
    ("tests/test_w.py::test_lock ++++++++++ Timeout ++++++++++", "tests/test_w.py::test_lock"),
    ("FAIL: test_total (billing.tests.InvoiceTest)", "billing.tests.InvoiceTest.test_total"),
    ("ERROR: test_total (billing.tests.InvoiceTest.test_total)", "billing.tests.InvoiceTest.test_total"),
    ("[ERROR] com.acme.TaxTest.rounds -- Time elapsed: 0.01 s <<< FAILURE!", "com.acme.TaxTest.rounds"),
    ("rounds(com.acme.TaxTest)  Time elapsed: 0.01 sec  <<< FAILURE!", "com.acme.TaxTest.rounds"),
    ("[ERROR]   TaxTest.rounds:42 expected:<1> but was:<2>", "TaxTest.rounds"),
    ("com.acme.TaxTest > rounds() FAILED", "com.acme.TaxTest > rounds"),
    ("  ● Cart › adds up", "Cart > adds up"),
    (" FAIL  src/cart.test.ts > Cart > adds up", "src/cart.test.ts > Cart > adds up"),
    ("--- FAIL: TestQuota (0.00s)", "TestQuota"),
    ("        TestStreamCloses (3s)", "TestStreamCloses"),
    ("test limits::tests::never_negative ... FAILED", "limits::tests::never_negative"),
    ("\t  3 - tile_encoding (Failed)", "tile_encoding"),
    ("[  FAILED  ] Scale.KeepsRatio (0 ms)", "Scale.KeepsRatio"),
    ("rspec ./spec/cart_spec.rb:12 # Cart adds up", "Cart adds up"),
    ("1) Acme\\CartTest::testAddsUp", "Acme\\CartTest::testAddsUp"),
    ("  Failed Acme.CartTests.AddsUp [12 ms]", "Acme.CartTests.AddsUp"),
    ("not ok 3 - adds up", "adds up"),
    ("Test Case '-[CartTests testAddsUp]' failed (0.1 seconds).", "-[CartTests testAddsUp]"),
]

PLACES = [
    ("files", "src/scale.cpp:12:5: error: no member named 'height'", "src/scale.cpp:12"),
    ("files", "src/a.ts(12,5): error TS2304: Cannot find name 'x'.", "src/a.ts:12"),
    ("files", "src/a.ts:12:5 - error TS2304: Cannot find name 'x'.", "src/a.ts:12"),
    (
        "files",
        "[ERROR] /builds/acme/src/main/java/Tax.java:[12,34] cannot find symbol",
        "/builds/acme/src/main/java/Tax.java:12",
    ),
    ("files", "  --> src/main.rs:12:5", "src/main.rs:12"),
    ("files", "./limits.go:8:14: undefined: maximum", "limits.go:8"),
    ("files", '  File "app/tax.py", line 9, in gross', "app/tax.py:9"),
    ("hosts", "fatal: unable to access 'x': Could not resolve host: git.acme.example", "git.acme.example"),
    ("hosts", "npm error network request failed, reason: getaddrinfo ENOTFOUND npm.acme.example", "npm.acme.example"),
    ("hosts", "Temporary failure resolving 'deb.example.org'", "deb.example.org"),
    ("hosts", "dial tcp: lookup proxy.example on 10.0.0.2:53: no such host", "proxy.example"),
    ("exit_codes", "ERROR: Job failed: exit code 137", "137"),
    ("exit_codes", "##[error]Process completed with exit code 2.", "2"),
    ("exit_codes", "make: *** [Makefile:3: all] Error 2", "2"),
]


@pytest.mark.parametrize(("line", "name"), FAILING)
def test_a_failing_test_is_named(line: str, name: str) -> None:
    """Each runner's way to report a failed test gives one name in one form."""
    assert [one.name for one in candidates(excerpt(line))["tests"]] == [name]


@pytest.mark.parametrize(("kind", "line", "name"), PLACES)
def test_a_place_is_named(kind: str, line: str, name: str) -> None:
    """Files with line, hosts and exit codes are found."""
    assert name in [one.name for one in candidates(excerpt(line))[kind]]


@pytest.mark.parametrize(
    "line", ["ok 3 - adds up", "not ok 4 - later # TODO", "--- PASS: TestQuota (0.00s)", "tests pass"]
)
def test_what_passed_is_no_failing_test(line: str) -> None:
    """Passing and expected failures are left out."""
    assert candidates(excerpt(line))["tests"] == ()


def test_an_empty_excerpt_names_nothing() -> None:
    """Every kind is there, empty."""
    assert candidates(excerpt()) == {"packages": (), "tests": (), "files": (), "hosts": (), "exit_codes": ()}


TEXT = st.text(alphabet=string.printable.replace("\n", "") + "äß›●─│✖\u200b\ud800", max_size=200)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(TEXT, st.sampled_from([line for line, _ in FAILING]).flatmap(lambda a: TEXT.map(lambda b: a + b)))
    )
)
def test_any_text_is_survived(lines: list[str]) -> None:
    """Whatever a log says, names are not empty, lines exist, scores lie in 0..1 and fall."""
    given_lines = excerpt(*lines)
    numbers = {line.number for line in given_lines.lines}
    for found in candidates(given_lines).values():
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= one.score <= 1 and one.name.strip() and set(one.lines) <= numbers for one in found)


def test_hostile_lines_are_bounded() -> None:
    """A line made to make regular expressions backtrack takes no noticeable time."""
    lines = ["npm error " + "a@1 " * 500, "peer " + "x@" * 5_000 + '"" from ', "Because " + "a " * 5_000, "- " * 5_000]
    lines += ["Could not find " + "a:" * 5_000, "package " + "a/" * 5_000 + " is not in std", " " * 10_000 + ") ("]
    before = time.process_time()
    assert candidates(excerpt(*lines)) is not None
    assert time.process_time() - before < 2.0
