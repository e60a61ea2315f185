"""The file that a new ticket may get: the redacted excerpt of the log, below a few lines that say of what build."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from processor.tickets.document import clean, one_line

_PART: Final = 40
"""Most characters of a part of a file's name."""

_ODD: Final = re.compile(r"[^A-Za-z0-9._]+")
_BUILD: Final = (("repo", "Repository"), ("branch", "Branch"), ("commit", "Commit"), ("job", "Job"), ("url", "Build"))


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that is to be attached. `sent`: a request that attaches it may be under way or done."""

    name: str
    text: str
    sent: bool = False


def name(finding: Mapping[str, Any]) -> str:
    """The file's name: of which job and run, and of which finding, so that no other file of the ticket has it."""
    build = finding.get("build") or {}
    parts = [str(build.get("job") or ""), str(build.get("run_id") or ""), _identity(finding)]
    plain = [_ODD.sub("-", part)[:_PART].strip("-.") for part in parts]
    return "-".join(["log-excerpt", *(part for part in plain if part)]) + ".txt"


def content(finding: Mapping[str, Any]) -> str:
    """The file's text. The log's own characters may be any; all else is ASCII, for viewers that guess the encoding."""
    build = finding.get("build") or {}
    head = [f"{label + ':':<12}{said}" for key, label in _BUILD if (said := one_line(build.get(key) or ""))]
    attempt = f", attempt {build['attempt']}" if str(build.get("attempt") or "1") != "1" else ""
    if run := one_line(build.get("run_id") or ""):
        head.append(f"{'Run:':<12}{run}{attempt}")
    head.append(f"{'Finding:':<12}{one_line(finding.get('id') or '')}")
    if cause := one_line((finding.get("result") or {}).get("summary") or ""):
        head.append(f"{'Cause:':<12}{cause}")
    said = (
        "What was picked from the log, with the line numbers of the whole log. A > marks the lines that decided.\n"
        "Secrets that were recognised have been taken out."
    )
    return "\n".join([*head, "", said, "", clean(finding.get("excerpt") or ""), ""])


def _identity(finding: Mapping[str, Any]) -> str:
    """The finding's id, of a UUID its first digits: enough to tell the few files of one ticket apart."""
    identity = str(finding.get("id") or "")
    return identity[:8] if _UUID.fullmatch(identity) else identity


_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
