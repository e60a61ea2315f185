"""llama.cpp's OpenAI-compatible server, run by the interpreter of the servers' environment, not the daemon's.

    llamacpp_server.py --model FILE.gguf --port N [--parallel 4] [--context 16384] [--threads N] [--lora FILE.gguf …]

Adapters (`--lora`) are loaded at the start and chosen per request; none is applied otherwise.

It serves until it is told to end. `tools/servers/model.py` starts it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import threading
from typing import Any


def main() -> None:
    """Starts the server and waits for SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--name", default="base")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--context", type=int, default=16384)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--lora", nargs="*", default=[])
    options = parser.parse_args()

    xllamacpp = importlib.import_module("xllamacpp")  # only this environment has it
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.model_alias = {options.name} if isinstance(params.model_alias, set) else options.name
    params.hostnames = ["127.0.0.1"] if isinstance(params.hostnames, list) else "127.0.0.1"
    params.port = options.port
    params.n_ctx = options.context
    params.n_parallel = options.parallel
    params.kv_unified = True  # one pool of cells, so that a long request may use what the others don't
    params.endpoint_metrics = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.lora_adapters = [_adapter(xllamacpp, path) for path in options.lora]
    params.lora_init_without_apply = bool(options.lora)
    server = xllamacpp.Server(params)

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    print(server.listening_address, flush=True)
    stop.wait()
    os._exit(0)  # its threads may be in the middle of a request, and nothing has to be saved


def _adapter(xllamacpp: Any, path: str) -> Any:
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = path, 1.0
    return adapter


if __name__ == "__main__":
    main()
