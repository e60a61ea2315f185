"""The vLLM that is measured: the demo's model, the shape of a 3B model with random weights, or a server at hand."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tools import bootstrap, weights
from tools.servers import model

SLOTS: Final = 4
"""Adapters that one batch may hold."""

CONTEXT: Final = 10_240
"""Tokens: naive prompts have 8,000 of the log alone."""

SHAPE_3B: Final[Mapping[str, Any]] = {
    "hidden_size": 2048,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "intermediate_size": 11008,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
    "layer_types": ["full_attention"] * 36,
    "max_window_layers": 36,
}
"""Qwen2.5-3B's, as its configuration has it."""


@dataclass(frozen=True)
class Choice:
    """Which server is to be measured: one at `url`, else one that is started, on `folder` where one is given.

    `store` is a folder that the server sees under the same path, for adapters.
    """

    url: str | None = None
    folder: Path | None = None
    store: Path | None = None
    logs: Path | None = None


@dataclass(frozen=True)
class Target:
    """A server that answers at `url` (…/v1) as `told`; `shape` is its model's configuration, empty if not known."""

    url: str
    told: str
    shape: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def small(choice: Choice) -> Iterator[Target]:
    """The server that answers questions, with room for adapters."""
    if choice.url:
        yield Target(choice.url, f"the server at {choice.url}", _shape(choice.folder) if choice.folder else {})
        return
    folder = choice.folder or weights.ensure_converted()
    name = choice.folder.name if choice.folder else weights.DEMO.name
    with model.vllm(logs=choice.logs, folder=folder, slots=SLOTS, context=CONTEXT) as server:
        bootstrap.say("serving", f"vLLM with {name} is up after {server.seconds_to_ready:.0f} s")
        yield Target(server.address, f"vLLM, {name}", _shape(folder))


@contextmanager
def large(choice: Choice) -> Iterator[Target]:
    """The server whose time to first token is taken: the one at hand, else a 3B model's shape with random weights."""
    if choice.url or choice.folder:
        with small(choice) as target:
            yield target
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = shaped(weights.ensure_converted(), Path(scratch))
        more = ("--load-format", "dummy")
        with model.vllm(logs=choice.logs, folder=folder, slots=0, context=4096, more=more) as server:
            bootstrap.say("serving", f"vLLM with a 3B shape is up after {server.seconds_to_ready:.0f} s")
            yield Target(server.address, "vLLM, random weights in the shape of Qwen2.5-3B", _shape(folder))


def shaped(source: Path, target: Path) -> Path:
    """A folder with the 3B shape's configuration and the tokenizer of `source`, and no weights."""
    config = {**_shape(source), **SHAPE_3B}
    (target / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for file in source.iterdir():
        if file.suffix != ".safetensors" and file.name not in ("config.json", "model.safetensors.index.json"):
            shutil.copy(file, target / file.name)
    return target


def _shape(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
