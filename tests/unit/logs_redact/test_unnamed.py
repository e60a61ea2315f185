"""Secrets that only their looks or their place in a layout tell of, and values that look alike and stay."""

from __future__ import annotations

import base64
import random
import string
import time

import pytest

from processor.logs.redact import redactor

CHANCE = random.Random(53)  # noqa: S311  repeatable, and no secret
HEX = "0123456789abcdef"
SMALL = string.ascii_lowercase + string.digits
LETTERS = string.ascii_letters + string.digits


def some(count: int, alphabet: str = LETTERS) -> str:
    """Random characters with a digit early on and of which no class is missing."""
    while True:
        text = "".join(CHANCE.choices(alphabet, k=count))
        kinds = [
            kind
            for kind in (string.digits, string.ascii_lowercase, string.ascii_uppercase)
            if set(kind) & set(alphabet)
        ]
        if set(text[:6]) & set(string.digits) and all(set(text) & set(kind) for kind in kinds):
            return text


def uuid() -> str:
    """A random one."""
    return f"{some(8, HEX)}-{some(4, HEX)}-4a4e-a526-{some(12, HEX)}"


FOUND = (
    ("{}", some(40)),
    ("got '{}' from the server", some(44)),
    ("deploy --prod -t {} --yes", some(24)),
    ("tool uses snip_uat." + some(8, HEX) + ".{}", some(40)),
    ("tool uses {} now", base64.b64encode(f"{uuid()}|read-write".encode()).decode()),
    ("PERCH=web_{}", some(64, HEX)),
    ("SHOP_WRITE: {}", some(32, "ghijklmnop" + SMALL)),
    ("anytool login {}", some(40, HEX)),
    ("anytool --api {}", some(36, string.ascii_uppercase + string.digits)),
    ("Authorization: Sploink {}", uuid()),
    ("https://conda.example/t/{}/channel/noarch/repodata.json", "co-" + uuid()),
    ("publish -p {}", uuid()),
    ("bootstrap host.example -x bot -P {}", "Walnut4077#"),
    ("sometool variable set DB {} --masked", some(16)),
    ("sometool variables --set DB={} --app web", some(16)),
    ("sometool kv put app/db {}", some(16)),
    ("Enter pass phrase for key.pem: {}", "Walnut4077#"),
    ("Generated temporary password for user admin: {}", "p4Y9c@6=SG"),
    ('"mail.password":{{"value":"{}","origin":"env"}}', "Walnut4077#"),
    ("USR=bot PSW={}", "Walnut4077#"),
    ("pswd={}", "opmkv7b2z"),
    ('{{"name":"DB_PASSWORD","value":"{}"}}', "lefeolrsbpi1"),
    ("ParameterKey=DbPassword,ParameterValue={}", "lefeolrsbpi1"),
    ('    password: "" => "{}"', "lefeolrsbpi1"),
    ("https://store.example/a?st=1&e=2&hmac={}", some(64, HEX)),
    ("Credentials {{ User = bot, Password = {} }}", "qyogidqitn"),
    ("NAME        PASSWORD      AGE\nroot        {}    3d", "I07w_-=DBwuV"),
    ("| user | password |\n|------|----------|\n| ci | {} |", some(16)),
    (" user | password \n------+----------\n ci   | {}", some(16)),
    ("user,password\nci,{}", some(16)),
    ("kind: Secret\ndata:\n  word: {}\nmetadata:", base64.b64encode(b"Walnut4077#").decode()),
    ("data:\n  a: YWJj\n  word: {}\nkind: Secret", base64.b64encode(b"Walnut4077#").decode()),
    ("stringData:\n  user: ci\n  word: {}\nother: 1", "Walnut4077#"),
    ('{{\\"stringData\\":{{\\"word\\":\\"{}\\"}}}}', "Walnut4077#"),
)
STAYS = (
    f"commit {some(40, HEX)}",
    f"HEAD is now at {some(40, HEX)}",
    f"layer {some(64, HEX)} exists",
    f"actual: {base64.b64encode(CHANCE.randbytes(32)).decode()}",
    f"checksum {base64.urlsafe_b64encode(CHANCE.randbytes(32)).decode().rstrip('=')}",
    f"x-amz-id-2: {base64.b64encode(CHANCE.randbytes(56)).decode()}",
    f"github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{some(43)}",
    f"Adding host key ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{some(43)}",
    f"gpg: using RSA key {some(40, '0123456789ABCDEF')}",
    f"    component pandoc-2.6-{some(22)}-test-pandoc",
    f"docker network create github_network_{some(32, HEX)}",
    f"Beginning test session Tests-{uuid().upper()} at 10:01",
    f"http://localhost/VaultDocumentRoot:{some(16, HEX)}xx128",
    f"node_id: PR_kwDO{some(20)}",
    f'{{"kty":"EC","kid":"{some(43)}","x":"{some(43)}","y":"{some(43)}"}}',
    some(64),  # a line of wrapped base64
    "sessionid = 0x564aeac12116610",
    "Type error: Property 'password' does not exist on type 'LoginRequestV2'.",
    "\x1b[1mNativeMethodAccessorImpl2WithAVeryLongName4\x1b[0m",
    "| test | result |\n|---|---|\n| token | passed |\n| password | failed |",
    "NAME     SECRETS   AGE\ndefault  1         3d",
    "kind: ConfigMap\ndata:\n  color: YmxhdQ==",
    f"#7 {some(25, SMALL)}",
)


@pytest.mark.parametrize(("shape", "secret"), FOUND)
def test_secret_goes(shape: str, secret: str) -> None:
    """Nothing of it is left, no line comes or goes, and twice is once."""
    text = "Run step 4\n" + shape.format(secret) + "\nError: exit status 1\n"
    clean = redactor().redact_text(text)
    assert secret[1:-1] not in clean
    assert clean.count("\n") == text.count("\n")
    assert clean.startswith("Run step 4\n")
    assert clean.endswith("\nError: exit status 1\n")
    assert redactor().redact_text(clean) == clean


@pytest.mark.parametrize("text", STAYS)
def test_look_alike_stays(text: str) -> None:
    """Digests, keys that are public, names of packages and tests, tables of results."""
    assert redactor().redact_text(f"{text}\nnext") == f"{text}\nnext"


@pytest.mark.parametrize("part", [b"| password ", b"a,password,", b"A  PASSWORD  ", b"stringData:", b"kind: Secret "])
def test_thousands_of_headers_on_a_line_are_read_once(part: bytes) -> None:
    """The time grows with the line, not with its square."""
    line = part * (100_000 // len(part))
    began = time.process_time()
    redactor().redact(line)
    assert time.process_time() - began < 3


@pytest.mark.parametrize("width", [76, 300, 1_000_000])
def test_a_megabyte_of_base64_is_looked_at_once(width: int) -> None:
    """The time grows with the text, however many of its lines look like the next one's beginning."""
    drawn = random.Random(7).choices(string.ascii_letters + string.digits, k=1_000_000)  # noqa: S311 (no secret)
    lines = "\n".join("".join(drawn[at : at + width]) for at in range(0, len(drawn), width))
    began = time.process_time()
    redactor().redact_text(lines)
    assert time.process_time() - began < 6
