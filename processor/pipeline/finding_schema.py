"""The JSON Schema of a pipeline's findings: the CloudEvent with the result that its schema describes."""

from __future__ import annotations

from typing import Any

from processor.pipeline.load import Pipeline

_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": ["string", "null"]}
_NUMBER_OR_NULL = {"type": ["number", "null"]}


def finding_schema(pipeline: Pipeline) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the records on the pipeline's topic of findings."""
    result = {key: value for key, value in pipeline.schema.json_schema().items() if key != "$schema"}
    data = _object({
        "pipeline": {"const": pipeline.name},
        **_common(),
        "result": result,
        "steps": _list(step_schema()),
        "usage": usage_schema(),
        "log": _object({name: {"type": "integer", "minimum": 0} for name in ("bytes", "lines")}),
        **({"chain": _object({step.name: {"type": ["object", "null"]} for step in pipeline.chain})}
           if pipeline.chain else {}),
    })  # fmt: skip
    envelope = {
        "specversion": {"const": "1.0"},
        "type": {"const": "faultstream.finding.v1"},
        "id": {"type": "string", "format": "uuid"},
        "source": _TEXT,
        "subject": _TEXT,
        "time": {"type": "string", "format": "date-time"},
        "data": data,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"finding of {pipeline.name}",
        "type": "object",
        "properties": envelope,
        "required": list(envelope),
    }


def signal_schema() -> dict[str, Any]:
    """The JSON Schema of the records on `<p>.signals`: slim findings of any pipeline."""
    decided = {
        "by": {"enum": ["rule", "model", "evaluate"]},
        **dict.fromkeys(("rule", "model", "adapter"), _TEXT_OR_NULL),
        "shrunk": {"type": ["object", "null"]},
    }
    finding = _object({
        "id": {"type": "string", "format": "uuid"},
        "pipeline": _TEXT,
        **_common(),
        "result": {"type": "object"},
        "decided": _object(decided),
        "context": _list(_object({"line": {"type": "integer", "minimum": 1}, "text": _TEXT})),
        "time": {"type": "string", "format": "date-time"},
        "source": _TEXT,
        "subject": _TEXT,
    })  # fmt: skip
    return _object({
        "kind": {"enum": ["finding", "outcome"]},
        "finding": {"anyOf": [finding, {"type": "null"}]},
        "outcome": {"anyOf": [_outcome(), {"type": "null"}]},
        "v": {"type": "integer"},
    })  # fmt: skip


def _outcome() -> dict[str, Any]:
    """A build that passed."""
    texts = dict.fromkeys(
        ("repo", "branch", "commit", "job", "workflow", "jobs", "run_id", "url", "provider", "time"), _TEXT
    )
    state = {"enum": ["passed"]}
    return _object(
        {"id": {"type": "string", "format": "uuid"}, "state": state, "attempt": {"type": "integer"}, **texts}
    )


def _common() -> dict[str, Any]:
    """What findings and their signals share."""
    return {
        "pipeline_version": _TEXT,
        "fingerprint": _TEXT,
        "fingerprint_parts": _object({"v": {"type": "integer"}, "scope": _list(_TEXT), "anchor": _TEXT}),
        "also": _list(_TEXT),
        "evidence": _list(_object({"line": {"type": "integer", "minimum": 1}, "text": _TEXT})),
        "confidence": _object({"value": _NUMBER_OR_NULL, "calibrated": {"type": "boolean"}}),
        "build": {"type": "object"},
        "event": _event(),
        "review": {"type": "boolean"},
    }


def _event() -> dict[str, Any]:
    """Where it was first read, and, of a log that was put together of lines, how that ended."""
    number = {"type": "integer"}
    made = _object({"topic": _TEXT, "partition": number, "offset": number})
    ended = {"ended_by": _TEXT, "incomplete": {"type": "boolean"}, "records": number, "last_offset": number}
    made["properties"]["assembled"] = _object(ended)
    return made


def step_schema() -> dict[str, Any]:
    """The JSON Schema of a step."""
    made = _object({
        "name": _TEXT,
        "decided_by": {"enum": ["rule", "model", "query", "evaluate"]},
        "rule": _TEXT_OR_NULL,
        "tier": _TEXT_OR_NULL,
        "model": _TEXT_OR_NULL,
        "adapter": _TEXT_OR_NULL,
        "usage": usage_schema(),
        "timings_ms": {"type": "object", "additionalProperties": {"type": "number"}},
        "confidence": _NUMBER_OR_NULL,
        "result": {"type": ["object", "null"]},
        "unused": _TEXT_OR_NULL,
        "shrunk": {
            "type": ["object", "null"],
            "properties": {"lines": {"type": "integer", "minimum": 1}, "of": {"type": "integer", "minimum": 2}},
        },
    })  # fmt: skip
    reused = _object({"finding": _TEXT, "alike": {"type": "boolean"}, "saved": usage_schema()})
    made["properties"]["reused"] = reused | {"type": ["object", "null"]}  # steps of before have none
    return made


def usage_schema() -> dict[str, Any]:
    """The JSON Schema of tokens and their price."""
    tokens = {"type": "integer", "minimum": 0}
    return _object({
        "prompt_tokens": tokens,
        "cached_tokens": {"type": ["integer", "null"], "minimum": 0},
        "completion_tokens": tokens,
        "cost_usd": _NUMBER_OR_NULL,
    })  # fmt: skip


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}
