"""The rules of the ci_failure pipeline: each is true of what its tool prints, and of nothing near it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from processor.logs.rules import RuleSet
from tests.unit.logs_extract.excerpts import excerpt

PATH = Path(__file__).parents[3] / "pipelines" / "ci_failure" / "rules.yaml"
RAW: list[dict[str, Any]] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
RULES = RuleSet.parse(RAW)

# Rule, lines of the log, the name of the faulty dependency (None: there is none, ...: the rule does not say).
EXAMPLES: list[tuple[str, list[str], Any]] = [
    ("no-space-left", ["head: error writing 'standard output': No space left on device"], None),
    ("no-space-left", ["npm ERR! nospc ENOSPC: no space left on device, write"], None),
    ("no-space-left", ["OSError: [Errno 28] No space left on device: '/builds/x'"], None),
    ("compiler-killed", ["c++: fatal error: Killed signal terminated program cc1plus"], None),
    ("node-heap", ["FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"], None),
    ("java-vm-memory", ["# There is insufficient memory for the Java Runtime Environment to continue."], None),
    ("oom-killed", ["reason: OOMKilled, exit code: 137"], None),
    ("killed-137", ["ERROR: Job failed: exit code 137"], None),
    ("runner-lost", ["ERROR: Job failed (system failure): prepare environment: waiting for pod"], None),
    ("runner-lost", ["##[error]The runner has received a shutdown signal."], None),
    ("job-time-limit", ["ERROR: Job failed: execution took longer than 1h0m0s seconds"], None),
    ("job-time-limit", ["No output has been received in the last 10m0s, this potentially indicates a stall"], None),
    ("job-cancelled", ["##[error]The operation was canceled."], None),
    (
        "npm-eresolve",
        [
            "npm ERR! ERESOLVE unable to resolve dependency tree",
            "npm ERR! Could not resolve dependency:",
            'npm ERR! peer react@"^16.8.0" from @material-ui/core@4.12.4',
        ],
        "@material-ui/core",
    ),
    ("npm-etarget", ["npm error notarget No matching version found for left-pad@99.0.0."], "left-pad"),
    ("npm-e404", ["npm error 404  'acme-sdk@1.4.2' is not in this registry."], "acme-sdk"),
    (
        "npm-eintegrity",
        [
            "npm warn tarball tarball data for zod@https://npm.example/z-3.2.tgz (sha512-A) seems to be corrupted.",
            "npm error code EINTEGRITY",
        ],
        "zod",
    ),
    ("npm-integrity-unnamed", ["npm error code EINTEGRITY"], ...),
    (
        "npm-lock-out-of-sync",
        [
            "npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync.",
            "npm error",
            "npm error Missing: lodash@4.17.21 from lock file",
        ],
        "lodash",
    ),
    ("frozen-lockfile", [" ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with frozen-lockfile"], None),
    ("npm-missing-script", ['npm error Missing script: "build:prod"'], None),
    ("npm-audit", ["minimist  <0.2.1", "Severity: critical"], "minimist"),
    ("npm-bad-engine", ["npm error notsup Not compatible with your version of node/npm: web@3.13.0"], ...),
    (
        "pip-no-match",
        ["ERROR: No matching distribution found for gunicorn==20.0.4 (from -r r.txt (line 14))"],
        "gunicorn",
    ),
    ("pip-conflict", ["ERROR: ResolutionImpossible: for help visit the documentation"], ...),
    (
        "pip-hash-mismatch",
        [
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated",
            "    click==8.1.7 from https://pypi.example/click-8.1.7-py3-none-any.whl (from -r requirements.txt):",
        ],
        "click",
    ),
    (
        "pip-different-python",
        ["ERROR: Package 'scoring' requires a different Python: 3.11.7 not in '>=3.13'"],
        "scoring",
    ),
    ("pip-build-failed", ["  ERROR: Failed building wheel for kenlm"], "kenlm"),
    ("uv-unknown-package", ["  ╰─▶ Because nosuch was not found in the package registry and you require"], "nosuch"),
    ("uv-unknown-package", ["Because there is no version of flask==99 and you require flask==99,"], "flask"),
    ("uv-unsolvable", ["  × No solution found when resolving dependencies:"], ...),
    (
        "poetry-no-match",
        ["Because app depends on foo (^9.0) which doesn't match any versions, version solving failed."],
        "foo",
    ),
    ("python-missing-module", ["ModuleNotFoundError: No module named 'httpx'"], "httpx"),
    ("node-missing-module", ["Error: Cannot find module 'fast-deep-equal'"], "fast-deep-equal"),
    (
        "maven-no-artifact",
        ["[ERROR] for project a.b:c:jar:1: Could not find artifact com.acme:x:jar:sources:2.2_r1 in central (y)"],
        "com.acme:x",
    ),
    ("maven-transfer", ["[ERROR] Could not transfer artifact a.b:c:pom:1.0 from/to central (x): timed out"], "a.b:c"),
    (
        "maven-missing-version",
        ["[ERROR] 'dependencies.dependency.version' for a.b:c:jar is missing. @ line 3"],
        "a.b:c",
    ),
    ("maven-requires-jenkins", ["[ERROR] Dependency a.b:c:jar:3.6.3-1 requires Jenkins 2.387.1 or higher."], "a.b:c"),
    (
        "maven-enforcer-convergence",
        ["Dependency convergence error for org.slf4j:slf4j-api:jar:1.7.36 paths to"],
        "org.slf4j:slf4j-api",
    ),
    (
        "gradle-no-module",
        ["   > Could not find com.android.support:support-v4:20.0.0."],
        "com.android.support:support-v4",
    ),
    (
        "gradle-no-plugin",
        ["Plugin [id: 'com.acme.lint', version: '9'] was not found in any of the following sources:"],
        "com.acme.lint",
    ),
    ("gradle-no-task", ["Task 'publsh' not found in root project 'app'."], None),
    ("cargo-no-crate", ["error: no matching package named `serde_jsonn` found"], "serde_jsonn"),
    ("cargo-no-version", ['error: failed to select a version for the requirement `rand = "^99"`'], "rand"),
    (
        "cargo-missing-feature",
        ["package `a v1 (x)` depends on `tokio`, with features: `nope` but `tokio` does not have"],
        "tokio",
    ),
    (
        "cargo-old-rustc",
        ["error: package `clap v4.5.0` cannot be built because it requires rustc 1.74 or newer"],
        "clap",
    ),
    ("cargo-build-script", ["error: failed to run custom build command for `openssl-sys v0.9.102`"], "openssl-sys"),
    ("cargo-audit", ["error: 5 vulnerabilities found!"], ...),
    (
        "go-unknown-revision",
        ["go: github.com/google/uuid@v1.99.0: invalid version: unknown revision v1.99.0"],
        "github.com/google/uuid",
    ),
    ("go-missing-sum", ["go: golang.org/x/sync@v0.7.0: missing go.sum entry; to add it:"], "golang.org/x/sync"),
    (
        "go-no-module",
        ["main.go:4:2: no required module provides package github.com/gorilla/mux; to add it:"],
        "github.com/gorilla/mux",
    ),
    ("go-checksum", ["verifying golang.org/x/sync@v0.7.0: checksum mismatch"], "golang.org/x/sync"),
    ("go-unrecognized-path", ['package math/bits: unrecognized import path "math/bits" (import path'], "math/bits"),
    (
        "cmake-no-package",
        [
            "CMake Error at CMakeLists.txt:9 (find_package):",
            '  Could not find a package configuration file provided by "fmt" with any',
        ],
        "fmt",
    ),
    (
        "cmake-could-not-find",
        ["CMake Error at /usr/share/cmake/F.cmake:230 (message):", "  Could NOT find ZLIB (missing: ZLIB_LIBRARY)"],
        "ZLIB",
    ),
    ("cmake-too-old", ["  CMake 4.9 or higher is required.  You are running version 3.25.1"], "cmake"),
    ("missing-header", ["a.c:1:10: fatal error: libpq-fe.h: No such file or directory"], "libpq-fe.h"),
    ("missing-library", ["/usr/bin/ld: cannot find -lpq: No such file or directory"], "pq"),
    ("pkg-config-missing", ["No package 'libsystemd' found"], "libsystemd"),
    ("undefined-reference", ["main.cpp:(.text+0x9): undefined reference to `encode(int)'"], ...),
    ("apt-no-package", ["E: Unable to locate package python-pip"], "python-pip"),
    ("apt-no-version", ["E: Version '7.88.1-10' for 'curl' was not found"], "curl"),
    (
        "apt-unmet",
        ["The following packages have unmet dependencies:", " agent : Depends: libc6 (>= 99) but 2.36 is"],
        "agent",
    ),
    ("apt-fetch", ["E: Failed to fetch http://deb.example/p/x.deb  404  Not Found"], None),
    ("apk-no-package", ["  nosuch (no such package):"], "nosuch"),
    ("rpm-no-package", ["Error: Unable to find a match: nosuch"], "nosuch"),
    ("bundler-no-gem", ["Your bundle is locked to sync (0.4.0), but that version could not be found in"], "sync"),
    ("gem-old-ruby", ["Gem::InstallError: public_suffix requires Ruby version >= 2.3."], "public_suffix"),
    ("nuget-no-package", ["a.csproj : error NU1101: Unable to find package Foo.Bar. No packages exist"], "Foo.Bar"),
    ("image-not-found", ["ERROR: manifest for acme/base:9.9 not found: manifest unknown: x"], None),
    ("image-not-found", ["no such manifest: registry.example:5000/ci/web:2026.11"], None),
    (
        "npm-e404",
        ["npm error 404  The requested resource 'acme-sdk@^2' could not be found or you do not have"],
        "acme-sdk",
    ),
    ("image-rate-limit", ["toomanyrequests: You have reached your pull rate limit."], None),
    ("git-no-ref", ["fatal: couldn't find remote ref refs/heads/gone"], None),
    ("git-submodule", ["fatal: clone of 'https://git.example/a/b.git' into submodule path '/w/b' failed"], ...),
    ("git-authentication", ["fatal: Authentication failed for 'https://git.example/a/b.git/'"], None),
    ("git-push-denied", ["remote: Permission to acme/web.git denied to acme-bot."], None),
    (
        "action-unresolved",
        ["Error: Unable to resolve action `actions/checkout@v99`, unable to find version"],
        "actions/checkout",
    ),
    ("name-resolution", ["curl: (6) Could not resolve host: git.acme.example"], None),
    ("make-no-target", ["make: *** No rule to make target 'instal'.  Stop."], None),
    ("missing-command", ["/bin/sh: 1: helm: not found"], "helm"),
    ("tests-failed", ["==== 1 failed, 84 passed in 4.42s ===="], ...),
    ("compile-failed", ["[ERROR] COMPILATION ERROR :"], ...),
    ("lint-failed", ["✖ 2 problems (2 errors, 0 warnings)"], ...),
]

CLEAN = [
    [
        "npm warn ERESOLVE overriding peer dependency",
        'npm warn peer react@"^16" from old@1.0.0',
        "added 96 packages in 4s",
    ],
    ["npm warn notsup Not compatible with your operating system", "found 0 vulnerabilities"],
    ["Collecting requests", "Successfully installed requests-2.31.0"],
    ["[INFO] Downloaded from central: https://repo.example/maven2/a/b/1/b-1.pom", "[INFO] BUILD SUCCESS"],
    ["go: downloading golang.org/x/sync v0.7.0", "ok  \tacme.example/a\t0.01s"],
    ["-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)", "-- Configuring done"],
    ["test result: ok. 12 passed; 0 failed", "==== 84 passed in 4.42s ====", "Tests run: 8, Failures: 0, Errors: 0"],
    ["3 - writes No space left on device to the log ... ok"],
    ["warning: Could not find remote branch x to clone.", "the timeout was not reached"],
    ["make[1]: Nothing to be done for 'all'.", "Cannot find module './local'"],
]


@pytest.mark.parametrize(("rule", "lines", "name"), EXAMPLES, ids=[f"{row[0]}-{at}" for at, row in enumerate(EXAMPLES)])
def test_a_rule_knows_its_fault(rule: str, lines: list[str], name: Any) -> None:
    """The rule matches what its tool prints and names the dependency, or that there is none."""
    match = RULES.match(excerpt("Running job", *lines, "ERROR: it failed"))
    assert match is not None
    assert match.rule == rule
    dependency = match.fields.get("faulty_dependency", ...)
    assert (dependency["name"] if isinstance(dependency, dict) else dependency) == name


def test_every_rule_has_an_example() -> None:
    """No rule goes untried."""
    assert {rule.id for rule in RULES.rules} - {rule for rule, _, _ in EXAMPLES} == set()


@pytest.mark.parametrize("lines", CLEAN, ids=[lines[0][:30] for lines in CLEAN])
def test_what_did_not_fail_matches_nothing(lines: list[str]) -> None:
    """Warnings, progress and success look similar and are no faults."""
    assert RULES.match(excerpt(*lines)) is None


def test_every_deciding_rule_gives_a_whole_answer() -> None:
    """What decides says category, severity, summary and the dependency, be it null."""
    needed = {"category", "faulty_dependency", "severity", "summary"}
    assert [rule.id for rule in RULES.rules if rule.decides and not needed <= set(rule.fields)] == []


def test_every_rule_can_be_filtered() -> None:
    """Each rule has a literal to look for, so that an excerpt without any costs next to nothing."""
    assert RULES._always == []


def test_a_missing_make_target_after_a_failed_clone_is_a_consequence() -> None:
    """A cause that stands before it keeps make's complaint from deciding."""
    lines = [
        "fatal: unable to access 'https://git.example/a/': Empty reply",
        "make: *** No rule to make target 'x'.  Stop.",
    ]
    match = RULES.match(excerpt(*lines))
    assert match is None or match.rule != "make-no-target"


def test_tests_that_fail_later_keep_an_install_warning_from_deciding() -> None:
    """A job that went on after an unresolved peer failed for something else."""
    lines = [
        "npm ERR! Could not resolve dependency:",
        'npm ERR! peer a@"1" from b@2',
        *["…"] * 40,
        "Tests:       3 failed, 9 passed",
    ]
    match = RULES.match(excerpt(*lines))
    assert match is not None
    assert not match.decides
