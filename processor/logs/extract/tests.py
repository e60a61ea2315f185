"""Failing tests as test runners name them."""

from __future__ import annotations

import re

from processor.logs.extract.patterns import Pattern, place

IDENT = r"[A-Za-z_$][\w$]*"
CLASS = rf"(?:{IDENT}\.)*{IDENT}"
PARAMETERS = r"(?:\[[^\]]*\]|\{[^}]*\}|\([^)]*\))?"
TIME = r"(?:[\(\[]?\d[\d.,]* ?(?:ms|s|min)[\)\]]?)"
CTEST = "Failed|Timeout|SEGFAULT|Not Run|Child aborted|Subprocess aborted|ILLEGAL|BUS ERROR|OTHER_FAULT|NUMERICAL"
SUFFIX = r"(?:txt|md|java|kt|cs|py|[jt]sx?|vue|ya?ml|json|xml|go|rs|rb|php|[ch](?:pp|c)?|scala|swift|cmake|gradle)\b"
BRANCH = r"^\s*[|│ ]*(?:├─|└─|'--|\+--|`--) "
TIMES = re.compile(r"\s*[\(\[]?\d[\d.,]*\s?m?s[\)\]]?$")
UNITTEST = re.compile(r"^(\w+) \(([\w.]+)\)$")
JUPITER = re.compile(r"^[\w$]+:\w+$")
SUREFIRE = re.compile(rf"^({IDENT}(?:\[.*\]|\{{.*\}}|\(.*?\))?)\(({CLASS})\)$")


def tidy(name: str) -> str:
    """One form for a test: no duration at the end, method after its class, arrows as ` > `."""
    name = TIMES.sub("", name.strip())
    if match := UNITTEST.match(name):
        method, scope = match.groups()
        return scope if scope.endswith(f".{method}") else f"{scope}.{method}"
    if match := SUREFIRE.match(name):
        return f"{match[2]}.{match[1]}"
    if JUPITER.match(name):
        return name.replace(":", ".")
    return name.replace(" › ", " > ").removesuffix("()").strip()


def test(regex: str, weight: float, *, cue: str = "") -> Pattern:  # noqa: PT028 - no test itself
    """A pattern for a failing test."""
    return place("test", regex, weight, cue=cue, clean=tidy)


