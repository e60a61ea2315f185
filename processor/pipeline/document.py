"""`pipeline.yaml` as it is written: every key with its meaning, default and an example.

These models only say what may be written; `load` makes a `Pipeline` of them. The reference
(docs/reference/pipeline.md) and the JSON Schema for editors are generated from here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from processor.lang.fields import Ground
from processor.lang.validate import Part
from processor.lang.values import Duration, Size, Start
from processor.pipeline.chain import Adapter, PromptPart, StepPart
from processor.pipeline.ticket import TicketDocument

Places = Annotated[
    list[str],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""One header name or payload path, or several that are tried in order."""


class KafkaSource(Part):
    """The Kafka topics that a pipeline reads. One record is one event, and for raw logs one whole log."""

    topics: list[str] = Field(description="Topics to read.", min_length=1, examples=[["ci.builds.failed"]])
    format: Literal["auto", "log", "json", "cloudevents"] = Field(
        "auto",
        description="What the records hold: `log` (the body is a raw log), `json` (a webhook payload that a mapping "
        "under config/providers/ knows), `cloudevents`, or `auto`, which looks at content type and body.",
        examples=["log"],
    )
    start: Start = Field(
        "latest",
        description="Where to begin when the group has no offset yet: latest, earliest or a time with its zone. "
        "Resolved once and committed; partitions that appear later are read from their beginning.",
        examples=["2026-11-01T00:00:00Z"],
    )


class Assemble(Part):
    """Puts a log together that a shipper sends as one record per line."""

    key: Places = Field(
        description="Attribute that all lines of one log share, and those of no other log that is written at the same "
        "time; or several of them. `kafka.key` is the record's own key. A record's attributes come from its headers "
        "and fields, see `source.attributes`.",
        min_length=1,
        examples=[["run_id", "job"]],
    )
    end: str | None = Field(
        None,
        description="Regular expression of the last line, sought in each line without its colours. Without one, or "
        "where it never comes, a log ends by `idle`.",
        examples=["^Job (succeeded|failed)"],
    )
    passed: str | None = Field(
        None,
        description="Regular expression of a last line that says that the build passed: the event's type is then "
        "`build.passed` in place of `build.failed`, so that `match` can leave it out.",
        examples=["^Job succeeded"],
    )
    idle: Duration = Field(
        60.0, gt=0, description="A log is complete after this long without a line.", examples=["60s"]
    )
    max_age: Duration = Field(
        21_600.0,
        gt=0,
        description="A log is closed this long after its first line was read, complete or not. Until then the offset "
        "that is committed stays at that line.",
        examples=["2h"],
    )


class Source(Part):
    """Where events come from."""

    kafka: KafkaSource = Field(description="Kafka topics.", examples=[{"topics": ["ci.builds.failed"]}])
    attributes: dict[str, Places] = Field(
        default_factory=dict,
        description="Attribute (or `body`) to the foreign header name or payload path that holds it; several are "
        "tried in order. Attributes that come under their own names need no mapping.",
        examples=[{"repo": "x-project", "commit": ["build.sha", "after"]}],
    )
    assemble: Assemble | None = Field(
        None,
        description="For topics with a record per line, as log shippers write them: the lines of a build become one "
        "log.",
        examples=[{"key": "run_id", "end": "^Job (succeeded|failed)"}],
    )
    max_bytes: Size = Field(
        50_000_000,
        description="A body larger than this, unpacked, is a dead letter. A log that is put together of lines is "
        "closed before it gets larger, and goes on as another one.",
        examples=["50MB"],
    )


class Outcomes(Part):
    """Where passed builds come from; the topics may be those of `source`."""

    kafka: KafkaSource = Field(
        description="Kafka topics. Of their events only passed builds count; others are for the pipelines that read "
        "the topic.",
        examples=[{"topics": ["ci.builds.passed"]}],
    )
    attributes: dict[str, Places] = Field(
        default_factory=dict,
        description="As for `source`.",
        examples=[{"repo": "x-project", "commit": ["build.sha", "after"]}],
    )
    max_bytes: Size = Field(
        50_000_000, description="A body larger than this, unpacked, is a dead letter.", examples=["50MB"]
    )


