"""A Kafka record becomes an event: the input contract (docs/input.md).

One record is one event, and for raw logs one whole log. Three forms are told apart: a raw log, a JSON payload
(mapped by `config/providers/*.yaml`), and a CloudEvent in binary or structured mode; any body may be compressed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from processor.contract import ASSEMBLED_HEADER, ATTRIBUTES, ORIGIN_HEADER, Event, Origin, Record
from processor.errors import Rejected
from processor.sources.compression import unpack
from processor.sources.providers import Providers, at, pick
from processor.sources.single_lines import SingleLines, advice

Format = Literal["auto", "log", "json", "cloudevents"]

_DEFAULTS = {name: attribute.default for name, attribute in ATTRIBUTES.items()}
_COMPACT = tuple((name, name.replace("_", "")) for name in ATTRIBUTES)
_TYPES = tuple((name, attribute.type, attribute.default) for name, attribute in ATTRIBUTES.items())
_CONTENT_TYPE = "content-type"
_LINE_FIELDS = ("message", "log", "MESSAGE", "line", "msg")
"""Fields in which log shippers put a line: filebeat and vector, fluent-bit, journald."""
_SHIPPED = frozenset({"@timestamp", "source_type", "_HOSTNAME"})
"""Fields that they put beside it: filebeat and fluent-bit, vector, journald."""


def _spellings(name: str) -> list[str]:
    """Header names that carry an attribute. CloudEvents allows no underscore in names: ce_runid is ce_run_id."""
    plain = name.replace("_", "")
    spelt = [f"ce_{name}", f"ce_{plain}", f"ce-{plain}", f"ce-{name}", name, name.replace("_", "-")]
    return list(dict.fromkeys(spelt))


HEADERS: Mapping[str, str] = {spelling: name for name in ATTRIBUTES for spelling in _spellings(name)}
"""Header name (lower case) to attribute."""


@dataclass(frozen=True, slots=True)
class DecodeConfig:
    """How the records of a topic are read.

    `attributes` maps an attribute (or `body`) to foreign header names and payload paths, tried in order;
    `max_bytes` bounds the unpacked body. `assembled`: the records are logs that were put together of lines.
    """

    format: Format = "auto"
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    max_bytes: int = 50_000_000
    assembled: bool = False


@dataclass(frozen=True, slots=True)
class Decoder:
    """Makes events of records. `group` is the consumer group, part of the event's origin.

    `bodiless` are the types of events that need say nothing but their attributes; `lines` refuses records of a line.
    """

    config: DecodeConfig
    providers: Providers
    group: str
    bodiless: frozenset[str] = frozenset()
    lines: SingleLines | None = None

    def decode(self, record: Record) -> Event:
        """The event of a record. Raises Rejected with a reason of `processor.reasons`; never anything else."""
        headers = _text_headers(record)
        event = Event(_origin(self.group, record, headers), record, dict(_DEFAULTS))
        if self.config.assembled:
            event.assembled = _assembled(headers)
        self._read(event, headers, required=not self.config.attributes)
        self._finish(event)
        if self.lines is not None:
            self.lines.check(event)
        return event

    def line(self, record: Record) -> Event:
        """A part of a log that lies on several records, with what it says about the build; it may be empty.

        Of a JSON object it is the field that `attributes` name as `body`, or the one that shippers use. Raises
        Rejected.
        """
        headers = _text_headers(record)
        event = Event(_origin(self.group, record, headers), record, dict(_DEFAULTS))
        if self._is_raw(record, headers):
            event.body = unpack(record.value or b"", self.config.max_bytes)
            self._own(event, headers)
        else:
            self._read(event, headers, required=False)
        if event.body is None and event.payload is not None:
            places = (*self.config.attributes.get("body", ()), *_LINE_FIELDS)
            text = next((t for t in (at(event.payload, place) for place in places) if isinstance(t, str)), None)
            if text is None:
                fields = ", ".join(sorted(event.payload)[:8])
                raise Rejected("unknown_payload", f"which of {fields} is the line? say it in source.attributes.body")
            event.body = text.encode("utf-8", "replace")
        _type(event.attributes)
        return event

    def _is_raw(self, record: Record, headers: Mapping[str, str]) -> bool:
        """Whether a line is JSON by itself, and no shipper's: the headers say which build it is of, and it nothing."""
        body = record.value or b""
        told = {_CONTENT_TYPE, "ce_datacontenttype"} & headers.keys()
        if self.config.format != "auto" or told or body[:1] not in (b"{", b"[") or not HEADERS.keys() & headers.keys():
            return False
        parsed = _parsed(body)
        if not isinstance(parsed, dict):
            return True
        places = [place for each in self.config.attributes.values() for place in each]
        shipped = _SHIPPED & parsed.keys() or any(isinstance(parsed.get(name), str) for name in _LINE_FIELDS)
        return not shipped and "specversion" not in parsed and all(pick(parsed, each) is None for each in places)

    def _read(self, event: Event, headers: Mapping[str, str], *, required: bool) -> None:
        """Body, payload and attributes; `required`: somebody has to know the payload."""
        body = unpack(event.record.value or b"", self.config.max_bytes)
        content_type = headers.get(_CONTENT_TYPE, headers.get("ce_datacontenttype", "")).partition(";")[0].strip()
        form = self._form(content_type, body)
        if form == "cloudevents":
            self._structured(event, body, headers)
        elif form == "json":
            self._payload(event, _object(body), headers, required=required)
        else:
            event.body = body
        self._own(event, headers)

    def origin(self, record: Record) -> Origin:
        """Where a record's event was first read."""
        return _origin(self.group, record, _text_headers(record))

    def _form(self, content_type: str, body: bytes) -> Format:
        if self.config.format != "auto":
            return self.config.format
        if content_type == "application/cloudevents+json":
            return "cloudevents"
        if content_type == "application/json" or content_type.endswith("+json"):
            return "json"
        if content_type or body[:1] not in (b"{", b"["):
            return "log"
        parsed = _parsed(body)  # many logs begin with a bracket: it is JSON only if all of it is
        if isinstance(parsed, dict) and "specversion" in parsed and "type" in parsed:
            return "cloudevents"
        return "log" if parsed is None else "json"

    def _structured(self, event: Event, body: bytes, headers: Mapping[str, str]) -> None:
        envelope = _object(body)
        if not {"specversion", "type"} <= envelope.keys():
            raise Rejected("unknown_format", "a structured CloudEvent needs specversion and type")
        for name, compact in _COMPACT:
            value = envelope.get(name, envelope.get(compact))
            if value is not None and not isinstance(value, dict | list):
                event.attributes[name] = value
        data = envelope.get("data")
        if "data_base64" in envelope:
            event.body = unpack(_unbase64(envelope["data_base64"]), self.config.max_bytes)
        elif isinstance(data, dict):
            kept = {k: v for k, v in event.attributes.items() if v != _DEFAULTS[k]}
            self._payload(event, data, headers, required=False)
            event.attributes.update(kept)  # what the envelope says wins over what the payload says
        elif data is not None:
            event.body = data.encode() if isinstance(data, str) else orjson.dumps(data)

    def _payload(
        self, event: Event, payload: dict[str, Any], headers: Mapping[str, str], *, required: bool = True
    ) -> None:
        event.payload = payload
        mapped = self.providers.map(payload, headers)
        if mapped:
            event.attributes.update(mapped.attributes)
            event.body = mapped.body.encode() if mapped.body else None
        elif required and _SHIPPED & payload.keys() and any(isinstance(payload.get(f), str) for f in _LINE_FIELDS):
            raise Rejected("line_records", advice("the payload is a log shipper's, of one line"))
        elif required:
            raise Rejected(
                "unknown_payload",
                f"no mapping under config/providers knows a payload with the keys {', '.join(sorted(payload)[:8])}; "
                "add one, or map its fields with source.attributes",
            )

    def _own(self, event: Event, headers: Mapping[str, str]) -> None:
        """Headers, and the pipeline's own mapping over them."""
        attributes = event.attributes
        for name, text in headers.items():
            known = HEADERS.get(name)
            if known and text:
                attributes[known] = text
        for attribute, places in self.config.attributes.items():
            values = (headers.get(p.lower()) or (pick(event.payload, p) if event.payload else None) for p in places)
            value = next((v for v in values if v not in (None, "")), None)
            if value is None:
                continue
            if attribute == "body":
                event.body = value.encode() if isinstance(value, str) else orjson.dumps(value)
            else:
                attributes[attribute] = value

    def _finish(self, event: Event) -> None:
        attributes = event.attributes
        _type(attributes)
        if not attributes["subject"]:
            attributes["subject"] = "/".join(part for part in (attributes["repo"], attributes["job"]) if part)
        if not attributes["time"]:
            stamp = datetime.fromtimestamp(event.record.timestamp_ms / 1000, UTC)
            attributes["time"] = stamp.isoformat(timespec="milliseconds")
        if not event.body:
            event.reference = attributes["log_url"] or None
            if event.reference is None and event.payload is None and attributes["type"] not in self.bodiless:
                raise Rejected("empty", "the record has no body, and no log_url that says where it lies")


