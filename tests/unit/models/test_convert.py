"""PEFT's adapters as GGUF files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from processor.errors import ConfigError
from processor.models.adapters.convert import convert
from processor.testing.lora import make_adapter

SHAPES = {"attn_q": (8, 8), "attn_k": (8, 8), "attn_v": (8, 8)}


def base(folder: Path, architecture: str = "qwen2", **shapes: tuple[int, int]) -> Path:
    """A model's file with one block, two heads and no more than its matrices."""
    file = folder / "base.gguf"
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_block_count(1)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    for name, shape in (SHAPES | shapes).items():
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metadata and matrices of a file."""
    reader = gguf.GGUFReader(file)
    return {name: each.contents() for name, each in reader.fields.items()}, {
        each.name: np.array(each.data) for each in reader.tensors
    }


def configure(folder: Path, **values: object) -> None:
    """Changes the adapter's configuration."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def given(folder: Path) -> dict[str, Any]:
    """The adapter's matrices as PEFT wrote them, of the queries."""
    from processor.models.adapters.weights import read_tensors

    found = read_tensors(folder / "adapter_model.safetensors")
    return {name[-8]: each for name, each in found.items() if "q_proj" in name}


def test_names_shapes_and_metadata_are_what_llama_cpp_reads(tmp_path: Path) -> None:
    """Both matrices of each module under the base model's name for it, as they are."""
    folder = make_adapter(tmp_path / "a")
    assert convert(folder, base(tmp_path), tmp_path / "a.gguf") == 2
    told, matrices = read(tmp_path / "a.gguf")
    assert (told["general.type"], told["general.architecture"], told["adapter.type"]) == ("adapter", "qwen2", "lora")
    assert told["adapter.lora.alpha"] == 8
    assert {name: each.shape for name, each in matrices.items()} == {
        "blk.0.attn_q.weight.lora_a": (4, 8), "blk.0.attn_q.weight.lora_b": (8, 4),
        "blk.0.attn_v.weight.lora_a": (4, 8), "blk.0.attn_v.weight.lora_b": (8, 4),
    }  # fmt: skip
    np.testing.assert_array_equal(matrices["blk.0.attn_q.weight.lora_a"], given(folder)["A"])
    np.testing.assert_array_equal(matrices["blk.0.attn_q.weight.lora_b"], given(folder)["B"])


@pytest.mark.parametrize(
    ("config", "scale"),
    [({}, 2.0), ({"use_rslora": True}, 4.0), ({"alpha_pattern": {"q_proj": 4}}, 1.0), ({"lora_alpha": 0}, 0.0)],
)
def test_what_an_adapter_adds_is_scaled_as_in_peft(tmp_path: Path, config: dict[str, Any], scale: float) -> None:
    """The file has one alpha for all modules, and llama.cpp divides it by the rank; none is a scale of one."""
    folder = make_adapter(tmp_path / "a")
    configure(folder, **config)
    convert(folder, base(tmp_path), tmp_path / "a.gguf")
    told, matrices = read(tmp_path / "a.gguf")
    a, b = (matrices[f"blk.0.attn_q.weight.lora_{part}"] for part in "ab")
    alpha = told["adapter.lora.alpha"]
    peft = given(folder)
    np.testing.assert_allclose(alpha / 4 * (b @ a), scale * (peft["B"] @ peft["A"]), rtol=1e-5)


def test_rows_of_a_llamas_queries_are_in_the_order_of_its_file(tmp_path: Path) -> None:
    """A head's two halves interleaved, as its matrices are; values stay."""
    folder = make_adapter(tmp_path / "a")
    convert(folder, base(tmp_path, "llama"), tmp_path / "a.gguf")
    _, matrices = read(tmp_path / "a.gguf")
    rows = [0, 2, 1, 3, 4, 6, 5, 7]  # heads of four rows: 0 1 | 2 3 become 0 2 1 3
    np.testing.assert_array_equal(matrices["blk.0.attn_q.weight.lora_b"], given(folder)["B"][rows])


@pytest.mark.parametrize(
    ("architecture", "shapes", "modules", "says"),
    [
        ("mamba", {}, ("q_proj",), "the architecture is mamba; known are"),
        ("qwen2", {"attn_q": (8, 16)}, ("q_proj",), r"attn_q.weight is \(8, 16\), the adapter's .* \(8, 8\)"),
        ("qwen2", {}, ("o_proj",), "has nothing like .*o_proj"),
        ("qwen2", {}, ("strange",), "has nothing like .*strange"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, architecture: str, shapes: dict[str, tuple[int, int]], modules: tuple[str, ...], says: str
) -> None:
    """An adapter of another model would be refused by the server, or spoil its answers; nothing is written."""
    folder = make_adapter(tmp_path / "a", modules=modules)
    with pytest.raises(ConfigError, match=says):
        convert(folder, base(tmp_path, architecture, **shapes), tmp_path / "a.gguf")
    assert not (tmp_path / "a.gguf").exists()


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    """Also where it isn't there."""
    (tmp_path / "x.gguf").write_bytes(b"nothing of the kind, but long enough to be looked at")
    for file in (tmp_path / "x.gguf", tmp_path / "none.gguf"):
        with pytest.raises(ConfigError, match=f"{file.name}: no model in GGUF"):
            convert(make_adapter(tmp_path / "a"), file, tmp_path / "a.gguf")
