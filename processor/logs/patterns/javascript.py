"""JavaScript and TypeScript: npm, yarn, pnpm, tsc, webpack, Jest, Vitest, Mocha, Cypress, eslint."""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.patterns.base import Pattern, errors, kinds

PATTERNS: Final[tuple[Pattern, ...]] = (
    *errors(
        "npm",
        9,
        r"^npm (?:ERR!|error) (?:code|notarget|404|ERESOLVE|peer|Could|Found|Fix|Conflicting|missing|notsup|Invalid|Missing|syscall|errno|enoent|network|gyp ERR|command|Unsupported|Tracker|Refusing|cb|Failed|Cannot|Unexpected|Exit status|audit|EUSAGE|`npm ci`|Error:)",
        r"\b(?:ERESOLVE|ETARGET|EBADENGINE|EINTEGRITY|E404|E401|E403|EUSAGE|ELIFECYCLE|ENOLOCK|EJSONPARSE|ENOENT|ERR_PNPM_\w+|ERR_MODULE_NOT_FOUND|ERR_REQUIRE_ESM|MODULE_NOT_FOUND|ERR_\w{4,40})\b",
        r"\bYN0\d{3}: .*(?:✘|Error|failed|couldn't|can't)",
        r"^error (?:An unexpected error|Couldn't find|Received|Command failed|\S+@\S+: The engine)|The engine \"node\" is incompatible",
        r"Your lockfile needs to be updated|lockfile is not up to date|frozen-lockfile",
        r"^gyp ERR! (?:stack Error|build error|not ok|configure error|find)",
        r"Cannot find module|Module not found|Can't resolve '|Cannot find package",
        r"found \d+ (?:\w+ )?(?:severity )?vulnerabilit|\d+ (?:critical|high) severity",
    ),
    *errors("npm-tail", 3, r"^npm (?:ERR!|error)", r"^gyp ERR!", r"^error Command failed|^info Visit https"),
    *errors(
        "typescript",
        10,
        r"error TS\d{3,5}:|\bTS\d{3,5}: ",
        r"^\S+\.(?:tsx?|jsx?|vue|svelte|mts|cts)[:(]\d+[:,]\d+\)?(?::| -)? ?(?:error|- error)",
        r"^Found \d+ errors? in ",
        r"^(?:ERROR|Error|error) in (?:\./|/|\S+\.(?:ts|js|vue|scss|css))",
        r"^Module (?:build failed|parse failed|not found|Error)|^Failed to compile",
        r"^(?:✖|x|✖|×) \d+ problems? \(",
        r"^[ \t]+\d+:\d+\s+(?:✖\s+)?error\s+\S",
        r"^\[error\] |Code style issues (?:found|were found)|Forgot to run Prettier",
        r"\[vite\].*error|\[plugin:? .+\]|RollupError|✘ \[ERROR\]|Transform failed with",
        r"(?:Package )?size limit has exceeded|exceeds? the (?:size|maximum) (?:limit|budget)|Budget .+exceeded",
    ),
    *errors(
        "jstest",
        9,
        r"^[ \t]*● .+(?: › |$)",
        r"^[ \t]*FAIL(?:ED)?\s+\S+\.(?:test|spec|e2e)\.\w+|^[ \t]*(?:FAIL|❯|×)\s+\S.*(?: > | › )|^FAIL \S+/\S",
        r"^[ \t]{2,}\d+\) \S",
        r"^[ \t]+\d+ failing$|^[ \t]*Tests?:?\s+.*\d+ failed|^[ \t]*Test (?:Files|Suites):?\s.*\d+ failed",
        r"^[ \t]*(?:AssertionError|TypeError|ReferenceError|RangeError|SyntaxError|Error|expect\(.+\)\S*)\b",
        r"^[ \t]*(?:- Expected|\+ Received|Expected:?|Received:?|expected|actual)\b",
        r"^not ok \d+",
        r"Executed \d+ of \d+ .*\(?\d+ FAILED|\bFAILED$|Disconnected, because no message|Chrome\S* .* FAILED|Cannot start \w+|Browserslist: .*error",
        r"ReferenceError: |is not a function\b|Cannot read propert|is not a constructor",
        r"No tests found, exiting|failed to pass within|Your test suite must contain",
        r"coverage threshold for .+ not met|Coverage for .+ does not meet",
        r"Snapshot .*(?:mismatch|obsolete|failed)|›\s+\d+ snapshots? failed",
    ),
    *kinds("jsframe", "frame", 1, r"^[ \t]{4,}> ?\d+ \|", r"^[ \t]+[-+] \S", r"^[ \t]+❯ \S"),
)
