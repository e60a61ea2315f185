"""The sentence that tells a fault, made of the line that shows it and those that belong to it."""

from __future__ import annotations

import pytest

from processor.contract import Excerpt
from processor.logs.cause import beside, cause
from processor.logs.extract import candidates
from processor.logs.headline import ENOUGH, headline
from processor.logs.reduce import reduce

GO = """\
=== RUN   TestAdd
    sum_test.go:9: adding
--- PASS: TestAdd (0.00s)
=== RUN   TestParallel
==================
WARNING: DATA RACE
    testing.go:1712: race detected during execution of test
--- FAIL: TestParallel (0.00s)
=== RUN   TestOther
    other_test.go:18: fine
--- PASS: TestOther (0.00s)
FAIL
FAIL\tacme.dev/ledger\t0.017s
"""
GO_PANIC = """\
--- FAIL: TestPost (0.00s)
panic: runtime error: invalid memory address or nil pointer dereference [recovered]
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x52e3ca]

goroutine 19 [running]:
testing.tRunner.func1.2({0x55a900, 0x6cae60})
\t/usr/local/go/src/testing/testing.go:1974 +0x232
FAIL\tacme.dev/ledger 0.006s
"""
CURL = """\
$ curl -sSf https://registry.acme.dev/tool.tar.gz
curl: (60) SSL certificate problem: unable to get local issuer certificate
More details here: https://curl.se/docs/sslcerts.html

curl failed to verify the legitimacy of the server and therefore could not
establish a secure connection to it. To learn more about this situation and
how to fix it, please visit the web page mentioned above.
ERROR: Job failed: exit code 60
"""
RUST = """\
test src/lib.rs - double (line 1) ... FAILED

failures:

---- src/lib.rs - double (line 1) stdout ----
Test executable failed (exit status: 101).

thread 'main' (5910) panicked at src/lib.rs:5:1:
assertion `left == right` failed
  left: 4
 right: 5
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
RUST_LINT = """\
error: missing documentation for a function
 --> src/lib.rs:5:1
  |
5 | pub fn b() {}
  | ^^^^^^^^^^

error: could not document `docs`
"""
JAVAC = """\
[ERROR] COMPILATION ERROR :
[ERROR] /home/runner/work/orders/orders/src/main/java/com/acme/Bill.java:[4,30] cannot find symbol
  symbol:   method total()
  location: variable o of type com.acme.Order
[INFO] 1 error
"""
JUNIT = """\
[ERROR] Tests run: 2, Failures: 0, Errors: 1, Skipped: 0, Time elapsed: 0.534 s <<< FAILURE! -- in com.acme.OrderTest
[ERROR] com.acme.OrderTest.lengthOfEmpty -- Time elapsed: 0.016 s <<< ERROR!
java.lang.NullPointerException: Cannot invoke "String.length()" because "this.customer" is null
\tat com.acme.Order.length(Order.java:6)
\tat com.acme.OrderTest.lengthOfEmpty(OrderTest.java:6)
"""
JEST = """\
FAIL src/header.test.js
  ✕ renders the header (28 ms)

  ● renders the header

    expect(received).toBe(expected) // Object.is equality

    Expected: "Welcome, Ann"
    Received: "Hello, Ann"

      at Object.toBe (src/header.test.js:2:53)

