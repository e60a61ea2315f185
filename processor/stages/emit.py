"""Finding → records: the finding itself, its copy for review, the signal that may become a ticket.

Findings are CloudEvents 1.0 in structured JSON mode (https://github.com/cloudevents/spec, kafka protocol binding):
the value is the whole envelope, the header `content-type` says so, the key is the fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from processor.contract import (
    FORMAT,
    Confidence,
    Event,
    Evidence,
    Excerpt,
    ExcerptLine,
    Finding,
    Headers,
    Outbound,
    Reading,
    Step,
    Usage,
    deciding,
    packed,
)
from processor.logs.anchor import fingerprint
from processor.logs.numbered import numbered

FINDING_TYPE: Final = "faultstream.finding.v1"
STRUCTURED: Final[Headers] = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
_TRACE: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""Any other text in that header might be a secret."""

NEAR: Final = 8
"""Most lines of the log between an evidence line and one that is shown beside it; after it, half as many."""

RANKED: Final = 2
"""Likeliest error lines of the whole log that are shown in any case."""

BESIDE: Final = 8
"""Lines of a signal up to which the evidence gets company."""

BESIDE_CHARACTERS: Final = 200
"""Most characters of a line beside the evidence."""

_LEVEL: Final = re.compile(r"^\W*(?:(?:INFO|WARN(?:ING)?|ERROR|DEBUG)\b|npm (?:ERR!|error)(?: \w+)?)", re.IGNORECASE)
"""What begins lines that may say nothing else."""

_ADVICE: Final = re.compile(
    r"[Rr]e-run Maven|For more information about the errors|\[Help \d\] http|You are using pip version|"
    r"consider upgrading via|\[notice\]|Run with --(?:stacktrace|info|debug|scan)|Get more help at|"
    r"A complete log of this run|Cleaning up (?:orphan|project)|Pull complete$|^Digest: sha256:|^ *---> [0-9a-f]{12}$"
)
"""What tools print below every failure, and what says nothing beside one."""

BUILD: Final = ("repo", "branch", "commit", "job", "workflow", "run_id", "attempt", "url", "log_url", "provider")
"""The attributes of an event that a finding carries as `build`."""


class Emit:
    """Makes findings of one pipeline and the records that carry them.

    `scope` names the attributes that a fault must share to be the same fault; `dataschema` is the address of
    the result's schema; `ticket` says whether the pipeline has one, hence whether signals are written, and `attach`
    whether these carry the excerpt.
    """

    def __init__(
        self,
        pipeline: str,
        version: str,
        prefix: str,
        *,
        ticket: bool,
        attach: bool = False,
        scope: Sequence[str] = ("repo",),
        dataschema: str = "",
    ) -> None:
        self.pipeline = pipeline
        self.version = version
        self.ticket = ticket
        self.attach = attach
        self.scope = tuple(scope)
        self.findings_topic = f"{prefix}.findings.{pipeline}"
        self.review_topic = f"{prefix}.review.{pipeline}"
        self.signals_topic = f"{prefix}.signals"
        self._envelope: dict[str, Any] = {"specversion": "1.0", "type": FINDING_TYPE}
        if dataschema:
            self._envelope["dataschema"] = dataschema

    def finding(
        self,
        event: Event,
        reading: Reading,
        *,
        result: dict[str, Any],
        evidence: Sequence[Evidence],
        confidence: Confidence,
        steps: Sequence[Step],
        review: bool = False,
        also: Sequence[str] = (),
        size: int = 0,
        chain: Mapping[str, Any] | None = None,
    ) -> Finding:
        """The finding; its id comes from where the event was first read, its fingerprint from `reading.anchor`.

        `size` is that of the log, in bytes; `chain` what the steps of the pipeline's chain gave, if it has one.
        """
        attributes, origin = event.attributes, event.origin
        key, parts = fingerprint(self.pipeline, [str(attributes.get(name, "")) for name in self.scope], reading.anchor)
        return Finding(
            id=origin.id(self.pipeline),
            pipeline=self.pipeline,
            pipeline_version=self.version,
            fingerprint=key,
            fingerprint_parts=parts,
            result=result,
            evidence=list(evidence),
            confidence=confidence,
            steps=list(steps),
            usage=total(steps),
            build={name: attributes.get(name, "") for name in BUILD},
            event=_place(event),
            time=attributes.get("time") or _instant(event.record.timestamp_ms),
            source=attributes.get("source") or "faultstream",
            subject=attributes.get("subject") or f"{attributes.get('repo', '')}/{attributes.get('job', '')}",
            also=list(also),
            review=review,
            log={"bytes": size, "lines": reading.excerpt.total_lines},
            chain=dict(chain or {}),
            context=beside(reading.excerpt, evidence),
            excerpt=numbered(reading.excerpt, {each.line for each in evidence}) if self.attach else "",
        )

    def records(self, finding: Finding, traceparent: str = "", *, tickets: bool = True) -> list[Outbound]:
        """The finding's record, with a copy for review where it is unsure, and, for `tickets`, its signal."""
        key = finding.fingerprint.encode()
        value = packed(self.cloud_event(finding, traceparent))
        made = [Outbound(self.findings_topic, key, value, STRUCTURED)]
        if finding.review:
            made.append(Outbound(self.review_topic, key, value, STRUCTURED))
        if self.ticket and tickets:
            signal = packed({"kind": "finding", "finding": slim(finding), "outcome": None, "v": FORMAT})
            made.append(Outbound(self.signals_topic, str(finding.build.get("repo", "")).encode(), signal))
        return made

    def cloud_event(self, finding: Finding, traceparent: str = "") -> dict[str, Any]:
        """The envelope with the finding in `data`; what the envelope says is not repeated there."""
        envelope = {
            **self._envelope,
            "id": finding.id,
            "source": finding.source,
            "subject": finding.subject,
            "time": finding.time,
            "datacontenttype": "application/json",
        }
        if traceparent:
            envelope["traceparent"] = traceparent
        envelope["data"] = {
            "pipeline": finding.pipeline,
            "pipeline_version": finding.pipeline_version,
            "fingerprint": finding.fingerprint,
            "fingerprint_parts": finding.fingerprint_parts,
            "result": finding.result,
            "also": finding.also,
            "review": finding.review,
            "evidence": finding.evidence,
            "confidence": finding.confidence,
            "steps": finding.steps,
            "usage": finding.usage,
            "log": finding.log,
            "build": finding.build,
            "event": finding.event,
            **_chain(finding),
        }
        return envelope


