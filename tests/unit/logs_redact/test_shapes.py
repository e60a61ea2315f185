"""Secrets in the shapes that tools write them in: commands, arguments, dumps, tables, wrapped lines, parts of keys."""

from __future__ import annotations

import base64
import random
import string

import pytest

from processor.logs.redact import redactor

CHANCE = random.Random(31)  # noqa: S311  repeatable, and no secret
LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def some(count: int, alphabet: str = LETTERS) -> str:
    """Random characters of which no class is missing."""
    while True:
        text = "".join(CHANCE.choices(alphabet, k=count))
        if all(set(text) & set(kind) for kind in (string.digits, string.ascii_lowercase) if set(kind) <= set(alphabet)):
            return text


def weak() -> str:
    """What a person takes for a password."""
    return CHANCE.choice(("Copper", "Walnut", "Saturn")) + CHANCE.choice(("#77", "!!", "_99"))


SHAPES = [
    ("docker login --username AWS --password {} registry.example", some(1800)),
    ("TwilioRestClient(AC" + some(32, HEX) + ", {})", some(32, HEX)),
    ("https://api.telegram.example/bot{}/sendMessage", some(10, "123456789") + ":AA" + some(33)),
    ("Jenkins-Crumb: {}", some(64, HEX)),
    ("cypress run --record --key {}", f"{some(8, HEX)}-{some(4, HEX)}-4a4e-a526-{some(12, HEX)}"),
    (
        "10:11:12.13 machine a.example\n10:11:12.13   login bot\n10:11:12.13   password {}",
        weak(),
    ),
    ("<server>\n  <password>\n    {}\n  </password>\n</server>", weak()),
    ('<wsse:Password Type="text">{}</wsse:Password>', weak()),
    ('<property name="connection.password">{}</property>', weak()),
    ('<add key="SmtpPassword" value="{}"/>', weak()),
    ("mysql://root:{}@db:3306/app", "Ab@cd" + weak()),
    ("redis://:{}@cache:6379", "xY/9+" + some(12)),
    ("openssl enc -d -aes-256-cbc -in a -out b -k {}", some(16)),
    ("openssl aes-256-cbc -K {} -in a -out b -d", some(64, HEX)),
    ("openssl aes-256-cbc -K x -iv {} -in a -out b -d", some(32, HEX)),
    ("sometool push -u bot -p {}", weak()),
    ("sshpass -p '{}' scp a b", "my pass " + weak()),
    ("host=db user=app password='{}' dbname=app", "two words " + weak()),
    ("security import c.p12 -k build.keychain -P {} -T /usr/bin/codesign", weak()),
    ("curl --cert client.p12:{} https://x.example", weak()),
    ("bundle config set gems.example bot:{}", weak()),
    ("credentials=bot:{}", weak()),
    ("+ echo {}\n+ docker login -u bot --password-stdin registry.example", some(14)),
    ("exec: ['deployctl', '--password', '{}', '--force']", weak()),
    ("subprocess.run(['mysql', '-uroot', '-p{}'])", weak()),
    ("HTTPBasicAuth('bot', '{}')", weak()),
    ("define('DB_PASSWORD', '{}');", weak()),
    ("$pw = ConvertTo-SecureString '{}' -AsPlainText -Force", weak()),
    ("CREATE LOGIN ci WITH PASSWORD = N'{}'", weak()),
    ('["password"]=>\n  string(9) "{}"', weak()),
    ('{{password,"{}"}}', weak()),
    ('{{password,<<"{}">>}}', weak()),
    ('password: Some("{}")', weak()),
    ('Password: (string) (len=9) "{}",', weak()),
    ('\x1b[34m"password"\x1b[0m: \x1b[32m"{}"\x1b[0m', weak()),
    ("password: !vault-plain {}", weak()),
    ("password: &pw {}", weak()),
    ("password {}", weak()),
    ("passcode = {}", some(8, string.digits)),
    ("| DB_PASSWORD | {} |", weak()),
    ("│ db_password   │ {} │", weak()),
    ("Password for 'https://bot@git.example': {}", weak()),
    ("Error: Login failed with password {} for user bot", weak()),
    ("docker login -u bot --password {} registry.example", "letmeinplease"),
    ("sometool push --password {} --force", "open-sesame-again"),
    ("mnemonic: {}", "abandon ability able about above absent absorb abstract absurd abuse access accident"),
]