Test Suites: 1 failed, 1 total
Tests:       1 failed, 1 passed, 2 total
"""
CTEST = """\
1/2 Test #1: ring .............................Subprocess aborted***Exception:   0.01 sec
ring test
ring_check: /builds/acme/ring/ring_check.c:6: main: Assertion `length() == 2' failed.

2/2 Test #2: other ............................   Passed    0.00 sec

50% tests passed, 1 tests failed out of 2

The following tests FAILED:
\t  1 - ring (Subprocess aborted)
Errors while running CTest
"""
COLLECTING = """\
==================================== ERRORS ====================================
______________________ ERROR collecting tests/test_app.py ______________________
tests/test_app.py:1: in <module>
    from app.settings import URL
app/settings.py:3: in <module>
    URL = os.environ['DATABASE_URL']
E   KeyError: 'DATABASE_URL'
=========================== short test summary info ============================
ERROR tests/test_app.py - KeyError: 'DATABASE_URL'
"""
PYDANTIC = """\
Traceback (most recent call last):
  File "manage.py", line 6, in <module>
    Settings()
pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings
api_key
  Field required [type=missing, input_value={}, input_type=dict]
"""
ESLINT = """\
/builds/acme/web/src/cart.js
  1:1   warning  Unexpected console statement              no-console
  2:9   error    'total' is assigned a value but never used  no-unused-vars

✖ 2 problems (1 error, 1 warning)
"""
HOOK = """\
Names....................................................................Passed
No tabs..................................................................Failed
- hook id: no-tabs
- exit code: 1

src/a.py:2:\treturn 1
"""
DIFFERENCE = """\
+ git diff --exit-code
diff --git a/api/version.go b/api/version.go
index 8b1a9..93c2f 100644
--- a/api/version.go
+++ b/api/version.go
@@ -1,3 +1,3 @@
 package api

-const Version = "1"
+const Version = "2"
"""
TERRAFORM = """\
Error: Reference to undeclared input variable

  on main.tf line 2, in locals:
   2:   name = "acme-${var.region}"
"""
SHELLCHECK = """\
In deploy.sh line 3:
rm -rf /srv/$name
        ^---^ SC2086 (info): Double quote to prevent globbing and word splitting.

For more information:
  https://www.shellcheck.net/wiki/SC2086 -- Double quote to prevent globbing
"""
FORMAT = """\
##[group]Run terraform fmt -check -recursive
terraform fmt -check -recursive
shell: /usr/bin/bash -e {0}
##[endgroup]
main.tf
##[error]Process completed with exit code 3.
"""
SYNTAX = """\
Traceback (most recent call last):
  File "/usr/lib/python3.11/runpy.py", line 157, in _get_module_details
    code = loader.get_code(mod_name)
  File "/builds/acme/shop/shop/price.py", line 2
    return round((n * 1.19
                ^
SyntaxError: '(' was never closed
"""
TAP = """\
not ok 1 - parses dates
  ---
  duration_ms: 3.1
  failureType: 'testCodeFailure'
  error: |-
    Expected values to be strictly equal:

    2023 !== 2024

  code: 'ERR_ASSERTION'
  expected: 2024
  actual: 2023
  ...
"""


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (GO, "TestParallel: testing.go:1712: race detected during execution of test"),
        (GO_PANIC, "TestPost: panic: runtime error: invalid memory address or nil pointer dereference [recovered]"),
        (
            RUST,
            (
                "src/lib.rs - double (line 1): thread 'main' (5910) panicked at src/lib.rs:5:1: "
                "assertion `left == right` failed; left: 4; right: 5"
            ),
        ),
        (RUST_LINT, "error: missing documentation for a function (src/lib.rs:5)"),
        (
            JAVAC,
            (
                "src/main/java/com/acme/Bill.java:[4,30] cannot find symbol; symbol: method total(); "
                "location: variable o of type com.acme.Order"
            ),
        ),
        (
            JUNIT,
            (
                "OrderTest.lengthOfEmpty: java.lang.NullPointerException: "
                'Cannot invoke "String.length()" because "this.customer" is null'
            ),
        ),
        (
            JEST,
            (
                "renders the header: expect(received).toBe(expected) // Object.is equality; "
                'Expected: "Welcome, Ann"; Received: "Hello, Ann"'
            ),
        ),
        (CTEST, "ring_check: ring_check.c:6: main: Assertion `length() == 2' failed."),
        (COLLECTING, "ERROR tests/test_app.py - KeyError: 'DATABASE_URL'"),
        (
            PYDANTIC,
            (
                "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings; api_key; "
                "Field required [type=missing, input_value={}, input_type=dict] (manage.py:6)"
            ),
        ),
        (ESLINT, "src/cart.js:2:9 error 'total' is assigned a value but never used no-unused-vars"),
        (CURL, "curl: (60) SSL certificate problem: unable to get local issuer certificate"),
        (HOOK, "No tabs failed: src/a.py:2: return 1"),
        (DIFFERENCE, 'api/version.go differs: -const Version = "1", +const Version = "2"'),
        (SHELLCHECK, "deploy.sh:3: SC2086 (info): Double quote to prevent globbing and word splitting."),
        (FORMAT, "terraform fmt -check -recursive: main.tf"),
        (SYNTAX, "SyntaxError: '(' was never closed (shop/price.py:2)"),
        (TAP, "parses dates: Expected values to be strictly equal: 2023 !== 2024"),
        (TERRAFORM, "Error: Reference to undeclared input variable (main.tf:2)"),
    ],
    ids=lambda value: value[:24] if value.startswith(("=", "-", "[")) else None,
)
def test_what_broke_and_why_in_one_line(log: str, told: str) -> None:
    """As tools spread it over lines: test, reason, place and values."""
    made = reduce(log.encode(), 1000)
    found = candidates(made)
    assert headline(made, found, cause(made, found)) == told


def test_an_empty_log_has_nothing_to_tell() -> None:
    """No line, no sentence."""
    assert headline(Excerpt((), 0, ()), {}, 0) == ""


def test_a_long_name_leaves_room_for_the_reason() -> None:
    """Its last part has to do."""
    name = "tests/" + "very_" * 20 + "long.test.ts > cart > totals"
    log = f" FAIL  {name}\nAssertionError: expected 3 to be 4 // Object.is equality\n"
    made = reduce(log.encode(), 1000)
    found = candidates(made)
    told = headline(made, found, cause(made, found))
    assert told == "totals: AssertionError: expected 3 to be 4 // Object.is equality"
    assert len(told) < ENOUGH


def test_what_a_rule_hit_is_told_by_a_line_next_to_it() -> None:
    """The place that a rule hit says less than the message above it; far lines belong to something else."""
    log = "error: invalid basic string, expected a quote\n --> Cargo.toml:12:12\n   |\n12 | version = 1.0\n"
    made = reduce(log.encode(), 1000)
    assert beside((2,), made, candidates(made)) == 1
    far = reduce((log + "all is well here\n" * 30 + "npm error code E401\n").encode(), 1000)
    assert beside((35,), far, candidates(far)) == 0


def test_what_was_printed_before_the_job_ended_is_told_not_what_came_after() -> None:
    """An exit status alone says nothing, and what CI systems do after every job has nothing to do with it."""
    waits = "waiting for the queue to drain\n" * 3
    after = "Running after_script\nRunning after script...\n$ df -h /builds\noverlay 98G 41G 57G 42% /builds\n"
    after += "Cleaning up project directory and file based variables\n"
    log = f"$ timeout 3 ./drain.sh\n{waits}{after}ERROR: Job failed: exit code 124\n"
    made = reduce(log.encode(), 1000)
    told = beside((10,), made, candidates(made))
    assert headline(made, candidates(made), told) == "waiting for the queue to drain"
