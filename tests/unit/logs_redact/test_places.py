"""Secrets that the syntax around them tells of: types, calls, tags, colours, protocols; and what stays."""

from __future__ import annotations

import random
import string

import pytest

from processor.logs.redact import redactor

ALPHABET = string.ascii_letters + string.digits + "-_"
PASSWORD = "quartz-falcon506"
RANDOM = "hC4vQ9sLw2Xb7TnK"

FOUND = (
    ('val password: String = "{}"', PASSWORD),
    ("    db_password: str | None = '{}'", PASSWORD),
    ('var password string = "{}"', PASSWORD),
    ('DriverManager.getConnection(url, "app", "{}")', PASSWORD),
    ("PDO->__construct('mysql:host=db', 'app', '{}')", PASSWORD),
    ("mysqli_connect('db', 'app', '{}', 'shop')", PASSWORD),
    ("[System.Net.NetworkCredential]::new('bot', '{}')", PASSWORD),
    ("EXEC sp_addlogin 'app', '{}'", PASSWORD),
    ('Secret("{}")', PASSWORD),
    ("<password><![CDATA[{}]]></password>", PASSWORD),
    ('<setting name="Password" serializeAs="String"><value>{}</value></setting>', PASSWORD),
    ("<property>\n  <name>db.password</name>\n  <value>{}</value>\n</property>", PASSWORD),
    ('variable "admin_password" {{\n  default = "{}"\n}}', PASSWORD),
    ("password = <<EOT\n{}\nEOT", PASSWORD),
    ('  ~ password = "old-one-12" -> "{}"', PASSWORD),
    ('Config {{\n    token: Some(\n        "{}",\n    ),\n}}', RANDOM),
    ("define('AUTH_KEY',         '{}');", RANDOM + "[:0i/C1UFf?"),
    ("DRIVER={{ODBC Driver 18}};SERVER=db;UID=sa;PWD={{{}}}", PASSWORD),
    ("<master>{{{}}}</master>", "mLlBgrcBcIfc6KIX/eu+yNe1zOf4ZY7ATuBib5L+q6Y="),
    ("---> USER bot\n---> PASS {}", PASSWORD),
    ("a1 LOGIN bot {}", PASSWORD),
    ("PRIVMSG NickServ :IDENTIFY {}", PASSWORD),
    ("winrs -r:host -u:bot -p:{} cmd", PASSWORD),
    ("p4 login <<< {}", PASSWORD),
    ("anytool x <<< '{}'", RANDOM),
    ("expect -c 'send \"{}\\r\"'", PASSWORD),
    ("nuget push a.nupkg {} -Source https://nuget", RANDOM + RANDOM),
    ("credentials are bot:{}", PASSWORD),
    ("Login with admin:{}", PASSWORD),
    ("пароль: {}", PASSWORD),
    ("パスワード={}", PASSWORD),
    ('"user","password"\n"bob","{}"', RANDOM),
    ("X-Hub-Signature-256: sha256={}", "ae90740e08b073a950222c2ba1691fa3889f50776de5b2563381df373bcc36ed"),
    ("CC_TEST_REPORTER_ID={}", "88853e66338f1fefe91213f200eed8b8263ff1c847e644bfea52da062c6fe6f7"),
    ("RABBITMQ_ERLANG_COOKIE={}", "TLEFXSYACLMNRJBOTOJC"),
    ("+ TX_TOKEN={}", "1/7fd70e6bf0dfb6c41d4dfcc357a094a5cb533287"),
    ("\x1b[31m{}\x1b[0m is not valid", "qmGol5ZsVuHWvQIJPObVW6OeXsm5dacfrcldKy"),
    ("\x1b[1;36mxoxb-350719550307-9671593619211-{}\x1b[m", "G83UyE1PYiyQgtvLC8nsOqsF"),
)


