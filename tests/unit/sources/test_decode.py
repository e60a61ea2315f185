"""The input contract: what a record may look like, and what becomes of one that doesn't."""

from __future__ import annotations

import base64
import gzip
import json

import cramjam
import pytest

from processor.contract import ATTRIBUTES, Event, Record
from processor.errors import Rejected
from processor.home import Homes
from processor.sources.decode import DecodeConfig, Decoder
from processor.sources.providers import Providers

LOG = b"$ npm ci\nnpm ERR! code ERESOLVE\n"
PROVIDERS = Providers.load(list(Homes.of(environ={}).providers().values()))


def decode(value: bytes | None, headers: dict[str, str] | None = None, **config: object) -> Event:
    """Decodes one record with the bundled providers."""
    packed = tuple((name, text.encode()) for name, text in (headers or {}).items())
    record = Record("ci.builds.failed", 3, 1881, b"key", value, packed, 1_700_000_000_000)
    return Decoder(DecodeConfig(**config), PROVIDERS, "faultstream.line").decode(record)  # type: ignore[arg-type]


def reason(value: bytes | None, headers: dict[str, str] | None = None, **config: object) -> str:
    """The reason why a record is rejected."""
    with pytest.raises(Rejected) as caught:
        decode(value, headers, **config)
    assert str(caught.value), "a rejection says what is wrong"
    return caught.value.reason


def test_raw_log_takes_its_attributes_from_headers() -> None:
    """CloudEvents headers, plain ones and both legal spellings of run_id are the same attribute."""
    event = decode(
        LOG, {"ce_type": "build.failed", "repo": "acme/web", "ce_job": "test", "ce_runid": "77", "attempt": "2"}
    )
    assert event.body == LOG
    assert event.payload is None
    assert event.attributes["repo"] == "acme/web"
    assert event.attributes["run_id"] == "77"
    assert event.attributes["attempt"] == 2
    assert event.attributes["subject"] == "acme/web/test"
    assert event.attributes["time"] == "2023-11-14T22:13:20.000+00:00"


def test_every_attribute_has_its_documented_type_and_default() -> None:
    """A log without headers still has all attributes, typed."""
    event = decode(LOG)
    assert set(event.attributes) == set(ATTRIBUTES)
    for name, attribute in ATTRIBUTES.items():
        assert type(event.attributes[name]) is attribute.type
    assert event.attributes["type"] == "build.failed"


@pytest.mark.parametrize("attempt", ["", "two", "-1", "1e3", "9" * 40, "²"])
def test_a_number_that_is_none_gives_the_default(attempt: str) -> None:
    """A header can't crash the daemon by holding no number."""
    assert decode(LOG, {"attempt": attempt}).attributes["attempt"] == 1


@pytest.mark.parametrize(
    "pack", [gzip.compress, cramjam.zstd.compress, cramjam.lz4.compress], ids=["gzip", "zstd", "lz4"]
)
def test_compressed_bodies_are_unpacked(pack: object) -> None:
    """gzip, zstd and lz4 are told by their first bytes."""
    assert decode(bytes(pack(LOG * 5000))).body == LOG * 5000  # type: ignore[operator]


