"""Python: pip, uv, pytest, ruff, mypy and packaging."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.projects import python

PIP = {"pip": "/opt/python/bin/pip --version || pip --version", "python": "python3 --version"}
PYTEST = {"python": "python3 --version"}
BASE = ("requests==2.32.3", "click==8.1.7", "rich==13.7.1", "python-dateutil==2.9.0.post0")
VENV = "python3 -m venv .venv && . .venv/bin/activate"
TEST_TOOLS = "pytest==8.3.3 pytest-timeout==2.3.1"


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
        dependency=Dependency(name, version, "pypi", accept=(other.split("==")[0],)),
        files={
            "requirements.txt": requirements(other, f"{name}=={version}", *(["attrs==24.2.0"] * (run > 0))),
            **python("forecast", 5, run),
        },
        script=(VENV, "pip install -r requirements.txt", f"pip install {TEST_TOOLS}", "pytest -v"),
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
        dependency=Dependency(name, "2.1.0" if run == 0 else "2.1.0", "pypi"),
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


@kind("pip/requires_python", {"name": "numpy", "version": "2.4.0"}, {"name": "ipython", "version": "9.12.0"},
      keep=(0,), tools=PIP)
def requires_python(run: int, name: str, version: str) -> Fault:
    """A version that needs a newer Python than the image has."""
    return Fault(
        repo="acme/forecast",
        job="test",
        category="dependency_incompatible",
        alt=("dependency_resolution", "environment"),
        dependency=Dependency(name, version, "pypi"),
        files={"requirements.txt": requirements(f"{name}=={version}"), **python("forecast", 3, run)},
        script=("python3 --version", VENV, "pip install -r requirements.txt"),
        spans=(Span(r"^ERROR: Ignored the following versions that require a different"),
               Span(r"^ERROR: No matching distribution")),
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


@kind("uv/no_solution", {"name": "starlette", "version": "0.27.0", "other": "fastapi==0.115.0"},
      {"name": "numpy", "version": "1.26.4", "other": "pandas==3.0.1"},
      keep=(2, 0), tools={"uv": "uv --version"})
def no_solution(run: int, name: str, version: str, other: str) -> Fault:
    """uv proves that two requirements exclude each other."""
    return Fault(
        repo="acme/pricing",
        job="test",
        category="dependency_resolution",
        dependency=Dependency(name, version, "pypi", accept=(other.split("==")[0],)),
        files={
            "pyproject.toml": f'[project]\nname = "pricing"\nversion = "0.{run + 4}.0"\nrequires-python = ">=3.11"\n'
            f'dependencies = ["requests==2.32.3", "{other}", "{name}=={version}"]\n',
            **python("pricing", 4, run),
        },
        script=("pip install --quiet uv==0.9.5", "uv --version", "uv sync", "uv run pytest"),
        spans=(Span(r"No solution found when resolving", r"unsatisfiable"),),
        tty=run == 1,
    )


@kind(
    "pytest/incompatible_import",
    {"name": "werkzeug", "version": "3.0.4", "other": "flask==2.2.2", "module": "flask"},
    {"name": "markupsafe", "version": "2.1.5", "other": "jinja2==2.11.3", "module": "jinja2"},
    keep=(2, 1),
    tools=PYTEST,
)
def incompatible_import(run: int, name: str, version: str, other: str, module: str) -> Fault:
    """A library imports what a newer release of its dependency no longer has."""
    files = python("catalogue", 12, run)
    files["tests/test_api.py"] = (
        f"import {module}\n\nfrom catalogue.invoice import Invoice\n\n\n"
        f"def test_{module}_sees_invoices():\n    assert {module}.__name__ and Invoice('x').total() == 0\n"
    )
    return Fault(
        repo="acme/catalogue",
        job="unit-tests",
        category="dependency_incompatible",
        alt=("dependency_resolution", "test"),
        dependency=Dependency(name, version, "pypi", accept=(module, other.split("==")[0], name.capitalize())),
        files=files,
        script=(
            VENV,
            f"pip install {other} {name}=={version} {TEST_TOOLS}",
            "pip list",
            "python -m pytest -v --continue-on-collection-errors",
        ),
        spans=(Span(r"^_+ ERROR collecting", r"^E +ImportError"),),
    )


@kind("pytest/missing_module", {"name": "httpx", "module": "httpx"}, {"name": "pyyaml", "module": "yaml"},
      keep=(2, 1), tools=PYTEST)
def missing_module(run: int, name: str, module: str) -> Fault:
    """A module that nobody put into the requirements."""
    files = python("catalogue", 10, run)
    files["catalogue/feed.py"] = f"import {module}\n\nCLIENT = {module}.__name__\n"
    files["tests/test_feed.py"] = "from catalogue.feed import CLIENT\n\n\ndef test_client():\n    assert CLIENT\n"
    return Fault(
        repo="acme/catalogue",
        job="unit-tests",
        category="dependency_missing",
        alt=("test",),
        dependency=Dependency(name, None, "pypi", accept=(module,)),
        files={"requirements.txt": requirements(), **files},
        script=(VENV, f"pip install -r requirements.txt {TEST_TOOLS}",
                "python -m pytest -v --continue-on-collection-errors"),
        spans=(Span(r"^_+ ERROR collecting", r"^E +ModuleNotFoundError"),),
        style="steps" if run else "plain",
    )


@kind("pytest/assertion", {"noun": "tariff", "rate": "0.19"}, {"noun": "voucher", "rate": "0.16"}, keep=(4, 1),
      tools=PYTEST)
def assertion(run: int, noun: str, rate: str) -> Fault:
    """A change of behaviour that one test notices among many."""
    files = python("pricing", 30, run)
    lines = "".join(f"EXTRA_{number} = {number}\n" for number in range(run * 3))
    files["pricing/tax.py"] = f'''"""Taxes."""

{lines}RATE = {rate}


def gross(net: float) -> float:
    """Net and tax, in whole cents."""
    return round(net * (1 + RATE), 1)
'''
    files[f"tests/test_tax_{noun}.py"] = f"""\
