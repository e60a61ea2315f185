"""What the demo prints: a line for each thing that happens, a table and the figures at the end."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tools.demo.plan import Build
from tools.demo.watch import Outcome


class View:
    """The demo's output. On a terminal a status line stands below what scrolls by."""

    def __init__(self, began_outcome: Outcome, jira: str = "") -> None:
        # A pipe has no width of its own: one in which the table reads well.
        width = None if sys.stdout.isatty() else 140
        self.console = Console(highlight=False, soft_wrap=True, width=width)
        self._outcome = began_outcome
        self._subjects: dict[str, str] = {}
        self.jira = jira

    def say(self, text: str, style: str = "") -> None:
        """One line, with the seconds since the start before it."""
        self.console.print(Text(f"[{self._outcome.seconds():4.0f} s] ", style="dim").append(text, style=style))

    def told(self, what: str, **more: Any) -> None:
        """Something that happened, as `Watch` tells it."""
        if what == "finding":
            self._finding(more["finding"])
        elif what == "dead letter":
            self.say(f"dead letter: {more['reason']}: {more['error']}", "red")
        elif what == "no ticket":
            event = more["event"]
            self.say(f"no ticket ({event['action']}): {event.get('reason', '')}", "yellow")
        else:
            event = more["event"]
            about = self._subjects.get(event["finding"], "")
            verb = "filed " if what == "ticket" else "again "
            style = "bold green" if what == "ticket" else "green"
            self.say(f"{verb} {event['key']:<10} {about}", style)

    def _finding(self, finding: dict[str, Any]) -> None:
        data = finding["data"]
        step = data["steps"][-1]
        by = (
            f"rule {step['rule']}"
            if step["decided_by"] == "rule"
            else "model, answered before"
            if step["reused"] is not None
            else f"model, {step['timings_ms'].get('infer', 0) / 1000:.1f} s"
        )
        self._subjects[finding["id"]] = f"{data['result'].get('summary') or data['result'].get('category')}"
        self.say(
            f"finding {finding['subject']:<28} {data['result'].get('category')} {dependency(data['result'])} ({by})"
        )


def dependency(result: Mapping[str, Any]) -> str:
    """The faulty dependency as a person writes it."""
    named = result.get("faulty_dependency") or {}
    return " ".join(str(part) for part in (named.get("name"), named.get("version")) if part)


def table(builds: Sequence[tuple[Build, dict[str, Any] | None, str]], dead: Collection[str]) -> Table:
    """Event → category → dependency → ticket; what the recorder knows to be wrong is marked. `dead`: dead letters."""
    made = Table(title="What became of each failed build", title_justify="left")
    for name in ("build", "decided by", "category", "dependency", "ticket"):
        made.add_column(name, overflow="fold")
    for build, finding, ticket in builds:
        if finding is None:
            none = Text("dead letter", style="red") if build.id in dead else Text("not done", style="yellow")
            made.add_row(build.id, "", none, "", ticket)
            continue
        result = finding["data"]["result"]
        right = result.get("category") in {build.truth["category"], *build.truth.get("category_alt", [])}
        category = Text(str(result.get("category")), style="" if right else "yellow")
        if not right:
            category.append(f" (is {build.truth['category']})", style="dim")
        made.add_row(build.id, finding["data"]["steps"][-1]["decided_by"], category, dependency(result), ticket)
    return made
