"""Go: modules, compiler, vet and tests."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.projects import go

TOOLS = {"go": "go version"}
MODULE = "acme.example/gateway"


def _project(count: int, run: int, *requires: str, main: str = "") -> dict[str, str]:
    body = "".join(f"\t{line}\n" for line in requires)
    files = go(count, run)
    files["go.mod"] = f"module {MODULE}\n\ngo 1.22\n" + (f"\nrequire (\n{body})\n" if requires else "")
    files["cmd/gateway/main.go"] = main or (
        f'package main\n\nimport (\n\t"fmt"\n\n\t"{MODULE}/internal/invoice"\n)\n\n'
        'func main() {\n\tfmt.Println(invoice.Invoice{Label: "gateway"}.Total())\n}\n'
    )
    return files


@kind("go/compile_error", {"wrong": '"three"'}, {"wrong": "3.5"}, keep=(3, 1), tools=TOOLS)
def compile_error(run: int, wrong: str) -> Fault:
    """A value of the wrong type and a name that does not exist."""
    files = _project(14, run)
    files["internal/limits/limits.go"] = (
        "// Package limits bounds requests.\npackage limits\n\n"
        + "// A comment more.\n" * run
        + f"const Burst int = {wrong}\n\n"
        "// Allowed says whether n requests pass.\nfunc Allowed(n int) bool {\n\treturn n <= maximum\n}\n"
    )
    return Fault(
        repo="acme/gateway",
        job="build",
        category="compile",
        files=files,
        script=("go version", "go build -v ./..."),
        spans=(Span(r"^# acme.example/gateway/internal/limits", r"undefined: maximum"),),
        style="steps" if run == 1 else "plain",
    )


@kind("go/test_failure", {"noun": "quota"}, {"noun": "route"}, keep=(3, 1), tools=TOOLS)
def test_failure(run: int, noun: str) -> Fault:
    """One table test of many fails."""
    files = _project(22, run)
    name = noun.capitalize()
    files[f"internal/rules/{noun}.go"] = (
        "// Package rules holds the house rules.\npackage rules\n\n"
        f"// {name} is what is left of limit.\nfunc {name}(limit, used int) int {{\n\treturn limit - used\n}}\n"
    )
    files[f"internal/rules/{noun}_test.go"] = (
        'package rules\n\nimport "testing"\n\n'
        + "// Another line.\n" * run
        + f"func Test{name}NeverNegative(t *testing.T) {{\n\tfor _, c := range []struct{{ limit, used, want int }}"
        "{{10, 3, 7}, {10, 10, 0}, {10, 12, 0}} {\n"
        f"\t\tif got := {name}(c.limit, c.used); got != c.want {{\n"
        '\t\t\tt.Errorf("limit %d, used %d: got %d, want %d", c.limit, c.used, got, c.want)\n\t\t}\n\t}\n}\n'
    )
    return Fault(
        repo="acme/gateway",
        job="unit-tests",
        category="test",
        files=files,
        failing_tests=(f"Test{name}NeverNegative",),
        script=("go vet ./...", "go test -v ./..."),
        spans=(
            Span(rf"^--- FAIL: Test{name}|^\s+{noun}_test.go:\d+:", every=True),
            Span(rf"^FAIL\s+{MODULE}/internal/rules"),
        ),
        after=("go env GOVERSION GOOS GOARCH", "find internal -name '*.go' | sort", "du -sh ."),
        style="steps" if run == 2 else "plain",
    )


def _module_repository(name: str) -> tuple[str, ...]:
    """Commands that put a module with the versions 1.7.0 and 1.8.0 where the git server keeps it."""
    path = name.removeprefix("git.acme.example/").removesuffix(".git")
    return (
        "git config --system url.file:///srv/git/.insteadOf https://git.acme.example/",
        "git config --system user.name ci && git config --system user.email ci@acme.example",
        f"git init --quiet /srv/git/{path} && cd /srv/git/{path}",
        f"printf 'module {name}\n\ngo 1.22\n' > go.mod && printf 'package tracing\n' > tracing.go",
        "git add --all && git commit --quiet -m first && git tag v1.7.0 && git tag v1.8.0",
    )


@kind(
    "go/unknown_revision",
    {"name": "git.acme.example/shared/tracing.git", "version": "v1.9.0"},
    {"name": "git.acme.example/shared/rollout.git", "version": "v1.8.1"},
    keep=(2, 1),
    tools=TOOLS,
)
def unknown_revision(run: int, name: str, version: str) -> Fault:
    """A version of a module of the house that was never tagged."""
    return Fault(
        repo="acme/gateway",
        job="build",
        category="dependency_resolution",
        alt=("dependency_missing",),
        dependency=Dependency(name, version, "golang"),
        files=_project(6, run, f"{name} {version}"),
        script=("go version", "GOFLAGS=-mod=mod go mod download", "go build ./..."),
        spans=(Span(rf"^go: {name}@{version}.*unknown revision"),),
        env={"GOPRIVATE": "git.acme.example"},
        sandbox=Sandbox(prepare=_module_repository(name)),
    )


@kind("go/missing_sum", {"name": "golang.org/x/sync", "version": "v0.8.0", "use": "errgroup"}, keep=(2,), tools=TOOLS)
def missing_sum(run: int, name: str, version: str, use: str) -> Fault:
    """go.mod was edited and go.sum was not."""
    main = f'package main\n\nimport "{name}/{use}"\n\nfunc main() {{\n\tvar group {use}.Group\n\t_ = group.Wait()\n}}\n'
    return Fault(
        repo="acme/router",
        job="build",
        category="dependency_missing",
        alt=("dependency_resolution", "config_script"),
        dependency=Dependency(name, version, "golang", accept=(f"{name}/{use}",)),
        files=_project(8, run, f"{name} {version}", main=main),
        script=("go version", "go list ./...", "go build ./..."),
        spans=(Span(r"missing go.sum entry"),),
    )


@kind("go/missing_package", {"name": "github.com/gorilla/mux"}, keep=(2,), tools=TOOLS)
def missing_package(run: int, name: str) -> Fault:
    """An import that no required module provides."""
    main = f'package main\n\nimport "{name}"\n\nfunc main() {{\n\t_ = mux.NewRouter()\n}}\n'
    return Fault(
        repo="acme/router",
        job="build",
        category="dependency_missing",
        dependency=Dependency(name, None, "golang"),
        files=_project(10, run, main=main),
        script=("go version", "go vet ./internal/...", "go build -v ./..."),
        spans=(Span(r"no required module provides package"),),
        style="steps" if run else "plain",
    )


@kind(
    "go/checksum_mismatch",
    {"name": "golang.org/x/sync", "version": "v0.8.0", "use": "errgroup"},
    keep=(1,),
    tools=TOOLS,
)
def checksum_mismatch(run: int, name: str, version: str, use: str) -> Fault:
    """go.sum holds another hash than the module has."""
    main = f'package main\n\nimport "{name}/{use}"\n\nfunc main() {{\n\tvar group {use}.Group\n\t_ = group.Wait()\n}}\n'
    files = _project(8, run, f"{name} {version}", main=main)
    return Fault(
        repo="acme/router",
        job="download",
        category="dependency_policy",
        alt=("security_audit", "dependency_resolution"),
        dependency=Dependency(name, version, "golang"),
        files={
            **files,
            "go.sum": f"{name} {version} h1:{'A' * 43}=\n{name} {version}/go.mod h1:{'B' * 43}=\n",
        },
        script=("go version", "go mod download"),
        spans=(Span(r"checksum mismatch", r"SECURITY ERROR"),),
        env={"GOPROXY": "https://proxy.golang.org", "GONOSUMDB": "*", "GONOSUMCHECK": "1"},
    )


@kind("go/vet", {"verb": "%d"}, keep=(2,), tools=TOOLS)
def vet(run: int, verb: str) -> Fault:
    """Vet finds a format that does not fit its argument."""
    files = _project(16, run)
    files["internal/report/report.go"] = (
        '// Package report prints.\npackage report\n\nimport "fmt"\n\n'
        f'// Line is one line.\nfunc Line(name string) string {{\n\treturn fmt.Sprintf("name {verb}", name)\n}}\n'
    )
    return Fault(
        repo="acme/router",
        job="vet",
        category="static_check",
        alt=("compile",),
        files=files,
        script=("go version", "go list ./...", "go vet ./..."),
        spans=(Span(r"Sprintf format"),),
    )


@kind("go/test_timeout", {"seconds": 4}, keep=(2,), tools=TOOLS)
def test_timeout(run: int, seconds: int) -> Fault:
    """A test blocks on a channel until the limit."""
    files = _project(12, run)
    files["internal/stream/stream_test.go"] = (
        'package stream\n\nimport "testing"\n\nfunc TestStreamCloses(t *testing.T) {\n'
        "\tdone := make(chan struct{})\n\tgo func() {\n\t\tselect {}\n\t}()\n\t<-done\n}\n"
    )
    return Fault(
        repo="acme/gateway",
        job="unit-tests",
        category="timeout_hang",
        alt=("test",),
        files=files,
        failing_tests=("TestStreamCloses",),
        script=(f"go test -v -timeout {seconds}s ./...",),
        spans=(Span(r"^panic: test timed out after", r"running tests:|TestStreamCloses"),),
    )


@kind("go/toolchain_too_old", {"wanted": "1.42"}, keep=(1,), tools=TOOLS)
def toolchain_too_old(run: int, wanted: str) -> Fault:
    """go.mod asks for a newer Go than the image has."""
    files = _project(5, run)
    files["go.mod"] = f"module {MODULE}\n\ngo {wanted}\n"
    return Fault(
        repo="acme/router",
        job="build",
        category="environment",
        alt=("dependency_incompatible",),
        files=files,
        script=("go version", "go build ./..."),
        spans=(Span(r"go.mod requires go >="),),
    )


@kind("go/proxy_unreachable", {"name": "golang.org/x/sync", "version": "v0.7.0"}, keep=(2,), tools=TOOLS)
def proxy_unreachable(run: int, name: str, version: str) -> Fault:
    """The module proxy cannot be reached."""
    files = _project(7, run, f"{name} {version}")
    return Fault(
        repo="acme/router",
        job="download",
        category="network_infra",
        alt=("dependency_resolution",),
        files=files,
        script=("go version", "GOFLAGS=-mod=mod go mod download"),
        spans=(Span(rf"^go: {name}@{version}"),),
        sandbox=Sandbox(net=False, cold=True),
    )


def _module(run: int, category: str, script: str, span: Span, **more: object) -> Fault:
    """A module with files added, and the command that fails on them."""
    files = {**_project(4, run), **more.pop("files", {})}  # type: ignore[dict-item]
    return Fault(
        repo="acme/gateway",
        job="build",
        category=category,
        files=files,
        script=("go version", script),
        spans=(span,),
        style="steps" if run else "plain",
        **more,  # type: ignore[arg-type]
    )


def _importing(path: str) -> dict[str, str]:
    return {"internal/extra/extra.go": f'// Package extra imports.\npackage extra\n\nimport _ "{path}"\n'}


@kind("go/not_in_std", tools=TOOLS)
def not_in_std(run: int) -> Fault:
    """An import without a domain that the standard library does not have."""
    span = Span(r"package acmelib/tracing is not in")
    wanted = Dependency("acmelib/tracing", None, "golang")
    files = _importing("acmelib/tracing")
    alt = ("dependency_resolution", "compile", "config_script")
    return _module(run, "dependency_missing", "go build ./...", span, files=files, dependency=wanted, alt=alt)


@kind("go/path_mismatch", tools=TOOLS)
def path_mismatch(run: int) -> Fault:
    """A module is required under a path that it does not declare."""
    name = "github.com/Sirupsen/logrus"
    span = Span(r"module declares its path as", r"but was required as")
    accept = ("github.com/sirupsen/logrus",)
    wanted = Dependency(name, "v1.9.0", "golang", accept=accept)
    return _module(run, "dependency_resolution", f"go get {name}@v1.9.0", span, dependency=wanted)


@kind("go/vendor_stale", tools=TOOLS)
def vendor_stale(run: int) -> Fault:
    """go.mod was edited, vendor/modules.txt was not."""
    setup = (
        "go get golang.org/x/sync@v0.7.0",
        "printf 'package extra\\n\\nimport _ \"golang.org/x/sync/errgroup\"\\n' > internal/invoice/extra.go",
        "sed -i 's/package extra/package invoice/' internal/invoice/extra.go",
        "go mod vendor",
        "sed -i 's/sync v0.7.0/sync v0.6.0/' go.mod",
    )
    span = Span(r"^go: inconsistent vendoring", r"is explicitly required")
    return _module(run, "dependency_resolution", "go build ./...", span, setup=setup, alt=("config_script",))


@kind("go/import_cycle", tools=TOOLS)
def import_cycle(run: int) -> Fault:
    """Two packages import each other."""
    files = {
        "internal/left/left.go": f'package left\n\nimport _ "{MODULE}/internal/right"\n',
        "internal/right/right.go": f'package right\n\nimport _ "{MODULE}/internal/left"\n',
    }
    return _module(run, "compile", "go build ./...", Span(r"import cycle not allowed"), files=files)


@kind("go/no_go_mod", tools=TOOLS)
def no_go_mod(run: int) -> Fault:
    """The job builds in a folder without a module."""
    script = "cd /builds && go build ./..."
    return _module(run, "config_script", script, Span(r"go\.mod file not found|does not contain main module"))
