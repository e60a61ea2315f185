"""Why an event may become a dead letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

REASONS: Final[Mapping[str, str]] = {
    "unknown_format": "the record is neither a log, a JSON payload nor a CloudEvent",
    "invalid_json": "the body says it is JSON but does not parse, or is no object",
    "unknown_payload": "no provider mapping under config/providers recognises the payload",
    "empty": "the record has no body and no reference to one",
    "binary": "the body is binary data, not a log",
    "undecodable": "the compressed body is truncated or corrupt",
    "too_large": "the body, unpacked, is over source.max_bytes",
    "line_records": "the topic carries a record per line; see source.assemble",
    "no_log_key": "the line does not say which log it is part of (source.assemble.key)",
    "late_lines": "lines that came after the last line of their log (source.assemble.end), put together",
    "reference_not_allowed": "the log is a reference to a place that the settings' section fetch does not allow",
    "reference_failed": "the referenced log could not be fetched for good (not found, forbidden)",
    "predicate_failed": "a predicate failed at run time or gave no boolean",
    "template_failed": "a template failed at run time",
    "expression_failed": "an expression of a chain failed at run time or gave a value of another type",
    "query_failed": "a query of a chain failed on the event's values, gave what its columns do not allow, or took too "
    "long again and again while the database answered otherwise",
    "prompt_too_long": "system prompt and smallest excerpt together exceed the model's context",
    "invalid_output": "the model's answer was wrong or cut off, and so was its repair; `fs-output` holds it",
    "schema_refused": "the model server can't enforce the pipeline's schema; the error text names what it objects to",
    "request_refused": "the model server refused the request again and again (4xx), and answered others of the same "
    "pipeline after each time",
    "model_failed": "the model server failed on this event again and again (5xx, no answer in time, no whole one), and "
    "answered another one of the same pipeline after each time",
    "ticket_refused": "Jira refused the ticket for good; the error text names the setting to check",
    "invalid_signal": "the signal is none that this version reads",
    "invalid_command": "the record is no ticket command",
    "unknown_pipeline": "the command's pipeline files no tickets in this daemon",
    "poison": "the process died again and again while it worked on this event",
    "internal": "a defect in Faultstream; the error text says which",
}
"""Reason codes of dead letters, with what they mean."""
