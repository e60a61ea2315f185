"""The adapter routes of the model server's double, with vLLM's own answers; and adapters to load, made of nothing."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from processor.models.adapters.folder import CONFIG
from processor.models.adapters.weights import FILE as WEIGHTS
from processor.models.adapters.weights import BadWeightsError, read_header


def make_adapter(
    folder: Path,
    seed: int = 1,
    *,
    base_model: str = "acme/base-3b",
    rank: int = 4,
    modules: Sequence[str] = ("q_proj", "v_proj"),
    manifest: str | None = None,
) -> Path:
    """Writes a small adapter as PEFT's save_pretrained does, with weights by `seed`; returns its folder.

    It fits no model: it is for the store, the checks and the double.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)  # noqa: S311
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for module in modules:
        for part, shape in (("A", [rank, 8]), ("B", [8, rank])):
            values = struct.pack(f"<{8 * rank}f", *[chance.uniform(-1, 1) for _ in range(8 * rank)])
            name = f"base_model.model.model.layers.0.self_attn.{module}.lora_{part}.weight"
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
            data += values
    told = orjson.dumps(header)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base_model,
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": list(modules),
        "bias": "none",
    }
    (folder / CONFIG).write_bytes(orjson.dumps(config, option=orjson.OPT_INDENT_2))
    (folder / "manifest.yaml").write_text(manifest or f"base_model: {base_model}\nrank: {rank}\n", encoding="utf-8")
    scratch = folder / ".weights"
    scratch.write_bytes(len(told).to_bytes(8, "little") + told + data)
    scratch.replace(folder / WEIGHTS)
    return folder


@dataclass
class LoraRoutes:
    """`/v1/load_lora_adapter` and `/v1/unload_lora_adapter`, as vLLM 0.32 answers.

    `enabled` is VLLM_ALLOW_RUNTIME_LORA_UPDATING at the start, `mounts` maps a path's beginning as the server sees it
    to where it lies, `seconds` is how long a load takes, `calls` what was asked for (`load NAME`, `unload NAME`).
    `away` has requests answered with 503.
    """

    enabled: bool = True
    max_rank: int = 16
    mounts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    away: bool = False
    calls: list[str] = field(default_factory=list)

    def routes(self, adapters: set[str], denied: Callable[[web.Request], web.Response | None]) -> list[web.RouteDef]:
        """The routes over a set of loaded names; `denied` refuses a wrong key."""
        if not self.enabled:
            return []

        async def load(request: web.Request) -> web.Response:
            if refused := denied(request):
                return refused
            body = orjson.loads(await request.read())
            return await self._load(adapters, str(body["lora_name"]), str(body["lora_path"]))

        async def unload(request: web.Request) -> web.Response:
            if refused := denied(request):
                return refused
            name = str(orjson.loads(await request.read())["lora_name"])
            self.calls.append(f"unload {name}")
            if name not in adapters:
                return _error(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
            adapters.discard(name)
            return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")

        return [web.post("/v1/load_lora_adapter", load), web.post("/v1/unload_lora_adapter", unload)]

    async def _load(self, adapters: set[str], name: str, path: str) -> web.Response:
        self.calls.append(f"load {name}")
        if self.away:
            return web.Response(status=503, text="Service Unavailable")
        if name in adapters:
            told = f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, set"
            return _error(400, f"{told} 'load_inplace' to True.", "InvalidUserInput")
        await asyncio.sleep(self.seconds)
        local = Path(path)
        for mount, where in self.mounts.items():
            local = Path(where + path.removeprefix(mount)) if path.startswith(mount) else local
        try:
            rank = int(orjson.loads((local / CONFIG).read_bytes())["r"])
            read_header(local / WEIGHTS, 1 << 40)
        except FileNotFoundError:
            told = f"Loading lora {name} failed: No adapter found for {path}"
            return _error(404, told, "NotFoundError")
        except (ValueError, BadWeightsError) as error:
            return _error(500, f"Call to add_lora method failed: {error}", "InternalServerError")
        if rank > self.max_rank:
            told = f"LoRA rank {rank} is greater than max_lora_rank {self.max_rank}."
            return _error(500, f"Call to add_lora method failed: {told}", "InternalServerError")
        adapters.add(name)
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")


def _error(status: int, message: str, kind: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": kind, "code": status}}, status=status)