def beside(excerpt: Excerpt, evidence: Sequence[Evidence]) -> list[Evidence]:
    """The lines of the excerpt nearest to the evidence and the likeliest errors, in their order.

    Of equal lines one is shown, and none that says nothing.
    """
    marked = {each.line for each in evidence}
    near: list[tuple[int, ExcerptLine]] = []
    likeliest = {number: rank - RANKED for rank, number in enumerate(excerpt.ranked[:RANKED])} if marked else {}
    for line in excerpt.lines:
        far = min((_far(line.number - number) for number in marked), default=NEAR + 1)
        far = likeliest.get(line.number, far)  # what a model did not choose may be the cause all the same
        if line.number not in marked and far <= NEAR and _says(line.text):
            near.append((far, line))
    texts = {each.text.strip() for each in evidence}
    room = BESIDE - len(marked)
    kept: list[ExcerptLine] = []
    for _, line in sorted(near):
        if line.text.strip() not in texts and len(kept) < room:
            texts.add(line.text.strip())
            kept.append(line)
    return [Evidence(line.number, shorten(line.text)) for line in sorted(kept)]


def shorten(text: str) -> str:
    """A line that is shown beside others, not longer than a few lines of a phone."""
    return text if len(text) <= BESIDE_CHARACTERS else text[: BESIDE_CHARACTERS - 1].rstrip() + "…"


def _says(text: str) -> bool:
    """Whether there is more in a line than its level and a row of dashes."""
    return sum(map(str.isalnum, _LEVEL.sub("", text, count=1))) > 2 and not _ADVICE.search(text)


def _far(lines: int) -> int:
    return -lines if lines < 0 else 2 * lines


def slim(finding: Finding) -> dict[str, Any]:
    """What *decide* and the ticket's text need of a finding: all but steps and usage, and who decided it."""
    step = deciding(finding.steps)
    return {
        "id": finding.id,
        "pipeline": finding.pipeline,
        "pipeline_version": finding.pipeline_version,
        "fingerprint": finding.fingerprint,
        "fingerprint_parts": finding.fingerprint_parts,
        "result": finding.result,
        "also": finding.also,
        "review": finding.review,
        "evidence": finding.evidence,
        "context": finding.context,
        "confidence": finding.confidence,
        "decided": {
            "by": step.decided_by if step else "rule",
            "rule": step.rule if step else None,
            "model": step.model if step else None,
            "adapter": step.adapter if step else None,
            "shrunk": step.shrunk if step else None,
        },
        "build": finding.build,
        "event": finding.event,
        "time": finding.time,
        "source": finding.source,
        "subject": finding.subject,
        **_chain(finding),
        **({"excerpt": finding.excerpt} if finding.excerpt else {}),
    }


def _chain(finding: Finding) -> dict[str, Any]:
    return {"chain": finding.chain} if finding.chain else {}


def total(steps: Sequence[Step]) -> Usage:
    """The sum over all steps; the cost is unknown as soon as one model call's is."""
    if len(steps) == 1:
        return steps[0].usage
    return Usage.sum([step.usage for step in steps if step.decided_by == "model"])


def trace_of(event: Event) -> str:
    """The W3C trace context that came with the event, to be passed on; empty if there was none, or no valid one.

    Source: https://www.w3.org/TR/trace-context/#traceparent-header.
    """
    for name, value in event.record.headers:
        if name in {"traceparent", "ce_traceparent"} and _TRACE.fullmatch(value):
            return value.decode("ascii")
    return ""


def _place(event: Event) -> dict[str, Any]:
    """Where the event was first read, and, of a log that was put together of lines, how it ended."""
    origin = event.origin
    place: dict[str, Any] = {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset}
    if event.assembled is not None:
        names = ("ended_by", "incomplete", "records", "last_offset")
        place["assembled"] = {name: event.assembled.get(name) for name in names}
    return place


def _instant(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
