"""The shell, git, curl, dnf and checkers: what jobs call beside a build."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.faults.pip import VENV
from tools.record.projects import python

BASH = {"bash": "bash --version"}
GIT = {"git": "git --version"}
CURL = {"curl": "curl --version"}
DNF = {"dnf": "apt-cache policy dnf | grep Candidate"}
CHECKS = {"python": "python3 --version"}
APT = "apt-get update -qq && apt-get install -y -qq --no-install-recommends "


def _fault(run: int, category: str, script: tuple[str, ...], span: Span, **more: object) -> Fault:
    return Fault(
        repo="acme/toolbox",
        job="release",
        category=category,
        files={**python("toolbox", 4, run), **more.pop("files", {})},  # type: ignore[dict-item]
        script=script,
        spans=(span,),
        style="steps" if run else "plain",
        **more,  # type: ignore[arg-type]
    )


@kind("shell/unbound", tools=BASH)
def unbound(run: int) -> Fault:
    """A variable that the script needs is not set."""
    files = {
        "ci/deploy.sh": '#!/usr/bin/env bash\nset -euo pipefail\necho "Deploying"\ncurl -sf "$DEPLOY_URL/health"\n'
    }
    span = Span(r"DEPLOY_URL: unbound variable")
    return _fault(run, "config_script", ("bash ci/deploy.sh",), span, files=files, alt=("environment",))


@kind("shell/no_such_script", tools=BASH)
def no_such_script(run: int) -> Fault:
    """The job runs a script that is not in the repository."""
    span = Span(r"ci/publish\.sh: No such file or directory")
    return _fault(run, "config_script", ("bash ci/publish.sh",), span)


@kind("shell/bad_interpreter", tools=BASH)
def bad_interpreter(run: int) -> Fault:
    """A script with line ends of Windows."""
    files = {"ci/build.sh": "#!/bin/bash\r\necho build\r\n"}
    span = Span(r"bad interpreter|cannot execute: required file not found")
    return _fault(run, "config_script", ("./ci/build.sh",), span, files=files, executables=("ci/build.sh",))


@kind("shell/exec_format", tools=BASH)
def exec_format(run: int) -> Fault:
    """A program for another processor."""
    magic = r"\177ELF\002\001\001" + r"\000" * 9 + r"\002\000\267\000\001\000\000\000"  # an ELF for AArch64
    header = f"printf '{magic}' > tool && head -c 200 /dev/zero >> tool && chmod +x tool"
    span = Span(r"Exec format error")
    return _fault(run, "environment", (header, "./tool --version"), span, alt=("config_script",))


@kind("shell/segfault", tools=BASH)
def segfault(run: int) -> Fault:
    """A program of the job crashes."""
    script = ("python3 --version", "python3 -c 'import ctypes; ctypes.string_at(0)'")
    return _fault(run, "test", script, Span(r"Segmentation fault"), alt=("build", "environment", "resource"))


@kind("shell/shared_library", tools=BASH)
def shared_library(run: int) -> Fault:
    """A program finds no shared library that it was linked with."""
    make = (
        "echo 'int tiles(void) { return 0; }' > t.c && gcc -shared -fPIC -o libtilecodec.so.2 t.c && "
        "echo 'int tiles(void); int main(void) { return tiles(); }' > m.c && gcc -o convert m.c ./libtilecodec.so.2 && "
        "gcc -o convert m.c -L. -l:libtilecodec.so.2 && rm libtilecodec.so.2"
    )
    wanted = Dependency("libtilecodec.so.2", None, "generic", accept=("libtilecodec",))
    span = Span(r"error while loading shared libraries")
    alt = ("dependency_missing",)
    return _fault(run, "environment", (make, "./convert"), span, dependency=wanted, alt=alt)


@kind("git/non_fast_forward", tools=GIT)
def non_fast_forward(run: int) -> Fault:
    """Somebody else pushed while the job ran."""
    script = (
        "git config user.email bot@acme.example && git config user.name bot",
        "git switch -q -c release HEAD~1 2>/dev/null || git switch -q --orphan release",
        "git commit -q --allow-empty -m 'Release' && git push origin release:main",
    )
    span = Span(r"! \[rejected\]")
    return _fault(run, "vcs_checkout", script, span, alt=("config_script",))


@kind("git/hook_declined", tools=GIT)
def hook_declined(run: int) -> Fault:
    """A hook of the server refuses the push."""
    hook = "hooks=/srv/git/acme/toolbox.git/hooks; mkdir -p $hooks"
    write = "printf '#!/bin/sh\\necho main is protected\\nexit 1\\n' > /srv/git/acme/toolbox.git/hooks/pre-receive"
    script = (
        "git config user.email bot@acme.example && git config user.name bot",
        f"{hook} && {write} && chmod +x $hooks/pre-receive",
        "git commit -q --allow-empty -m 'Release' && git push origin HEAD:main",
    )
    return _fault(run, "permission", script, Span(r"! \[remote rejected\]"), alt=("vcs_checkout", "config_script"))


@kind("git/no_names", tools=GIT)
def no_names(run: int) -> Fault:
    """A version is to be made of tags that the checkout does not have."""
    script = ("git describe --tags --abbrev=0",)
    span = Span(r"fatal: No (names|tags) (found|can)")
    return _fault(run, "vcs_checkout", script, span, alt=("config_script",))


@kind("git/shallow_history", tools=GIT)
def shallow_history(run: int) -> Fault:
    """A comparison with a branch that the checkout does not have."""
    script = ("git diff --name-only origin/develop...HEAD",)
    span = Span(r"fatal: ambiguous argument")
    return _fault(run, "vcs_checkout", script, span, alt=("config_script",))


@kind("git/not_a_repository", tools=GIT)
def not_a_repository(run: int) -> Fault:
    """A git command outside of a working copy."""
    span = Span(r"fatal: not a git repository")
    return _fault(run, "config_script", ("cd /builds && git rev-parse HEAD",), span, alt=("vcs_checkout",))


SERVE = """
import http.server, ssl
server = http.server.HTTPServer(("127.0.0.1", 8443), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/srv/double/registry.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
TLS = (
    "mkdir -p /srv/double",
    "cd /srv/double && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=acme.example -keyout key.pem -out c.pem",
    "cat /srv/double/*.pem > /srv/double/registry.pem",
    f"cat > /srv/double/serve.py <<'PY'{SERVE}PY",
    "nohup /opt/python/bin/python3 /srv/double/serve.py >/dev/null 2>&1 &",
    "for i in $(seq 50); do (echo > /dev/tcp/127.0.0.1/8443) 2>/dev/null && break; sleep 0.1; done",
)


@kind("curl/certificate", tools=CURL)
def certificate(run: int) -> Fault:
    """A server whose certificate nobody trusts."""
    script = ("curl -sSfO https://registry.acme.example:8443/tool.tar.gz",)
    more = {"sandbox": Sandbox(prepare=TLS), "alt": ("environment", "infra_runner", "permission")}
    return _fault(run, "network_infra", script, Span(r"SSL certificate problem"), **more)


@kind("curl/refused", tools=CURL)
def curl_refused(run: int) -> Fault:
    """A server that is not there."""
    script = ("curl -sSfO http://registry.acme.example:8099/tool.tar.gz",)
    return _fault(run, "network_infra", script, Span(r"^curl: \(7\)"), alt=("infra_runner",))


@kind("dnf/no_package", tools=DNF)
def dnf_no_package(run: int) -> Fault:
    """A package that no repository has."""
    repo = "[ci]\nname=ci\nbaseurl=file:///srv/rpm\ngpgcheck=0\nenabled=1\n"
    setup = (
        APT + "dnf createrepo-c",
        "mkdir -p /srv/rpm /etc/yum.repos.d && createrepo_c -q /srv/rpm",
        f"printf '{repo.encode().decode('unicode_escape')}' > /etc/yum.repos.d/ci.repo".replace("\n", "\\n"),
    )
    wanted = Dependency("tilecodec-devel", None, "rpm")
    span = Span(r"Unable to find a match: tilecodec-devel")
    script = ("dnf install -y tilecodec-devel",)
    return _fault(
        run, "dependency_resolution", script, span, setup=setup, dependency=wanted, alt=("dependency_missing",)
    )


def _check(run: int, tool: str, script: str, span: Span, files: dict[str, str], **more: object) -> Fault:
    steps = (VENV, f"pip install -q {tool}", script)
    return _fault(run, str(more.pop("category", "static_check")), steps, span, files=files, **more)


LONG = "import os\nx = {  'a':1 }\n\n\ndef f( a,b ):\n    return a+ b\n"


@kind("check/black", tools=CHECKS)
def black(run: int) -> Fault:
    """A file that Black would reformat."""
    return _check(run, "black==24.8.0", "black --check .", Span(r"would be reformatted"), {"toolbox/legacy.py": LONG})


@kind("check/flake8", tools=CHECKS)
def flake8(run: int) -> Fault:
    """Findings of Flake8."""
    span = Span(r"legacy\.py:\d+:\d+: [EF]\d+")
    return _check(run, "flake8==7.1.1", "flake8 toolbox", span, {"toolbox/legacy.py": LONG})


@kind("check/pylint", tools=CHECKS)
def pylint(run: int) -> Fault:
    """Findings of Pylint."""
    span = Span(r"legacy\.py:\d+:\d+: [CWER]\d{4}")
    return _check(run, "pylint==3.2.7", "pylint toolbox", span, {"toolbox/legacy.py": LONG})


@kind("check/pre_commit", tools=CHECKS)
def pre_commit(run: int) -> Fault:
    """A hook of pre-commit changes a file."""
    config = (
        "repos:\n- repo: local\n  hooks:\n  - id: strip-space\n    name: strip trailing space\n    language: system\n"
        "    entry: sed -i 's/ *$//'\n    files: '\\.txt$'\n"
    )
    span = Span(r"- hook id: strip-space", r"files were modified by this hook")
    files = {".pre-commit-config.yaml": config, "notes.txt": "a line with space   \n"}
    return _check(run, "pre-commit==3.8.0", "pre-commit run --all-files", span, files)


@kind("check/coverage", tools=CHECKS)
def coverage(run: int) -> Fault:
    """The tests pass but cover less than the project demands."""
    span = Span(r"Required test coverage of \S+ not reached")
    script = "python -m pytest -q --cov=toolbox --cov-fail-under=100"
    files = {"toolbox/legacy.py": LONG}
    return _check(run, "pytest==8.3.3 pytest-cov==5.0.0", script, span, files, category="test", alt=("static_check",))


@kind("check/unittest", tools=CHECKS)
def unittest(run: int) -> Fault:
    """A test of unittest fails."""
    body = "class Sum(unittest.TestCase):\n    def test_adds_up(self):\n        self.assertEqual(1 + 2, 4)\n"
    text = f"import unittest\n\n\n{body}"
    more = {"category": "test", "failing_tests": ("test_adds_up",)}
    return _check(
        run, "click", "python -m unittest -v sum_case", Span(r"FAILED \(failures"), {"sum_case.py": text}, **more
    )


@kind("check/tox_missing_python", tools=CHECKS)
def tox_missing_python(run: int) -> Fault:
    """Tox finds no interpreter of the version that it is to test with."""
    files = {
        "tox.ini": "[tox]\nskipsdist = true\nskip_missing_interpreters = false\n[testenv]\ncommands = python -c 1\n"
    }
    span = Span(r"could not find python interpreter")
    return _check(run, "tox==4.21.2", "tox -e py319", span, files, category="environment", alt=("config_script",))
