"""Takes this machine's own names out of a log, line by line: the number of lines never changes."""

from __future__ import annotations

import platform
import re
import socket
from pathlib import Path

HOST = socket.gethostname()
RESOLVERS = re.findall(r"(?m)^nameserver\s+(\S+)", Path("/etc/resolv.conf").read_text())
LEFT = re.compile(rb"/work/|/root\b|/farm/|\.pyenv|(?<![\w./-])/tmp/(?!\.)")


def scrub(log: bytes, scratch: Path) -> bytes:
    """``log`` with the scratch folder, the kernel's release, name servers and this machine's name neutral."""
    for old, new in (
        (f"{scratch}/root", ""),
        (str(scratch), "/builds/.runner"),
        (platform.release(), "6.1.0-generic"),
        *((address, "192.0.2.53") for address in RESOLVERS),
    ):
        log = log.replace(old.encode(), new.encode())
    if len(HOST) > 3:  # a shorter one would hit ordinary words
        log = log.replace(HOST.encode(), b"runner")
    return log


def leaks(log: bytes) -> list[str]:
    """Lines that still show this machine."""
    return [line.decode(errors="replace")[:200] for line in log.split(b"\n") if LEFT.search(line)]
