"""Own patterns, allow-lists and what is hidden on demand: read from YAML, faults told with place and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from processor.errors import ConfigError
from processor.logs.redact import redactor


def written(folder: Path, text: str) -> Path:
    """A file with this text."""
    file = folder / "redaction.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_own_patterns_are_taken_out(tmp_path: Path) -> None:
    """A whole match or its group goes, in any case where the file says so; what is known goes too."""
    file = written(
        tmp_path,
        "patterns:\n"
        "  - {name: acme-ticket, pattern: 'ACME-[0-9]{6}', ignore_case: true}\n"
        "  - {name: badge, pattern: 'Badge (?P<secret>[0-9]{4})'}\n",
    )
    own = redactor(file)
    assert own.redact_text("acme-123456 Badge 1234 Badge 12") == "[acme-ticket:1] Badge [badge:1] Badge 12"
    assert own.redact_text("DB_PASSWORD=correcthorse") == "DB_PASSWORD=[password:1]"


def test_allowed_values_stay(tmp_path: Path) -> None:
    """A value that an entry matches whole stays, others of the kind go."""
    own = redactor(written(tmp_path, "allow:\n  - 'AKIA(?:EXAMPLE)?[A-D]+'\n"))
    allowed, other = "AKIA" + "ABCD" * 4, "AKIA" + "EFGH" * 4
    assert own.redact_text(f"{allowed} {other}") == f"{allowed} [aws-key:1]"


@pytest.mark.parametrize(
    ("kind", "line", "clean"),
    [
        ("email", "by Jane <jane.doe@example.org>", "by Jane <[email:1]>"),
        ("ip", "connect to 10.1.2.3:5432 failed", "connect to [ip:1]:5432 failed"),
        ("ip", "from 2001:0db8:0000:0000:0000:ff00:0042:8329 port 22", "from [ip:1] port 22"),
        ("ip", "addr fe80::1ff:fe23:4567 up", "addr [ip:1] up"),
        ("user", "/home/jdoe/work: no such file", "/home/[user:1]/work: no such file"),
        ("user", "login: jdoe", "login: [user:1]"),
    ],
)
def test_hidden_on_demand_alone(tmp_path: Path, kind: str, line: str, clean: str) -> None:
    """E-mail addresses, IP addresses and user names stay by default, and go where the file says so."""
    assert redactor().redact_text(line) == line
    assert redactor(written(tmp_path, f"hide: [{kind}]\n")).redact_text(line) == clean


@pytest.mark.parametrize(
    "line", ["pip 10.1.2.3.4", "v1.2.3.4-rc1", "127.0.0.1:80", "/home/runner/work", "git@github.com:a/b"]
)
def test_hiding_spares_what_is_none(tmp_path: Path, line: str) -> None:
    """Versions, loopback addresses and the users of CI systems stay."""
    assert redactor(written(tmp_path, "hide: [email, ip, user]\n")).redact_text(line) == line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("paterns: []\n", ":1:1: unknown key 'paterns'; did you mean 'patterns'?"),
        ("- a\n", ":1:1: a mapping is expected; its keys may be patterns, allow, hide"),
        ("hide: email\n", ":1:7: hide is a list; put `- ` before each of its entries"),
        ("hide: [mail]\n", ":1:8: 'mail' can't be hidden; did you mean 'email'?"),
        ("patterns:\n  - name: a-b\n", ':2:5: a regular expression is missing; such as "acme_[0-9a-f]{32}"'),
        ("patterns:\n  - {name: A B, pattern: abc}\n", ":2:12: a name of small letters, digits and hyphens is missing"),
        ("patterns:\n  - {name: ab, pattern: '(a+)+b'}\n", ":2:25: this expression can take exponential time to fail"),
        ("patterns:\n  - {name: ab, pattern: 'a(b'}\n", ":2:27: no regular expression: missing )"),
        ("patterns:\n  - {name: ab, pattern: 'a*'}\n", ":2:25: this expression matches nothing at all"),
        ("patterns:\n  - {name: ab, pattern: '(a)b\\1'}\n", ":2:25: this expression can't be scanned for"),
        ("patterns:\n  - {name: ab, pattern: abc, ignorecase: true}\n", "did you mean 'ignore_case'?"),
        ("allow:\n  - 7\n", ":2:5: a regular expression is expected; put it in quotes"),
        ("allow: [\n", "not valid YAML"),
    ],
)
def test_faults_are_told_with_place_and_remedy(tmp_path: Path, text: str, told: str) -> None:
    """Each fault names the file, the line and the column, and what to do."""
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        redactor(file)
    assert str(caught.value).startswith(str(file))
    assert told in str(caught.value)


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Every fault of a file is told, in the order of lines."""
    with pytest.raises(ConfigError) as caught:
        redactor(written(tmp_path, "hid: []\nallow: ['(']\n"))
    first, second = str(caught.value).splitlines()
    assert ":1:1: unknown key 'hid'" in first
    assert ":2:10: no regular expression" in second


def test_missing_file_is_told(tmp_path: Path) -> None:
    """A file that can't be read is an error that names it."""
    with pytest.raises(ConfigError, match=r"none\.yaml:1:1: can't be read"):
        redactor(tmp_path / "none.yaml")


def test_empty_file_adds_nothing(tmp_path: Path) -> None:
    """A file with comments alone is one that adds nothing."""
    assert redactor(written(tmp_path, "# later\n")).redact_text("jane@example.org") == "jane@example.org"