def _text_headers(record: Record) -> dict[str, str]:
    return {name.lower(): value.decode("utf-8", "replace") for name, value in record.headers if value is not None}


def _origin(group: str, record: Record, headers: Mapping[str, str]) -> Origin:
    """Where the event was first read: from fs-origin on a copy, else here."""
    given = headers.get(ORIGIN_HEADER)
    if given:
        parts = _parsed(given.encode())
        if isinstance(parts, list) and len(parts) in (4, 5) and isinstance(parts[2], int) and isinstance(parts[3], int):
            return Origin(str(parts[0]), str(parts[1]), parts[2], parts[3], str(parts[4]) if len(parts) == 5 else None)
    return Origin(group, record.topic, record.partition, record.place)


def _assembled(headers: Mapping[str, str]) -> dict[str, Any] | None:
    """How a log that was put together ended. Raises Rejected for what is no log, unless it was sent back."""
    told = _parsed(headers.get(ASSEMBLED_HEADER, "").encode())
    if not isinstance(told, dict):
        return None
    if "refused" in told:
        raise Rejected(str(told["refused"]), str(told.get("error", "")))
    if told.get("ended_by") == "late" and ORIGIN_HEADER not in headers:
        raise Rejected("late_lines", f"{told.get('records')} lines came after the last line of their log")
    return told


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise Rejected("empty", "the record says it is JSON and has no body")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Rejected("invalid_json", f"the body is no JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise Rejected("invalid_json", f"the body is a JSON {type(parsed).__name__}; an object is expected")
    return parsed


def _unbase64(value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except ValueError as error:  # of text that is no ASCII as well
        raise Rejected("undecodable", f"data_base64 is no base64: {error}") from error


def _type(attributes: dict[str, Any]) -> None:
    for name, wanted, default in _TYPES:
        if type(attributes[name]) is not wanted:
            attributes[name] = _typed(attributes[name], wanted, default)


def _typed(value: Any, wanted: type, default: Any) -> Any:
    if wanted is int:
        text = str(value).strip()
        return int(text) if text.isdecimal() and len(text) < 10 else default
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, bool) else str(value)
