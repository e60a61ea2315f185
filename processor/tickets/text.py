"""The texts of tickets: summary, description, comments. Cause first; text from logs stays text.

A template sees `finding` and `seen` as plain data, whatever of them it prints is escaped, and `wiki` for markup
(mono, bold, link, evidence, package, build, certainty, seen).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson
import structlog

from processor.errors import Rejected
from processor.tickets import wiki
from processor.tickets.messages import LABEL, Command, Draft, Recurrence, moment
from processor.tickets.wiki import Wiki

log = structlog.get_logger(__name__)

EVIDENCE_LINE: Final = 2000
"""Most UTF-16 units of one evidence line."""

_SURE: Final = ((0.9, "Very likely right"), (0.75, "Probably right"), (0.5, "Perhaps right"), (0.0, "A guess"))


class Renders(Protocol):
    """A template."""

    def render(self, /, **context: Any) -> str:
        """The text. Raises Rejected("template_failed")."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pipeline says about its tickets. `priority` maps a severity to the name of a priority."""

    pipeline: str
    project: str
    type: str = "Bug"
    summary: Renders | None = None
    description: Renders | None = None
    labels: tuple[Renders, ...] = ()
    priority: Mapping[str, str] = field(default_factory=dict)
    components: tuple[str, ...] = ()
    assignee: Renders | None = None
    recurrence: Recurrence = field(default_factory=Recurrence)
    dry_run: bool = False


class Texts:
    """Writes the texts of all pipelines' tickets. `redact` goes over each text last."""

    def __init__(self, plans: Mapping[str, Plan], redact: Callable[[str], str] = str) -> None:
        self._plans = plans
        self._redact = redact

    def draft(self, command: Command) -> Draft:
        """The fields of the create request. Raises Rejected("unknown_pipeline")."""
        plan = self._plans.get(command.pipeline)
        if plan is None:
            raise Rejected("unknown_pipeline", f"pipeline {command.pipeline} files no tickets here")
        fields: dict[str, Any] = {
            "project": {"key": plan.project},
            "issuetype": {"name": plan.type},
            "summary": self._summary(plan, command),
            "description": self._description(plan, command),
            "labels": self._labels(plan, command),
        }
        severity = command.finding.get("result", {}).get("severity")
        if priority := plan.priority.get(str(severity)):
            fields["priority"] = {"name": priority}
        if plan.components:
            fields["components"] = [{"name": name} for name in plan.components]
        if assignee := wiki.one_line(self._rendered(plan.assignee, command, "assignee", escaped=False)):
            fields["assignee"] = {"name": assignee}
        return Draft(plan.project, fields)

    def recurrence(self, pipeline: str) -> Recurrence:
        """What to do when a fault of the pipeline is seen again."""
        plan = self._plans.get(pipeline)
        return plan.recurrence if plan is not None else Recurrence()

    def dry_run(self, pipeline: str) -> bool:
        """Whether to say what would be done, and do nothing."""
        plan = self._plans.get(pipeline)
        return plan is not None and plan.dry_run

    def seen(self, count: int, first: str, last: str) -> str:
        """How often and when, in a sentence."""
        return str(seen(count, first, last))

    def comment(self, command: Command) -> str:
        """What a recurrence says: how often by now, in which build, and what the log said this time."""
        finding = command.finding
        parts = [
            f"The same fault again. {seen(command.count, command.first_seen, command.last_seen)}",
            build(finding.get("build", {})),
            evidence(finding.get("evidence", [])[:5]),
        ]
        return wiki.cut(self._redact("\n\n".join(part for part in parts if part)), wiki.TEXT_LIMIT).strip()

    def _summary(self, plan: Plan, command: Command) -> str:
        text = self._rendered(plan.summary, command, "summary", escaped=False) or plain_summary(command)
        return wiki.cut(wiki.one_line(self._redact(text)), wiki.SUMMARY_LIMIT) or "Failed build"

    def _description(self, plan: Plan, command: Command) -> str:
        """The description within Jira's limit: evidence goes before anything else does."""
        lines = command.finding.get("evidence", [])
        keep = len(lines)
        while True:
            shown = lines[:keep]
            text = self._rendered(plan.description, command, "description", shown) or plain_description(command, shown)
            text = self._redact(text).strip()
            if wiki.units(text) <= wiki.TEXT_LIMIT or not keep:
                return wiki.cut(text, wiki.TEXT_LIMIT)
            keep //= 2

    def _labels(self, plan: Plan, command: Command) -> list[str]:
        texts = [f"{LABEL}{command.fingerprint}"]
        texts += [self._rendered(template, command, "labels", escaped=False) for template in plan.labels]
        return list(dict.fromkeys(name for name in map(wiki.label, texts) if name))

    def _rendered(
        self,
        template: Renders | None,
        command: Command,
        setting: str,
        lines: Sequence[Mapping[str, Any]] | None = None,
        *,
        escaped: bool = True,
    ) -> str:
        """The template's text; empty where there is none or it fails, so that the ticket is filed all the same."""
        if template is None:
            return ""
        try:
            return template.render(**context(command, lines, escaped=escaped)).strip()
        except Rejected as error:
            log.warning(
                "template failed, the ticket gets a plain text",
                action="template_failed",
                pipeline=command.pipeline,
                setting=f"ticket.{setting}",
                error=self._redact(str(error)),
            )
            return ""