@pytest.mark.parametrize(
    "pack", [gzip.compress, cramjam.zstd.compress, cramjam.lz4.compress], ids=["gzip", "zstd", "lz4"]
)
def test_truncated_and_swollen_bodies_are_rejected(pack: object) -> None:
    """A truncated body is undecodable; a bomb is too large and stops at the limit."""
    packed = bytes(pack(LOG * 5000))  # type: ignore[operator]
    assert reason(packed[: len(packed) // 2]) == "undecodable"
    assert reason(bytes(pack(b"\0" * 3_000_000)), max_bytes=1_000_000) == "too_large"  # type: ignore[operator]


def test_nested_compression_is_bounded() -> None:
    """A body compressed many times over is unpacked a few layers and no further."""
    body = LOG
    for _ in range(10):
        body = gzip.compress(body)
    assert decode(body).body is not None


def test_a_body_over_the_limit_is_rejected() -> None:
    """The limit holds for plain bodies too."""
    assert reason(b"x" * 101, max_bytes=100) == "too_large"
    assert decode(b"x" * 100, max_bytes=100).body == b"x" * 100


def test_binary_cloudevent() -> None:
    """ce_ headers with the log as data."""
    event = decode(
        LOG,
        {
            "ce_specversion": "1.0",
            "ce_id": "1",
            "ce_source": "/ci",
            "ce_type": "build.failed",
            "content-type": "text/plain",
        },
    )
    assert (event.attributes["source"], event.body) == ("/ci", LOG)


@pytest.mark.parametrize("declared", [True, False])
def test_structured_cloudevent_with_text(declared: bool) -> None:
    """The envelope's attributes and its data; recognised by content type or by its keys."""
    envelope = {
        "specversion": "1.0",
        "id": "1",
        "source": "/ci",
        "type": "build.failed",
        "repo": "acme/web",
        "runid": "9",
        "data": LOG.decode(),
    }
    headers = {"content-type": "application/cloudevents+json"} if declared else {}
    event = decode(json.dumps(envelope).encode(), headers)
    assert event.body == LOG
    assert (event.attributes["repo"], event.attributes["run_id"]) == ("acme/web", "9")


def test_structured_cloudevent_with_packed_bytes() -> None:
    """data_base64 may hold a compressed log."""
    envelope = {
        "specversion": "1.0",
        "type": "build.failed",
        "source": "/",
        "data_base64": base64.b64encode(gzip.compress(LOG)).decode(),
    }
    assert decode(json.dumps(envelope).encode()).body == LOG
    for wrong in ("no base 64!", "ZXJyb\N{COMBINING LONG STROKE OVERLAY}="):
        envelope["data_base64"] = wrong
        assert reason(json.dumps(envelope).encode()) == "undecodable"


def test_structured_cloudevent_with_a_webhook() -> None:
    """The payload is mapped by its provider; what the envelope says wins."""
    payload = {"object_kind": "build", "project_id": 1, "build_status": "failed", "ref": "main", "build_name": "test"}
    envelope = {"specversion": "1.0", "type": "my.type", "source": "/gitlab", "data": payload}
    event = decode(json.dumps(envelope).encode())
    assert event.attributes["type"] == "my.type"
    assert (event.attributes["branch"], event.attributes["provider"]) == ("main", "gitlab")


@pytest.mark.parametrize("value", [b"[1, 2]", b"3", b'"text"', b"null", b"{bad"])
def test_json_that_is_no_object(value: bytes) -> None:
    """Said to be JSON, and no object: a dead letter that says so."""
    assert reason(value, {"content-type": "application/json"}) == "invalid_json"


def test_json_array_without_content_type_is_no_log() -> None:
    """A whole JSON array is no log either; a log that begins with a bracket is one."""
    assert reason(b"[1, 2]") == "invalid_json"
    assert decode(b"[INFO] Scanning for projects...").body == b"[INFO] Scanning for projects..."
    lines = b'{"level":"info"}\n{"level":"error"}\n'
    assert decode(lines).body == lines


def test_unknown_webhook_names_its_keys_and_the_remedy() -> None:
    """A payload that no provider knows."""
    with pytest.raises(Rejected, match=r"config/providers.*hello") as caught:
        decode(b'{"hello": 1}')
    assert caught.value.reason == "unknown_payload"


def test_own_mapping_of_payload_fields_and_headers() -> None:
    """source.attributes maps foreign names, the body among them."""
    mapping = {"repo": ("x-repo", "build.repository"), "body": ("build.output",), "attempt": ("build.try",)}
    event = decode(b'{"build": {"repository": "acme/api", "output": "boom", "try": 3}}', attributes=mapping)
    assert (event.attributes["repo"], event.attributes["attempt"], event.body) == ("acme/api", 3, b"boom")
    assert decode(b'{"build": {}}', {"X-Repo": "a/b"}, attributes=mapping).attributes["repo"] == "a/b"


@pytest.mark.parametrize("value", [None, b""])
def test_nothing_at_all_is_rejected(value: bytes | None) -> None:
    """A tombstone or an empty body without a reference."""
    assert reason(value) == "empty"


def test_reference_instead_of_a_body() -> None:
    """log_url says where the log lies."""
    assert decode(b"", {"log_url": "https://ci.example.com/1.log"}).reference == "https://ci.example.com/1.log"


def test_origin_of_a_copy_is_kept() -> None:
    """fs-origin travels with a replayed copy, so its finding keeps its id."""
    first = decode(LOG).origin
    copy = decode(LOG, {"fs-origin": json.dumps(["faultstream.line", "ci.builds.failed", 3, 1881])}).origin
    assert copy.id("ci_failure") == first.id("ci_failure")
    replayed = decode(LOG, {"fs-origin": json.dumps(["faultstream.line", "ci.builds.failed", 3, 1881, "r1"])}).origin
    assert replayed.id("ci_failure") != first.id("ci_failure")
    assert decode(LOG, {"fs-origin": "garbage"}).origin == first


@pytest.mark.parametrize("form", ["log", "json", "cloudevents"])
def test_fixed_format_is_not_guessed(form: str) -> None:
    """source.format overrides the guess."""
    value = b'{"level": "error"}'
    if form == "log":
        assert decode(value, format=form).body == value
    else:
        assert reason(value, format=form) in {"unknown_payload", "unknown_format"}
