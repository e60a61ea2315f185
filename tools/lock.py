"""Writes `requirements/*.txt` anew from `*.in`, pinned and with hashes. Needs `uv`; nothing else here does.

python3 -m tools.lock [daemon image dev miner build demo s3 postgres bench fuzz vllm vllm-gpu model smaller-model]
"""

from __future__ import annotations

import shutil
import subprocess
import sys

from tools.bootstrap import REQUIREMENTS

# No addresses of package indexes, no paths: the files are the same wherever they are written.
COMMON = ["--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
ANY = ["--universal", "--python-version", "3.11"]
SETS = {
    "daemon": ANY,
    "image": [*ANY, "-c", "daemon.txt"],
    "dev": [*ANY, "-c", "daemon.txt", "-c", "image.txt"],
    "miner": [*ANY, "-c", "dev.txt"],
    "build": [*ANY, "-c", "dev.txt"],
    "demo": ANY,
    "s3": ANY,
    "postgres": ANY,
    "bench": ANY,
    "fuzz": ANY,
    "vllm": [*ANY, "--overrides", "vllm-overrides.in"],
    # CUDA wheels resolve for one platform at a time.
    "vllm-gpu": ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"],
    "model": [*ANY, "--no-deps"],
    "smaller-model": [*ANY, "--no-deps"],
}


def main(names: list[str]) -> int:
    """Locks the named sets, or all."""
    uv = shutil.which("uv")
    if not uv:
        print("uv isn't here: pip install uv", file=sys.stderr)
        return 1
    unknown = set(names) - set(SETS)
    if unknown:
        print(f"no such set: {', '.join(sorted(unknown))}; there are {', '.join(SETS)}", file=sys.stderr)
        return 2
    for name in names or SETS:
        words = [uv, "pip", "compile", "-q", *COMMON, *SETS[name], f"{name}.in", "-o", f"{name}.txt"]
        if code := subprocess.run(words, cwd=REQUIREMENTS, check=False).returncode:
            return code
        print(f"requirements/{name}.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
