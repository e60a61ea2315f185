"""pip and uv: what goes wrong between requirements and an environment."""

from __future__ import annotations

import json

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.projects import python

PIP = {"pip": "pip --version", "python": "python3 --version"}
BASE = ("requests==2.32.3", "click==8.1.7", "rich==13.7.1", "python-dateutil==2.9.0.post0")
VENV = "python3 -m venv .venv && . .venv/bin/activate"


def requirements(*more: str) -> str:
    """A requirements.txt."""
    return "".join(f"{line}\n" for line in (*BASE, *more))


@kind(
    "pip/conflict",
    {"name": "urllib3", "version": "2.2.2", "other": "botocore==1.29.165"},
    {"name": "typing-extensions", "version": "4.5.0", "other": "pydantic==2.9.2"},
    {"name": "jinja2", "version": "2.11.3", "other": "flask==3.0.3"},
    keep=(3, 2),
    tools=PIP,
)
def conflict(run: int, name: str, version: str, other: str) -> Fault:
    """Two pins that exclude each other."""
    return Fault(
        repo="acme/forecast",
        job="test",
        category="dependency_resolution",
        dependency=Dependency(name, version, "pypi", accept=(other.split("==", maxsplit=1)[0],)),
        files={
            "requirements.txt": requirements(other, f"{name}=={version}", *(["attrs==24.2.0"] * (run > 0))),
            **python("forecast", 5, run),
        },
        script=(VENV, "pip install -r requirements.txt", "pip install pytest==8.3.3", "pytest -v"),
        spans=(
            Span(r"^ERROR: Cannot install", r"depends on .*$"),
            Span(r"^The conflict is caused by", r"^\s*$"),
            Span(r"^ERROR: ResolutionImpossible"),
        ),
        style="steps" if run == 1 else "plain",
    )


@kind(
    "pip/no_such_version",
    {"name": "numpy", "version": "1.99.0"},
    {"name": "requests", "version": "3.1.0"},
    keep=(1, 1),
    tools=PIP,
)
def no_such_version(run: int, name: str, version: str) -> Fault:
    """A pin on a version that was never published."""
    others = [line for line in BASE if not line.startswith(name)]
    return Fault(
        repo="acme/forecast",
        job="lint",
        category="dependency_resolution",
        alt=("dependency_missing",),
        dependency=Dependency(name, version, "pypi"),
        files={"requirements.txt": "\n".join([*others, f"{name}=={version}", ""]), **python("forecast", 3, run)},
        script=(VENV, "pip install -r requirements.txt"),
        spans=(Span(r"^ERROR: Could not find a version"), Span(r"^ERROR: No matching distribution")),
    )


@kind("pip/no_such_package", {"name": "acme-feature-store"}, {"name": "acme-auth-client"}, keep=(2,), tools=PIP)
def no_such_package(run: int, name: str) -> Fault:
    """A private package that the public index does not have."""
    return Fault(
        repo="acme/scoring",
        job="test",
        category="dependency_missing",
        alt=("dependency_resolution",),
        dependency=Dependency(name, "2.1.0", "pypi"),
        files={"requirements.txt": requirements(f"{name}==2.1.0"), **python("scoring", 3, run)},
        script=(VENV, "pip install -r requirements.txt", "pytest"),
        spans=(Span(r"^ERROR: Could not find a version"), Span(r"^ERROR: No matching distribution")),
        style="steps",
    )


@kind("pip/hash_mismatch", {"name": "click", "version": "8.1.7"}, keep=(1,), tools=PIP)
def hash_mismatch(run: int, name: str, version: str) -> Fault:
    """A pinned hash that the index's file does not have."""
    return Fault(
        repo="acme/scoring",
        job="install",
        category="dependency_policy",
        alt=("dependency_resolution", "security_audit"),
        dependency=Dependency(name, version, "pypi"),
        files={
            "requirements.lock": f"{name}=={version} --hash=sha256:{'ab12' * 16}\n",
            **python("scoring", 3, run),
        },
        script=(VENV, "pip install --require-hashes -r requirements.lock"),
        spans=(Span(r"^ERROR: THESE PACKAGES DO NOT MATCH", r"Got\s"),),
    )


@kind(
    "pip/requires_python",
    {"name": "ipython", "version": "9.12.0"},
    {"name": "numpy", "version": "2.5.0"},
    keep=(1, 1),
    tools=PIP,
)
def requires_python(run: int, name: str, version: str) -> Fault:
    """A version that needs a newer Python than the image has."""
    return Fault(
        repo="acme/demand",
        job="test",
        category="dependency_incompatible",
        alt=("dependency_resolution", "environment"),
        dependency=Dependency(name, version, "pypi"),
        files={"requirements.txt": requirements(f"{name}=={version}"), **python("demand", 3, run)},
        script=("python3 --version", VENV, "pip install -r requirements.txt"),
        spans=(
            Span(r"^ERROR: Ignored the following versions that require a different"),
            Span(r"^ERROR: No matching distribution"),
        ),
    )


@kind("pip/project_python", {"wanted": ">=3.14"}, keep=(1,), tools=PIP)
def project_python(run: int, wanted: str) -> Fault:
    """The project itself asks for a newer Python."""
    return Fault(
        repo="acme/scoring",
        job="package",
        category="environment",
        alt=("dependency_incompatible",),
        files={
            "pyproject.toml": f'[project]\nname = "scoring"\nversion = "2.{run}.0"\nrequires-python = "{wanted}"\n'
            '[build-system]\nrequires = ["setuptools>=70"]\nbuild-backend = "setuptools.build_meta"\n',
            **python("scoring", 4, run),
        },
        script=("python3 --version", VENV, "pip install setuptools wheel", "pip install --no-build-isolation ."),
        spans=(Span(r"^ERROR: Package 'scoring' requires a different Python"),),
    )


