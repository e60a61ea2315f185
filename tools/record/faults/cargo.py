"""Cargo: resolver, compiler, clippy and tests."""

from __future__ import annotations

from collections.abc import Mapping

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.projects import rust

TOOLS = {"cargo": "cargo --version", "rustc": "rustc --version"}
BASE = {"itoa": "1", "ryu": "1", "fnv": "1", "hex": "0.4", "semver": "1"}


def _project(
    count: int, run: int, extra: str = "", dependencies: Mapping[str, str] | None = None, **package: str
) -> dict[str, str]:
    files, modules = rust(count, run)
    wanted = BASE if dependencies is None else dependencies
    more = "".join(f'{key.replace("_", "-")} = "{value}"\n' for key, value in package.items())
    files["Cargo.toml"] = (
        f'[package]\nname = "telemetry-agent"\nversion = "0.{run + 7}.0"\nedition = "2021"\n{more}\n[dependencies]\n'
        + "".join(f'{name} = "{version}"\n' for name, version in wanted.items())
    )
    files["src/lib.rs"] = f"//! The agent.\n{modules}{extra}"
    return files


@kind(
    "cargo/type_error",
    {"wrong": "u32", "error": "E0308"},
    {"wrong": "String", "error": "E0308"},
    keep=(3, 1),
    tools=TOOLS,
)
def type_error(run: int, wrong: str, error: str) -> Fault:
    """A function gives another type than it says."""
    files = _project(12, run, extra="pub mod sampling;\n")
    files["src/sampling.rs"] = (
        "//! Sampling.\n\n"
        + "// Another line.\n" * run
        + f"pub fn rate(seen: u64, kept: u64) -> {wrong} {{\n    kept * 100 / seen.max(1)\n}}\n"
    )
    return Fault(
        repo="acme/telemetry-agent",
        job="build",
        category="compile",
        files=files,
        script=("cargo --version", "cargo build"),
        spans=(Span(rf"^error\[{error}\]", r"^\s*$"), Span(r"^error: could not compile")),
        tty=run == 1,
    )


@kind("cargo/test_panic", {"wanted": "12"}, {"wanted": "99"}, keep=(3, 1), tools=TOOLS)
def test_panic(run: int, wanted: str) -> Fault:
    """An assertion of one test among many fails."""
    test = (
        "\n#[cfg(test)]\nmod sampling_tests {\n    use super::*;\n\n    #[test]\n    fn keeps_every_tenth() {\n"
        "        let kept = (0..100).filter(|n| keep(*n)).count();\n"
        f'        assert_eq!(kept, {wanted}, "of a hundred spans");\n    }}\n}}\n'
    )
    files = _project(24, run, extra="\npub fn keep(number: u32) -> bool {\n    number % 10 == 0\n}\n" + test)
    return Fault(
        repo="acme/telemetry-agent",
        target="keeps_every_tenth",
        job="unit-tests",
        category="test",
        files=files,
        failing_tests=("sampling_tests::keeps_every_tenth",),
        script=("cargo test",),
        after=("cargo tree", "ls -l src", "du -sh target"),
        spans=(
            Span(r"^thread 'sampling_tests::keeps_every_tenth'", r"right: "),
            Span(r"^test sampling_tests::keeps_every_tenth \.\.\. FAILED"),
        ),
        style="steps" if run == 2 else "plain",
    )


@kind(
    "cargo/no_such_version",
    {"name": "serde", "version": "9.1"},
    {"name": "itoa", "version": "3.0.2"},
    keep=(2, 1),
    tools=TOOLS,
)
def no_such_version(run: int, name: str, version: str) -> Fault:
    """A version that was never published."""
    return Fault(
        repo="acme/telemetry-agent",
        job="build",
        category="dependency_resolution",
        alt=("dependency_missing",),
        dependency=Dependency(name, version, "cargo"),
        files=_project(4, run, dependencies={**BASE, name: version}),
        script=("cargo --version", "cargo build"),
        spans=(Span(r"^error: failed to select a version", r"required by package"),),
    )


