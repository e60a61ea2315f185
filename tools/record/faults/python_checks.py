"""Checks of Python code: ruff, mypy, bandit, and building a wheel."""

from __future__ import annotations

from tools.record.fault import Fault, Span, kind
from tools.record.projects import python


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
        script=(
            "pip install --quiet ruff==0.9.10",
            "ruff --version",
            "ruff format --check tests || true",
            "ruff check --output-format=full .",
        ),
        spans=(
            Span(r"^orders/export.py:\d+:\d+: F401", r"remove|Remove|help"),
            Span(rf"^orders/export.py:\d+:\d+: {rule}", r"help|Remove"),
        ),
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
