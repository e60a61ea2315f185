"""Where it happened: files with line, hosts that could not be reached, exit codes."""

from __future__ import annotations

import re

from processor.logs.extract.patterns import Pattern, place

PATH = r"(?:[A-Za-z]:)?[\w.@+~/\\-]*[\w-]\.[A-Za-z]\w{0,5}"
HOST = r"(?P<name>(?:[\w-]+\.)*[\w-]*[A-Za-z][\w-]*(?:\.[\w-]+)*)"
VERSION_LIKE = re.compile(r"^v?\d+(\.\d+)+\w*$")


def location(name: str) -> str:
    """`path:line` whatever brackets the tool uses; "" for what only looks like a file."""
    path, _, line = re.sub(r"[:(]\[?|\", line ", "\0", name.replace("\\", "/"), count=1).partition("\0")
    number = re.match(r"\d+", line)
    return "" if VERSION_LIKE.match(path) else f"{path.removeprefix('./')}:{number[0]}" if number else path


def file(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a file, with its line where the tool prints one."""
    return place("file", cue, regex, weight, clean=location)


def host(cue: str, regex: str, weight: float = 0.9) -> Pattern:
    """A pattern for a host that failed."""
    return place("host", cue, regex, weight)


def exit_code(cue: str, regex: str, weight: float) -> Pattern:
    """A pattern for a process's exit code."""
    return place("exit_code", cue, regex, weight)


PATTERNS: tuple[Pattern, ...] = (
    file(
        r"[A-Za-z0-9_]:[0-9]+(:[0-9]+)?: (fatal |internal compiler )?error",
        rf"(?P<name>{PATH}:\d+)(?::\d+)?: (?:fatal |internal compiler )?error",
        1.0,
    ),
    file(r"\([0-9]+,[0-9]+\): error", rf"(?P<name>{PATH}\(\d+),\d+\): error", 1.0),
    file(r":[0-9]+:[0-9]+ - error", rf"(?P<name>{PATH}:\d+):\d+ - error", 1.0),
    file(r"\.(java|kt|scala|groovy):\[[0-9]+", rf"(?P<name>{PATH}:\[\d+),\d+\]", 0.95),
    file(r"--> .*:[0-9]+:[0-9]+", rf"--> (?P<name>{PATH}:\d+):\d+", 0.7),
    file(r"File \".*\", line [0-9]+", r"File \"(?P<name>[^\"<>]+\", line \d+)", 0.6),
    file(r"\.py:[0-9]+: ", rf"^(?P<name>{PATH}:\d+): (?:\w+Error|\w*Exception|in |[A-Z]\w+$)", 0.9),
    file(r"\.go:[0-9]+", rf"(?P<name>{PATH}:\d+)(?::\d+)?: ", 0.8),
    file(r"\.[a-z]{1,5}:[0-9]+:[0-9]+", rf"(?P<name>{PATH}:\d+):\d+", 0.5),
    file(r"\.(java|kt|scala):[0-9]+\)", r"\((?P<name>\w+\.(?:java|kt|scala):\d+)\)", 0.3),
    file(r"\.(rb|php|ex|exs|pl|sh|c|cc|cpp|h|hpp|js|ts|tsx|jsx):[0-9]+", rf"(?P<name>{PATH}:\d+)", 0.45),
    host("ould not resolve host", rf"ould not resolve host:? '?{HOST}"),
    host("ENOTFOUND|EAI_AGAIN", rf"(?:ENOTFOUND|EAI_AGAIN) {HOST}"),
    host("ECONNREFUSED|ECONNRESET|ETIMEDOUT", rf"(?:ECONNREFUSED|ECONNRESET|ETIMEDOUT) {HOST}", 0.8),
    host("failure resolving '", rf"failure resolving '{HOST}'"),
    host("ould not resolve '", rf"ould not resolve '{HOST}'"),
    host("lookup .*: (no such host|server misbehaving)|lookup .* on ", rf"lookup {HOST}(?: on |:)"),
    host("ailed to connect to ", rf"ailed to connect to (?:https?://)?{HOST}"),
    host("ould not connect to ", rf"ould not connect to (?:https?://)?{HOST}", 0.7),
    host("Connection pool|ConnectionPool\\(host=", rf"ConnectionPool\(host='{HOST}'"),
    host("UnknownHostException", rf"UnknownHostException: {HOST}"),
    host("unable to access 'https?://", rf"unable to access 'https?://{HOST}", 0.85),
    host(
        "Connect(ion)? to .*(timed out|refused|failed)",
        rf"Connect(?:ion)? to {HOST}.*(?:timed out|refused|failed)",
        0.85,
    ),
    host("TLS handshake timeout|i/o timeout|connection refused", rf"https?://{HOST}.*(?:timeout|refused)", 0.7),
    host("connect to host .* port", rf"connect to host {HOST} port"),
    exit_code("exit(ed with)? (code|status)", r"[Ee]xit(?:ed with)? (?:code|status):? '?(?P<name>-?\d{1,10})", 0.8),
    exit_code("completed with exit code", r"completed with exit code (?P<name>\d+)", 0.7),
    exit_code(
        "returned (a )?non-zero|returned [0-9]+",
        r"returned (?:a )?(?:non-zero (?:code|exit status):? ?)?(?P<name>\d+)",
        0.8,
    ),
    exit_code("exit status:", r"exit status: (?P<name>\d+)", 0.8),
    exit_code(r"make.*\*\*\*.*Error [0-9]+", r"\*\*\*.*Error (?P<name>\d+)", 0.6),
    exit_code("exited with [0-9]+", r"exited with (?P<name>\d+)", 0.8),
    exit_code("code [0-9]+\\b", r"(?:ELIFECYCLE|exit|error|errno).*code (?P<name>\d+)", 0.4),
)