from pricing.tax import RATE, gross

{lines}
def test_rate():
    assert RATE == {rate}


def test_gross_of_{noun}_is_in_cents():
    net = 12.34
    result = gross(net)
    assert result == round(net * (1 + RATE), 2)
"""
    test = f"tests/test_tax_{noun}.py::test_gross_of_{noun}_is_in_cents"
    return Fault(
        repo="acme/pricing",
        job="unit-tests",
        category="test",
        files=files,
        failing_tests=(test,),
        script=(VENV, f"pip install --quiet {TEST_TOOLS} pytest-randomly==3.15.0", "python -m pytest -v"),
        spans=(Span(r"^_+ test_gross_of_", r"AssertionError$"), Span(r"^FAILED tests/")),
        style="steps" if run == 2 else "plain",
        tty=run == 3,
    )


@kind("pytest/fixture_error", {"port": 5432}, keep=(2,), tools=PYTEST)
def fixture_error(run: int, port: int) -> Fault:
    """The service that the integration tests need is not up."""
    files = python("orders", 15, run)
    files["tests/test_store.py"] = f'''\
import socket

import pytest


@pytest.fixture
def store():
    """A connection to the database of the job."""
    with socket.create_connection(("127.0.0.1", {port}), timeout=2) as connection:
        yield connection


@pytest.mark.parametrize("order", range(4))
def test_order_is_kept(store, order):
    assert store.fileno() > order - 4


def test_orders_are_listed(store):
    assert store.fileno() >= 0
'''
    return Fault(
        repo="acme/orders",
        job="integration",
        category="environment",
        alt=("test", "network_infra"),
        files=files,
        failing_tests=("tests/test_store.py::test_orders_are_listed",),
        script=(VENV, f"pip install --quiet {TEST_TOOLS}", "python -m pytest -v --tb=short"),
        spans=(Span(r"^E +ConnectionRefusedError", every=True), Span(r"^ERROR tests/test_store", every=True)),
    )


@kind("pytest/unknown_option", {"option": "--cov=orders --cov-fail-under=80", "name": "pytest-cov"}, keep=(1,),
      tools=PYTEST)
def unknown_option(run: int, option: str, name: str) -> Fault:
    """An option of a plugin that is not installed."""
    files = python("orders", 6, run)
    files["pytest.ini"] = f"[pytest]\naddopts = {option}\n"
    return Fault(
        repo="acme/orders",
        job="coverage",
        category="config_script",
        alt=("dependency_missing",),
        files=files,
        script=(VENV, f"pip install {TEST_TOOLS}", "python -m pytest"),
        spans=(Span(r"ERROR: usage: __main__.py|^ERROR: usage", r"inifile:"),),
    )


@kind("pytest/timeout", {"seconds": 4}, keep=(2,), tools=PYTEST)
def timeout(run: int, seconds: int) -> Fault:
    """A test waits for a lock that nobody gives back."""
    files = python("orders", 12, run)
    files["tests/test_workers.py"] = '''\
import threading


def test_worker_gives_the_lock_back():
    lock = threading.Lock()
    lock.acquire()
    worker = threading.Thread(target=lock.acquire, daemon=True, name="order-worker")
    worker.start()
    worker.join()
    assert not lock.locked()
'''
    return Fault(
        repo="acme/orders",
        job="unit-tests",
        category="timeout_hang",
        alt=("test",),
        files=files,
        failing_tests=("tests/test_workers.py::test_worker_gives_the_lock_back",),
        script=(VENV, f"pip install --quiet {TEST_TOOLS}",
                f"python -m pytest -v --timeout={seconds} --timeout-method={'signal' if run else 'thread'}"),
        spans=(Span(r"\+ Timeout \+|Failed: Timeout", final=False),),
    )


@kind("ruff/findings", {"rule": "F841"}, keep=(2,), tools={"ruff": "ruff --version"})
def ruff_findings(run: int, rule: str) -> Fault:
    """Lint findings in two files among many."""
    files = python("orders", 14, run)
    files["orders/export.py"] = (
        '"""Exports."""\n\nimport os\n\n\ndef export(rows):\n    total = sum(rows)\n    return [row for row in rows]\n'
    )
    return Fault(
        repo="acme/orders",
        job="lint",
        category="static_check",
        files=files,
        script=("pip install --quiet ruff==0.9.10", "ruff --version", "ruff format --check tests || true",
                "ruff check --output-format=full ."),
        spans=(Span(r"^orders/export.py:\d+:\d+: F401", r"remove|Remove|help"),
               Span(rf"^orders/export.py:\d+:\d+: {rule}", r"help|Remove")),
        tty=run == 1,
    )


@kind("mypy/errors", {"wrong": "str"}, keep=(2,), tools={"mypy": "mypy --version"})
def mypy_errors(run: int, wrong: str) -> Fault:
    """A type error."""
    files = python("billing", 14, run)
    files["billing/charge.py"] = (
        f'"""Charges."""\n\nfrom billing.invoice import Invoice\n\n\ndef charge(invoice: Invoice) -> {wrong}:\n'
        '    """What is to be paid."""\n    return invoice.total()\n\n\nclient: int = charge(Invoice("a"))\n'
    )
    return Fault(
        repo="acme/billing",
        job="types",
        category="static_check",
        files=files,
        script=("pip install mypy==1.11.2", "mypy --strict billing"),
        spans=(Span(r"^billing/charge.py:\d+: error", every=True), Span(r"^Found \d+ error")),
    )


@kind("bandit/finding", {"call": "shell=True"}, keep=(2,), tools={"python": "python3 --version"})
def bandit_finding(run: int, call: str) -> Fault:
    """A security scanner of source code finds a dangerous call."""
    files = python("billing", 8, run)
    files["billing/export.py"] = (
        '"""Exports."""\n\nimport subprocess\n\n\ndef archive(name: str) -> int:\n    """Pack a folder."""\n'
        f"    return subprocess.call('tar czf out.tgz ' + name, {call})\n"
    )
    return Fault(
        repo="acme/billing",
        job="sast",
        category="security_audit",
        alt=("static_check",),
        files=files,
        script=("pip install bandit==1.8.0", "bandit -r billing -ll"),
        spans=(Span(r"^>> Issue: \[B602", r"Location:"),),
        style="steps",
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


@kind("packaging/bad_pyproject", {"field": "version"}, keep=(1,), tools={"python": "python3 --version"})
def bad_pyproject(run: int, field: str) -> Fault:
    """The project's metadata are wrong, so that no wheel can be built."""
    files = python("billing", 5, run)
    files["pyproject.toml"] = (
        f'[project]\nname = "billing"\n{field} = "two.1"\nlicense = {{file = "LICENSE"}}\n'
        '[build-system]\nrequires = ["setuptools==75.1.0"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    return Fault(
        repo="acme/billing",
        job="package",
        category="build",
        alt=("config_script",),
        files=files,
        script=("pip install build==1.2.2", "python3 -m build --wheel"),
        spans=(Span(r"(ValueError|InvalidVersion|ERROR Backend|configuration error)"),),
    )


