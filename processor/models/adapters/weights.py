"""The header of a safetensors file: names, shapes and places of tensors, without reading their values.

Format: eight bytes little-endian length, a JSON header, then the tensors' bytes without gaps
(https://huggingface.co/docs/safetensors). A file that was copied only in part is recognised by its size.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

FILE: Final = "adapter_model.safetensors"
_MOST_HEADER: Final = 100_000_000
_SIZES: Final[Mapping[str, int]] = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1,
}  # fmt: skip
_LORA: Final = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+)\.(?:lora_(?P<part>[AB])\.weight|lora_embedding_(?P<table>[AB]))"
)


class BadWeightsError(ValueError):
    """The file of weights can't be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Lora:
    """The pair of matrices of one module: its rank as the shapes say it."""

    module: str
    rank: int


def read_header(file: Path, most_bytes: int) -> list[Lora]:
    """The modules that a file of LoRA weights changes, in order of name. Raises BadWeightsError, OSError."""
    size = file.stat().st_size
    if size > most_bytes:
        raise BadWeightsError(f"{size:,} bytes, over the limit of {most_bytes:,}")
    with file.open("rb") as opened:
        return _pairs(_shapes(_header(opened, size), size))


def read_tensors(file: Path) -> dict[str, Any]:
    """The matrices of a file of LoRA weights by name, as numpy arrays of float32. Raises BadWeightsError, OSError."""
    import numpy as np

    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    found: dict[str, Any] = {}
    with file.open("rb") as opened:
        start, header = _header(opened, file.stat().st_size)
        for name, each in header.items():
            if name == "__metadata__":
                continue
            if each["dtype"] not in kinds:
                raise BadWeightsError(f"tensor {name} is {each['dtype']}; weights are {', '.join(kinds)}")
            begin, end = each["data_offsets"]
            opened.seek(start + begin)
            values = np.frombuffer(opened.read(end - begin), kinds[each["dtype"]])
            if each["dtype"] == "BF16":  # the upper half of a float32
                values = (values.astype("<u4") << 16).view("<f4")
            found[name] = values.astype(np.float32).reshape(each["shape"])
    return found


def _header(opened: BinaryIO, size: int) -> tuple[int, dict[str, Any]]:
    """Length of the header and what stands in it."""
    first = opened.read(8)
    if first.startswith(b"version "):
        raise BadWeightsError("a pointer of Git LFS, not the weights; run `git lfs pull`")
    length = int.from_bytes(first, "little")
    if len(first) < 8 or length > _MOST_HEADER or length > size - 8:
        raise BadWeightsError(f"no safetensors file, or only its beginning ({size:,} bytes)")
    try:
        header = orjson.loads(opened.read(length))
    except ValueError as error:
        raise BadWeightsError(f"no safetensors file: its header is no JSON ({error})") from error
    if not isinstance(header, dict):
        raise BadWeightsError("no safetensors file: its header is no object")
    return 8 + length, header


def _shapes(read: tuple[int, dict[str, Any]], size: int) -> dict[str, tuple[int, ...]]:
    """Shape by tensor. The tensors fill the file exactly."""
    start, header = read
    places: list[tuple[int, int]] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for name, each in header.items():
        if name == "__metadata__":
            continue
        try:
            shape, (begin, end) = tuple(each["shape"]), each["data_offsets"]
            wanted = math.prod(shape) * _SIZES[each["dtype"]]
        except (KeyError, TypeError, ValueError) as error:
            raise BadWeightsError(f"no safetensors file: tensor {name} is not described as one") from error
        if any(not isinstance(one, int) or one < 0 for one in (*shape, begin, end)) or end - begin != wanted:
            raise BadWeightsError(f"corrupt: tensor {name} has {end} - {begin} bytes, its shape asks for {wanted}")
        places.append((begin, end))
        shapes[name] = shape
    position = 0
    for begin, end in sorted(places):
        if begin != position:
            raise BadWeightsError(f"corrupt: tensors overlap or leave a gap at byte {position}")
        position = end
    if start + position != size:
        raise BadWeightsError(f"cut off or corrupt: {size:,} bytes, the header speaks of {start + position:,}")
    return shapes


def _pairs(shapes: Mapping[str, tuple[int, ...]]) -> list[Lora]:
    """The pairs of matrices A (rank × in) and B (out × rank); nothing else may be there."""
    halves: dict[str, dict[str, int]] = {}
    for name, shape in shapes.items():
        found = _LORA.fullmatch(name)
        if found is None or len(shape) != 2:
            raise BadWeightsError(f"tensor {name} {list(shape)} is no matrix of LoRA; vLLM serves plain LoRA alone")
        part = found["part"] or found["table"]
        halves.setdefault(found["module"], {})[part] = shape[0] if part == "A" else shape[1]
    if not halves:
        raise BadWeightsError("there are no weights in it")
    for module, parts in halves.items():
        if len(parts) != 2 or parts["A"] != parts["B"]:
            raise BadWeightsError(f"module {module}: lora_A and lora_B do not fit each other")
    return [Lora(module, parts["A"]) for module, parts in sorted(halves.items())]
