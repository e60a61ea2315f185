"""Poetry, uv and pip: lock files, builds from source, unknown packages."""

from __future__ import annotations

from tools.record.fault import Dependency, Fault, Sandbox, Span, kind
from tools.record.faults.pip import VENV
from tools.record.projects import python

POETRY = {"poetry": "pip index versions poetry 2>/dev/null | head -1"}
UV = {"uv": "uv --version", "python": "python3 --version"}
PIP = {"pip": "pip --version", "python": "python3 --version"}
GET_POETRY = (
    "python3 -m venv /usr/local/lib/poetry && /usr/local/lib/poetry/bin/pip install -q poetry==1.8.4 && "
    "ln -sf /usr/local/lib/poetry/bin/poetry /usr/local/bin/poetry"
)


def _poetry(run: int, dependencies: str) -> str:
    return (
        f'[tool.poetry]\nname = "scoring"\nversion = "1.{run}.0"\ndescription = ""\nauthors = []\n\n'
        f'[tool.poetry.dependencies]\npython = "^3.11"\n{dependencies}\n'
        '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
    )


def _project(run: int, *dependencies: str, python_version: str = ">=3.11") -> str:
    listed = ", ".join(f'"{one}"' for one in ("click>=8.1", *dependencies))
    return (
        f'[project]\nname = "scoring"\nversion = "1.{run}.0"\nrequires-python = "{python_version}"\n'
        f"dependencies = [{listed}]\n"
    )


def _fault(run: int, manifest: str, script: str, span: Span, dependency: Dependency | None, **more: object) -> Fault:
    return Fault(
        repo="acme/scoring",
        job="install",
        files={"pyproject.toml": manifest, **python("scoring", 4, run)},
        script=("python3 --version", script),
        spans=(span,),
        dependency=dependency,
        style="steps" if run else "plain",
        **{"category": "dependency_resolution", "alt": ("dependency_missing",), **more},  # type: ignore[arg-type]
    )


@kind("poetry/no_version", tools=POETRY)
def poetry_no_version(run: int) -> Fault:
    """A constraint that no published version satisfies."""
    manifest = _poetry(run, 'rich = "^99.0"\n')
    span = Span(r"doesn't match any versions", r"version solving failed")
    wanted = Dependency("rich", "^99.0", "pypi")
    return _fault(run, manifest, "poetry lock --no-interaction", span, wanted, setup=(GET_POETRY,))


@kind("poetry/stale_lock", tools=POETRY)
def poetry_stale_lock(run: int) -> Fault:
    """pyproject.toml was edited, poetry.lock was not."""
    edit = ("poetry lock --no-interaction", "sed -i 's/^python = .*/&\\nrich = \"^13\"/' pyproject.toml")
    span = Span(r"changed significantly since poetry\.lock")
    script = "poetry install --no-interaction --no-root"
    return _fault(run, _poetry(run, ""), script, span, None, setup=(GET_POETRY, *edit), alt=("config_script",))


@kind("uv/unknown_package", tools=UV)
def uv_unknown_package(run: int) -> Fault:
    """A package that the registry does not have."""
    manifest = _project(run, "acme-feature-store-client>=1")
    span = Span(r"was not found in the package registry")
    wanted = Dependency("acme-feature-store-client", None, "pypi")
    return _fault(run, manifest, "uv sync", span, wanted, category="dependency_missing", alt=("dependency_resolution",))


@kind("uv/no_version", tools=UV)
def uv_no_version(run: int) -> Fault:
    """A version that was never published."""
    span = Span(r"No solution found", r"unsatisfiable")
    return _fault(run, _project(run, "rich==99.1"), "uv sync", span, Dependency("rich", "99.1", "pypi"))


@kind("uv/stale_lock", tools=UV)
def uv_stale_lock(run: int) -> Fault:
    """pyproject.toml was edited, uv.lock was not."""
    edit = ("uv lock", "sed -i 's/click>=8.1/click>=8.1\", \"idna>=3/' pyproject.toml")
    span = Span(r"[Tt]he lockfile at")
    return _fault(run, _project(run), "uv sync --locked", span, None, setup=edit, alt=("config_script",))