@pytest.mark.parametrize(("around", "secret"), SHAPES, ids=[around[:30] for around, _ in SHAPES])
def test_secret_goes(around: str, secret: str) -> None:
    """Nothing is left of it, between other lines as well, no line shifts, and twice is once."""
    text = f"Run step 4\n{around.format(secret)}\nError: exit status 1\n"
    clean = redactor().redact_text(text)
    assert secret[-8:] not in clean
    assert secret[:8] not in clean
    assert clean.count("\n") == text.count("\n")
    assert clean.endswith("\nError: exit status 1\n")
    assert redactor().redact_text(clean) == clean


@pytest.mark.parametrize(
    "line",
    [
        "password = var.db_password",
        "password = local.db_password",
        "| user | password | role |",
        "| password | varchar(255) | NO |",
        "['username', 'password', 'email2', 'address1']",
        "{badmatch,{error,nxdomain}}",
        "docker run -u 1000 -p 8080:80/tcp nginx",
        "mysql -u root -p appdb",
        "psql -U app -p 5432",
        "ssh -l bot -p 2222 host",
        "sudo -u postgres mkdir -p /var/lib/x",
        "List<Password>\n  stream",
        "password must not contain user-name1",
        "invalid password hash",
        "ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)",
        "cache restore --key node-modules-v1-main",
        "breadcrumb: Home > Settings",
        "smtp error for http://x.example:8080/path@2x.png",
        "mongodb://db1:27017,db2:27017/app?replicaSet=rs0",
        "+ echo building release-candidate\n+ make release",
        "Randomized with seed 12345",
        "WARNING! Using --password via the CLI is insecure. Use --password-stdin.",
        "error: --password is required",
    ],
)
def test_look_alike_stays(line: str) -> None:
    """Variables, headings, columns, ports, folders and prose in the same shapes stay."""
    assert redactor().redact_text(line) == line


def test_wrapped_token_goes() -> None:
    """A token that a terminal wrapped goes with all its lines, behind stamps as well; what follows stays."""
    token = "gh" + "p_" + some(76)
    for stamp in ("", "2026-05-04T10:11:12.1234567Z "):
        lines = (f"using {token[:30]}", token[30:60], f"{token[60:]} for checkout", some(40, HEX), "")
        text = "\n".join(stamp + line for line in lines)
        clean = redactor().redact_text(text)
        assert token[30:42] not in clean
        assert token[60:72] not in clean
        assert clean.split("\n")[2].endswith("for checkout")
        assert clean.split("\n")[3] == text.split("\n")[3]


def test_what_follows_a_token_stays() -> None:
    """A line below a token that is no part of it stays: another assignment, a digest, a path, a file's name."""
    for below in (
        f"BUILD_TAG={some(20)}",
        some(40, HEX),
        "src/auth/TokenProvider2.java:12",
        "sha512-" + some(86) + "==",
        "test_token_v2.py::test_1",
    ):
        text = "API_TOKEN=" + some(40) + "\n" + below
        clean = redactor().redact_text(text)
        assert clean.endswith(redactor().redact_text(below)), below
        assert clean != text


def test_wrapped_token_goes_across_blocks() -> None:
    """Wherever a block of a stream ends, what a wrapped token goes on with is found."""
    token = "gh" + "p_" + some(36)
    line = "step output without anything in it\n"
    for shift in range(0, 80, 7):
        text = "x" * shift + "\n" + line * 1870 + f"using {token[:24]}\n{token[24:]}\n" + line * 100
        clean = redactor().redact_text(text)
        assert token[24:] not in clean, shift
        assert clean.count("\n") == text.count("\n")


def test_end_of_a_key_goes() -> None:
    """Of a key whose first lines a log lacks, all lines go that look like its body, and those alone."""
    body = [base64.b64encode(CHANCE.randbytes(48)).decode() for _ in range(6)]
    end = "-----END RSA " + "PRIVATE KEY-----"
    for before in ("", "2026-05-04T10:11:12.1234567Z ", "+"):
        lines = ["Run deploy", *(before + line for line in (*body, end)), "done"]
        clean = redactor().redact_text("\n".join(lines))
        assert not any(line in clean for line in body)
        assert clean.startswith("Run deploy\n")
        assert clean.endswith("\ndone")
        assert clean.count("\n") == len(lines) - 1


def test_putty_key_goes() -> None:
    """The private lines of PuTTY's format go, the public ones and what follows stay."""
    public, *private = (base64.b64encode(CHANCE.randbytes(48)).decode() for _ in range(6))
    text = "\n".join(("Public-Lines: 1", public, "Private-Lines: 5", *private, "Deploy failed"))
    clean = redactor().redact_text(text)
    assert public in clean
    assert not any(line in clean for line in private)
    assert clean.endswith("\nDeploy failed")
    assert clean.count("\n") == text.count("\n")
