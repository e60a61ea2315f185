"""pytest: collection, fixtures, assertions, time-outs."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Span, kind
from tools.record.faults.pip import VENV, requirements
from tools.record.projects import python

PYTEST = {"python": "python3 --version"}
TEST_TOOLS = "pytest==8.3.3 pytest-timeout==2.3.1"


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
        dependency=Dependency(
            name, version, "pypi", accept=(module, other.split("==", maxsplit=1)[0], name.capitalize())
        ),
        files=files,
        script=(
            VENV,
            f"pip install {other} {name}=={version} {TEST_TOOLS}",
            "pip list",
            "python -m pytest -v --continue-on-collection-errors",
        ),
        spans=(Span(r"^_+ ERROR collecting", r"^E +ImportError"),),
    )


@kind(
    "pytest/missing_module",
    {"name": "httpx", "module": "httpx"},
    {"name": "pyyaml", "module": "yaml"},
    keep=(2, 1),
    tools=PYTEST,
)
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
        script=(
            VENV,
            f"pip install -r requirements.txt {TEST_TOOLS}",
            "python -m pytest -v --continue-on-collection-errors",
        ),
        spans=(Span(r"^_+ ERROR collecting", r"^E +ModuleNotFoundError"),),
        style="steps" if run else "plain",
    )


@kind(
    "pytest/assertion",
    {"noun": "tariff", "rate": "0.19"},
    {"noun": "voucher", "rate": "0.16"},
    keep=(4, 1),
    tools=PYTEST,
)
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
        after=("pip list", "ls -l pricing tests", "du -sh .git .venv"),
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


@kind(
    "pytest/unknown_option",
    {"option": "--cov=orders --cov-fail-under=80"},
    keep=(1,),
    tools=PYTEST,
)
def unknown_option(run: int, option: str) -> Fault:
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
    files["tests/test_workers.py"] = """\
import threading


def test_worker_gives_the_lock_back():
    lock = threading.Lock()
    lock.acquire()
    worker = threading.Thread(target=lock.acquire, daemon=True, name="order-worker")
    worker.start()
    worker.join()
    assert not lock.locked()
"""
    return Fault(
        repo="acme/orders",
        job="unit-tests",
        category="timeout_hang",
        alt=("test",),
        files=files,
        failing_tests=("tests/test_workers.py::test_worker_gives_the_lock_back",),
        script=(
            VENV,
            f"pip install --quiet {TEST_TOOLS}",
            f"python -m pytest -v --timeout={seconds} --timeout-method={'signal' if run else 'thread'}",
        ),
        spans=(Span(r"\+ Timeout \+|Failed: Timeout", final=False),),
    )
