"""The AsyncAPI 3 document of a deployment: its topics, who writes and reads them, and the schema of every record.

https://www.asyncapi.com/docs/reference/specification/v3.0.0; the schemas keep to JSON Schema draft 7, its default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter

from processor import __version__, topology
from processor.cluster.topics import Wish, wishes
from processor.contract import ASSEMBLED_HEADER, ATTRIBUTES, NO_TICKETS_HEADER, ORIGIN_HEADER, Attribute
from processor.pipeline import Pipeline
from processor.pipeline.finding_schema import finding_schema, signal_schema, step_schema, usage_schema
from processor.reasons import REASONS
from processor.settings import Settings
from processor.sinks.dead_letters import ATTEMPT, ERROR, OUTPUT, PIPELINE, REASON, SPENT, TIME
from processor.stages.park import TIME as PARKED
from processor.tickets.caps import Room
from processor.tickets.feedback import Feedback
from processor.tickets.messages import Command, TicketEvent, TicketState
from processor.tickets.outcomes import Job
from processor.tickets.policy import Fault

KAFKA: Final = "0.5.0"
"""Version of the Kafka binding."""

JSON, CLOUD_EVENT = "application/json", "application/cloudevents+json"

SENT: Final = (
    "findings",
    "review",
    "shadow",
    "parked",
    "dead-letters",
    "unrouted",
    "signals",
    "group-signals",
    "ticket-commands",
    "ticket-events",
    "feedback",
)
READ: Final = (
    "source",
    "retry",
    "parked",
    "signals",
    "group-signals",
    "ticket-commands",
    "ticket-state",
    "changelog",
    "jobs",
    "rooms",
)
KEPT: Final = ("replays", "ticket-state", "feedback-heard", "changelog", "jobs", "rooms")
"""Kinds of topics by what the daemon does with them; what is kept is both written and read."""


def document(settings: Settings, pipelines: Sequence[Pipeline]) -> dict[str, Any]:
    """The document of these pipelines under these settings; no secret and no password is in it."""
    listed = topology.topics(settings.topics.prefix, pipelines)
    wish = wishes([topic.wanted for topic in listed], {}, topology.rules(settings))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Faultstream",
            "version": __version__,
            "description": "Topics of a deployment: failing builds come in, findings and what becomes of tickets go "
            "out. Consumers of what is written in transactions read committed records only.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {"kafka": _server(settings)},
        "channels": {topic.name: _channel(topic, wish[topic.name]) for topic in listed},
        "operations": _operations(listed),
        "components": {"messages": _messages(pipelines)},
    }


def _server(settings: Settings) -> dict[str, Any]:
    kafka = settings.kafka
    made: dict[str, Any] = {"host": kafka.bootstrap, "protocol": "kafka-secure" if kafka.tls else "kafka"}
    names = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512"}
    if kafka.sasl_mechanism in names:
        made["security"] = [{"type": names[str(kafka.sasl_mechanism)]}]
    elif kafka.ssl_certfile:
        made["security"] = [{"type": "X509"}]
    return made


def _channel(topic: topology.Topic, wish: Wish) -> dict[str, Any]:
    message = _message_of(topic)
    configuration: dict[str, Any] = {}
    if wish.cleanup:
        configuration["cleanup.policy"] = [wish.cleanup]
    if wish.retention_ms is not None:
        configuration["retention.ms"] = wish.retention_ms
    if wish.max_message_bytes is not None:
        configuration["max.message.bytes"] = wish.max_message_bytes
    binding: dict[str, Any] = {"topic": topic.name, "bindingVersion": KAFKA}
    if configuration:
        binding["topicConfiguration"] = configuration
    return {
        "address": topic.name,
        "description": f"Holds {topic.holds}; the key is {'' if topic.key.startswith('as') else 'the '}{topic.key}.",
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"kafka": binding},
    }


def _operations(listed: Sequence[topology.Topic]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for topic in listed:
        actions = [("send", topic.kind in SENT + KEPT), ("receive", topic.kind in READ)]
        for action in (name for name, does in actions if does):
            made[f"{action}.{topic.name}"] = {
                "action": action,
                "channel": {"$ref": f"#/channels/{_pointer(topic.name)}"},
                "summary": f"Faultstream {'writes' if action == 'send' else 'reads'} {topic.holds}.",
            }
    return made


def _message_of(topic: topology.Topic) -> str:
    """The message that a topic carries: findings differ by pipeline, the rest does not."""
    if topic.kind in {"findings", "review"}:
        return f"finding.{topic.pipeline}"
    named = {"source": "event", "retry": "retried-event", "parked": "parked-event", "changelog": "fault"}
    return named.get(topic.kind, topic.kind)


def _messages(pipelines: Sequence[Pipeline]) -> dict[str, Any]:
    made = {
        "event": _message(
            "A log, a JSON payload or a CloudEvent; see docs/input.md.", {}, "as you like", headers=_event_headers()
        ),
        "retried-event": _message("An event as it was received, sent back.", {}, "as received", headers=_back()),
        "parked-event": _message("An event as it was received, put aside.", {}, "as received", headers=_aside()),
        "dead-letters": _message("An event as it was received.", {}, "as received", headers=_dead_letter_headers()),
        "replays": _message("What was sent once more, and how far that came.", ledger_schema(), "what was sent", JSON),
        "unrouted": _message("Attributes of an event.", unrouted_schema(), "as received", JSON),
        "shadow": _message("A result beside that of a larger model.", shadow_schema(), "fingerprint", JSON),
        "signals": _message("A slim finding, or a build that passed.", signal_schema(), "repository", JSON),
        "ticket-commands": _message("What shall be done with a ticket.", _of(Command), "fingerprint", JSON),
        "ticket-state": _message("What is known of a ticket.", _of(TicketState), "fingerprint", JSON),
        "ticket-events": _message("What was done with a ticket.", _of(TicketEvent), "fingerprint", JSON),
        "feedback": _message("What a person did with a ticket.", _of(Feedback), "fingerprint", JSON),
        "feedback-heard": _message(
            "How far Jira was asked: for feedback, and for tickets that people changed.", heard_schema(), "mark", JSON
        ),
        "fault": _message("What is remembered of a fault.", _of(Fault), "fingerprint", JSON),
        "group-signals": _message("What shall be done with a ticket, under a cap.", _of(Command), "project", JSON),
        "rooms": _message("What is remembered of a project, or of a fault of it.", _of(Room), "project or fault", JSON),
        "jobs": _message("What is remembered of a job.", _of(Job), "job", JSON),
    }
    for pipeline in pipelines:
        schema = _plain(finding_schema(pipeline))
        text = f"A finding of {pipeline.name}. {pipeline.description}"
        made[f"finding.{pipeline.name}"] = _message(text, schema, "fingerprint", CLOUD_EVENT)
    return made


def _message(
    summary: str, payload: dict[str, Any], key: str, content: str | None = None, headers: dict[str, Any] | None = None
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "summary": summary,
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": KAFKA}},
    }
    if content:
        made["contentType"] = content
    if headers:
        made["headers"] = headers
    return made


def unrouted_schema() -> dict[str, Any]:
    """The schema of records on `<p>.unrouted`."""
    place = {"topic": {"type": "string"}, "partition": {"type": "integer"}, "offset": {"type": "integer"}}
    return _object({
        "attributes": _object({name: _attribute(each) for name, each in ATTRIBUTES.items()}),
        "event": _object(place),
        "v": {"type": "integer"},
    })  # fmt: skip


def ledger_schema() -> dict[str, Any]:
    """The schema of records on `<p>.replays`: of letters by position, of a deliberate repeat, of a backfill."""
    number = {"type": "integer"}
    pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    properties = {
        "sent": {"type": "array", "items": pair, "description": "Offsets that were sent: ranges without their ends."},
        "last": pair | {"description": "The last of them, and its record's time in Unix milliseconds."},
        "replay": {"type": "string", "description": "Id of a deliberate repeat."},
        "begun": {"type": "string", "format": "date-time", "description": "When it was begun."},
        "reached": {"type": "object", "additionalProperties": number, "description": "Next offset by partition."},
        "ends": {"type": "object", "additionalProperties": number, "description": "Where to end, by partition."},
        "notes": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Of logs of lines: what is done above the next offset, by partition.",
        },
        "at": number | {"description": "When it was begun, in Unix milliseconds."},
        "again": {"type": "boolean", "description": "Whether it began anew on purpose."},
        "done": {"type": "boolean", "description": "Whether it came to its end."},
        "v": number,
    }
    return {"type": "object", "properties": properties, "required": ["v"]}


def heard_schema() -> dict[str, Any]:
    """The schema of records on `<p>.feedback-heard`."""
    since = {"type": "number", "description": "When feedback was last asked for, Unix seconds (key `mark`)."}
    after = {"type": "string", "description": "The fault up to which tickets were reviewed (key `review/PARTITION`)."}
    return {**_object({"since": since, "after": after, "v": {"type": "integer"}}), "required": ["v"]}


def shadow_schema() -> dict[str, Any]:
    """The schema of records on `<p>.shadow.<pipeline>`."""
    text, words = {"type": "string"}, {"type": ["string", "null"]}
    who = _object({"tier": words, "model": words, "adapter": words, "confidence": {"type": ["number", "null"]}})
    field = _object({"first": {}, "second": {}, "same": {"type": "boolean"}})
    place = {"topic": text, "partition": {"type": "integer"}, "offset": {"type": "integer"}}
    return _object({
        "v": {"type": "integer"},
        "kind": {"const": "shadow"},
        "id": {"type": "string", "format": "uuid", "description": "The finding's."},
        "pipeline": text,
        "pipeline_version": text,
        "fingerprint": text,
        "event": _object(place),
        "time": {"type": "string", "format": "date-time"},
        "agree": {"type": ["boolean", "null"], "description": "In all but prose; null: the second answer is invalid."},
        "fields": {"type": "object", "additionalProperties": field},
        "first": who,
        "second": who,
        "steps": {"type": "array", "items": step_schema()},
        "usage": usage_schema(),
    })  # fmt: skip


def _attribute(attribute: Attribute) -> dict[str, Any]:
    kind = "integer" if attribute.type is int else "string"
    return {"type": kind, "description": attribute.description, "default": attribute.default}


def _event_headers() -> dict[str, Any]:
    texts = {"content-type": {"type": "string", "description": "Media type of the body."}}
    for name, each in ATTRIBUTES.items():
        texts[f"ce_{name}"] = {"type": "string", "description": each.description}
    return {"type": "object", "properties": texts}


def _back() -> dict[str, Any]:
    made = _object({ORIGIN_HEADER: _ORIGIN})
    made["properties"][ASSEMBLED_HEADER] = _ASSEMBLED
    made["properties"][ATTEMPT] = {"type": "string", "pattern": "^[0-9]+$", "description": "Of a replayed dead letter."}
    made["properties"][NO_TICKETS_HEADER] = {"const": "1", "description": "No ticket shall come of it."}
    return made


def _aside() -> dict[str, Any]:
    made = _object({ORIGIN_HEADER: _ORIGIN})
    made["properties"][ASSEMBLED_HEADER] = _ASSEMBLED
    made["properties"][PARKED] = {"type": "string", "format": "date-time", "description": "When it was put aside."}
    return made


def _dead_letter_headers() -> dict[str, Any]:
    made = _object({
        REASON: {"type": "string", "enum": list(REASONS), "description": "Why."},
        ERROR: {"type": "string", "description": "What happened, in words, without secrets."},
        PIPELINE: {"type": "string", "description": "The pipeline that rejected it; empty if none had taken it."},
        ORIGIN_HEADER: _ORIGIN,
        TIME: {"type": "string", "format": "date-time", "description": "When."},
        ATTEMPT: {"type": "string", "pattern": "^[0-9]+$", "description": "For the how-manieth time."},
    })  # fmt: skip
    made["properties"][ASSEMBLED_HEADER] = _ASSEMBLED
    made["properties"][OUTPUT] = {"type": "string", "description": "What a model wrote, where that is why."}
    made["properties"][SPENT] = {"type": "string", "description": "JSON: tier and usage of each model's step."}
    return made


_ORIGIN: Final = {"type": "string", "description": "JSON: group, topic, partition and offset of the first read."}


_ASSEMBLED: Final = {"type": "string", "description": "JSON: how a log that was put together of lines ended."}


def _of(kind: type[Any]) -> dict[str, Any]:
    """The schema of what is written of a dataclass: every field is there."""
    schema = TypeAdapter(kind).json_schema(mode="serialization")
    parts = schema.pop("$defs", {})
    made = schema | {"required": sorted(schema["properties"]), "description": schema["description"].split("\n\n")[0]}
    return dict(_inlined(made, parts))


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    """The schema with its parts in their places: a reference would be read from the document's root."""
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            return _inlined(parts[str(schema["$ref"]).rpartition("/")[2]], parts)
        return {key: _inlined(value, parts) for key, value in schema.items()}
    return [_inlined(each, parts) for each in schema] if isinstance(schema, list) else schema


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "$schema"}


def _pointer(name: str) -> str:
    """A name within a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