def context(
    command: Command, lines: Sequence[Mapping[str, Any]] | None = None, *, escaped: bool = True
) -> dict[str, Any]:
    """What a template sees. Without `escaped` (summary, labels: no markup there) there is no `wiki`."""
    finding = command.finding if lines is None else {**command.finding, "evidence": list(lines)}
    values: dict[str, Any] = {
        "finding": finding,
        "seen": {"count": command.count, "first": command.first_seen, "last": command.last_seen},
    }
    if escaped:
        values["wiki"] = TOOLS
    return values


def news(command: Command) -> str:
    """A digest of what a comment on the finding would say that counts don't: where it happened, and what came of it.

    The result's summary is left out: a model words the same cause in many ways.
    """
    finding, attributes = command.finding, command.finding.get("build") or {}
    result = {name: value for name, value in (finding.get("result") or {}).items() if name != "summary"}
    where = [attributes.get(name) for name in ("repo", "branch", "job")]
    return hashlib.sha256(orjson.dumps([where, result], option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def plain_summary(command: Command) -> str:
    """A summary without a template: the repository and the cause."""
    return ": ".join(part for part in (str(command.finding.get("build", {}).get("repo", "")), cause(command)) if part)


def plain_description(command: Command, lines: Sequence[Mapping[str, Any]]) -> str:
    """A description without a template, for any schema."""
    finding = command.finding
    parts: list[str] = [wiki.escape(cause(command)), facts(finding.get("result", {}))]
    if lines:
        parts.append("h3. Evidence\n" + evidence(lines))
    parts += [build(finding.get("build", {})), seen(command.count, command.first_seen, command.last_seen)]
    parts += [certainty(finding), footer(command.fingerprint)]
    return "\n\n".join(part for part in parts if part)


def cause(command: Command) -> str:
    """What broke, in one line: the result's summary, else the first evidence line, else the subject."""
    finding = command.finding
    summary = finding.get("result", {}).get("summary")
    lines = finding.get("evidence") or [{}]
    return wiki.one_line(summary or lines[0].get("text") or finding.get("subject") or "A build failed")


def facts(result: Mapping[str, Any]) -> Wiki:
    """All other fields of a result, one a line."""
    rows = [
        f"* {wiki.bold(name.replace('_', ' ').capitalize())}: {_fact(value)}"
        for name, value in result.items()
        if name not in {"summary", "evidence"} and value not in (None, "", [], {})
    ]
    return Wiki("\n".join(rows))


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return package(value) if value.get("name") else wiki.escape(wiki.one_line(dict(value)))
    if isinstance(value, list):
        return ", ".join(_fact(item) for item in value)
    return wiki.escape(wiki.one_line(value))


def package(value: Mapping[str, Any] | None) -> Wiki:
    """A dependency: name and version in fixed width, and its ecosystem."""
    if not value or not value.get("name"):
        return Wiki("")
    text = wiki.mono(value["name"])
    if value.get("version"):
        text = Wiki(f"{text} version {wiki.mono(value['version'])}")
    return Wiki(f"{text} ({wiki.escape(value['ecosystem'])})") if value.get("ecosystem") else text


def evidence(lines: Iterable[Mapping[str, Any]]) -> Wiki:
    """Log lines with their numbers in the original log, as they are."""
    rows = [(str(line.get("line", "")), wiki.clean(line.get("text", ""))) for line in lines]
    if not rows:
        return Wiki("")
    width = max(len(number) for number, _ in rows)
    return wiki.noformat(wiki.cut(f"{number:>{width}}  {text}", EVIDENCE_LINE) for number, text in rows)


def build(attributes: Mapping[str, Any]) -> Wiki:
    """Which build: repository, job and run with a link, branch and commit."""
    said = {
        name: wiki.one_line(attributes.get(name) or "") for name in ("repo", "job", "run_id", "branch", "commit", "url")
    }
    name = " / ".join(said[part] for part in ("repo", "job") if said[part])
    if said["run_id"]:
        name = f"{name} run {said['run_id']}".strip()
    name = name or said["url"]
    if not name:
        return Wiki("")
    shown = wiki.link(said["url"], name) if said["url"] else wiki.escape(name)
    branch = f", branch {wiki.mono(said['branch'])}" if said["branch"] else ""
    commit = f", commit {wiki.mono(said['commit'][:12])}" if said["commit"] else ""
    return Wiki(f"*Build:* {shown}{branch}{commit}")


def seen(count: int, first: str, last: str) -> Wiki:
    """How often and when, as in: Seen 3 times, first on 22 Nov 2026 04:10 UTC, last on 23 Nov 2026 11:00 UTC."""
    if count <= 1:
        return Wiki(f"Seen once, on {_when(last)}.")
    return Wiki(f"Seen {count} times, first on {_when(first)}, last on {_when(last)}.")


def _when(text: str) -> str:
    read = moment(text)
    return f"{read.day} {read:%b %Y %H:%M} UTC" if read else "an unknown date"


def certainty(finding: Mapping[str, Any]) -> Wiki:
    """How sure the diagnosis is, in words. A figure is given only where it was measured."""
    decided, confidence = finding.get("decided") or {}, finding.get("confidence") or {}
    value = confidence.get("value") if confidence.get("calibrated") else None
    if decided.get("by") == "rule":
        rule = f" by the rule {wiki.mono(decided['rule'])}" if decided.get("rule") else ""
        right = f"; it has been right in {100 * value:.0f} % of known cases" if value is not None else ""
        return Wiki(f"*How sure:* A known failure, recognised{rule}{right}.")
    if value is not None:
        words = next(words for least, words in _SURE if value >= least)
        return Wiki(f"*How sure:* {words} ({100 * value:.0f} %, measured on labelled failures).")
    doubt = " It was unsure here." if finding.get("review") else ""
    return Wiki(
        "*How sure:* Not calibrated. A language model chose this diagnosis, and how often it is right has not been "
        f"measured.{doubt} Check it against the evidence."
    )


def footer(fingerprint: str) -> Wiki:
    """Who wrote this, and what keeps repeats on this ticket."""
    return Wiki(
        "----\nFiled by Faultstream. Repeats of this fault are added here as long as the label "
        f"{wiki.mono(LABEL + fingerprint)} stays."
    )


TOOLS: Final[Mapping[str, Callable[..., Wiki]]] = {
    "mono": wiki.mono,
    "bold": wiki.bold,
    "link": wiki.link,
    "noformat": wiki.noformat,
    "package": package,
    "evidence": evidence,
    "build": build,
    "facts": facts,
    "certainty": certainty,
    "seen": seen,
    "footer": footer,
}
"""What a description's template finds under `wiki`."""
