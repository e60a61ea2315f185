"""What a budget leaves out of an excerpt is read all the same where it names what may be at fault."""

from __future__ import annotations

import pytest

from processor.logs.extract import candidates
from processor.logs.extract.beyond import beyond
from processor.logs.extract.classes import UNKNOWN, fits
from processor.logs.reduce import reduce
from processor.logs.store import Store
from processor.stages.recognise import Recognise

NOISE = [f"step {number}: all is well here and nothing happens at all" for number in range(600)]


def log(*lines: str) -> bytes:
    """A log with a lot of noise around some lines."""
    return "\n".join([*NOISE, *lines, *NOISE[:50]]).encode()


def test_packages_that_did_not_fit_are_candidates() -> None:
    """Of forty errors that say the same a small excerpt holds a few; what the others name can be chosen."""
    data = log(*[f"E: Unable to locate package lib{number}x" for number in range(15)], "exit status 100")
    excerpt = reduce(data, 100, beyond=beyond)
    assert len(excerpt.lines) < 15
    assert {one.name for one in candidates(excerpt)["packages"]} == {f"lib{number}x" for number in range(15)}
    assert not any(line.text in excerpt.text for line in excerpt.beyond)


def test_what_the_excerpt_names_comes_first() -> None:
    """Beyond the excerpt nothing is as likely as in it, and no fault is named after it."""
    data = log(*[f"E: Unable to locate package lib{number}x" for number in range(15)], "exit status 100")
    excerpt = reduce(data, 100, beyond=beyond)
    reading = Recognise()(excerpt)
    shown = {line.number for line in excerpt.lines}
    ranks = [bool(shown.intersection(one.lines)) for one in reading.candidates["packages"]]
    assert ranks == sorted(ranks, reverse=True)
    without = Recognise()(reduce(data, 100))
    assert reading.anchor == without.anchor


def test_a_class_is_found_by_where_its_artifact_came_from() -> None:
    """A compile error names a class; a download far above names the artifact that holds it, with its version."""
    data = log(
        "Downloaded from central: https://repo.example/maven2/com/acme/store/v1.2.0/store-v1.2.0.pom (1 kB)",
        "Downloaded from central: https://repo.example/maven2/com/acme/store/v1.2.1/store-v1.2.1.jar (241 kB)",
        "Downloaded from central: https://repo.example/maven2/com/acme/other/2.0/other-2.0.jar (2 kB)",
        *NOISE,
        "[ERROR] COMPILATION ERROR :",
        "[ERROR] /b/src/main/java/A.java:[12,34] package com.acme.store.auth does not exist",
    )
    first = candidates(reduce(data, 200, beyond=beyond))["packages"][0]
    assert (first.ecosystem, first.name, first.version) == ("maven", "com.acme:store", "v1.2.1")


def test_a_class_that_nothing_places_is_no_candidate() -> None:
    """No name is made up for it."""
    data = log("[ERROR] /b/src/main/java/A.java:[12,34] package com.acme.store.auth does not exist")
    assert candidates(reduce(data, 200, beyond=beyond))["packages"] == ()


@pytest.mark.parametrize(
    ("coordinates", "name", "expected"),
    [
        ("com.acme:http", "com.acme.http.auth", True),
        ("com.acme.http:http", "com.acme.http.auth", True),
        ("com.acme:acme-http", "com.acme.http.auth", True),
        ("com.acme:acme", "com.acme.http", True),
        ("com.acme:other", "com.acme.http.auth", False),
        ("com.acme:http-client", "com.acme.http.auth", False),
        ("org.other:http", "com.acme.http.auth", False),
        ("com.acme:http", "com.acme", False),
    ],
)
def test_artifacts_are_told_by_the_customs_of_naming(coordinates: str, name: str, expected: bool) -> None:
    """Group and artifact together begin the package's name."""
    assert fits(coordinates, UNKNOWN + name) is expected


def test_a_store_finds_lines_by_bytes_in_them() -> None:
    """Each line once, with its number, across blocks and at their ends, and no more than asked for."""
    store = Store()
    store.add(b"one\ntwo two\nthree\n", True)
    store.add(b"two\nfour\nis two", False)
    assert list(store.find(b"two")) == [(2, b"two two"), (4, b"two"), (6, b"is two")]
    assert list(store.find(b"two", 2)) == [(2, b"two two"), (4, b"two")]
    assert list(store.find(b"five")) == []
    store.close()
