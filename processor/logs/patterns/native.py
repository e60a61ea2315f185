"""C, C++, Fortran, Haskell, Swift: compilers, linkers, make, CMake, autotools, CTest, GoogleTest."""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.patterns.base import Pattern, errors, kinds

PATTERNS: Final[tuple[Pattern, ...]] = (
    *errors(
        "cc",
        10,
        r"^\S.*:\d+(?::\d+)?: (?:fatal error|error|Error|ERROR)\b",
        r"undefined reference to|Undefined symbols for architecture|unresolved external symbol|multiple definition of|duplicate symbol",
        r"cannot find -l|library not found for -l|ld: (?:cannot|symbol|library|error|fatal)|collect2: error|linker command failed|ld returned \d",
        r"\bfatal error: .+(?:No such file|not found)|error C\d{4}:|fatal error C\d{4}|error LNK\d{4}|LINK : fatal|error MSB\d{4}",
        r"static assertion failed|static_assert failed|was not declared in this scope|no matching function for call|has no member named|redefinition of|implicit declaration of function|incompatible pointer type",
        r"internal compiler error|clang.*: error:|g?cc.{0,8}: (?:fatal )?error:",
        r"\[-Werror|\[-W\S+,-Werror|warnings being treated as errors",
        r"^\S+: In (?:function|member function|constructor|instantiation)|^In file included from ",
    ),
    *errors(
        "cmake",
        10,
        r"^CMake Error",
        r"^-- Configuring incomplete|Could NOT find \S+|By not providing \"Find|Could not find a (?:package )?configuration",
        r"^[ \t]*configure: error:|^No package '.+' found|Package requirements .+ were not met|was not found in the pkg-config search path",
        r"^make(?:\[\d+\])?: \*\*\* |No rule to make target|missing separator|ninja: error|^FAILED: \S",
        r"(?:meson\.build|CMakeLists\.txt|Makefile|\.cmake):\d+(?::\d+)?:? ?(?:ERROR|error|\(|\*\*\*)?",
        r"recipe for target .+ failed",
    ),
    *errors(
        "ctest",
        9,
        r"^\[\s{1,3}FAILED\s{1,3}\]|: Failure$|^[ \t]+(?:Expected|Actual|Which is|Value of|expected|actual):",
        r"\d+% tests passed, [1-9]\d* tests failed|\*{3}(?:Failed|Exception|Timeout|Not Run)|The following tests FAILED",
        r"^[ \t]+\d+ - \S+ \((?:Failed|SEGFAULT|Timeout|Not Run|Subprocess|Child|ILLEGAL|OTHER_FAULT|NUMERICAL)",
        r"\bAssertion .+ failed|assert(?:ion)? failed|ASSERTION FAILED|REQUIRE\(|CHECK\(|SIGSEGV|SIGABRT|SIGKILL|SIGTERM",
        r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|Invalid (?:read|write) of size|are definitely lost in loss record|depends on uninitialised value",
        r"^Found errors in |^FAILED (?:\(|:|\S)|^\d+ FAILED|^From test_\S+|^TEST FAILURE|tests? FAILED|Test .+ FAILED",
        r"^[ \t]*\S+:\d+: (?:FAILED|Failure|error)",
        r"^(?:FAIL|XPASS|ERROR): \S+|^# (?:FAIL|ERROR): +[1-9]",
        r"^\*{3} (?:FAIL|ERROR)|^!{3,}",
    ),
    *errors(
        "haskell-swift",
        8,
        r"^\S+\.l?hs:\d+:\d+: (?:error|warning: \[.*-Werror)",
        r"(?:Couldn't match|No instance for|Not in scope|Variable not in scope|Ambiguous occurrence|rejected: |Could not resolve dependencies|Could not find module)",
        r"^cabal: |^stack: |Stack has not been tested|While building package|Process exited with code: ExitFailure",
        r"❌|\*\* (?:BUILD|TEST|ARCHIVE) FAILED \*\*|The following build commands failed|xcodebuild: error",
        r"error: (?:no such module|unable to find|cannot find|use of|value of|module)",
    ),
    *kinds(
        "ccframe", "frame", 1, r"^\S+:\d+(?::\d+)?: note:", r"^[ \t]+from \S+:\d+[:,]", r"^Call Stack \(most recent"
    ),
)
