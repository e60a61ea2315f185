"""Secrets by their place in an address, a call or a variable, and what stays there."""

from __future__ import annotations

import pytest

from processor.logs.redact import Redactor

HEX = "8cea8628c98a41a368634ea99d4fb4b618494975fe56d3510cd095b08b89f49a"
UUID = "4ba1897e-1b7f-4c2c-9dc9-d586c1437318"
KEY = "D2BsBkcdXidvQOlD"


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    """All known kinds."""
    return Redactor()


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        (f"https://logs-01.loggly.com/inputs/{UUID}/tag/http/", UUID),
        (f"verify link: https://x.io/verify/{HEX}", HEX),
        (f"POST https://relay.acme.io/{KEY} 200", KEY),
        (f"https://smee.io/{KEY}", KEY),
        ("redirect=https%3A%2F%2Fci%3Acobalt5012%40git.acme.io%2F", "cobalt5012"),
        (f"ADYEN_HMAC={HEX.upper()}", HEX.upper()),
        (f"GITKRAKEN={UUID}", UUID),
        (f"signing seed hex {HEX}", HEX),
        ('setPassword("rocketCoffee36")', "rocketCoffee36"),
        ("+ PASS='summerhockey'", "summerhockey"),
        ('wifi_password: "Ud7(h@=ri5&BCY"', "Ud7(h@=ri5&BCY"),
        ("SNOWFLAKE_PASSWORD: Kd83mZq1pX*_Mo*ei", "*_Mo*ei"),
        ("jdbc:oracle:thin:scott/sunshinepirate@db:1521:XE", "sunshinepirate"),
        ('"db_password": {"sensitive": false, "type": "string", "value": "guitar-granite-46"}', "guitar-granite-46"),
        ("sshpass -p'sg+0QmYP#Z!6X=xvEA2' scp a b:", "sg+0QmYP#Z!6X=xvEA2"),
        ("knife bootstrap x -P 'cactus_coffee_panda'", "cactus_coffee_panda"),
        ('"n8zIWBkwqR9DQCY4oXxNvsi4HIRAQ8a+L8dxBd3V43DC"', "n8zIWBkwqR9DQCY4oXxNvsi4HIRAQ8a"),
        ("stdin: W09wxMUYm2BumEn0qNoY5cgL", "W09wxMUYm2BumEn0qNoY5cgL"),
        ("password\naHT7yBQ8sORKQJ}22t", "aHT7yBQ8sORKQJ}22t"),
    ],
)
def test_a_secret_is_found_by_its_place(redactor: Redactor, line: str, secret: str) -> None:
    """Nothing of it is left."""
    assert secret not in redactor.redact_text(f"line before\n{line}\nline after\n")


@pytest.mark.parametrize(
    "line",
    [
        f"GIT_COMMIT={HEX[:40]}",
        f"request_id={UUID}",
        f"sccache: hash key = {HEX}",
        f"jetty-9.4; built: 2021-09-27T23:02:44.612Z; git: {HEX[:40]}; jvm 11",
        f"{HEX[:32]}  a.tgz",
        f"https://github.com/acme/app/blob/{HEX[:40]}/src/main.rs#L12",
        f"https://app.circleci.com/pipelines/github/acme/app/123/workflows/{UUID}/jobs/456",
        'password: getenv("DB")',
        "PASS: test_keyring_rotation",
        "--password-stdin is insecure",
        "_RNvXs1_NtCs1234_4core3fmtNtB5_5Debug3fmt",
        "SSH key fingerprint SHA256:GPTn/Q7OpbQ40su11L7jsG7LeferCRG9l4pgu5B/Tlv",
        'Expected: "aGVsbG8gd29ybGQgdGhpcyBpcyBhIHRlc3Q="',
        "sha256-n8zIWBkwqR9DQCY4oXxNvsi4HIRAQ8a+L8dxBd3V43D=",
    ],
)
def test_what_helps_a_diagnosis_stays(redactor: Redactor, line: str) -> None:
    """The line is as it was."""
    text = f"line before\n{line}\nline after\n"
    assert redactor.redact_text(text) == text
