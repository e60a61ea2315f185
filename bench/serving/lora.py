"""Adapters that fit a model's shape, made of nothing: random weights serve for timing."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from processor.models.adapters.folder import CONFIG
from processor.models.adapters.weights import FILE as WEIGHTS

RANK: Final = 8

_SIGNS: Final = bytes(0x3A + (0x80 if value & 1 else 0) for value in range(256))
"""Upper bytes of bfloat16 numbers from 0.0005 to 0.002, of either sign: an adapter that hardly changes the answer."""


def layers(shape: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Name, inputs and outputs of each linear layer of a Llama-like model, by its configuration."""
    hidden, inner, heads = shape["hidden_size"], shape["intermediate_size"], shape["num_attention_heads"]
    head = shape.get("head_dim") or hidden // heads
    keys = head * shape.get("num_key_value_heads", heads)
    for number in range(shape["num_hidden_layers"]):
        name = f"base_model.model.model.layers.{number}"
        yield f"{name}.self_attn.q_proj", hidden, head * heads
        yield f"{name}.self_attn.k_proj", hidden, keys
        yield f"{name}.self_attn.v_proj", hidden, keys
        yield f"{name}.self_attn.o_proj", head * heads, hidden
        yield f"{name}.mlp.gate_proj", hidden, inner
        yield f"{name}.mlp.up_proj", hidden, inner
        yield f"{name}.mlp.down_proj", inner, hidden


def write(folder: Path, shape: Mapping[str, Any], base_model: str, seed: int) -> None:
    """An adapter's folder as PEFT's save_pretrained leaves it, and a manifest; files appear one by one, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    size, modules = 0, []
    for name, inputs, outputs in layers(shape):
        modules.append(name.rpartition(".")[2])
        for part, dimensions in (("A", [RANK, inputs]), ("B", [outputs, RANK])):
            end = size + 2 * dimensions[0] * dimensions[1]
            header[f"{name}.lora_{part}.weight"] = {"dtype": "BF16", "shape": dimensions, "data_offsets": [size, end]}
            size = end
    chance = random.Random(seed)  # noqa: S311
    data = bytearray(chance.randbytes(size))
    data[1::2] = data[1::2].translate(_SIGNS)
    told = json.dumps(header).encode()
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base_model,
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": sorted(set(modules)),
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    _put(folder / "manifest.yaml", f"base_model: {base_model}\nrank: {RANK}\n".encode())
    _put(folder / CONFIG, json.dumps(config).encode())
    _put(folder / WEIGHTS, len(told).to_bytes(8, "little") + told + bytes(data))


def _put(file: Path, data: bytes) -> None:
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_bytes(data)
    scratch.replace(file)
