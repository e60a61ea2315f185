"""Redaction: secrets of every kind go, look-alikes stay, lines never shift, twice is once."""

from __future__ import annotations

import base64
import itertools
import random
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.logs.redact import Redactor, redactor
from processor.logs.secrets import SECRETS
from processor.logs.secrets.values import opaque

CHANCE = random.Random(11)  # noqa: S311  repeatable, and no secret


def some(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Random characters, at least one of each class that the alphabet has, never a real secret."""
    while True:
        text = "".join(CHANCE.choice(alphabet) for _ in range(count))
        if count < 12 or all(
            set(text) & set(kind) for kind in (string.digits, string.ascii_lowercase) if set(kind) & set(alphabet)
        ):
            return text


HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits

# (kind, text around the secret with {} for it, secret)
PLANTED = [
    ("aws-key", "using {}", "AKIA" + some(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")),
    ("password", "AWS_SECRET_ACCESS_KEY={}", some(40)),
    ("gcp-key", "key {}", "AIza" + some(35)),
    ("gcp-oauth", "{}", "ya29." + some(60)),
    ("azure-key", "DefaultEndpointsProtocol=https;AccountKey={};EndpointSuffix=x", some(86) + "=="),
    ("azure-secret", "secret {} used", some(3) + "8Q~" + some(34)),
    ("digitalocean-token", "{}", "dop_v1_" + some(64, HEX)),
    ("databricks-token", "{}", "dapi" + some(32, HEX)),
    ("github-token", "remote: {}", "ghp_" + some(36)),
    ("github-token", "{}", "github_pat_" + some(22) + "_" + some(59)),
    ("gitlab-token", "PRIVATE {}", "glpat-" + some(20)),
    ("bitbucket-token", "{}", "ATBB" + some(32)),
    ("atlassian-token", "{}", "ATATT3" + some(180)),
    ("npm-token", "{}", "npm_" + some(36)),
    ("npm-auth", "//registry.example/:_authToken={}", some(36)),
    ("pypi-token", "{}", "pypi-AgEIcHlwaS5vcmc" + some(120)),
    ("crates-token", "{}", "cio" + some(32)),
    ("rubygems-token", "{}", "rubygems_" + some(48, HEX)),
    ("nuget-key", "{}", "oy2" + some(43, string.ascii_lowercase + string.digits)),
    ("docker-token", "{}", "dckr_pat_" + some(27)),
    ("docker-auth", '"auth": "{}"', base64.b64encode(b"user:" + some(12).encode()).decode()),
    ("slack-token", "{}", "xoxb-" + some(12, string.digits) + "-" + some(24)),
    ("slack-webhook", "https://hooks.slack.com/services/{}", f"T{some(8, UPPER)}/B{some(8, UPPER)}/{some(24)}"),
    ("discord-webhook", "https://discord.com/api/webhooks/{}", f"{some(18, string.digits)}/{some(68)}"),
    (
        "teams-webhook",
        "https://acme.webhook.office.com/webhookb2/{}",
        f"{some(36, HEX)}@{some(36, HEX)}/IncomingWebhook/{some(32)}",
    ),
    ("telegram-token", "{}", some(10, "123456789") + ":AA" + some(33)),
    ("sendgrid-key", "{}", f"SG.{some(22)}.{some(43)}"),
    ("mailgun-key", "{}", "key-" + some(32, HEX)),
    ("twilio-key", "{}", "SK" + some(32, HEX)),
    ("stripe-key", "{}", "sk_live_" + some(24)),
    ("shopify-token", "{}", "shpat_" + some(32, HEX)),
    ("openai-key", "{}", "sk-proj-" + some(48)),
    ("huggingface-token", "{}", "hf_" + some(34)),
    ("vault-token", "{}", "hvs." + some(90)),
    ("grafana-token", "{}", "glsa_" + some(32) + "_" + some(8, HEX)),
    ("newrelic-key", "{}", "NRAK-" + some(27, UPPER)),
    ("sonar-token", "{}", "sqp_" + some(40, HEX)),
    ("jwt", "token {}", f"eyJ{some(30)}.eyJ{some(60)}.{some(43)}"),
    ("authorization", "Authorization: Bearer {}", some(40)),
    ("authorization", "< AUTHORIZATION: basic {}", base64.b64encode(some(30).encode()).decode().rstrip("=")),
    ("authorization", "X-Api-Key: {}", some(32)),
    ("bearer", "sent bearer {}", some(40)),
    ("url-password", "git clone https://bot:{}@git.example/a.git", some(14)),
    ("url-password", "DATABASE_URL=postgres://app:{}@db.example:5432/app", "hunter2"),
    ("url-password", "redis://:{}@cache:6379/0", some(12)),
    ("url-token", "https://{}@git.example/a.git", some(40)),
    ("url-parameter", "GET https://x.example/a?sig={}&b=1", some(44)),
    ("curl-user", "curl -s -u admin:{} https://x.example", "letmein"),
    ("password", "mysql --password={} -h db", some(12)),
    ("login-password", "docker login -u bot -p {} registry.example", some(20)),
    ("netrc", "machine git.example login bot password {}", some(12)),
    ("password", "DB_PASSWORD={}", "correcthorse"),
    ("password", "  password: {}", "s3cr3tpass"),
    ("password", '"password": "{}"', "hunter22"),
    ("password", "client_secret = '{}'", some(32)),
    ("token", "DEPLOY_TOKEN={}", some(24)),
    ("token", '"api_key": "{}"', some(32)),
    ("token", "sentry_dsn: {}", some(32)),
]


@pytest.mark.parametrize(("kind", "around", "secret"), PLANTED)
def test_planted_secret_goes(kind: str, around: str, secret: str) -> None:
    """A secret is replaced by its kind, in bytes and in text, and what stands around it stays."""
    line = f"2024-05-01T10:00:00.1234567Z {around.format(secret)} ok"
    clean = redactor().redact_text(line)
    assert secret not in clean
    assert f"[{kind}:1]" in clean
    assert clean.startswith("2024-05-01T10:00:00.1234567Z ")
    assert clean.endswith(" ok")
    assert redactor().redact(line.encode()) == clean.encode()


def test_at_least_25_kinds() -> None:
    """Every planted kind exists, and there are many."""
    assert {kind for kind, _, _ in PLANTED} <= {secret.name for secret in SECRETS}
    assert len({secret.name for secret in SECRETS}) >= 60


@pytest.mark.parametrize(
    "line",
    [
        "npm ERR! notarget No matching version found for socket.io-client@2.1.4",
        "FROM node@sha256:" + some(64, HEX),
        "commit " + some(40, HEX),
        'integrity "sha512-' + some(86) + '=="',
        "x-request-id: 6f1c1d0e-6c1f-5d54-9a52-6a2b7a7d9f10",
        "SyntaxError: Unexpected token: '}' at line 3",
        "Authorization: ***",
        "AUTHORIZATION: basic ***",
        "password: ${{ secrets.DB_PASSWORD }}",
        "PASSWORD=$DB_PASSWORD make",
        "export TOKEN=[secure]",
        "token: null",
        "Enter password: incorrect password given",
        "cache key: node-modules-v3-Linux-" + some(40, HEX),
        "Cache restored from key: " + some(40, HEX),
        "def test_password_is_checked PASSED",
        "com.google.cloud:google-cloud-iamcredentials-parent:2.7.0",
        "secret: file not mounted",
        "prompt_tokens: 1180",
        "https://registry.example/acme/web:1.2.3",
        "git@github.com:acme/web.git",
        "public_key: " + some(40),
        "Downloading 9a1f9e1b4c5d.tar.gz (12.3 MB)",
    ],
)
def test_look_alike_stays(line: str) -> None:
    """Versions, digests, hashes, ids, masked values and prose survive, as the very same object."""
    assert redactor().redact_text(line) is line


def test_same_secret_same_placeholder() -> None:
    """Within a session a secret keeps its number, also between the log and its attributes."""
    session = redactor().session()
    one, other = "AKIA" + "A2" * 8, "AKIA" + "B3" * 8
    assert session.redact(f"{one} {other} {one}".encode()) == b"[aws-key:1] [aws-key:2] [aws-key:1]"
    assert session.redact_text(other) == "[aws-key:2]"
    assert session.found == 2


def test_every_value_behind_a_name_goes() -> None:
    """What looks random behind a name goes, also where it is more than all further looks would find one by one."""
    drawn = [some(24) for _ in range(200)]
    values = [value for value in drawn if value not in redactor().redact_text(f"token seen, {value}")]
    clean = redactor().redact_text(f"token seen, {' '.join(values)}")
    assert len(values) > 150
    assert not any(value in clean for value in values)


def test_what_is_found_does_not_depend_on_numbers() -> None:
    """How near a value is to a name, or to the other half of a pair, is the same whatever was found before."""
    found = set()
    for gap, name in itertools.product(range(80, 130), ("", "token ")):
        key, value = "AKIA" + some(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), some(20)
        text = f"{name}{'.' * (gap if name else 0)} {key} {'.' * (0 if name else gap)} {value}"
        later = redactor().session()
        later.redact_text(" ".join("AKIA" + some(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(10)))
        found.add(value not in redactor().redact_text(text))
        assert (value not in redactor().redact_text(text)) == (value not in later.redact_text(text))
    assert found == {True, False}


@pytest.mark.parametrize("name", sorted({secret.name for secret in SECRETS}))
def test_placeholders_stay(name: str) -> None:
    """Whatever is near a placeholder of any kind, it is no name with a value itself."""
    text = f"[{name}:1] [{name}:2]: [{name}:13]=abc {some(40)}"
    assert redactor().redact_text(text).startswith(f"[{name}:1] [{name}:2]: [{name}:13]=abc ")


def test_key_block_keeps_its_lines() -> None:
    """A private key over many lines leaves as many lines, also without its end."""
    body = "\n".join(some(64) for _ in range(20))
    block = f"a\n-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\nb\n"
    clean = redactor().redact_text(block)
    assert clean.count("\n") == block.count("\n")
    assert clean.startswith("a\n[private-key:1]\n")
    assert clean.endswith("\nb\n")
    cut = redactor().redact_text(block[: block.index("-----END")])
    assert not any(line in cut for line in body.split("\n"))


def test_clean_log_is_returned_as_it_is() -> None:
    """Without a secret nothing is copied."""
    data = b"all is well\n" * 1000
    assert redactor().redact(data) is data


def test_secret_in_a_huge_line() -> None:
    """A secret in the middle of megabytes without a newline is found."""
    secret = b"ghp_" + some(36).encode()
    clean = redactor().redact(b"x" * 3_000_000 + b" " + secret + b" " + b"y" * 3_000_000)
    assert secret not in clean
    assert b" [github-token:1] " in clean


def test_own_kinds() -> None:
    """A redactor can be made of chosen kinds alone."""
    only = Redactor(tuple(secret for secret in SECRETS if secret.name == "aws-key"))
    assert only.redact(b"AKIA" + b"C4" * 8 + b" password=hunter2") == b"[aws-key:1] password=hunter2"


_PIECES = st.sampled_from(
    [
        "password=",
        "token: ",
        "\n",
        " ",
        "hunter2",
        "ghp_" + "a1" * 20,
        "AKIA" + "A2" * 8,
        "https://u:",
        "@h/",
        "Bearer ",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "[password:1]",
        "=",
        '"',
        "x9" * 12,
        "[",
        "]",
        ":1]",
        "curl -u a:b",
    ]
)


@settings(max_examples=300)
@given(st.lists(_PIECES, max_size=14).map("".join) | st.text(max_size=200))
def test_redaction_is_idempotent(text: str) -> None:
    """Redacting twice is redacting once, and no newline comes or goes."""
    once = redactor().redact_text(text)
    assert redactor().redact_text(once) == once
    assert once.count("\n") == text.count("\n")


@given(st.binary(max_size=500))
def test_any_bytes(data: bytes) -> None:
    """Bytes of any kind never crash it nor lose a line."""
    assert redactor().redact(data).count(b"\n") == data.count(b"\n")


@pytest.mark.parametrize(
    "value", ["1.2.3-rc.1", "6f1c1d0e-6c1f-5d54-9a52-6a2b7a7d9f10", "sha256:" + "ab12" * 16, "incorrect", "short1A"]
)
def test_not_opaque(value: str) -> None:
    """Versions, UUIDs, digests, words and short values are not random enough to be secrets."""
    assert not opaque(value.encode())


def test_triggers_see_what_the_expressions_match() -> None:
    """The first pass misses nothing that the exact expression would take: every planted line triggers."""
    for kind, around, secret in PLANTED:
        line = around.format(secret)
        rows = [row for row in SECRETS if row.name == kind]
        assert any(not row.regex or re.search(row.regex, line, re.IGNORECASE if row.caseless else 0) for row in rows)
        assert redactor().find(line.encode()).spans, kind
