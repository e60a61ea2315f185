"""TLS and SASL settings: wrong combinations are refused with the key and the remedy; secrets stay out of sight."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives import serialization

from processor.cluster.client import KafkaClient
from processor.cluster.security import principal
from processor.errors import ConfigError
from processor.settings import Settings, load
from processor.settings.kafka import KafkaSettings

PASSWORD = secrets.token_urlsafe()
USER = {"sasl_mechanism": "PLAIN", "sasl_username": "app", "sasl_password": PASSWORD}
OAUTH = {"token_url": "https://sso.example.com/token", "client_id": "fs", "client_secret": PASSWORD}


def settings(folder: Path, **kafka: Any) -> Settings:
    """Settings with this section `kafka`, read from a file."""
    file = folder / "faultstream.yaml"
    file.write_text(yaml.safe_dump({"kafka": kafka}))
    return load(file)


@pytest.mark.parametrize(
    ("kafka", "told"),
    [
        (USER, "sasl_mechanism is set, but security_protocol PLAINTEXT has no SASL; set it to SASL_SSL"),
        ({"security_protocol": "SSL", **USER}, "security_protocol SSL has no SASL; set it to SASL_SSL"),
        ({"ssl_cafile": "/ca.pem"}, "ssl_cafile is set, but security_protocol PLAINTEXT has no TLS; set it to SSL"),
        (
            {"security_protocol": "SASL_PLAINTEXT", "ssl_certfile": "/c.pem", **USER},
            "ssl_certfile is set, but security_protocol SASL_PLAINTEXT has no TLS; set it to SASL_SSL",
        ),
        ({"security_protocol": "SSL", "ssl_keyfile": "/k.pem"}, "ssl_keyfile is set without a certificate"),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism is missing; security_protocol SASL_SSL needs one of PLAIN"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, "sasl_username is missing"),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "app"},
            "sasl_password is missing; sasl_mechanism SCRAM-SHA-512 needs it: set sasl_password_file",
        ),
        (
            {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"},
            "oauth is missing; sasl_mechanism OAUTHBEARER needs oauth.token_url",
        ),
        ({"security_protocol": "SASL_SSL", **USER, "oauth": OAUTH}, "oauth is set, but sasl_mechanism is PLAIN"),
        (
            {"security_protocol": "SASL_SSL", **USER, "sasl_mechanism": "OAUTHBEARER", "oauth": OAUTH},
            "sasl_username is set, but sasl_mechanism is OAUTHBEARER",
        ),
        ({"security_protocol": "SASL_SSL", **USER, "sasl_password_file": "/p"}, "sasl_password_file are both set"),
        ({"security_protocol": "TLS"}, "kafka.security_protocol: Input should be 'PLAINTEXT', 'SSL'"),
        ({"sasl_mechanism": "GSSAPI"}, "kafka.sasl_mechanism: Input should be 'PLAIN'"),
        ({"ssl_ca_file": "/ca.pem"}, "kafka.ssl_ca_file: unknown setting; did you mean ssl_cafile?"),
        ({"oauth": {**OAUTH, "client_id": ""}}, "kafka.oauth.client_id: String should have at least 1"),
        (
            {"oauth": {"token_url": "https://sso", "client_id": "fs"}},
            "client_secret is missing; set client_secret_file",
        ),
        ({"sasl_password_file": "/nowhere/password"}, "sasl_password_file: can't read /nowhere/password: No such file"),
    ],
)
def test_a_wrong_combination_is_told_with_its_remedy(kafka: dict[str, Any], told: str, tmp_path: Path) -> None:
    """Under the section's name, and without the secret."""
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, **kafka)
    assert told in str(caught.value)
    assert ": kafka" in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_secrets_show_nowhere(tmp_path: Path) -> None:
    """Neither in the settings' text, nor in that of what is made of them."""
    made = settings(tmp_path, security_protocol="SASL_PLAINTEXT", **USER)
    client = KafkaClient.of(made.kafka)
    assert client.arguments()["sasl_plain_password"] == PASSWORD
    assert PASSWORD not in f"{made!r} {client!r} {principal(client.arguments())}"
    assert principal(client.arguments()) == "user app (kafka.sasl_username)"


