"""What CI systems write around a job: failing ends, sections, and what comes after the failure."""

# ruff: noqa: E501  (a regular expression that is folded can't be read or searched for)

from __future__ import annotations

from typing import Final

from processor.logs.patterns.base import Pattern, errors, kinds

PATTERNS: Final[tuple[Pattern, ...]] = (
    *errors(
        "annotation",
        7,
        r"^##\[error\]",
        r"^(?:::|##vso\[task\.logissue type=)error\b",
        r"^##\[(?:error|section)\].*(?:canceled|cancelled|time)",
        r"\bThe (?:operation was canceled|runner has received a shutdown signal|hosted runner|self-hosted runner|job running on runner)",
        r"^ERROR: (?:Job failed|Uploading|Preparation failed|Failed to|Cannot)",
        r"\b(?:Cannot connect to the Docker daemon|error during connect)\b",
        r"\bjob (?:execution )?(?:failed|timed out|exceeded)\b",
    ),
    *kinds(
        "exit",
        "exit",
        4,
        r"^##\[error\](?:Process completed with exit code|Bash exited with code|PowerShell exited|The process '.+' failed with exit code)",
        r"^The command \".*\" (?:exited with|failed and exited with) [1-9]",
        r"^ERROR: Job failed",
        r"^Build step .+ marked build as failure",
        r"^Finished: (?:FAILURE|ABORTED|UNSTABLE)",
        r"^Exited with code (?:exit status )?[1-9]",
        r"\bexit(?:ed)?(?: with)?(?: exit)?(?: code| status)(?: of)?:? ?[1-9]\d{0,2}\b",
        r"\breturned (?:a )?non-zero (?:code|exit status)",
        r"^g?make(?:\[\d+\])?: \*\*\* ",
        r"^ninja: build stopped",
        r"^script returned exit code [1-9]",
        r"^Your build (?:exited|has been stopped)",
        r"^The job exceeded the maximum",
        r"^Error: Process completed with exit code",
        r"^Command exited with code [1-9]|^🚨 Error: The command exited",
        r"^##\[error\]The (?:operation|job)",
        r"^(?:Cleaning up|Uploading artifacts for failed job)",
    ),
    *kinds(
        "summary",
        "summary",
        4,
        r"^error: (?:could not compile|aborting due to|test failed, to rerun|build failed|subprocess-exited)",
        r"^(?:FAIL|FAILED|FAILURES!|ERRORS!|The following tests FAILED:|failures:|Errors were encountered.*)$",
        r"^\[INFO\] BUILD FAILURE|^BUILD FAILED|^> Run with --",
        r"^npm (?:ERR!|error) (?:A complete log|code ELIFECYCLE|Exit status|errno|Failed at|This is probably not)|^error Command failed",
        r"^E: (?:Unable to fetch some|Some index files|Sub-process)|^W: Some index",
        r"^\d+ (?:failed|errors?|problems?)\b|^=+ .*\d+ (?:failed|errors?)\b",
        r"^ERROR tests/\S+$|^FAIL\s+\S+\s+[\d.]+m?s$|ERROR: \d+ dead links found",
        r"^cc1(?:plus)?: (?:all|some) warnings being treated as errors|\bSome tests failed\b|^There (?:are|were) (?:test )?failures",
    ),
    *kinds(
        "step",
        "step",
        0,
        r"^##\[(?:group|section)\]",
        r"^::group::",
        r"^travis_fold:start",
        r"^section_start:",
        r"^\[Pipeline\] (?:stage|sh|\{)",
        r"^\$ \S",
        r"^(?:--- |~~~ |\+\+\+ )\S",
        r"^Step \d+/\d+ : ",
        r"^#\d+ \[.+\d+/\d+\] ",
        r"^\[INFO\] --- ",
        r"^> Task :",
    ),
    *kinds(
        "after",
        "noise",
        -5,
        r"^Post job cleanup|^Cleaning up orphan processes|^Terminate orphan process",
        r"^(?:Temporarily overriding HOME|Adding repository directory to the temporary git|\[command\]/usr/bin/git)",
        r"^http\.https://.+\.extraheader",
        r"^(?:Cleaning up project directory|Running after_script|Uploading artifacts)",
        r"^(?:Done\. Your build exited|travis_)",
        r"^\[Pipeline\] (?:End of|// )",
        r"^(?:Archiving artifacts|Recording test results|\[WS-CLEANUP\]|Sending e-?mails?)",
        r"^(?:Prepare workflow directory|Prepare all required actions|Getting action download info|Download action repository)",
        r"^Complete job name:",
    ),
)