@pytest.mark.parametrize(("around", "secret"), FOUND)
def test_secret_goes(around: str, secret: str) -> None:
    """No eight characters of it are left, what stands around the line stays, and twice is once."""
    text = f"Run step 4\n{around.format(secret)}\nError: exit status 1\n"
    clean = redactor().redact_text(text)
    assert not [at for at in range(len(secret) - 7) if secret[at : at + 8] in clean]
    assert clean.startswith("Run step 4\n")
    assert clean.endswith("\nError: exit status 1\n")
    assert clean.count("\n") == text.count("\n")
    assert redactor().redact_text(clean) == clean


def test_token_that_a_shell_wrapped_goes() -> None:
    """A backslash at the end of the line does not end it."""
    clean = redactor().redact_text("GITHUB_TOKEN=ghp_Gol5ZsVuHWvQIJPO\\\nbVW6OeXsm5dacfrcldKy\nnext\n")
    assert "OeXsm5da" not in clean
    assert clean.endswith("\nnext\n")


@pytest.mark.parametrize(
    "line",
    [
        "AddPasswordResetTokenToUsers: migrating",
        "== 20240314101010 AddPasswordResetTokenToUsers: migrating =====",
        "helm upgrade app ./chart --set auth.existingSecret=postgres-auth",
        "  existingSecret: my-release-postgresql",
        '{"kty":"RSA","n":"' + "0vx7agoebGcQSuuPiLJXZpt" * 14 + '","e":"AQAB","kid":"k1"}',
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-8OBWwA",
        "Error: no such secret: db_password",
        'docker login -u "$USER" --password-stdin',
        "  + password = (sensitive value)",
        "chpasswd: (user bot) pam_chauthtok() failed",
        "Unpacking libsecret-1-0:amd64 (0.21.4-1) ...",
        "passwordEncoder=org.springframework.security.crypto.bcrypt.BCryptPasswordEncoder@1b2c3d4",
        "secret_backend=vault",
        "pass=12 fail=0",
        "cookie: enabled",
        "Cache key: v1-deps-j72bynypY4CH+ldf5DWSs1M4yttQpXPw2Su4XZZAb6Y=",
        "Content-MD5: 4F2TfOjOcHKvmoySM069kg==",
        'ETag: W/"4eecd7e012-ZWnLmMyJo4ZuraH7XYnqeA4Ske9"',
        "deployment id dpl_LVCjg6iG07dPz9ptnVGbJaQS2Eip",
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
        "Cloning into 'auth-secrets'... done. at 3ddba83a3ad298ed124b192c261b8bfcd3ee70a3",
        "[INFO] <<< pmd:3.15.0:check (validate) < :pmd @ allure-maven <<<",
        "> PASS src/auth/token.test.ts",
        "msbuild /p:Configuration=Release /p:User=bot",
        "password: string | undefined = undefined",
        "Secret(name, namespace)",
    ],
)
def test_look_alike_stays(line: str) -> None:
    """What stands in such a place, or is named alike, and helps a diagnosis."""
    assert redactor().redact_text(f"Run\n{line}\nnext\n") == f"Run\n{line}\nnext\n"


@pytest.mark.parametrize("begin", ["", "jwks: ", "fetched jwt keys ", "public_key: "])
def test_public_half_of_a_key_stays(begin: str) -> None:
    """The modulus and the coordinates, whatever they happen to look like, and whatever is said of them; no secret."""
    chance = random.Random(11)  # noqa: S311  repeatable, and no secret
    for _ in range(50):
        n, x, d = ("".join(chance.choices(ALPHABET, k=count)) for count in (342, 43, 43))
        rsa = f'{begin}{{"kty":"RSA","n":"{n}","e":"AQAB"}}'
        assert redactor().redact_text(rsa) == rsa
        curve = redactor().redact_text(f'{begin}{{"kty":"EC","x":"{x}","y":"{x}","d":"{d}"}}')
        assert x in curve
        assert d not in curve


def test_secret_that_is_called_like_a_member_goes() -> None:
    """A short value called `x` or `n` is public in a key alone."""
    assert "ghp_" not in redactor().redact_text('{"n": "ghp_Gol5ZsVuHWvQIJPObVW6OeXsm5dacfrcldKy"}')
