"""Failing tests as test runners name them."""

from __future__ import annotations

import re

from processor.logs.extract.patterns import Pattern, place

IDENT = r"[A-Za-z_$][\w$]*"
CLASS = rf"(?:{IDENT}\.)*{IDENT}"
CTEST = "Failed|Timeout|SEGFAULT|Not Run|Child aborted|Subprocess aborted|ILLEGAL|BUS ERROR|OTHER_FAULT"
TIMES = re.compile(r"\s*[\(\[]?\d[\d.,]*\s?m?s[\)\]]?$")
UNITTEST = re.compile(r"^(\w+) \(([\w.]+)\)$")
SUREFIRE = re.compile(rf"^({IDENT}(?:\[.*\]|\{{.*\}}|\(.*?\))?)\(({CLASS})\)$")


def tidy(name: str) -> str:
    """One form for a test: no duration at the end, method after its class, arrows as ` > `."""
    name = TIMES.sub("", name.strip())
    if match := UNITTEST.match(name):
        method, scope = match.groups()
        return scope if scope.endswith(f".{method}") else f"{scope}.{method}"
    if match := SUREFIRE.match(name):
        return f"{match[2]}.{match[1]}"
    return name.replace(" › ", " > ").removesuffix("()").strip()


def test(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a failing test."""
    return place("test", cue, regex, weight, clean=tidy)


PATTERNS: tuple[Pattern, ...] = (
    # pytest, unittest
    test("^(FAILED|ERROR) .*::", r"^(?:FAILED|ERROR) (?P<name>\S+?\.py::.+?)(?: - .*)?$", 1.0),
    test("::.* (FAILED|ERROR)", r"^(?P<name>\S+\.py::\S+(?:\[.*\])?) (?:FAILED|ERROR)", 0.95),
    test("::.* \\+\\+\\++ Timeout", r"^(?P<name>\S+\.py::\S+) \++ Timeout", 0.95),
    test("^(FAIL|ERROR): ", r"^(?:FAIL|ERROR): (?P<name>\w+ \([\w.]+\))", 1.0),
    test("^_____* .* _____*$", r"^_{4,} (?!ERROR collecting)(?P<name>[\w.\[\]-]+) _{4,}$", 0.5),
    # JUnit and TestNG under Surefire; Gradle; ScalaTest
    test(
        "<<< (FAILURE|ERROR)",
        rf"(?:^|\s)(?P<name>{CLASS}\.{IDENT}(?:\[.*?\]|\(.*?\))?)(?: --)? +Time elapsed.*<<<",
        1.0,
    ),
    test("<<< (FAILURE|ERROR)", rf"(?:^|\s)(?P<name>{IDENT}(?:\[.*?\])?\({CLASS}\)) +(?:--)? *Time elapsed.*<<<", 1.0),
    test("\\[ERROR\\] +[A-Za-z_]", rf"\[ERROR\] +(?P<name>{CLASS}\.{IDENT}):\d+", 0.9),
    test("\\[ERROR\\] +[A-Za-z_]", rf"\[ERROR\] +(?P<name>{CLASS}\.{IDENT}) ?(?:»|->)", 0.9),
    test(
        "^(Failed tests:|Tests in error:|  )",
        rf"^(?:Failed tests: |Tests in error: |  )\s*(?P<name>{IDENT}(?:\[.*?\])?\({CLASS}\))",
        0.9,
    ),
    test(
        "^(Failed tests:|Tests in error:|  )",
        rf"^(?:Failed tests: |Tests in error: |  )\s*(?P<name>[A-Z]\w*\.{IDENT}):\d+",
        0.85,
    ),
    test(" > .* FAILED", rf"^(?P<name>{CLASS}(?: > .+)+) FAILED$", 1.0),
    test(r"\*\*\* FAILED \*\*\*", r"- (?P<name>.+?) \*\*\* FAILED \*\*\*", 0.9),
    # Jest, Vitest, Mocha, Karma, Playwright, TAP
    test("● .* › ", r"^\s*● (?P<name>.+ › .+)$", 0.95),
    test("^ *(FAIL|×|❯) .* > ", r"^\s*(?:FAIL|×)\s+(?:\|[\w-]+\| )?(?P<name>\S+\.\w+ (?:\[.*?\] )?> .+)$", 1.0),
    test("^FAIL ", r"^\s*FAIL (?P<name>\S+\.[jt]sx?)(?: \(.*\))?$", 0.6),
    test("^ *[0-9]+\\) ", r"^\s+\d+\) (?P<name>(?!\[)[^:]{3,120}):?$", 0.55),
    test("[0-9]\\) \\[.*\\] › ", r"^\s*\d+\) \[[\w ]+\] › (?P<name>.+?)(?: ─+)?$", 0.95),
    test("\\) .* FAILED$", r"^[A-Z][\w ]+ [\d.]+ \(.*?\) (?P<name>.+) FAILED$", 0.9),
    test("^ *not ok ", r"^\s*not ok \d+ (?:- )?(?P<name>[^#]+?)(?: # (?!SKIP|TODO).*)?$", 0.9),
    # Go, Rust, C++
    test("--- FAIL: ", r"--- FAIL: (?P<name>\S+)", 0.95),
    test(r"^[ \t]+Test\w+ \([0-9.]+m?s\)", r"^\s+(?P<name>Test\w+) \([\d.]+m?s\)$", 0.9),
    test("^test .* FAILED", r"^test (?P<name>\S+(?: - \S+ \(line \d+\))?) \.\.\. FAILED", 1.0),
    test("^---- .* stdout ----", r"^---- (?P<name>\S+) stdout ----", 0.95),
    test(
        rf"\(({CTEST})\)",
        rf"^\s*\d+ - (?P<name>.+?) \((?:{CTEST})\)",
        1.0,
    ),
    test("\\*\\*\\*(Failed|Timeout|Exception)", r"Test +#\d+: (?P<name>\S+) \.*\s*\*\*\*", 0.95),
    test("\\[  FAILED  \\] ", r"\[  FAILED  \] (?P<name>[\w/]+\.[\w/]+)(?:,|\s|$)", 0.95),
    # RSpec, Minitest, PHPUnit, NUnit and xUnit, XCTest, ExUnit
    test("^rspec ", r"^rspec \S+ # (?P<name>.+)$", 1.0),
    test("#test_", r"(?P<name>[A-Z][\w:]*#test_\w+)", 0.9),
    test("^[0-9]+\\) .*::", r"^\d+\) (?P<name>[\w\\]+::\w+)", 0.95),
    test("^ *(Failed|X) ", rf"^\s*(?:Failed|X) (?P<name>{CLASS}\.{IDENT}(?:\(.*?\))?)(?: \[.*\])?$", 0.9),
    test("\\[FAIL\\]$", rf"(?P<name>{CLASS}\.{IDENT}(?:\(.*\))?) \[FAIL\]$", 0.95),
    test("^Test Case .* failed", r"Test Case '(?P<name>[^']+)' failed", 0.95),
    test("^ +[0-9]+\\) test ", rf"^\s+\d+\) test (?P<name>.+ \({CLASS}\))$", 0.95),
)
