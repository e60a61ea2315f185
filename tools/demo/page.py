"""The tickets of a demo as one page in a file, to be read when everything has ended.

The Jira double's own page is there only while the double runs, speaks Korean, and shows issues of its own as well.
"""

from __future__ import annotations

import html
import json
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Tickets of the demo</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #172b4d }
article { border: 1px solid #dfe1e6; border-radius: 6px; margin: 1em 0; padding: 0 1em }
h2 { font-size: 1.1em } h2 b { color: #0052cc } small { color: #6b778c }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f5f7; padding: .8em; border-radius: 4px }
</style>
"""


def issues(address: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The fields of these issues, with `key`, as Jira tells them."""
    found = []
    for key in keys:
        path = f"/rest/api/2/issue/{urllib.parse.quote(key)}"
        request = urllib.request.Request(address + path, headers={"Authorization": "Bearer demo"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  an address of our own, on loopback
            issue = json.load(answer)
        found.append({"key": issue["key"], **issue["fields"]})
    return found


def page(found: Sequence[Mapping[str, Any]]) -> str:
    """The page. Descriptions and comments are Jira's markup, as it was sent."""
    parts = [HEAD, f"<h1>{len(found)} tickets</h1><p>Descriptions are shown as they were sent to Jira, in its markup."]
    for issue in found:
        facts = [(issue.get(name) or {}).get("name") for name in ("issuetype", "priority", "status")]
        told = [*facts, *(issue.get("labels") or [])]
        parts.append(f"<article><h2><b>{_safe(issue['key'])}</b> {_safe(issue.get('summary'))}</h2>")
        parts.append(f"<small>{_safe(' · '.join(filter(None, told)))}</small>")
        parts.append(f"<pre>{_safe(issue.get('description'))}</pre>")
        comments = (issue.get("comment") or {}).get("comments") or []
        parts += [f"<small>comment</small><pre>{_safe(each.get('body'))}</pre>" for each in comments]
        parts.append("</article>")
    return "\n".join(parts) + "\n"


def _safe(text: object) -> str:
    """Text of a log is no markup here either."""
    return html.escape(str(text or ""))
