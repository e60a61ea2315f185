"""The sentence that tells a fault of tools that nothing here knows by name: from what stands where."""

from __future__ import annotations

import pytest

from processor.logs.cause import cause
from processor.logs.extract import candidates
from processor.logs.headline import headline
from processor.logs.reduce import reduce

COUNTED_ABOVE = """\
[2026-11-23 15:14:08] $ npx depcruise src --config dc.cjs
[2026-11-23 15:14:25]   error no-circular: src/a.js →
[2026-11-23 15:14:25]       src/b.js →
[2026-11-23 15:14:25]       src/a.js
[2026-11-23 15:14:25]
[2026-11-23 15:14:25] x 1 dependency violations (1 errors, 0 warnings). 3 modules, 2 dependencies cruised.
"""
COUNTED_BELOW = """\
[verify]   | # Rule Violation Summary
[verify]   |   1 no-changed-when profile:basic tags:command-shell,idempotency
[verify]   | Failed: 1 failure(s), 0 warning(s) in 1 files processed of 1 encountered.
[verify]   | site.yml:5: no-changed-when: Commands should not change things if nothing needs doing.
"""
NO_ERROR_WORDS = """\
$ deptry .
Scanning 1 file...

pyproject.toml: DEP002 'attrs' defined as a dependency but not used in the codebase
Found 1 dependency issue.

For more information, see the documentation: https://deptry.com/
"""
LAST_WORDS = """\
[verify]   | $ go vet ./...
[verify]   | package acme.dev/shop
[verify]   | \timports acme.dev/shop/internal/db: build constraints exclude all Go files in /tmp/shop/internal/db
"""
ONLY_BELOW = """\
+ check-jsonschema --schemafile schema.json deploy.yaml
Schema validation errors were encountered.
  deploy.yaml::$.replicas: 'three' is not of type 'integer'
[Pipeline] }
[Pipeline] // stage
[Pipeline] End of Pipeline
ERROR: script returned exit code 1
Finished: FAILURE
"""
LISTED = """\
[INFO] --- maven-dependency-plugin:3.6.1:analyze-only (default) @ shop ---
[ERROR] Unused declared dependencies found:
[ERROR]    org.apache.commons:commons-lang3:jar:3.14.0:compile
[INFO] BUILD FAILURE
[ERROR] Failed to execute goal org.apache.maven.plugins:maven-dependency-plugin:3.6.1:analyze-only (default) on \
project shop: Dependency problems found -> [Help 1]
"""
LINKER = """\
error: linking with `cc` failed: exit status: 1
  |
  = note: some arguments are omitted. use `--verbose` to show all linker arguments
  = note: rust-lld: error: undefined symbol: crc32_of
          >>> referenced by main.rs:2 (src/main.rs:2)
          >>>               /builds/shop/target/debug/deps/shop-fc.5d.rcgu.o:(shop::main::h4ccbb331a5c54ba6)
          collect2: error: ld returned 1 exit status

error: could not compile `shop` (bin "shop") due to 1 previous error
"""
NO_PANIC = """\
test tests::ok_8 ... ok
test tests::rejects_negative - should panic ... FAILED

failures:

---- tests::rejects_negative stdout ----
note: test did not panic as expected at src/lib.rs:30:8

test result: FAILED. 12 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
"""
LEGEND = """\
  ✔ cart › keeps order
  ✘ [fail]: cart › adds prices
  ─

  cart › adds prices

  test/cart.js:3

   2: test('keeps order', t => t.pass())
   3: test('adds prices', t => { t.is(10 + 20, 31) })

  Difference (- actual, + expected):

  - 30
  + 31

  1 test failed
"""
IMPORT_FIRST = """\
[ ERROR ] Error in file '/builds/shop/shop.robot' on line 2: Importing library 'SeleniumLibrary' failed: \
ModuleNotFoundError: No module named 'SeleniumLibrary'
==============================================================================
Shop
==============================================================================
Visit                                                                 | FAIL |
No keyword with name 'Open Browser' found.
------------------------------------------------------------------------------
Fine                                                                  | PASS |
------------------------------------------------------------------------------
Shop                                                                  | FAIL |
2 tests, 1 passed, 1 failed
"""


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (COUNTED_ABOVE, "error no-circular: src/a.js → src/b.js →"),
        (COUNTED_BELOW, "site.yml:5: no-changed-when: Commands should not change things if nothing needs doing."),
        (NO_ERROR_WORDS, "pyproject.toml: DEP002 'attrs' defined as a dependency but not used in the codebase"),
        (
            LAST_WORDS,
            "imports acme.dev/shop/internal/db: build constraints exclude all Go files in /tmp/shop/internal/db",
        ),
        (
            ONLY_BELOW,
            "Schema validation errors were encountered.; deploy.yaml::$.replicas: 'three' is not of type 'integer'",
        ),
        (LISTED, "Unused declared dependencies found: org.apache.commons:commons-lang3:jar:3.14.0:compile"),
        (NO_PANIC, "tests::rejects_negative: note: test did not panic as expected at src/lib.rs:30:8"),
        (LEGEND, "cart > adds prices: - actual, + expected, - 30, + 31"),
    ],
    ids=lambda value: value[:24],
)
def test_what_broke_in_one_line(log: str, told: str) -> None:
    """What a count counts, what the last command printed, what a list is of, which values differ."""
    made = reduce(log.encode(), 1000)
    found = candidates(made)
    assert headline(made, found, cause(made, found)) == told


@pytest.mark.parametrize(("log", "part"), [(LINKER, "undefined symbol: crc32_of"), (IMPORT_FIRST, "SeleniumLibrary")])
def test_what_came_first(log: str, part: str) -> None:
    """A note that holds an error is one, and a library that is missing is why its tests fail."""
    made = reduce(log.encode(), 1000)
    found = candidates(made)
    assert part in headline(made, found, cause(made, found))


def test_a_suite_is_no_test() -> None:
    """Robot Framework says of suites that they fail as it does of tests, and counts their tests below."""
    assert [test.name for test in candidates(reduce(IMPORT_FIRST.encode()))["tests"]] == ["Visit"]