@kind("cargo/links_conflict", {"name": "zstd-sys", "one": "1.6.3", "two": "2.0.10"}, keep=(2,), tools=TOOLS)
def links_conflict(run: int, name: str, one: str, two: str) -> Fault:
    """Two versions of a crate that links one native library."""
    files = _project(4, run)
    files["Cargo.toml"] += f'{name} = "={one}"\nzstd_two = {{ package = "{name}", version = "={two}" }}\n'
    return Fault(
        repo="acme/telemetry-agent",
        job="build",
        category="dependency_resolution",
        alt=("dependency_incompatible",),
        dependency=Dependency(name, one, "cargo"),
        files=files,
        script=("cargo --version", "cargo build"),
        spans=(Span(r"^error: failed to select a version", r"links to|to one package|Only one package"),),
    )


@kind("cargo/no_such_crate", {"name": "acme-trace-format"}, keep=(2,), tools=TOOLS)
def no_such_crate(run: int, name: str) -> Fault:
    """A crate of the house that the public registry does not have."""
    return Fault(
        repo="acme/telemetry-agent",
        job="build",
        category="dependency_missing",
        alt=("dependency_resolution",),
        dependency=Dependency(name, "0.3", "cargo"),
        files=_project(5, run, dependencies={**BASE, name: "0.3"}),
        script=("cargo --version", "cargo fetch"),
        spans=(Span(r"^error: no matching package named", r"required by package"),),
        style="steps" if run else "plain",
    )


@kind("cargo/unresolved_import", {"name": "regex"}, keep=(1,), tools=TOOLS)
def unresolved_import(run: int, name: str) -> Fault:
    """A crate that is used and not required."""
    return Fault(
        repo="acme/telemetry-agent",
        job="build",
        category="dependency_missing",
        alt=("compile",),
        dependency=Dependency(name, None, "cargo"),
        files=_project(
            8, run, extra=f'\nuse {name}::Regex;\n\npub fn all() -> Regex {{\n    Regex::new(".").unwrap()\n}}\n'
        ),
        script=("cargo build",),
        spans=(Span(r"^error\[E0432\]", r"^\s*$"),),
    )


@kind("cargo/clippy", {"lint": "needless_range_loop"}, keep=(2,), tools=TOOLS)
def clippy(run: int, lint: str) -> Fault:
    """clippy, with warnings as errors."""
    extra = (
        "\npub fn sum(values: &[u64]) -> u64 {\n    let mut total = 0;\n    for i in 0..values.len() {\n"
        "        total += values[i];\n    }\n    return total;\n}\n"
    )
    return Fault(
        repo="acme/telemetry-agent",
        job="lint",
        category="static_check",
        files=_project(10, run, extra=extra),
        script=("cargo fmt --check || true", "cargo clippy --all-targets -- -D warnings"),
        spans=(Span(r"^error: the loop variable", rf"{lint}"), Span(r"^error: could not compile")),
    )


@kind("cargo/fmt", {"line": "pub fn  spaced( ) { }"}, keep=(1,), tools=TOOLS)
def fmt(run: int, line: str) -> Fault:
    """Code that rustfmt would write otherwise."""
    return Fault(
        repo="acme/telemetry-agent",
        job="format",
        category="static_check",
        files=_project(9, run, extra=f"\n{line}\n"),
        script=("cargo fmt --version", "cargo fmt --check"),
        spans=(Span(r"^Diff in .*lib.rs", r"^\+pub fn spaced"),),
    )


@kind("cargo/rust_version", {"wanted": "1.120"}, keep=(1,), tools=TOOLS)
def rust_version(run: int, wanted: str) -> Fault:
    """The project asks for a newer compiler than the image has."""
    return Fault(
        repo="acme/telemetry-agent",
        job="build",
        category="environment",
        alt=("dependency_incompatible",),
        files=_project(6, run, rust_version=wanted),
        script=("cargo --version", "rustc --version", "cargo build"),
        spans=(Span(r"^error: (rustc|cannot install|package)", r"requires rustc|telemetry-agent"),),
    )


@kind("cargo/offline", {"name": "bytes", "version": "1"}, keep=(1,), tools=TOOLS)
def offline(run: int, name: str, version: str) -> Fault:
    """The registry cannot be reached."""
    return Fault(
        repo="acme/telemetry-agent",
        job="build",
        category="network_infra",
        alt=("dependency_resolution",),
        files=_project(6, run, dependencies={**BASE, name: version}),
        script=("cargo build",),
        spans=(
            Span(
                r"^(error: failed to|warning: spurious network error)",
                r"Could not resolve host|Couldn't resolve host|resolve",
            ),
        ),
        sandbox=Sandbox(net=False, cold=True),
    )
