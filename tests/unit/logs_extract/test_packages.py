"""What each ecosystem's tools print, and the package that it names."""

from __future__ import annotations

import pytest

from processor.contract import Candidate
from processor.logs.extract import BLAMED, candidates
from tests.unit.logs_extract.excerpts import excerpt

NAMED = [
    # npm, yarn, pnpm, bundlers
    ("npm error notarget No matching version found for left-pad@99.0.0.", "npm", "left-pad", "99.0.0"),
    ("npm ERR! notarget No matching version found for @types/node@^20.99.", "npm", "@types/node", "^20.99"),
    ("npm ERR! 404  '@acme/tokens@^2.0.0' is not in this registry.", "npm", "@acme/tokens", "^2.0.0"),
    ("npm ERR! 404 Not Found - GET https://npm.example/@acme%2ftokens - Not found", "npm", "@acme/tokens", None),
    ('npm error peer react@"^16.8.0 || ^17.0.0" from @material-ui/core@4.12.4', "npm", "@material-ui/core", "4.12.4"),
    (
        "npm warn tarball tarball data for zod@https://npm.example/zod/-/zod-3.23.8.tgz (x) seems to be corrupted.",
        "npm",
        "zod",
        "3.23.8",
    ),
    ('error Couldn\'t find any versions for "lodash" that matches "^99"', "npm", "lodash", "^99"),
    ('error got@12.0.0: The engine "node" is incompatible with this module.', "npm", "got", "12.0.0"),
    ("➤ YN0082: │ foo@npm:^1.0.0: No candidates found", "npm", "foo", "^1.0.0"),
    ("ERR_PNPM_NO_MATCHING_VERSION  No matching version found for chalk@77.1.0", "npm", "chalk", "77.1.0"),
    ("Error: Cannot find module 'fast-deep-equal'", "npm", "fast-deep-equal", None),
    ("    Cannot find module '@babel/compat-data/corejs3'", "npm", "@babel/compat-data", None),
    ("Module not found: Error: Can't resolve 'react-select' in '/builds/acme/web/src'", "npm", "react-select", None),
    ("src/a.ts(1,2): error TS2307: Cannot find module 'zod' or its corresponding type", "npm", "zod", None),
    ("npm error path /builds/acme/web/node_modules/bcrypt", "npm", "bcrypt", None),
    # PyPI
    ("ERROR: No matching distribution found for gunicorn==20.0.4 (from -r r.txt)", "pypi", "gunicorn", "20.0.4"),
    (
        "ERROR: Could not find a version that satisfies the requirement gitdb>=4.0.1 (from x)",
        "pypi",
        "gitdb",
        ">=4.0.1",
    ),
    ("    The user requested urllib3==2.2.1", "pypi", "urllib3", "2.2.1"),
    ("ModuleNotFoundError: No module named 'httpx'", "pypi", "httpx", None),
    ("E   ModuleNotFoundError: No module named 'yaml'", "pypi", "pyyaml", None),
    ("ERROR: Failed building wheel for kenlm", "pypi", "kenlm", None),
    (
        "  × No solution found: Because there is no version of flask==99 and you require flask==99",
        "pypi",
        "flask",
        "99",
    ),
    ("Because nosuch was not found in the package registry and you require nosuch, we can", "pypi", "nosuch", None),
    ("Because app depends on foo (^9.0) which doesn't match any versions, version solving", "pypi", "foo", "^9.0"),
    (
        "botocore 1.34 has requirement urllib3<2.1, but you have urllib3 2.2 which is incompatible.",
        "pypi",
        "urllib3",
        "<2.1",
    ),
    # Maven, Gradle
    (
        "[ERROR] for project a.b:app:jar:1: Could not find artifact com.google.android:android:jar:2.2_r1 in central",
        "maven",
        "com.google.android:android",
        "2.2_r1",
    ),
    ("   > Could not find com.android.support:support-v4:20.0.0.", "maven", "com.android.support:support-v4", "20.0.0"),
    (
        "[ERROR] Dependency io.x:jquery3-api:jar:3.6.3-1 requires Jenkins 2.387.1",
        "maven",
        "io.x:jquery3-api",
        "3.6.3-1",
    ),
    (
        "[ERROR]   bad class file: /r/.m2/repository/org/yaml/snakeyaml/2.0/snakeyaml-2.0.jar(/x)",
        "maven",
        "org.yaml:snakeyaml",
        "2.0",
    ),
    ("Plugin [id: 'com.acme.lint', version: '9.9'] was not found in any of the", "maven", "com.acme.lint", "9.9"),
    # Cargo, Go
    ("error: no matching package named `serde_jsonn` found", "cargo", "serde_jsonn", None),
    ('error: failed to select a version for the requirement `rand = "^99"`', "cargo", "rand", "^99"),
    ("error: failed to run custom build command for `openssl-sys v0.9.102`", "cargo", "openssl-sys", "0.9.102"),
    ("Crate:         nix", "cargo", "nix", None),
    (
        "go: github.com/google/uuid@v1.99.0: invalid version: unknown revision v1.99.0",
        "golang",
        "github.com/google/uuid",
        "v1.99.0",
    ),
    (
        "main.go:4:2: no required module provides package github.com/gorilla/mux; to add it:",
        "golang",
        "github.com/gorilla/mux",
        None,
    ),
    ('package context: unrecognized import path "context" (import path does not begin', "golang", "context", None),
    ("go: golang.org/x/sync@v0.7.0: missing go.sum entry", "golang", "golang.org/x/sync", "v0.7.0"),
    ("verifying golang.org/x/sync@v0.7.0: checksum mismatch", "golang", "golang.org/x/sync", "v0.7.0"),
    # System packages
    ("E: Unable to locate package python-pip", "deb", "python-pip", None),
    ("E: Package 'mysql-client' has no installation candidate", "deb", "mysql-client", None),
    ("E: Version '7.88.1-10' for 'curl' was not found", "deb", "curl", "7.88.1-10"),
    (" acme-agent : Depends: libc6 (>= 99) but 2.36 is to be installed", "deb", "acme-agent", None),
    ("  nosuch-pkg (no such package):", "apk", "nosuch-pkg", None),
    ("Error: Unable to find a match: nosuch", "rpm", "nosuch", None),
    # Images, actions, submodules
    ("Error: manifest for acme/base:9.9 not found: manifest unknown", "docker", "acme/base", "9.9"),
    ("failed to resolve source metadata for docker.io/library/python:3.99: not found", "docker", "python", "3.99"),
    (
        "Error: Unable to resolve action `actions/checkout@v99`, unable to find version",
        "githubactions",
        "actions/checkout",
        "v99",
    ),
    (
        "fatal: clone of 'https://git.example/acme/proto.git' into submodule path '/b/proto' failed",
        "generic",
        "acme/proto",
        None,
    ),
    # C and C++
    ("main.c:1:10: fatal error: libpq-fe.h: No such file or directory", "generic", "libpq-fe.h", None),
    ("/usr/bin/ld: cannot find -lpq: No such file or directory", "generic", "pq", None),
    ('  Could not find a package configuration file provided by "fmt" with any of', "generic", "fmt", None),
    ("No package 'libsystemd' found", "generic", "libsystemd", None),
    ("  CMake 3.9 or higher is required.  You are running version 3.5.1", "generic", "CMake", "3.9"),
    # .NET, Ruby, PHP
    ("a.csproj : error NU1102: Unable to find package Foo.Bar with version (>= 9.0.0)", "nuget", "Foo.Bar", ">= 9.0.0"),
    ("Your bundle is locked to sync (0.4.0), but that version could not be found in", "gem", "sync", "0.4.0"),
    ("Gem::InstallError: public_suffix requires Ruby version >= 2.3.", "gem", "public_suffix", None),
    (
        "    - Root composer.json requires monolog/monolog ^99, found monolog/monolog[1.0]",
        "composer",
        "monolog/monolog",
        "^99",
    ),
]