@kind("uv/python_version", tools=UV)
def uv_python_version(run: int) -> Fault:
    """The project needs a Python that the machine does not have."""
    manifest = _project(run, python_version=">=3.19")
    span = Span(r"[Nn]o interpreter found|incompatible with the project")
    more = {"category": "environment", "alt": ("dependency_incompatible",)}
    return _fault(run, manifest, "uv sync", span, None, **more)


@kind("pip/build_failed", tools=PIP)
def build_failed(run: int) -> Fault:
    """A source distribution whose extension needs a header that is not installed."""
    return Fault(
        repo="acme/scoring",
        job="install",
        category="dependency_incompatible",
        alt=("environment", "dependency_missing", "compile", "build"),
        dependency=Dependency("pyodbc", "5.1.0", "pypi", accept=("sql.h", "unixodbc-dev")),
        files={"requirements.txt": "pyodbc==5.1.0\n", **python("scoring", 4, run)},
        script=(VENV, "pip install --no-binary pyodbc -r requirements.txt"),
        spans=(Span(r"fatal error: sql\.h"), Span(r"Failed building wheel for|Failed to build")),
        style="steps" if run else "plain",
    )


@kind("pip/requirements_gone", tools=PIP)
def requirements_gone(run: int) -> Fault:
    """The job installs from a file that is not there."""
    return Fault(
        repo="acme/scoring",
        job="install",
        category="config_script",
        files=python("scoring", 4, run),
        script=(VENV, "pip install -r requirements/ci.txt"),
        spans=(Span(r"Could not open requirements file"),),
        style="steps" if run else "plain",
    )


@kind("pip/externally_managed", tools=PIP)
def externally_managed(run: int) -> Fault:
    """The distribution's Python lets pip install nothing outside a virtual environment."""
    return Fault(
        repo="acme/scoring",
        job="install",
        category="environment",
        alt=("config_script",),
        files={"requirements.txt": "click==8.1.7\n", **python("scoring", 4, run)},
        setup=("apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-pip",),
        script=("/usr/bin/python3 --version", "/usr/bin/python3 -m pip install -r requirements.txt"),
        spans=(Span(r"externally-managed-environment"),),
        style="steps" if run else "plain",
    )


@kind("pip/invalid_requirement", tools=PIP)
def invalid_requirement(run: int) -> Fault:
    """A line of requirements.txt is no requirement."""
    return Fault(
        repo="acme/scoring",
        job="install",
        category="config_script",
        alt=("dependency_resolution",),
        files={"requirements.txt": "click==8.1.7\nrich=>13.7\n", **python("scoring", 4, run)},
        script=(VENV, "pip install -r requirements.txt"),
        spans=(Span(r"^ERROR: Invalid requirement"),),
        style="steps" if run else "plain",
    )


@kind("pip/no_network", tools=PIP)
def pip_no_network(run: int) -> Fault:
    """Pip does not reach the index."""
    return Fault(
        repo="acme/scoring",
        job="install",
        category="network_infra",
        files={"requirements.txt": "tabulate==0.9.0\n", **python("scoring", 4, run)},
        script=(VENV, "pip install --retries 2 --timeout 2 --no-cache-dir -r requirements.txt"),
        spans=(Span(r"^WARNING: Retrying"), Span(r"^ERROR: No matching distribution|^ERROR: Could not install")),
        sandbox=Sandbox(net=False),
        style="steps" if run else "plain",
    )


@kind("uv/no_network", tools=UV)
def uv_no_network(run: int) -> Fault:
    """Uv does not reach the index."""
    span = Span(r"Failed to fetch|Request failed|dns error")
    more = {
        "category": "network_infra",
        "alt": (),
        "sandbox": Sandbox(net=False, cold=True),
        "env": {"UV_HTTP_RETRIES": "0"},
    }
    return _fault(run, _project(run, "tabulate==0.9.0"), "uv sync --no-cache", span, None, **more)