@kind("mkdocs/broken_link", {"page": "operations/retention.md"}, keep=(2,), tools={"python": "python3 --version"})
def broken_link(run: int, page: str) -> Fault:
    """A link of the documentation leads nowhere."""
    pages = {f"docs/guide/{noun}.md": f"# {noun}\n\nSee [home](../index.md).\n" for noun in
             ("install", "configure", "upgrade", "backup", *(("restore",) if run else ()))}
    return Fault(
        repo="acme/handbook",
        job="docs",
        category="link_check",
        alt=("build", "config_script"),
        files={
            "mkdocs.yml": "site_name: Handbook\nvalidation:\n  links:\n    not_found: warn\n",
            "docs/index.md": f"# Handbook\n\nHow long data are kept: [retention]({page}).\n",
            **pages,
        },
        script=("pip install mkdocs==1.6.1", "mkdocs build --strict"),
        spans=(Span(r"^WARNING .*" + page), Span(r"^Aborted with \d+ warnings? in strict mode")),
    )


DOCS_SERVER = (
    "mkdir -p /srv/site && cd /srv/site && touch index.html install.html upgrade.html api.html",
    "nohup /opt/python/bin/python3 -m http.server 8099 --bind 127.0.0.1 >/dev/null 2>&1 &",
    "for i in $(seq 50); do (echo > /dev/tcp/127.0.0.1/8099) 2>/dev/null && break; sleep 0.1; done",
)


@kind("sphinx/linkcheck", {"page": "migration-2019.html"}, keep=(2,), tools={"python": "python3 --version"})
def linkcheck(run: int, page: str) -> Fault:
    """An outside link of the documentation answers 404."""
    links = "\n".join(f"* `{name} <http://docs.acme.example:8099/{name}.html>`_" for name in
                      ("index", "install", "upgrade", *(("api",) if run else ())))
    return Fault(
        repo="acme/handbook",
        job="linkcheck",
        category="link_check",
        files={
            "source/conf.py": 'project = "Handbook"\nlinkcheck_retries = 1\nlinkcheck_timeout = 5\n',
            "source/index.rst": f"Handbook\n========\n\n{links}\n"
            f"* `migration <http://docs.acme.example:8099/{page}>`_\n",
        },
        script=("pip install sphinx==8.1.3", "python3 -m sphinx -b linkcheck source build/linkcheck"),
        spans=(Span(r"broken +http://docs.acme.example:8099/" + page),),
        sandbox=Sandbox(prepare=DOCS_SERVER),
    )