def first(line: str) -> Candidate:
    """The likeliest package of a one-line excerpt."""
    found = candidates(excerpt("Building", line, "Done"))["packages"]
    assert found, f"nothing named in {line!r}"
    return found[0]


@pytest.mark.parametrize(("line", "ecosystem", "name", "version"), NAMED, ids=[row[2] + ":" + row[1] for row in NAMED])
def test_a_named_package_is_first(line: str, ecosystem: str, name: str, version: str | None) -> None:
    """The package that a message is about comes first, with version and ecosystem, blamed, on its line."""
    found = first(line)
    assert (found.ecosystem, found.name, found.version) == (ecosystem, name, version)
    assert found.score >= BLAMED
    assert found.lines == (2,)


@pytest.mark.parametrize(
    "line",
    [
        "npm http fetch GET 200 https://npm.example/cookie/-/cookie-0.6.0.tgz 2458ms (cache miss)",
        "Collecting requests==2.31.0",
        "   Compiling serde v1.0.200",
        "go: downloading golang.org/x/sync v0.7.0",
        "Downloaded from central: https://repo.example/maven2/org/yaml/snakeyaml/2.0/snakeyaml-2.0.pom",
        "[ERROR] Failed to execute goal org.apache.maven.plugins:maven-surefire-plugin:3.2.5:test (default-test)",
        "Cannot find module './utils/date'",
        "gyp ERR! Node-gyp failed to build your package.",
        "All 312 tests passed",
    ],
)
def test_a_mention_is_not_blame(line: str) -> None:
    """Progress, the build's own plugins and relative modules blame no package."""
    assert [one for one in candidates(excerpt(line))["packages"] if one.score >= BLAMED] == []


def test_the_same_package_is_one_candidate() -> None:
    """Spellings of one PyPI name (PEP 503) join; lines are collected; the best version stays."""
    found = candidates(
        excerpt(
            "Collecting Typing_Extensions",
            "ERROR: No matching distribution found for typing-extensions==99",
            "ERROR: Could not find a version that satisfies the requirement typing.extensions==99",
        )
    )["packages"]
    assert [(one.version, one.lines) for one in found] == [("99", (1, 2, 3))]


def test_blame_beats_mention_and_rank_breaks_ties() -> None:
    """A blamed package comes before mentioned ones; of two equally blamed the one ranked first."""
    lines = ("Collecting a==1", "E: Unable to locate package bbb", "E: Unable to locate package ccc")
    found = candidates(excerpt(*lines, ranked=(3, 2)))["packages"]
    assert [one.name for one in found] == ["ccc", "bbb", "a"]


def test_never_more_than_24_of_a_kind() -> None:
    """A prompt has 24 codes."""
    lines = [f"E: Unable to locate package lib{number}x" for number in range(60)]
    assert len(candidates(excerpt(*lines))["packages"]) == 24
