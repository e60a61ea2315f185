"""A LoRA adapter as llama.cpp reads it: one GGUF file, made from PEFT's two.

llama.cpp adds scale × alpha ÷ rank × B A to a matrix of the base model, alpha being one number for all of the file
(`adapter.lora.alpha`); where PEFT scales a module otherwise, B is scaled instead. Tensors have the base model's GGUF
names, with `.lora_a` and `.lora_b` behind. Needs the package gguf: the extra faultstream[gguf].
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from processor.errors import ConfigError
from processor.models.adapters.folder import CONFIG
from processor.models.adapters.weights import FILE as WEIGHTS
from processor.models.adapters.weights import read_tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

_PLAIN: Final = frozenset({"gemma2", "gemma3", "phi3", "qwen2", "qwen3"})
"""Architectures whose matrices GGUF keeps as they are."""

_ROTATED: Final = frozenset({"llama"})
"""Those whose rows of queries and keys GGUF has in another order, each head's halves interleaved."""

_HEADS: Final[Mapping[str, str]] = {"q_proj": "head_count", "k_proj": "head_count_kv"}
_NAME: Final = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<part>[AB])\.weight")


def convert(folder: Path, base: Path, target: Path) -> int:
    """Writes the adapter in `folder` as `target`, for the GGUF file `base`; returns how many matrices it changes.

    Raises ConfigError where the two don't fit each other, or the base model is of a kind that isn't known here.
    """
    try:
        import gguf
    except ImportError as error:
        raise ConfigError("converting needs the package gguf: pip install 'faultstream[gguf]'") from error
    model = _Base.of(gguf, base)
    pairs = _pairs(folder)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(target, model.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    alpha = float(config["lora_alpha"]) or 1.0  # none at all means a scale of 1 there
    writer.add_float32("adapter.lora.alpha", alpha)
    for module, (a, b) in sorted(pairs.items()):
        name = model.name(module, (b.shape[0], a.shape[1]))
        scaled = model.rows(module, b) * (_scale(config, module, a.shape[0]) * a.shape[0] / alpha)
        writer.add_tensor(f"{name}.lora_a", a)
        writer.add_tensor(f"{name}.lora_b", scaled.astype(a.dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return len(pairs)


class _Base:
    """A base model in GGUF: its architecture, and how its tensors are called and shaped."""

    def __init__(self, file: Path, architecture: str, names: Any, shapes: Mapping[str, Any], heads: Any) -> None:
        self.file, self.architecture = file, architecture
        self._names, self._shapes, self._heads = names, shapes, heads

    @classmethod
    def of(cls, gguf: Any, file: Path) -> _Base:
        """Reads a file's metadata. Raises ConfigError."""
        try:
            reader = gguf.GGUFReader(file)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: no model in GGUF: {error}") from error
        field = reader.get_field("general.architecture")
        architecture = str(field.contents()) if field is not None else ""
        known = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
        if architecture not in _PLAIN | _ROTATED or architecture not in known:
            can = ", ".join(sorted(_PLAIN | _ROTATED))
            hint = "llama.cpp's convert_lora_to_gguf.py knows more"
            raise ConfigError(f"{file}: the architecture is {architecture or 'not told'}; known are {can}; {hint}")

        def number(key: str) -> int:
            found = reader.get_field(f"{architecture}.{key}")
            return int(found.contents()) if found is not None else 0

        names = gguf.get_tensor_name_map(known[architecture], number("block_count"))
        shapes = {each.name: tuple(int(one) for one in each.shape) for each in reader.tensors}
        return cls(file, architecture, names, shapes, {key: number(f"attention.{key}") for key in _HEADS.values()})

    def name(self, module: str, shape: tuple[int, int]) -> str:
        """What the matrix of a module is called, which has to be there and of that shape (rows, columns)."""
        name = self._names.get_name(f"{module}.weight", try_suffixes=(".weight",))
        if name is None or name not in self._shapes:
            raise ConfigError(f"{self.file}: has nothing like {module}, which the adapter changes")
        found: tuple[int, ...] = self._shapes[name][::-1]
        if found != shape:
            raise ConfigError(f"{self.file}: {name} is {found}, the adapter's {module} is {shape}: of another model")
        return str(name)

    def rows(self, module: str, b: Matrix) -> Matrix:
        """B with its rows in the order in which GGUF has the matrix's."""
        heads = self._heads.get(_HEADS.get(module.rpartition(".")[2], ""), 0)
        if self.architecture not in _ROTATED or not heads:
            return b
        return b.reshape(heads, 2, b.shape[0] // heads // 2, b.shape[1]).swapaxes(1, 2).reshape(b.shape)


def _pairs(folder: Path) -> dict[str, tuple[Matrix, Matrix]]:
    """A (rank × in) and B (out × rank) by module."""
    found: dict[str, dict[str, Matrix]] = {}
    for name, values in read_tensors(folder / WEIGHTS).items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise ConfigError(f"{folder / WEIGHTS}: {name}: llama.cpp takes adapters of matrices alone")
        found.setdefault(match["module"], {})[match["part"]] = values
    return {module: (parts["A"], parts["B"]) for module, parts in found.items()}


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """What PEFT multiplies B A with: alpha ÷ rank, or ÷ its root, with an alpha of the module's own if it has one."""
    alpha: float = next(
        (each for key, each in (config.get("alpha_pattern") or {}).items() if re.fullmatch(rf"(.*\.)?({key})", module)),
        config["lora_alpha"],
    )
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
