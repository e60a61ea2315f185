"""The model server: vLLM (stock on a GPU, the CPU build elsewhere) or llama.cpp, with the demo's model.

    python -m tools.servers.model [--engine llamacpp|vllm] [--port 8000]

Each runs in an environment of its own, fetched at the first use. llama.cpp is up in seconds and is the default where
there is no GPU; vLLM is what production runs on: named LoRA adapters, many requests at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tools import bootstrap, weights
from tools.bootstrap import SetupError
from tools.servers import process
from tools.servers.jira import answers

BASE = "base"  # the name under which both serve the base model
CONTEXT = 8192


def llamacpp(
    port: int | None = None,
    logs: Path | None = None,
    parallel: int = 4,
    what: weights.Weights = weights.DEMO,
    gguf: Path | None = None,
    adapters: Sequence[Path] = (),
) -> process.Server:
    """llama.cpp's server on the GGUF file of `what`, or on `gguf`; its `address` is the base URL, ending in /v1.

    The demo's model is named `base`, another one by its own name. `adapters` are GGUF files, too.
    """
    bootstrap.together({"servers": bootstrap.SERVERS.ensure, "model": what.ensure})
    port = port or process.free_port()
    script = Path(__file__).with_name("llamacpp_server.py")
    command: list[str | Path] = [bootstrap.SERVERS.python, script, "--model", gguf or what.path()]
    command += ["--name", BASE if what is weights.DEMO else what.name]
    command += ["--port", str(port), "--parallel", str(parallel), "--context", str(2 * CONTEXT)]
    command += ["--lora", *adapters] if adapters else []
    return process.Server(
        "llamacpp",
        command,
        address=f"http://{process.LOOPBACK}:{port}/v1",
        ready=lambda: answers(port, "/health"),
        logs=logs,
        patience_s=120,
        stop_s=5,
    )


def _cpu_has_bf16() -> bool:
    """Whether the processor computes in bfloat16; without that vLLM is faster in float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _cores() -> str:
    """The cores that this process may use; left to itself vLLM's CPU build keeps one idle."""
    return ",".join(map(str, sorted(os.sched_getaffinity(0))))


def vllm_command(
    python: Path, model: Path, port: int, *, gpu: bool, slots: int = 2, context: int = CONTEXT
) -> list[str | Path]:
    """The command line of vLLM's OpenAI-compatible server, with what the daemon relies on switched on.

    `slots` is how many adapters one batch may hold (twice as many stay in memory); 0 is a server without any.
    """
    # The module, not the `vllm` command, which looks up its own distribution and doesn't find the CPU build's.
    command: list[str | Path] = [python, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--host", process.LOOPBACK, "--port", str(port), "--model", model, "--served-model-name", BASE]
    command += ["--max-model-len", str(context), "--max-num-seqs", "64" if gpu else "16"]
    # cached_tokens is reported only with the second of these, the time to first token with the third.
    command += ["--enable-prefix-caching", "--enable-prompt-tokens-details", "--enable-per-request-metrics"]
    if slots:
        command += ["--enable-lora", "--max-loras", str(slots), "--max-cpu-loras", str(2 * slots)]
        command += ["--max-lora-rank", "16"]
    # Left to itself vLLM lets a model write white space between the parts of its JSON, without end if it likes.
    command += ["--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}']
    if gpu:
        return [*command, "--gpu-memory-utilization", os.environ.get("GPU_SHARE", "0.5")]
    return [*command, "--dtype", "bfloat16" if _cpu_has_bf16() else "float32", "--enforce-eager"]


def vllm(
    port: int | None = None,
    logs: Path | None = None,
    *,
    folder: Path | None = None,
    slots: int = 2,
    context: int = CONTEXT,
    more: Sequence[str] = (),
) -> process.Server:
    """The server of vLLM on the converted weights, or on a model's `folder`; its `address` is the base URL (…/v1).

    `slots` and `context` are as for `vllm_command`, `more` are further words of the command line.
    """
    if folder is None:
        model = weights.ensure_converted()
    else:
        model = folder
        weights.vllm_environment().ensure()
    port = port or process.free_port()
    gpu, python = bootstrap.has_gpu(), weights.vllm_environment().python
    env = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_CACHE_ROOT": str(bootstrap.cache() / "vllm"),
    }
    if not gpu:
        env |= {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_OMP_THREADS_BIND": _cores()}
    return process.Server(
        "vllm",
        [*vllm_command(python, model, port, gpu=gpu, slots=slots, context=context), *more],
        address=f"http://{process.LOOPBACK}:{port}/v1",
        ready=lambda: answers(port, "/health"),
        logs=logs,
        env=env,
        patience_s=600,
        stop_s=30,
    )


def model(engine: str | None = None, port: int | None = None, logs: Path | None = None) -> process.Server:
    """The server of `engine`; by default `$ENGINE`, else vllm where there is a GPU, else llamacpp."""
    chosen = engine or bootstrap.default_engine()
    if chosen == "vllm":
        return vllm(port, logs)
    if chosen == "llamacpp":
        return llamacpp(port, logs)
    raise SetupError(f"model: there is no engine {chosen!r}; ENGINE is llamacpp or vllm")


def _told(server: process.Server) -> str:
    return (
        f"\n{server.name} serves {weights.DEMO.name} as `{BASE}` on {server.address} "
        f"(up after {server.seconds_to_ready:.0f} s, log {server.log})\n\n"
        f"Use it from another terminal:\n"
        f"  export FAULTSTREAM_MODELS__LITE__URLS='[\"{server.address}\"]'\n"
        f"  .venv/bin/faultstream explain FILE\n\nCtrl-C stops it."
    )


def main() -> int:
    """Sets up and runs a model server in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m tools.servers.model", description=__doc__)
    parser.add_argument("--engine", choices=["llamacpp", "vllm"], default=None)
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    try:
        server = model(options.engine, options.port)
    except SetupError as fault:
        print(f"\nSetting up failed.\n{fault}", file=sys.stderr)
        return 1
    bootstrap.say("model", f"starting {server.name}, log {server.log}")
    return process.serve(server, _told)


if __name__ == "__main__":
    sys.exit(main())