def test_a_password_file_is_read_again(tmp_path: Path) -> None:
    """For the next client; if it is gone, the last one that was read still counts."""
    file = tmp_path / "password"
    file.write_text("first\n")
    given = {**USER, "sasl_password": None, "sasl_password_file": str(file)}
    client = KafkaClient.of(KafkaSettings(security_protocol="SASL_PLAINTEXT", **given))
    assert client.arguments()["sasl_plain_password"] == "first"
    file.write_text("second\n")
    assert client.arguments()["sasl_plain_password"] == "second"
    file.unlink()
    assert client.arguments()["sasl_plain_password"] == "first"


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, Path]:
    """PEM files: an authority, a certificate and its key, that key encrypted, the key of another."""
    authority = trustme.CA()
    client, other = (authority.issue_cert(f"{name}@example.com") for name in "ab")
    key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )
    parts = {
        "ca": authority.cert_pem.bytes(),
        "cert": client.cert_chain_pems[0].bytes(),
        "key": client.private_key_pem.bytes(),
        "both": client.private_key_and_cert_chain_pem.bytes(),
        "encrypted": encrypted,
        "other": other.private_key_pem.bytes(),
        "text": b"no certificate\n",
    }
    for name, content in parts.items():
        (tmp_path / f"{name}.pem").write_bytes(content)
    return {name: tmp_path / f"{name}.pem" for name in parts} | {"absent": tmp_path / "absent.pem"}


def tls(files: dict[str, Path], **names: str) -> KafkaSettings:
    """Settings with these files."""
    given: dict[str, Any] = {f"ssl_{key}": files.get(name, name) for key, name in names.items()}
    return KafkaSettings(security_protocol="SSL", **given)


@pytest.mark.parametrize(
    "names",
    [
        {"cafile": "ca"},
        {"cafile": "ca", "certfile": "both"},
        {"cafile": "ca", "certfile": "cert", "keyfile": "key"},
        {"cafile": "ca", "certfile": "cert", "keyfile": "encrypted", "password": PASSWORD},
    ],
)
def test_certificates_are_loaded(names: dict[str, str], certificates: dict[str, Path]) -> None:
    """In one file or two, the key encrypted or not; the context names whose certificate it shows."""
    context = KafkaClient.of(tls(certificates, **names)).arguments()["ssl_context"]
    assert context.cert_store_stats()["x509_ca"] == 1
    assert context.certfile == (certificates[names["certfile"]] if "certfile" in names else None)
    assert context.check_hostname


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"cafile": "absent"}, "kafka.ssl_cafile: can't read {absent}: No such file"),
        ({"cafile": "text"}, "kafka.ssl_cafile: {text} holds no certificate in PEM"),
        ({"certfile": "absent"}, "kafka.ssl_certfile: can't read {absent}: No such file"),
        ({"certfile": "cert", "keyfile": "absent"}, "kafka.ssl_keyfile: can't read {absent}: No such file"),
        ({"certfile": "text"}, "kafka.ssl_certfile: {text} holds no certificate in PEM"),
        ({"certfile": "cert"}, "kafka.ssl_certfile: {cert} holds no private key in PEM; set kafka.ssl_keyfile"),
        ({"certfile": "cert", "keyfile": "other"}, "kafka.ssl_keyfile: the key in {other} is not that of {cert}"),
        (
            {"certfile": "cert", "keyfile": "encrypted"},
            "kafka.ssl_keyfile: the key in {encrypted} is encrypted, and kafka.ssl_password is missing",
        ),
        (
            {"certfile": "cert", "keyfile": "encrypted", "password": "wrong"},
            "kafka.ssl_keyfile: the key in {encrypted} is encrypted, and kafka.ssl_password does not open it",
        ),
    ],
)
def test_a_file_of_no_use_is_named(names: dict[str, str], told: str, certificates: dict[str, Path]) -> None:
    """With the setting that names it."""
    with pytest.raises(ConfigError) as caught:
        KafkaClient.of(tls(certificates, **names))
    expected = told.format(**certificates).replace("that of ", "that of the certificate in ")
    assert str(caught.value).startswith(expected)
