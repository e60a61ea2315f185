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


def _broken(run: int, category: str, manifest: str, script: str, span: Span, **more: object) -> Fault:
    """A project whose manifest has ``manifest`` appended."""
    files = _project(4, run)
    files["Cargo.toml"] += manifest
    return Fault(
        repo="acme/telemetry-agent",
        job="build",
        category=category,
        files={**files, **more.pop("files", {})},  # type: ignore[dict-item]
        script=("cargo --version", script),
        spans=(span,),
        style="steps" if run else "plain",
        **more,  # type: ignore[arg-type]
    )


@kind("cargo/missing_feature", tools=TOOLS)
def missing_feature(run: int) -> Fault:
    """A feature that the crate does not have."""
    return _broken(
        run,
        "dependency_resolution",
        'time = { version = "0.3", features = ["warp-drive"] }\n',
        "cargo build",
        Span(r"with features: `warp-drive`|feature `warp-drive`|named `warp-drive`"),
        dependency=Dependency("time", "0.3", "cargo"),
    )


@kind("cargo/build_script", tools=TOOLS)
def build_script(run: int) -> Fault:
    """The build script of a crate finds no library of the system."""
    return _broken(
        run,
        "environment",
        'zookeeper-shim = { path = "vendor/zookeeper-shim" }\n',
        "cargo build",
        Span(r"failed to run custom build command", r"panicked at|thread 'main'"),
        files={
            "vendor/zookeeper-shim/Cargo.toml": (
                '[package]\nname = "zookeeper-shim"\nversion = "0.3.1"\nedition = "2021"\n'
            ),
            "vendor/zookeeper-shim/src/lib.rs": "//! The shim.\n",
            "vendor/zookeeper-shim/build.rs": 'fn main() {\n    panic!("libzookeeper_mt was not found");\n}\n',
        },
        dependency=Dependency("zookeeper-shim", "0.3.1", "cargo", accept=("libzookeeper_mt",)),
        alt=("dependency_missing", "build", "dependency_incompatible"),
    )


@kind("cargo/stale_lock", tools=TOOLS)
def stale_lock(run: int) -> Fault:
    """Cargo.toml was edited, Cargo.lock was not."""
    return _broken(
        run,
        "dependency_resolution",
        "",
        "cargo build --locked",
        Span(r"lock file .* needs to be updated|cannot update the lock file"),
        setup=("cargo generate-lockfile", "sed -i 's/^\\[dependencies\\]/[dependencies]\\nmemchr = \"2\"/' Cargo.toml"),
        alt=("config_script",),
    )


@kind("cargo/target_missing", tools=TOOLS)
def target_missing(run: int) -> Fault:
    """The toolchain lacks the standard library of the target."""
    span = Span(r"^error\[E0463\]|target may not be installed")
    return _broken(run, "environment", "", "cargo build --target aarch64-unknown-linux-gnu", span)


@kind("cargo/bad_manifest", tools=TOOLS)
def bad_manifest(run: int) -> Fault:
    """Cargo.toml is no TOML."""
    span = Span(r"^error: (?:failed to parse manifest|invalid|expected|could not parse)|TOML parse error")
    return _broken(run, "config_script", 'memchr = "2\n', "cargo build", span)


@kind("cargo/no_such_target", tools=TOOLS)
def no_such_target(run: int) -> Fault:
    """The job builds a program that the package does not have."""
    span = Span(r"^error: no bin target named")
    return _broken(run, "config_script", "", "cargo build --bin collector", span)