@kind("pip/no_native_library", {"name": "mysqlclient", "version": "2.2.4"}, keep=(2,), tools=PIP)
def no_native_library(run: int, name: str, version: str) -> Fault:
    """A package is built from source and the system library is missing."""
    return Fault(
        repo="acme/scoring",
        job="install",
        category="environment",
        alt=("build", "dependency_missing", "dependency_incompatible"),
        dependency=Dependency(name, version, "pypi", accept=("pkg-config", "libmysqlclient", "mariadb")),
        files={"requirements.txt": requirements(f"{name}=={version}"), **python("scoring", 3, run)},
        script=(VENV, "pip install -r requirements.txt"),
        spans=(
            Span(r"Exception: Can not find valid pkg-config name"),
            Span(r"error: (subprocess-exited-with-error|metadata-generation-failed|Getting requirements)"),
        ),
        tty=run == 1,
    )


@kind(
    "uv/no_solution",
    {"name": "starlette", "version": "0.27.0", "other": "fastapi==0.115.0"},
    {"name": "numpy", "version": "1.26.4", "other": "pandas==3.0.1"},
    keep=(2, 0),
    tools={"uv": "uv --version"},
)
def no_solution(run: int, name: str, version: str, other: str) -> Fault:
    """Uv proves that two requirements exclude each other."""
    return Fault(
        repo="acme/pricing",
        job="test",
        category="dependency_resolution",
        dependency=Dependency(name, version, "pypi", accept=(other.split("==", maxsplit=1)[0],)),
        files={
            "pyproject.toml": f'[project]\nname = "pricing"\nversion = "0.{run + 4}.0"\nrequires-python = ">=3.11"\n'
            f'dependencies = ["requests==2.32.3", "{other}", "{name}=={version}"]\n',
            **python("pricing", 4, run),
        },
        script=("pip install --quiet uv==0.9.5", "uv --version", "uv sync", "uv run pytest"),
        spans=(Span(r"No solution found when resolving", r"unsatisfiable"),),
        tty=run == 1,
    )


@kind("pip/licence", {"name": "chardet", "version": "5.2.0"}, keep=(1,), tools=PIP)
def licence(run: int, name: str, version: str) -> Fault:
    """A dependency under a licence that the house rules forbid."""
    return Fault(
        repo="acme/billing",
        job="licences",
        category="dependency_policy",
        dependency=Dependency(name, version, "pypi"),
        files={"requirements.txt": requirements(f"{name}=={version}"), **python("billing", 3, run)},
        script=(
            VENV,
            "pip install -r requirements.txt pip-licenses==5.0.0",
            "pip-licenses",
            "pip-licenses --partial-match --fail-on='LGPL'",
        ),
        spans=(Span(r"^fail-on license .*was found for package"),),
    )


OSV = """
import http.server, json, sys
KNOWN = json.load(open(sys.argv[1]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        name = asked.get("package", {}).get("name", "").lower()
        answer = json.dumps({"vulns": KNOWN[name]} if name in KNOWN else {}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8010), Handler).serve_forever()
"""


def _advisories(name: str, advisory: str, alias: str, fixed: str) -> tuple[str, ...]:
    """Commands that start an advisory service which knows one vulnerability."""
    entry = {
        "id": advisory,
        "aliases": [alias],
        "summary": f"A vulnerability of {name}",
        "details": f"{name} before {fixed} is vulnerable.",
        "published": "2019-04-07T00:29:00Z",
        "modified": "2023-11-08T04:00:00Z",
        "affected": [
            {
                "package": {"name": name, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
            }
        ],
    }
    return (
        f"mkdir -p /srv/double && cat > /srv/double/osv.py <<'PY'{OSV}PY",
        f"cat > /srv/double/known.json <<'JSON'\n{json.dumps({name: [entry]})}\nJSON",
        "nohup /opt/python/bin/python3 /srv/double/osv.py /srv/double/known.json >/dev/null 2>&1 &",
        "for i in $(seq 50); do (echo > /dev/tcp/127.0.0.1/8010) 2>/dev/null && break; sleep 0.1; done",
    )


@kind(
    "pip/audit",
    {"name": "jinja2", "version": "2.10", "advisory": "PYSEC-2019-217", "alias": "CVE-2019-10906", "fixed": "2.10.1"},
    {
        "name": "requests",
        "version": "2.19.1",
        "advisory": "PYSEC-2018-28",
        "alias": "CVE-2018-18074",
        "fixed": "2.20.0",
    },
    keep=(2, 1),
    tools=PIP,
)
def audit(run: int, name: str, version: str, advisory: str, alias: str, fixed: str) -> Fault:
    """A dependency has a published vulnerability; the advisories come from a service on the job's machine."""
    where = "--osv-url http://osv.acme.example:8010/v1/query"
    others = [line for line in BASE if not line.startswith(name)]
    return Fault(
        repo="acme/scoring",
        job="audit",
        category="security_audit",
        dependency=Dependency(name, version, "pypi"),
        files={"requirements.txt": "\n".join([*others, f"{name}=={version}", ""]), **python("scoring", 4, run)},
        script=(
            VENV,
            "pip install pip-audit==2.10.1",
            f"pip-audit --no-deps --disable-pip -r requirements.txt --vulnerability-service osv {where} --desc on",
        ),
        spans=(Span(rf"^{name} +{version} +{advisory}"), Span(r"^Found \d+ known vulnerabilit")),
        sandbox=Sandbox(prepare=_advisories(name, advisory, alias, fixed)),
        style="steps" if run else "plain",
    )