class ReducePart(Part):
    """How much of a log the model reads."""

    budget_tokens: int = Field(
        1000,
        ge=100,
        le=32_000,
        description="Most tokens of the excerpt: the lines that tell the fault.",
        examples=[1000],
    )


class NarrowPart(Part):
    """A ranker that leaves the model only the likeliest values of an enum field."""

    ranker: str = Field(description="Weights of the ranker, a file of the pipeline's folder.", examples=["ranker.json"])
    keep: int = Field(4, ge=1, le=24, description="How many values are left, likeliest first.", examples=[4])


class Fingerprint(Part):
    """What makes two faults the same fault."""

    scope: list[str] = Field(
        default_factory=lambda: ["repo"],
        description="Attributes that a fault must share to be the same one; add `branch` for a ticket per branch.",
        examples=[["repo", "branch"]],
    )


class Escalate(Part):
    """When a larger model is asked again."""

    when: str = Field(
        description="Predicate over `confidence` (0 to 1), `result` and `event`.", examples=["confidence < 0.7"]
    )
    to: str = Field(
        "pro",
        description="Tier to ask. Where the settings have none of that name, or it does not answer, the finding is "
        "flagged for review instead.",
        examples=["pro"],
    )
    within: Duration = Field(
        30.0, gt=0, description="How long it is waited for; then the first answer goes out, flagged.", examples=["30s"]
    )
    complex: bool = Field(
        False,
        description="Whether events that look hard before any model is asked (triage) go to the larger one at once.",
        examples=[True],
    )
    uncalibrated: bool = Field(
        False,
        description="Whether answers whose confidence is null (uncalibrated) go up as well; `when` never sees them.",
        examples=[True],
    )


class Shadow(Part):
    """A share of answers that a larger model gives as well, for comparison alone."""

    to: str = Field("pro", description="Tier to ask.", examples=["pro"])
    share: float = Field(0.01, ge=0, le=1, description="Share of the answers.", examples=[0.01])


class ModelPart(Part):
    """Which model answers."""

    adapter: Adapter = Field(
        None,
        description="LoRA adapter, a folder of adapters/; without one, or with `none`, the base model answers.",
        examples=["ci_failure"],
    )
    tier: str = Field("lite", description="Tier of model servers (`models` in the settings).", examples=["lite"])
    max_tokens: int = Field(192, ge=8, le=2048, description="Most tokens of an answer.", examples=[192])
    reuse: Literal["never", "same", "alike"] = Field(
        "never",
        description="Which questions are not asked again while their answer is remembered (`limits.answers_bytes`): "
        "none; those that are the `same`, byte for byte; or those that are `alike`, too, of the same fault and with "
        "the same choices and marked lines, times and places in files aside.",
        examples=["alike"],
    )
    within: Duration | None = Field(
        None,
        gt=0,
        description="Most time for all questions about one event together (its chain's, repairs, a larger model), from "
        "when the first is sent. An event that has had it goes back to wait, and is given up as one that a server "
        "fails on; a first answer goes out, flagged. By default each request has the tier's `timeout_s`.",
        examples=["60s"],
    )
    escalate: Escalate | None = Field(
        None, description="Ask a larger model where this one is unsure.", examples=[{"when": "confidence < 0.7"}]
    )
    shadow: Shadow | None = Field(
        None, description="Ask a larger model, too, for a share of answers.", examples=[{"to": "pro", "share": 0.01}]
    )

    @property
    def tiers(self) -> tuple[str, ...]:
        """All tiers that it may ask, its own first."""
        others = [each.to for each in (self.escalate, self.shadow) if each is not None]
        return tuple(dict.fromkeys((self.tier, *others)))