PYTHON = (
    test(
        r"^(?:FAILED|ERROR|SUBFAIL(?:ED)?(?:\([^)]*\))?) (?P<name>\S+?\.py::.+?)(?: - .*)?$",
        1.0,
        cue="^(FAILED|ERROR|SUBFAIL.*) .*::",
    ),
    test(r"^(?P<name>\S+\.py::\S+(?:\[.*\])?) (?:FAILED|ERROR)", 0.95, cue="::.* (FAILED|ERROR)"),
    test(r"\] (?:FAILED|ERROR) (?P<name>\S+\.py::\S+(?:\[.*\])?)", 0.95, cue="\\] (FAILED|ERROR) .*::"),
    test(r"^(?P<name>\S+\.py::\S+) \++ Timeout", 0.95, cue=r"::.* \+\+\++ Timeout"),
    test(r"^(?:FAIL|ERROR): (?P<name>\w+ \([\w.]+\))", 1.0, cue="^(FAIL|ERROR): "),
    test(r"^(?P<name>\w+ \([\w.]+\))(?: .*)? \.\.\. (?:FAIL|ERROR)$", 0.98, cue=r"\.\.\. (FAIL|ERROR)"),
    test(r"^(?:FAIL|ERROR): (?P<name>[\w.]+\(.+\)(?: \([\w.]+\))?)$", 0.95, cue="^(FAIL|ERROR): .*\\(.*\\)"),
    test(r"^(?:FAIL|ERROR): (?P<name>(?:\w+\.)+test\w*)$", 0.95, cue="^(FAIL|ERROR): .*\\.test"),
    test(r"^_+ ERROR collecting (?P<name>\S+) _+$", 0.7),
    test(r"^ERROR (?P<name>\S+\.py)(?: - .*)?$", 0.72),
    test(r"^_{4,} (?!ERROR collecting|ERROR at)(?P<name>[\w.\[\]-]+) _{4,}$", 0.5, cue="^_____* .* _____*$"),
    test(rf"(?<![\w.$])(?P<name>{CLASS})(?:\[[\w,-]+\])? \[[\d.]+s\] \.\.\. FAILED", 0.95),
    test(r"^(?P<name>\S.*?\S)\s+\| FAIL \|", 0.95),
    test(r"^\s+(?P<name>\S+\.feature:\d+  .+)$", 0.85),
    test(r"^cucumber (?P<name>\S+\.feature:\d+)", 1.0),
)
JVM = (
    test(
        rf"(?:^|\s)(?P<name>{CLASS}\.{IDENT}{PARAMETERS}{PARAMETERS})(?: --)? +Time elapsed.*<<<",
        1.0,
        cue="<<< (FAILURE|ERROR)",
    ),
    test(
        rf"(?:^|\s)(?P<name>{IDENT}{PARAMETERS}\({CLASS}\)) +(?:--)? *Time elapsed.*<<<",
        1.0,
        cue="<<< (FAILURE|ERROR)",
    ),
    test(rf"\[ERROR\] +(?P<name>{CLASS}\.{IDENT}):\d+", 0.9, cue="\\[ERROR\\] +[A-Za-z_].*:[0-9]"),
    test(rf"\[ERROR\] +(?P<name>{CLASS}\.{IDENT}) ?(?:»|->)", 0.9, cue="\\[ERROR\\] +[A-Za-z_].*(»|->)"),
    test(rf"\[ERROR\] +(?P<name>{CLASS}>{CLASS}\.{IDENT}):\d+", 0.9, cue="\\[ERROR\\] +[A-Za-z_].*>.*:[0-9]"),
    test(
        rf"^(?:Failed tests: +|Tests in error: +|  )(?P<name>{IDENT}(?:\[.*?\])?\((?:{IDENT}\.)*[A-Z][\w$]*\))",
        0.9,
        cue=r"^(Failed tests: +|Tests in error: +|  )[A-Za-z_$][A-Za-z0-9_$]*(\[.*\])?\([A-Za-z_$]",
    ),
    test(
        rf"^(?:Failed tests: |Tests in error: |  )\s*(?P<name>[A-Z]\w*\.(?!{SUFFIX}){IDENT}):\d+",
        0.85,
        cue="^(Failed tests:|Tests in error:|  ).*[A-Z].*:[0-9]",
    ),
    test(rf"^\d+\) (?P<name>{IDENT}{PARAMETERS}\({CLASS}\))$", 0.95, cue="^[0-9]+\\) .*\\(.*\\)$"),
    test(r"^(?P<name>[\w$.]+(?:\[[^\]]*\])? > .+) FAILED$", 1.0),
    test(rf"{BRANCH}(?P<name>\S.*?) \[X\]", 0.9, cue=r"\[X\]"),
    test(rf"^\s*(?:\[junit\] )?Testcase: (?P<name>{IDENT}\({CLASS}\)):\s*(?:FAILED|Caused an ERROR)", 0.98),
    test(rf"^\s*\[junit\] Test(?:case:)? (?P<name>{CLASS}) FAILED", 0.85),
    test(rf"^(?:\[\w+\] )?FAILED: (?P<name>{CLASS}{PARAMETERS})$", 0.88, cue="FAILED: [A-Za-z_]"),
    test(r"- (?P<name>.+?) \*\*\* FAILED \*\*\*", 0.9),
    test(rf"^\[error\] \t(?P<name>{CLASS})$", 0.82, cue=r"^\[error\] \t"),
    test(rf"\[error\] Test (?P<name>{CLASS}\.\S+) failed: ", 0.98),
    test(r"JUnit (?:Jupiter|Vintage):(?P<name>[\w$]+:\w+)\(", 0.9),
    test(rf"^==> X (?P<name>{CLASS}\..+?)  [\d.]+s ", 0.95),
    test(r"^(?:FAIL|ERROR) in \((?P<name>[^\s()]+)\) \(", 0.98, cue="^(FAIL|ERROR) in \\("),
)
NODE = (
    test(r"^\s*● (?P<name>.+ › .+)$", 0.95),
    test(
        r"^\s*● (?P<name>(?!Test suite failed|Console|Cannot log|Deprecation|Validation|Multiple|Process)[^›]+)$",
        0.62,
        cue="^ *● ",
    ),
    test(r"^\s*(?:FAIL|×)\s+(?:\|[\w-]+\| )?(?P<name>\S+\.\w+ (?:\[.*?\] )?> .+)$", 1.0, cue="^ *(FAIL|×|❯) .* > "),
    test(r"^\s*FAIL (?P<name>\S+\.[cm]?[jt]sx?)(?: \(.*\))?$", 0.6, cue="^ *FAIL "),
    test(
        rf"^\s*(?:✕|×) (?!No solution |Failed to |.* did not run successfully)(?P<name>\S.*?)(?: {TIME})?$",
        0.65,
        cue="^ *(✕|×) ",
    ),
    test(r"^\s+\d+\) (?P<name>(?!\[)[^:]{3,120}):?$", 0.55, cue="^ +[0-9]+\\) "),
    test(r"^\s*\d+\) \[[\w -]+\] › (?P<name>.+?)(?: ─+)?$", 0.95, cue="[0-9]\\) \\[.*\\] › "),
    test(
        r"^\s*\d+\) (?P<name>\S+\.[cm]?[jt]sx?:\d+:\d+ › .+?)(?: ─+)?$", 0.95, cue=r"^ *[0-9]+\) .*\.[cm]?[jt]sx?:.* › "
    ),
    test(r"^\s+(?:✘ +\d+ )?\[[\w -]+\] › (?P<name>\S.*?)(?: ─+)?$", 0.9, cue="^ .*\\[.*\\] › "),
    test(r"^[A-Z][\w ]+ [\d.]+ \([^)]*\) (?P<name>.+) FAILED$", 0.9, cue="\\) .* FAILED$"),
    test(r"^\s*not ok \d+ (?:- )?(?P<name>[^#]+?)(?: # (?!SKIP|TODO).*)?$", 0.9, cue="^ *not ok [0-9]"),
    test(rf"^\s*✖ (?P<name>(?!\d+ |[Ff]ound |.* found )\S.*?)(?: {TIME})?$", 0.55, cue="^ *✖ "),
    test(r"^\s*✘ \[fail\]: (?P<name>.+?)(?: Rejected.*)?$", 0.95),
    test(r"^\(fail\) (?P<name>.+?)(?: \[[\d.]+m?s\])?$", 0.95),
    test(r"^(?P<name>\S.*?) => \./\S+\.[jt]sx?:\d+:\d+$", 0.85, cue=r" => \./"),
    test(r"^(?P<name>\S.*?) \.\.\. FAILED \(\d+m?s\)$", 0.9, cue=r"\.\.\. FAILED \("),
    test(r"│\s+✖\s+(?P<name>\S+\.(?:cy|spec|test)\.\w+)\s", 0.62, cue=r"✖ .*\.(cy|spec|test)\."),
)
GO_AND_RUST = (
    test(r"--- FAIL: (?P<name>\S+)", 0.95),
    test(r"^=== FAIL: \S+ (?P<name>\S+)", 0.95),
    test(r"^FAIL: \S+_test\.go:\d+: (?P<name>\S+)", 0.97),
    test(r"\"Action\":\"fail\".*\"Test\":\"(?P<name>[^\"]+)\"", 0.95),
    test(
        r"^\s*\[(?:FAIL|Fail|PANICKED!|TIMEDOUT)\] (?P<name>.*\[(?:It|BeforeEach|AfterEach|BeforeSuite)\].*)",
        0.95,
        cue=r"\[(It|BeforeEach|AfterEach|BeforeSuite)\]",
    ),
    test(r"^\s+(?P<name>Test\w+) \([\d.]+m?s\)$", 0.9, cue="^[ \t]+Test\\w+ \\([0-9.]+m?s\\)"),
    test(
        r"^test (?P<name>\S+(?: - \S+ \(line \d+\))?)(?: - should panic)?\s+\.\.\. FAILED", 1.0, cue="^test .* FAILED"
    ),
    test(r"^---- (?P<name>\S+) stdout ----", 0.95, cue="^---- .* stdout ----"),
    test(
        r"^\s+(?:FAIL|TIMEOUT|ABORT|SIG[A-Z]+) \[\s*[\d.]+s\] (?:\(\s*\d+/\d+\) )?\S+ (?P<name>\S+)",
        0.97,
        cue="(FAIL|TIMEOUT|ABORT|SIG[A-Z]+) \\[ *[0-9.]+s\\]",
    ),
)
NATIVE = (
    test(rf"^\s*\d+ - (?P<name>.+?) \((?:{CTEST})\)", 1.0, cue=rf"\(({CTEST})\)"),
    test(r"Test +#\d+: (?P<name>\S+) \.*\s*\*\*\*", 0.95, cue="\\*\\*\\*(Failed|Timeout|Exception|Not Run)"),
    test(r"\[  FAILED  \] (?P<name>[A-Za-z][\w/]*(?:\.[\w/]+)?)(?:,|\s|$)", 0.95),
    test(r"^TEST CASE:\s+(?P<name>\S.*)$", 0.8),
    test(r"error: in \"(?P<name>[\w/]+)\": ", 0.97),
    test(r"^FAIL!  : (?P<name>\w+::\w+)", 0.97),
    test(r"^\S+\.c:\d+:(?P<name>\w+):FAIL", 0.97),
    test(r"^\S+\.c:\d+:[FE]:\w+:(?P<name>\w+):", 0.95, cue=r"\.c:[0-9]+:[FE]:"),
    test(r"^\d+\) test: (?P<name>\w+::\w+) \([FE]\)", 0.97),
    test(r"^(?:FAIL|TIMEOUT|UNRESOLVED): (?P<name>\S+ :: \S+)", 0.97, cue="^(FAIL|TIMEOUT|UNRESOLVED): .* :: "),
    test(
        r"^FAIL: (?P<name>(?!\S+_test\.go:)[\w./+-]+)(?: \(exit status: \d+\))?$", 0.88, cue="^FAIL: [A-Za-z0-9_./+-]+"
    ),
    test(r"^FAIL: (?P<name>//\S+:\S+) \(", 0.97),
    test(r"^(?P<name>//\S+:\S+) +(?:\(\S+\) )?(?:FAILED|TIMEOUT) in ", 0.97, cue="(FAILED|TIMEOUT) in "),
    test(
        r"^\s*\d+/\d+ (?P<name>\S.*?)\s+(?:FAIL|TIMEOUT|ERROR)\s+[\d.]+ ?s",
        0.95,
        cue="^ *[0-9]+/[0-9]+ .* (FAIL|TIMEOUT|ERROR) ",
    ),
    test(r"^(?:not ok \d+ +[-+] |[ +] )(?P<name>\w+)\s+\.\.\. FAILED", 0.9, cue=r"\.\.\. FAILED"),
    test(r"^(?P<name>[\w-]+\.[\w-]+)(?: '[^']*')?\s+(?:w\d+ )?\[ fail \]", 0.97),
    test(
        r"^\s*\(\d+/\d+\) (?P<name>\S+): +(?:FAIL|ERROR|INTERRUPTED)",
        0.9,
        cue=r"\([0-9]+/[0-9]+\) .*(FAIL|ERROR|INTERRUPTED)",
    ),
    test(r"\[FAIL\]\s+(?P<name>\S+\s+\d+\s+\S.*?)\.?$", 0.85, cue="\\[FAIL\\] +[A-Za-z]"),
)
APPLE = (
    test(r"Test Case '(?P<name>[^']+)' failed", 0.95),
    test(r"^\s*(?P<name>-\[\w[\w.]* \w+\])$", 0.85, cue="^[ \t]*-\\[.*\\]$"),
    test(r"✗ (?P<name>test\w+)(?:,| \()", 0.9),
    test(r"✘ Test (?P<name>\"[^\"]+\"|\w+)(?:\([\w:]*\))? (?:failed|recorded)", 0.95),
)
RUBY_AND_PHP = (
    test(r"^rspec \S+ # (?P<name>.+)$", 1.0),
    test(r"(?P<name>[A-Z][\w:]*#test_\w+)", 0.9),
    test(r"^(?:Failure|Error): (?P<name>test[\w: ]*\([\w:]+\))", 0.95, cue="^(Failure|Error): test"),
    test(r"^(?:bin/)?rails test (?P<name>\S+\.rb:\d+)", 0.8),
    test(r"^\d+\) (?P<name>[\w\\]+::\w+)", 0.95, cue="^[0-9]+\\) .*::"),
    test(r"^\s*FAILED\s+(?P<name>Tests\\\S+ > .+?)(?:  .*)?$", 0.97),
    test(rf"^\s*⨯ (?P<name>\S.*?)(?:\s+{TIME})?$", 0.82, cue="^ *⨯ "),
    test(r"^\s+✘ (?P<name>[A-Z]\S.*?)(?: {2,}.*)?$", 0.8, cue="^ +✘ "),
    test(r"^Test\s+tests/\S*/?(?P<name>\w+\.php:\w+)", 0.9),
)
DOTNET = (
    test(
        rf"^\s*(?:Failed|X) +(?P<name>{CLASS}\.{IDENT}(?:<[^>]*>)?(?:\(.*?\))?)(?: \[.*\])?$", 0.9, cue="^ *(Failed|X) "
    ),
    test(rf"(?<![\w$.])(?P<name>{CLASS}\.{IDENT}(?:\(.*\))?) \[FAIL\]$", 0.95, cue="\\[FAIL\\]$"),
    test(
        rf"^\d+\) (?:Failed|Error|Invalid) : (?P<name>{CLASS}\.{IDENT}(?:\(.*\))?)",
        0.97,
        cue="^[0-9]+\\) (Failed|Error|Invalid) : ",
    ),
    test(r"^failed (?P<name>\S.*?) \(\d[\d.msh ]*\)$", 0.85, cue="^failed .* \\([0-9]"),
    test(rf"^\s*\[-\] (?P<name>\S.*?) {TIME}", 0.88, cue=r"^ *\[-\] "),
)
OTHERS = (
    test(rf"^\s+\d+\) test (?P<name>.+ \({CLASS}\))$", 0.95, cue="^ +[0-9]+\\) test "),
    test(r"^(?:\S+:\d+: )?(?P<name>[a-z]\w*(?::\w+)*_test_?)\.\.\.\*failed\*", 0.95),
    test(r"%%% (?P<name>\w+_SUITE ==> .+?): FAILED", 0.97),
    test(r"^(?P<name>\S+\.t)\s+\(Wstat: ", 0.9),
    test(r"^(?P<name>\S+\.t) \.+ (?:Failed|Dubious)", 0.9, cue=r"\.t \.+ ?(Failed|Dubious)"),
    test(r"^\s*#\s+Failed test '(?P<name>[^']+)'", 0.92),
    test(
        r"^(?:──|-- )\s*(?:\d+\. )?(?:Failure|Error) \((?P<name>['\w./-]+\.R:\d+(?::\d+)?'?\): .+?)(?: ?[─-]+)?$",
        0.95,
        cue=r"(Failure|Error) \(.*\.R",
    ),
    test(r"^\d\d:\d\d \+\d+(?: ~\d+)? -\d+: (?P<name>.+) \[E\]$", 0.95),
    test(r"^\s{2,}(?P<name>\S.*?):\s+FAIL(?: \([\d.]+s\))?$", 0.82, cue=": +FAIL"),
    test(r"^### (?:Failure|Error) in: (?P<name>.+)$", 0.95, cue="^### (Failure|Error) in: "),
    test(r"^(?:Failure|Error) → (?P<name>\S+ @ \d+)", 0.9, cue="^(Failure|Error) → "),
)

PATTERNS: tuple[Pattern, ...] = (
    *PYTHON,
    *JVM,
    *NODE,
    *GO_AND_RUST,
    *NATIVE,
    *APPLE,
    *RUBY_AND_PHP,
    *DOTNET,
    *OTHERS,
)
