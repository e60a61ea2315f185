"""The types of what predicates and templates may name: `event`, `finding`, `confidence`, `schema` and others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processor.contract import ATTRIBUTES
from processor.lang.fields import ResultSchema
from processor.lang.types import ANY, BOOL, DOUBLE, INT, STRING, Type, enum_of, list_of, map_of, object_of
from processor.stages.prompt import USER_CONTEXT

EVENT: Final = object_of(
    {name: (INT if one.type is int else STRING).note(one.description) for name, one in ATTRIBUTES.items()}
)
"""`event`: the attributes of an event."""

BUILD: Final = object_of(
    {name: EVENT.members[name]
     for name in ("repo", "branch", "commit", "job", "workflow", "run_id", "attempt", "url", "log_url", "provider")}
)  # fmt: skip

EVIDENCE: Final = list_of(object_of({"line": INT.note("1-based number in the log."), "text": STRING.note("The line.")}))

DECIDED: Final = object_of({
    "by": enum_of("rule", "model", "evaluate"),
    "rule": STRING.or_null(), "model": STRING.or_null(), "adapter": STRING.or_null(),
    "shrunk": object_of({"lines": INT, "of": INT}).or_null(),
})  # fmt: skip

PARTS: Final = object_of({
    "cause": STRING.note("What broke, in one line."),
    "dependency": STRING.note("The package at fault, its version and ecosystem (`faulty_dependency` of the result)."),
    "facts": STRING.note("The result's fields but its summary, one a line."),
    "evidence": STRING.note("The lines of the log that show it, with their numbers in the whole log, in fixed width."),
    "build": STRING.note("Repository, job and run, with a link."),
    "commit": STRING.note("Commit, with a link where its page is known (GitHub, GitLab), and branch."),
    "changes": STRING.note("The last build that passed, with a link to what has changed since, where it is known."),
    "seen": STRING.note("How often the fault was seen, and since when; kept up to date in the ticket."),
    "certainty": STRING.note("How sure the diagnosis is, in words. A figure is given only where it was measured."),
    "shrunk": STRING.note("That the model was shown less of the log than was picked for it, if so."),
    "wrong": STRING.note("How to say that the diagnosis is wrong."),
    "footer": STRING.note("Who wrote the ticket, and what keeps repeats on it."),
})  # fmt: skip
"""`parts`: ready pieces of a description; one that there is nothing to say for is empty."""

SEEN: Final = object_of({
    "count": INT.note("How often the fault was seen."),
    "first": STRING.note("When first, RFC 3339."),
    "last": STRING.note("When last, RFC 3339."),
})  # fmt: skip


FAULT: Final = object_of({
    "flaky": BOOL.note("Whether a job has passed on the very commit on which the fault had failed it."),
    "count": INT.note("How often the fault was seen before."),
})  # fmt: skip
"""`fault`: what is remembered of a fault when another finding of it comes."""

NO_CHAIN: Final = object_of({})
"""`chain` of a pipeline that has none."""


def finding(schema: ResultSchema | None, chain: Type = NO_CHAIN, *, sure: bool = False) -> Type:
    """`finding` with this result, as signals carry it. `sure`: its confidence is not null, as `ticket.when` sees it."""
    value = DOUBLE if sure else DOUBLE.or_null()
    return object_of({
        "id": STRING.note("Deterministic id."),
        "pipeline": STRING,
        "pipeline_version": STRING,
        "fingerprint": STRING.note("Stable identity of the fault."),
        "fingerprint_parts": object_of({"v": INT, "scope": list_of(STRING), "anchor": STRING}),
        "result": schema.shape if schema is not None else ANY,
        **_chain(chain),
        "also": list_of(STRING),
        "review": BOOL.note("Whether a person should look at it."),
        "evidence": EVIDENCE,
        "context": EVIDENCE.note("The lines next to the evidence."),
        "confidence": object_of({"value": value.note("0 to 1."), "calibrated": BOOL}),
        "decided": DECIDED.note("Who decided: a rule or a model."),
        "build": BUILD,
        "event": object_of({"topic": STRING, "partition": INT, "offset": INT}),
        "time": STRING,
        "source": STRING,
        "subject": STRING,
    })  # fmt: skip


def _chain(chain: Type) -> dict[str, Type]:
    return {"chain": chain.note("What the steps of the chain gave.")} if chain.members else {}


def user_context(chain: Type) -> dict[str, Type]:
    """Variables of a user prompt."""
    return {**USER_CONTEXT, **_chain(chain)}


def chain_roots(chain: Type) -> dict[str, Type]:
    """Roots of the expressions of a chain's step, where `chain` is what the steps before it give."""
    rule = STRING.note("The rule that decides the event, or nothing.")
    return {"event": EVENT, "rule": rule, "chain": chain}


def fill_roots(chain: Type, asked: ResultSchema | None) -> dict[str, Type]:
    """Roots of `fill`; `result` is what the model, or a rule, answered."""
    return {**chain_roots(chain), "result": asked.shape if asked is not None else ANY}


def match_roots() -> dict[str, Type]:
    """Roots of `match`."""
    return {"event": EVENT}


def escalate_roots(schema: ResultSchema | None, chain: Type = NO_CHAIN) -> dict[str, Type]:
    """Roots of `model.escalate.when`."""
    result = schema.shape if schema is not None else ANY
    return {"confidence": DOUBLE, "result": result, "event": EVENT, **_chain(chain)}


def ticket_roots(schema: ResultSchema | None, chain: Type = NO_CHAIN) -> dict[str, Type]:
    """Roots of `ticket.when`."""
    return {"finding": finding(schema, chain, sure=True), "fault": FAULT}


def summary_context(schema: ResultSchema | None, chain: Type = NO_CHAIN) -> dict[str, Type]:
    """Variables of the summary, the labels and the assignee of a ticket."""
    return {"finding": finding(schema, chain), "seen": SEEN}


def description_context(schema: ResultSchema | None, chain: Type = NO_CHAIN) -> dict[str, Type]:
    """Variables of a ticket's description."""
    return {**summary_context(schema, chain), "parts": PARTS}


FIELD: Final = object_of({
    "name": STRING, "description": STRING, "type": STRING, "nullable": BOOL, "ground": STRING.or_null(),
    "enum": map_of(STRING).note("Value to definition."), "max_length": INT.or_null(), "max_items": INT.or_null(),
})  # fmt: skip


def system_context(schema: ResultSchema | None) -> dict[str, Type]:
    """Variables of the system prompt: nothing that an event could change."""
    names = schema.fields if schema is not None else {}
    fields = object_of(dict.fromkeys(names, FIELD)) if names else map_of(FIELD)
    described: Mapping[str, Type] = {"name": STRING, "description": STRING, "version": INT, "fields": fields}
    return {"pipeline": STRING.note("Name of the pipeline."), "schema": object_of(described)}


def system_values(name: str, schema: ResultSchema) -> dict[str, object]:
    """The values of `system_context`."""
    keys = ("name", "description", "type", "nullable", "ground", "enum", "max_length", "max_items")
    fields = {each: {key: getattr(one, key) for key in keys} for each, one in schema.fields.items()}
    return {
        "pipeline": name,
        "schema": {
            "name": schema.name, "description": schema.description, "version": schema.version, "fields": fields,
        },
    }  # fmt: skip