class KafkaSink(Part):
    """Findings go to `<prefix>.findings.<pipeline>`; there is nothing to set."""


class Emit(Part):
    """Where findings go."""

    kafka: KafkaSink = Field(description="The pipeline's topic of findings.", examples=[{}])


class PipelineDocument(Part):
    """A pipeline: `pipelines/<name>/pipeline.yaml`."""

    version: Literal[1] = Field(description="Version of this format.", examples=[1])
    pipeline: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,48}$",
        description="Name: that of its folder, lower case; part of topic names and metrics.",
        examples=["ci_failure"],
    )
    description: str = Field(
        "", description="What it does, for people.", examples=["A failed build's log becomes its cause and a ticket."]
    )
    source: Source = Field(
        description="Where events come from.", examples=[{"kafka": {"topics": ["ci.builds.failed"]}}]
    )
    outcomes: Outcomes | None = Field(
        None,
        description="Where it is told which builds passed: events of the type `build.passed`, which no model reads. "
        "They tell faults that are gone from those that are not, and flaky ones (`ticket.resolve`). Every pipeline "
        "hears of those that any pipeline's section names.",
        examples=[{"kafka": {"topics": ["ci.builds.passed"]}}],
    )
    match: str | None = Field(
        None,
        description="Predicate (CEL) over `event`: which events it wants. Without one, all of its topics.",
        examples=['event.type == "build.failed"'],
    )
    reduce: ReducePart = Field(
        default_factory=ReducePart, description="How much of a log the model reads.", examples=[{"budget_tokens": 1000}]
    )
    rules: str | None = Field(
        None, description="Known faults that need no model, a file of the folder.", examples=["rules.yaml"]
    )
    narrow: dict[str, NarrowPart] = Field(
        default_factory=dict,
        description="Enum field to the ranker that narrows it.",
        examples=[{"category": {"ranker": "ranker.json", "keep": 4}}],
    )
    prompt: PromptPart = Field(
        description="What the model is told.", examples=[{"system": "system.j2", "user": "user.j2"}]
    )
    result_schema: str = Field(
        alias="schema",
        description="What a result looks like: a YAML of fields, a JSON Schema (.json) or a pydantic class (.py:Name); "
        "looked for in the homes, then in the pipeline's folder.",
        examples=["schemas/ci_failure.yaml"],
    )
    ground: dict[str, Ground] = Field(
        default_factory=dict,
        description="Field to where its value comes from in the log; for schemas that do not say so themselves.",
        examples=[{"faulty_dependency": "candidates.packages", "evidence": "excerpt.lines"}],
    )
    chain: list[StepPart] = Field(
        default_factory=list,
        description="Steps before the pipeline's own question, in order. What each gives is `chain.<name>` in the "
        "user prompt, in expressions and in tickets (`finding.chain.<name>`).",
        examples=[[{"name": "owner", "query": {"database": "catalogue"}}]],
    )
    fill: dict[str, str] = Field(
        default_factory=dict,
        description="Field of the result to the expression (CEL) over `chain`, `event`, `rule` and `result` that gives "
        "its value; the model is not asked for it.",
        examples=[{"team": 'chain.owner.row != null ? chain.owner.row.team : "unknown"'}],
    )
    fingerprint: Fingerprint = Field(
        default_factory=Fingerprint, description="What makes two faults the same.", examples=[{"scope": ["repo"]}]
    )
    model: ModelPart = Field(
        default_factory=ModelPart, description="Which model answers.", examples=[{"adapter": "ci_failure"}]
    )
    emit: list[Emit] = Field(
        default_factory=lambda: [Emit(kafka=KafkaSink())],
        min_length=1,
        description="Where findings go.",
        examples=[[{"kafka": {}}]],
    )
    ticket: TicketDocument | None = Field(
        None, description="What becomes a Jira ticket; without it, nothing does.", examples=[{"project": "BUILD"}]
    )
