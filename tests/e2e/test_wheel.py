"""The wheel that is built from the checkout, installed into a clean environment and run from another folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tools import bootstrap

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with the backend of this environment."""
    folder = tmp_path_factory.mktemp("dist")
    words = ["-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check", "--outdir", folder]
    subprocess.run([sys.executable, *map(str, words), bootstrap.CHECKOUT], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel; only its dependencies are lent by this environment."""
    home = tmp_path_factory.mktemp("clean") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    pip = [*bootstrap.pip_command(), "--python", python, "--disable-pip-version-check", "install", "--no-deps"]
    subprocess.run([*pip, "--no-index", wheel], check=True, capture_output=True)
    site = next((home / "lib").glob("python3.*/site-packages"))
    # .pth files of a folder that is named in a .pth file are not read: the checkout itself stays out of sight.
    (site / "zz-dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return home / "bin"


def contents(wheel: Path) -> dict[str, bytes]:
    """What a wheel puts into site-packages, by name; without its own list of it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def run(command: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs an installed program from `folder`, without anything of the checkout in its environment."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FAULTSTREAM"))}
    return subprocess.run([command, *words], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_wheel_brings_one_package_and_the_content(wheel: Path) -> None:
    """Only `processor` reaches site-packages; pipelines, schemas and settings travel inside it, weights don't."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/", maxsplit=1)[0] for name in names if ".dist-info/" not in name} == {"processor"}
    assert "processor/_bundled/pipelines/ci_failure/pipeline.yaml" in names
    assert any(name.startswith("processor/_bundled/schemas/ci_failure") for name in names)
    assert "processor/_bundled/config/faultstream.yaml" in names
    assert "processor/py.typed" in names
    assert [name for name in names if name.endswith((".safetensors", ".gguf"))] == []


def test_source_distribution_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """What is built from the source distribution, without the checkout, has the same files with the same bytes."""
    words = ["-m", "build", "--no-isolation", "--skip-dependency-check", "--outdir", tmp_path]  # sdist, then its wheel
    subprocess.run([sys.executable, *map(str, words), bootstrap.CHECKOUT], check=True, capture_output=True)
    assert contents(next(tmp_path.glob("*.whl"))) == contents(wheel)


def test_site_packages_gains_one_package(installed: Path) -> None:
    """Beside `processor` and its metadata nothing is installed that another distribution could overwrite."""
    site = next((installed.parent / "lib").glob("python3.*/site-packages"))
    gained = {entry.name for entry in site.iterdir()} - {"zz-dependencies.pth", "__pycache__"}
    assert {name.partition("-")[0] for name in gained} == {"processor", "faultstream"}


def test_installed_program_knows_its_version(installed: Path, tmp_path: Path) -> None:
    """The console script runs, and it is the wheel's code that runs."""
    told = run(installed / "faultstream", "--version", folder=tmp_path)
    assert told.stdout.startswith("faultstream "), told.stderr
    where = run(installed / "python", "-c", "import processor; print(processor.__file__)", folder=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(installed.parent)


def test_installed_program_has_valid_pipelines(installed: Path, tmp_path: Path) -> None:
    """Lint finds the bundled pipelines from a folder that has nothing, and no fault in them."""
    told = run(installed / "faultstream", "lint", folder=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr


def test_installed_program_reads_a_log(installed: Path, tmp_path: Path) -> None:
    """Reduce keeps the failing line of a log that it is given from elsewhere."""
    (tmp_path / "build.log").write_text("all well\n" * 50 + "error: linker `cc` not found\n", encoding="utf-8")
    told = run(installed / "faultstream", "reduce", "build.log", folder=tmp_path)
    assert told.returncode == 0, told.stderr
    assert "linker `cc` not found" in told.stdout


def test_installed_program_tests_its_pipelines(installed: Path, tmp_path: Path) -> None:
    """The cases of a bundled pipeline travel with their samples, and pass."""
    told = run(installed / "faultstream", "test", "ci_failure", "--case", "apt", folder=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert re.search(r"^ci_failure: (\d+) of \1 cases passed", told.stdout)


def test_installed_program_tells_a_schema(installed: Path, tmp_path: Path) -> None:
    """The JSON Schema of a bundled pipeline's results."""
    told = run(installed / "faultstream", "schema", "ci_failure", folder=tmp_path)
    assert "dependency_resolution" in json.loads(told.stdout)["properties"]["category"]["enum"], told.stderr


def test_installed_program_explains_offline(installed: Path, tmp_path: Path) -> None:
    """A known fault is recognised without a model, in a log that lies elsewhere."""
    log = "+ docker build .\nwrite /layer.tar: no space left on device\n"
    (tmp_path / "build.log").write_text(log, encoding="utf-8")
    told = run(installed / "faultstream", "explain", "--offline", "build.log", folder=tmp_path)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["rule"]["rule"] == "no-space-left"
