"""Addresses of commits and comparisons, made from the address of a build on GitHub or GitLab."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from processor.tickets.document import address

_HASH: Final = re.compile(r"[0-9a-fA-F]{7,64}")
_GITHUB: Final = re.compile(
    r"(?P<base>https?://[^/?#]+/(?P<repo>[^/?#]+/[^/?#]+))/(?:actions|runs|commit|pull|checks)(?:[/?#]|$)"
)
_GITLAB: Final = re.compile(r"(?P<base>https?://[^?#]+?)/-/(?:jobs|pipelines|commit|merge_requests)/")


def commit_url(build: Mapping[str, Any]) -> str:
    """Where the build's commit can be looked at; empty where that is not known."""
    return _url(build, str(build.get("commit") or ""), "commit/{0}")


def compare_url(build: Mapping[str, Any], since: str) -> str:
    """Where the changes from the commit `since` to the build's can be looked at; empty where that is not known."""
    commit = str(build.get("commit") or "")
    if not _HASH.fullmatch(commit) or commit == since:
        return ""
    return _url(build, since, f"compare/{{0}}...{commit}")


def _url(build: Mapping[str, Any], commit: str, path: str) -> str:
    page = address(build.get("url") or "")
    if page is None or not _HASH.fullmatch(commit):
        return ""
    if found := _GITLAB.match(page):
        return f"{found['base']}/-/{path.format(commit)}"
    found = _GITHUB.match(page)
    # Only of the repository that was built: a build elsewhere may have the same look.
    return f"{found['base']}/{path.format(commit)}" if found and found["repo"] == build.get("repo") else ""
