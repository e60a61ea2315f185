"""The texts of tickets: summary, description, comments, written from a pipeline's templates.

A template sees `finding` and `seen` as plain data and, in the description, `parts`: ready pieces, the cause first. A
template that fails at run time costs the ticket its looks, not its existence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson
import structlog

from processor.errors import Rejected
from processor.tickets import attachment, digests, markdown, parts
from processor.tickets.attachment import Attachment
from processor.tickets.author import Draft, Recurrence
from processor.tickets.document import SUMMARY_LIMIT, Document, cut, label, one_line
from processor.tickets.messages import LABEL, Command

log = structlog.get_logger(__name__)


NOTE_LIMIT: Final = 300
"""Most UTF-16 units of what an event says of a template that fails."""


class Renders(Protocol):
    """A template."""

    def render(self, /, **context: Any) -> str:
        """The text. Raises Rejected("template_failed")."""


Own = Renders | int | float
"""A value of a field that the pipeline names itself."""


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
    attach: bool = False
    dry_run: bool = False
    affects_versions: tuple[Renders, ...] = ()
    fix_versions: tuple[Renders, ...] = ()
    fields: Mapping[str, Own | Sequence[Own]] = field(default_factory=dict)


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
        if command.digest:
            return self._digest(plan, command)
        notes: list[str] = []
        fields: dict[str, Any] = {
            "project": {"key": plan.project},
            "issuetype": {"name": plan.type},
            "summary": self._summary(plan, command, notes),
            "description": self._description(plan, command, notes).mapped(self._redact),
            "labels": self._labels(plan, command, notes),
        }
        severity = command.finding.get("result", {}).get("severity")
        if priority := plan.priority.get(str(severity)) or command.priority:
            fields["priority"] = {"name": priority}
        if plan.components:
            fields["components"] = [{"name": name} for name in plan.components]
        if assignee := one_line(self._rendered(plan.assignee, "assignee", command, notes)):
            fields["assignee"] = {"name": assignee}
        return Draft(plan.project, fields | self._own(plan, command, notes), tuple(notes))

    def _own(self, plan: Plan, command: Command, notes: list[str]) -> dict[str, Any]:
        """Versions, and the fields that the pipeline names itself; without those that came out empty."""
        made: dict[str, Any] = {}
        for name, templates in (("versions", plan.affects_versions), ("fixVersions", plan.fix_versions)):
            lines = (one_line(self._redact(self._rendered(each, name, command, notes))) for each in templates)
            if versions := [each for each in lines if each]:
                made[name] = [{"name": each} for each in versions]
        for name, value in plan.fields.items():
            several = isinstance(value, Sequence)
            values = value if isinstance(value, Sequence) else [value]
            if kept := [one for each in values if (one := self._value(each, name, command, notes)) != ""]:
                made[name] = kept if several else kept[0]
        return made

    def _value(self, value: Own, name: str, command: Command, notes: list[str]) -> str | int | float:
        if isinstance(value, (int, float)):
            return value
        return self._redact(self._rendered(value, f"fields.{name}", command, notes))

    def _digest(self, plan: Plan, command: Command) -> Draft:
        """The ticket that stands for many faults."""
        description = markdown.document(digests.body(command.digest, command.fingerprint)).mapped(self._redact)
        fields: dict[str, Any] = {
            "project": {"key": plan.project},
            "issuetype": {"name": plan.type},
            "summary": cut(one_line(self._redact(digests.headline(command.digest))), SUMMARY_LIMIT),
            "description": description,
            "labels": [f"{LABEL}{command.fingerprint}", "faultstream-summary"],
        }
        if plan.components:
            fields["components"] = [{"name": name} for name in plan.components]
        return Draft(plan.project, fields | self._own(plan, command, []))  # a project may require them of every ticket

    def attachment(self, command: Command) -> Attachment | None:
        """The excerpt of the finding's log, where it is to be attached to the new ticket."""
        plan, excerpt = self._plans.get(command.pipeline), command.finding.get("excerpt")
        if plan is None or not plan.attach or not excerpt or command.digest:
            return None
        text = self._redact(attachment.content(command.finding))
        return Attachment(attachment.name(command.finding), text)

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
        return parts.seen(count, first, last)

    def comment(self, command: Command) -> Document:
        """What a recurrence says: how often by now, in which build, and what the log said this time."""
        said = digests.again(command.digest) if command.digest else parts.comment(command)
        return markdown.document(said).mapped(self._redact)

    def passed(self, command: Command) -> Document:
        """Says that the fault is gone, or that it is flaky, and which build tells."""
        return markdown.document(parts.passed(command)).mapped(self._redact)

    def _summary(self, plan: Plan, command: Command, notes: list[str]) -> str:
        text = one_line(self._rendered(plan.summary, "summary", command, notes)) or parts.summary(command)
        return cut(one_line(self._redact(text)), SUMMARY_LIMIT) or "Failed build"

    def _description(self, plan: Plan, command: Command, notes: list[str]) -> Document:
        made = parts.parts(command)
        text = self._rendered(plan.description, "description", command, notes, parts=made)
        return markdown.document(text or parts.whole(command))

    def _labels(self, plan: Plan, command: Command, notes: list[str]) -> list[str]:
        texts = [f"{LABEL}{command.fingerprint}"]
        texts += [self._rendered(template, "labels", command, notes) for template in plan.labels]
        texts += ["flaky"] if command.known_flaky else []
        return list(dict.fromkeys(name for name in map(label, texts) if name))

    def _rendered(self, template: Renders | None, setting: str, command: Command, notes: list[str], **more: Any) -> str:
        """The template's text; empty where there is none or it fails, so that the ticket is filed all the same."""
        if template is None:
            return ""
        try:
            return template.render(**context(command), **more).strip()
        except Rejected as error:
            said = self._redact(str(error))
            notes.append(cut(f"a plain text, since ticket.{setting} fails: {one_line(said)}", NOTE_LIMIT))
            log.warning(
                "template failed, the ticket gets a plain text",
                action="template_failed",
                pipeline=command.pipeline,
                setting=f"ticket.{setting}",
                error=said,
            )
            return ""


def context(command: Command) -> dict[str, Any]:
    """What every template of a ticket sees."""
    return {
        "finding": command.finding,
        "seen": {"count": command.count, "first": command.first_seen, "last": command.last_seen},
    }


def news(command: Command) -> str:
    """A digest of what a comment on the finding would say that counts don't: where it happened, and what came of it.

    The result's summary is left out: a model words the same cause in many ways.
    """
    finding, attributes = command.finding, command.finding.get("build") or {}
    result = {name: value for name, value in (finding.get("result") or {}).items() if name != "summary"}
    where = [attributes.get(name) for name in ("repo", "branch", "job")]
    return hashlib.sha256(orjson.dumps([where, result], option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]
