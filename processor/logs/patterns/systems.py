"""Rust, Go, .NET, Ruby, PHP, Elixir, Perl: package managers, compilers and test runners."""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.patterns.base import Pattern, errors, kinds

PATTERNS: Final[tuple[Pattern, ...]] = (
    *errors(
        "rust",
        10,
        r"^\s{0,4}error\[E\d{4}\]",
        r"^\s{0,4}error: (?:failed|could not|no matching|linking|aborting|test failed|the lock file|package|unable|mismatched|\S)",
        r"^test .+ \.{3} FAILED",
        r"^---- .+ stdout ----|^failures:$|^test result: FAILED",
        r"panicked at|assertion (?:`.+` )?failed|^[ \t]+(?:left|right): ",
        r"^Caused by:|process didn't exit successfully|failed to run custom build command|failed to select a version|failed to get `|no matching package|perhaps a crate was updated",
        r"^\s{0,4}= (?:note|help): |aborting due to|For more information about this error",
        r"^Diff in |^warning: unused .*error|could not compile `",
    ),
    *errors(
        "go",
        10,
        r"^[ \t]*--- FAIL: ",
        r"^FAIL[ \t]+\S+(?:[ \t]|$)|^FAIL$|\[build failed\]|\[setup failed\]",
        r"^\S+\.go:\d+(?::\d+)?: \S",
        r"^[ \t]+\S+_test\.go:\d+: ",
        r"^go: (?:\S+@|error|module|cannot|inconsistent|updates|downloading .+:|\S+: )|cannot find (?:module|package)|no required module provides|missing go\.sum entry|checksum mismatch|unknown revision|unrecognized import path|invalid version",
        r"^[ \t]+(?:Error Trace|Error|Test|Messages):\s|WARNING: DATA RACE|fatal error: |all goroutines are asleep",
        r"^panic: |\[recovered\]|goroutine \d+ \[running\]|imported and not used|declared (?:and|but) not used|undefined: ",
        r"^(?:\?|ok) .*FAIL|level=error|golangci-lint|^\S+:\d+:\d+: .+\(\w+\)$",
    ),
    *errors(
        "dotnet",
        9,
        r"error (?:CS|NU|MSB|NETSDK|FS|BC|AD|CA|SA|IDE|VSTEST)\d{3,5}\b",
        r"^[ \t]*(?:Failed|X) \S+(?: \[.+\])?$|^[ \t]+Error Message:|^Failed!\s+- Failed:|Total tests: .*Failed: [1-9]",
        r"\[FAIL\]|Assert\.\w+\(\) Failure|Xunit\.|NUnit\.|The active test run was aborted|Unable to resolve service",
    ),
    *errors(
        "ruby",
        9,
        r"Could not find (?:gem|compatible versions|\S+-\d)|Bundler could not find|Bundler::\w+|An error occurred while installing|Gem::\w+Error|your Ruby version is|requires Ruby version",
        r"^rspec \./|^[ \t]+\d+\) \S.*|^[ \t]+Failure/Error:|^\d+ examples?, [1-9]\d* failures?|^[ \t]+(?:expected|got|expected:|got:)\s",
        r"^\S+\.rb:\d+:in .+(?:Error|Exception|undefined|uninitialized)|NoMethodError|NameError|LoadError|cannot load such file|uninitialized constant|rake aborted!",
        r"^\S+:\d+:\d+: [CWEF]: |offenses? detected|Failure:$|^[ \t]*\d+\) (?:Failure|Error):|, [1-9]\d* (?:failures|errors),",
    ),
    *errors(
        "php",
        9,
        r"Your requirements could not be resolved|^[ \t]+- .+ requires? |Problem \d+$|could not be found in any version|does not satisfy that requirement|does not match the constraint|requires ext-",
        r"^(?:PHP )?(?:Fatal|Parse) error: |Uncaught \w+|^There (?:was|were) \d+ (?:failures?|errors?):|^FAILURES!|^ERRORS!|^Tests: \d+, .*(?:Failures|Errors): [1-9]|Failed asserting that|^\d+\) \S+::\S",
        r"\[Composer\\\\?\w+|\[(?:\w+\\)+\w*Exception\]|PHPStan|^ {1,3}Line {2,}|FOUND \d+ ERRORS?|^ +\d+ \| ERROR",
    ),
    *errors(
        "beam-perl",
        8,
        r"^===> (?:.+ failed|Failed |Error|Dependency failure|Unable|Package not found)",
        r"^\*\* \((?:\w+\.)*\w*(?:Error|Exit|Exception)\)|\*\* \(Mix\)|== Compilation error|^[ \t]+\d+\) test ",
        r"^not ok \d+|Failed test '|Result: FAIL|Can't locate \S+ in @INC|BEGIN failed--|# +(?:Failed|got|expected)",
        r"^ERROR: LoadError|Pkg\.|Unsatisfiable requirements detected|Test Failed at|ERROR: dependenc",
        r"^Error in |^ERROR: (?:lazy loading|compilation|dependency)|there is no package called|Execution halted",
    ),
    *errors(
        "others",
        9,
        r"^lua\S*: \S+:\d+: |^stack traceback:|^Failure → |^[ \t]*\S+\.lua:\d+: ",
        r"\*\*\* FAILED \*\*\*|^\w+:\w+ failed on line \d+|\*failed\*$|==> .*FAILED$|^Condition not satisfied:",
        r"^\d\d:\d\d \+\d+(?: ~\d+)? -\d+: .*\[E\]|^\S+#test_\w+ \[|^Failing (?:scenarios|tests|examples)|^Failed scenarios",
        r"^Test \S+ condition:|\(ert-test-failed|^[ \t]+(?:FAILED|✘|✗) +\S|^(?:FAIL|ERROR) in \(|^[ \t]*\[-\] \S",
        r"is not recognized as (?:the name|an internal)|No match was found for|CategoryInfo +:|FullyQualifiedErrorId",
        r"^//\S+\s+(?:FAILED|TIMEOUT|NO STATUS|FLAKY)\b|^WARNING -\s+.*(?:but |not |no )|^Aborted with \d+ warnings",
        r" => \S+:\d+:\d+$|^\d{1,3}\) \S|found a bug for you|^-- [A-Z ]{5,40} -{5,}",
        r"^The \w+ \".+\" is invalid|^lerna ERR!|^No (?:provider|package|candidate|match)\b.*found|^error: target not found",
        r"Expectation: \w+, but was|^ASSERT:|assertion failed|^E: \S+: \S|^%Error|^! (?:LaTeX|Undefined|Package|Emergency|Missing|Extra)|^l\.\d+ ",
        r"\b(?:UnauthorizedOperation|AccessDenied|PERMISSION_DENIED|CREATE_FAILED|ROLLBACK_COMPLETE|UPDATE_FAILED|EADDRINUSE|InvalidParameter\w*)\b",
    ),
    *kinds(
        "sysframe",
        "frame",
        1,
        r"^[ \t]{2,}--> \S+:\d+",
        r"^[ \t]+\S+\.rs:\d+",
        r"^[ \t]+# \./|^[ \t]+/\S+\.rb:\d+|^#\d+ /",
    ),
)
