"""Takes this machine's own names out of a log, line by line: the number of lines never changes."""

from __future__ import annotations

import platform
import re
import socket
from pathlib import Path

from tools.record.machine import owned

JOBS_OWN = frozenset({"builds", "cache", "go", "home", "opt"})
HOST = socket.gethostname()
RESOLVERS = re.findall(r"(?m)^nameserver\s+(\S+)", Path("/etc/resolv.conf").read_text())
REGISTRIES = {
    "registry.npmjs.org": "registry.npm.example",
    "registry.yarnpkg.com": "registry.yarn.example",
    "repo.maven.apache.org": "repo.maven.example",
    "repo1.maven.org": "repo1.maven.example",
    "deb.debian.org": "deb.example",
    "index.crates.io": "index.crates.example",
    "static.crates.io": "static.crates.example",
    "proxy.golang.org": "proxy.go.example",
    "files.pythonhosted.org": "files.pypi.example",
    "pypi.org": "pypi.example",
}
"""Hosts of package registries, and what stands for them: a sample names no real one."""
LEFT = re.compile(rb"/root\b|\.pyenv|/home/(?!ci\b)|(?<![\w./-])/tmp/(?!\.)")
"""Folders of whoever records, on any machine."""


def scrub(log: bytes, scratch: Path) -> bytes:
    """``log`` with what is of this machine made neutral: folders, kernel, name servers, registries, host name."""
    for old, new in (
        (f"{scratch}/root", ""),
        (str(scratch), "/builds/.runner"),
        (platform.release(), "6.1.0-generic"),
        *((address, "192.0.2.53") for address in RESOLVERS),
        *REGISTRIES.items(),
    ):
        log = log.replace(old.encode(), new.encode())
    if len(HOST) > 3:  # a shorter one would hit ordinary words
        log = log.replace(HOST.encode(), b"runner")
    return log


def leaks(log: bytes) -> list[str]:
    """Lines that still show this machine."""
    own = "|".join(map(re.escape, owned()))
    here = re.compile(rf"(?<![\w.:/-])/(?:{own})/".encode())
    lines = log.split(b"\n")
    found = [line for line in lines if LEFT.search(line) or any(map(_foreign, here.findall(line)))]
    return [line.decode(errors="replace")[:200] for line in found]


def _foreign(folder: bytes) -> bool:
    """Whether a top-level folder of this machine has no namesake on the job's."""
    return folder.decode().strip("/") not in JOBS_OWN
