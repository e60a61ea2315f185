"""Exit codes, and the signals that ended processes."""

from __future__ import annotations

import re
import signal

from processor.logs.extract.patterns import Pattern, place

DIGITS = r"(?P<name>-?\d{1,10}|0[xX][0-9a-fA-F]{8})\b"
SIGNAL = r"(?P<name>SIG[A-Z]+[0-9]?)\b"
WORDS = {
    "killed": "SIGKILL", "oomkilled": "SIGKILL", "segmentation": "SIGSEGV", "segfault": "SIGSEGV", "aborted": "SIGABRT",
    "abort trap": "SIGABRT", "illegal instruction": "SIGILL", "bus error": "SIGBUS", "floating point exception":
    "SIGFPE", "terminated": "SIGTERM", "interrupt": "SIGINT", "broken pipe": "SIGPIPE", "aborted (core dumped)":
    "SIGABRT", "hangup": "SIGHUP", "quit": "SIGQUIT", "access_violation": "SIGSEGV",
}  # fmt: skip
"""What shells and runtimes call signals, in lower case."""

NUMBERS = {str(one.value): one.name for one in signal.Signals}


def failure(name: str) -> str:
    """An exit code that is one of failure."""
    return "" if re.fullmatch(r"-?0+|0x0+", name) else name


def named(name: str) -> str:
    """A signal's name (SIGKILL), whether it was given as that, as a number or in words; "" for none."""
    return NUMBERS.get(name) or WORDS.get(name.lower()) or (name if name.startswith("SIG") else "")


def code(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a process's exit code."""
    return place("exit_code", regex, weight, cue=cue, clean=failure)


def sign(regex: str, weight: float, *, cue: str = "") -> Pattern:
    """A pattern for a signal."""
    return place("exit_code", regex, weight, cue=cue, clean=named)


PATTERNS: tuple[Pattern, ...] = (
    code(
        rf"[Ee]xit(?:ed)?(?: with)?(?: code| status| value)(?: exit status)?[:=]? ?['\"(]?{DIGITS}",
        0.8,
        cue="xit(ed)?( with)? (code|status|value)",
    ),
    code(rf"completed with exit code {DIGITS}", 0.7),
    code(
        rf"returned (?:a )?(?:non-zero (?:code|exit status|exit code|result):? ?)?{DIGITS}",
        0.8,
        cue="returned (a )?non-zero|returned -?[0-9]+",
    ),
    code(rf"exit status:? {DIGITS}", 0.8),
    code(rf"exit[-_ ]code[:=] ?{DIGITS}", 0.75, cue="exit[-_ ]code[:=]"),
    code(rf"\*\*\*.*Error {DIGITS}", 0.6, cue=r"\*\*\*.*Error [0-9]+"),
    code(rf"exited with {DIGITS}", 0.8),
    code(rf"exited abnormally with code {DIGITS}", 0.8),
    code(rf"exited with an error: {DIGITS}", 0.8),
    code(rf"(?:ELIFECYCLE|exit|error|errno).*code:? '?{DIGITS}", 0.4, cue="code:? '?[0-9]+"),
    code(rf"(?:ERR!|error) errno {DIGITS}", 0.6),
    code(rf"\bfailed with (?:exit )?(?:code|status):? '?{DIGITS}", 0.75, cue="failed with (exit )?(code|status)"),
    code(rf"\((?:exit|rc|code)[ =]{DIGITS}\)", 0.7, cue=r"\((exit|rc|code)[ =]-?[0-9]"),
    code(rf"\b[Rr]eturn code(?: was)?:? {DIGITS}", 0.7),
    sign(r"(?:signal|Signal)(?: number)?:? ?\(?(?P<name>\d{1,2})\b", 0.85, cue="ignal( number)?:? ?\\(?[0-9]"),
    sign(rf"\b{SIGNAL}", 0.8, cue="SIG(KILL|SEGV|ABRT|TERM|INT|BUS|ILL|FPE|PIPE|HUP|QUIT|TRAP|SYS|XCPU)"),
    sign(
        r"signal: (?P<name>killed|terminated|interrupt|aborted|broken pipe|hangup|quit|segmentation|bus error)",
        0.85,
        cue="signal: [a-z]",
    ),
    sign(r"(?:^|[\s:])(?P<name>Killed)\s*(?:$|[(:]| {2,}|:? 9\b)", 0.8, cue="Killed"),
    sign(r"(?P<name>OOMKilled)", 0.85),
    sign(r"(?P<name>[Ss]egmentation|[Ss]egfault)(?: fault)?", 0.8, cue="[Ss]egmentation fault|[Ss]egfault"),
    sign(
        r"(?P<name>Aborted|Abort trap|Illegal instruction|Bus error|Floating point exception)\b.*(?:dumped|: \d|$)",
        0.75,
        cue="(Aborted|Abort trap|Illegal instruction|Bus error|Floating point exception)",
    ),
    sign(r"(?P<name>ACCESS_VIOLATION)", 0.8),
)
