"""Adapters' folders: what is wrong with them is told with the file, the place and the remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from processor.models.adapters import Expected, inspect
from processor.models.adapters.folder import CONFIG, digest
from processor.models.adapters.weights import FILE as WEIGHTS
from processor.testing.lora import make_adapter

EXPECTED = Expected("lite", "acme/base-3b", max_rank=16, max_bytes=100_000)


def told(folder: Path, expected: Expected = EXPECTED) -> list[str]:
    """What is wrong, with places relative to the folder."""
    return [str(one).replace(f"{folder}/", "") for one in inspect(folder, expected)[1]]


def config(**changes: object) -> Callable[[Path], None]:
    """Changes keys of adapter_config.json."""

    def change(folder: Path) -> None:
        file = folder / CONFIG
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}, indent=2))

    return change


def manifest(text: str) -> Callable[[Path], object]:
    """Another manifest."""
    return lambda folder: (folder / "manifest.yaml").write_text(text)


def weights(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Other bytes in the weights."""
    return lambda folder: (folder / WEIGHTS).write_bytes(change((folder / WEIGHTS).read_bytes()))


def header(change: Callable[[dict[str, dict[str, object]]], object]) -> Callable[[Path], object]:
    """Another header before the same bytes."""

    def changed(data: bytes) -> bytes:
        length = int.from_bytes(data[:8], "little")
        found = json.loads(data[8 : 8 + length])
        change(found)
        new = json.dumps(found).encode()
        return len(new).to_bytes(8, "little") + new + data[8 + length :]

    return weights(changed)


def _shape(found: dict[str, dict[str, object]]) -> None:
    next(each for name, each in found.items() if "lora_A" in name)["shape"] = [4, 9]


def _gap(found: dict[str, dict[str, object]]) -> None:
    found.pop(next(name for name in found if "lora_A" in name))


def _rename(found: dict[str, dict[str, object]]) -> None:
    name = next(name for name in found if "lora_A" in name)
    found[name.replace("lora_A", "lora_magnitude_vector")] = found.pop(name)


def test_a_whole_adapter_has_no_problem(tmp_path: Path) -> None:
    """Rank and modules are read out of the weights."""
    adapter, problems = inspect(make_adapter(tmp_path / "ci", rank=8), EXPECTED)
    assert not problems
    assert adapter is not None
    assert (adapter.name, adapter.rank, adapter.modules) == ("ci", 8, ("q_proj", "v_proj"))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (
        lambda folder: (folder / "manifest.yaml").unlink(),
        "manifest.yaml:1:1: no manifest.yaml in the adapter's folder; write one with base_model",
    ),
    "unknown key": (
        manifest("base_modell: acme/base-3b\nbase_model: acme/base-3b\n"),
        "manifest.yaml:1:1: unknown key 'base_modell'; did you mean 'base_model'?",
    ),
    "other base": (
        lambda folder: make_adapter(folder, base_model="acme/base-7b"),
        "manifest.yaml:1:13: the adapter was made for acme/base-7b, models.lite.base_model is acme/base-3b",
    ),
    "base of the training": (
        config(base_model_name_or_path="acme/base-7b"),
        "manifest.yaml:1:13: base_model is acme/base-3b, adapter_config.json says acme/base-7b",
    ),
    "other rank": (
        manifest("base_model: acme/base-3b\nrank: 8\n"),
        "manifest.yaml:2:7: rank is 8, that of the weights 4",
    ),
    "other modules": (
        manifest("base_model: acme/base-3b\ntarget_modules: [q_proj]\n"),
        "manifest.yaml:2:17: target_modules differ from what the weights change: q_proj, v_proj",
    ),
    "other digest": (
        manifest(f"base_model: acme/base-3b\ndigest: sha256:{'0' * 64}\n"),
        "manifest.yaml:2:9: digest: the files' is sha256:",
    ),
    "no configuration": (
        lambda folder: (folder / CONFIG).unlink(),
        "adapter_config.json:1:1: can't be read: No such file or directory; PEFT's save_pretrained writes it",
    ),
    "broken configuration": (
        lambda folder: (folder / CONFIG).write_text('{\n  "r": 4,\n  oops\n}'),
        "adapter_config.json:3:3: no JSON: Expecting property name enclosed in double quotes",
    ),
    "no rank": (config(r="four"), "adapter_config.json:4:3: r must be the rank, a whole number of at least 1"),
    "DoRA": (config(use_dora=True), "vLLM does not serve DoRA; train it as plain LoRA"),
    "PiSSA": (config(init_lora_weights="pissa_niter_4"), "init_lora_weights 'pissa_niter_4' changes the base model's"),
    "bias": (config(bias="all"), "bias is 'all'; vLLM serves adapters without; train it with bias none"),
    "another rank in the weights": (
        config(r=8),
        "adapter_config.json:4:3: r is 8, but adapter_model.safetensors has rank 4 at model.layers.0.self_attn.q_proj",
    ),
    "other modules in the weights": (
        config(target_modules=["q_proj"]),
        "changes model.layers.0.self_attn.v_proj, which target_modules does not name",
    ),
    "cut off": (weights(lambda data: data[:-1]), "adapter_model.safetensors:1:1: cut off or corrupt"),
    "cut in the header": (weights(lambda data: data[:40]), "no safetensors file, or only its beginning (40 bytes)"),
    "empty": (weights(lambda _: b""), "no safetensors file, or only its beginning (0 bytes)"),
    "garbage": (weights(lambda data: data[:8] + b"x" * (len(data) - 8)), "its header is no JSON"),
    "a shape that lies": (header(_shape), "corrupt: tensor base_model.model.model.layers.0.self_attn.q_proj.lora_A"),
    "a gap": (header(_gap), "corrupt: tensors overlap or leave a gap at byte 0"),
    "no LoRA": (header(_rename), "is no matrix of LoRA; vLLM serves plain LoRA alone"),
    "Git LFS": (
        weights(lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        "adapter_model.safetensors:1:1: a pointer of Git LFS, not the weights; run `git lfs pull`",
    ),
    "oversized": (
        weights(lambda data: data + b"0" * 100_000),
        "over the limit of 100,000; models.lite.adapters.max_bytes is the limit",
    ),
    "a pickle": (
        lambda folder: (folder / WEIGHTS).rename(folder / "adapter_model.bin"),
        "save adapter_model.bin as safetensors: a pickle can run code",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_fault_is_one_problem(name: str, tmp_path: Path) -> None:
    """Each fault is told once, at its file."""
    folder = make_adapter(tmp_path / "ci")
    break_it, expected = BAD[name]
    break_it(folder)
    found = told(folder)
    assert len(found) == 1, found
    assert expected in found[0]


def test_a_rank_over_the_servers_limit_names_the_setting(tmp_path: Path) -> None:
    """The file, the setting and vLLM's option are named."""
    [said] = told(make_adapter(tmp_path / "ci", rank=32))
    assert said == (
        "adapter_config.json:4:3: rank 32 is over the servers' 16 (models.lite.adapters.max_rank); "
        "start vLLM with a larger --max-lora-rank and set it here"
    )


def test_a_path_on_the_trainers_disk_can_be_any_model(tmp_path: Path) -> None:
    """PEFT writes where the base model lay; only a name can be compared."""
    folder = make_adapter(tmp_path / "ci")
    config(base_model_name_or_path="/data/models/checkpoint-7")(folder)
    assert not told(folder)


def test_ranks_by_pattern_and_modules_by_expression_are_followed(tmp_path: Path) -> None:
    """rank_pattern and a regular expression mean what they mean to PEFT."""
    folder = make_adapter(tmp_path / "ci")
    config(r=2, rank_pattern={"q_proj": 4, r"layers\.0\..*v_proj": 4}, target_modules=r".*\.(q|v)_proj")(folder)
    assert not told(folder)


def test_a_revision_is_held_against_the_settings(tmp_path: Path) -> None:
    """`base_model: name@revision` names the revision that is served."""
    folder = make_adapter(tmp_path / "ci", manifest="base_model: acme/base-3b\nrevision: aaa\n")
    assert not told(folder, Expected("lite", "acme/base-3b@aaa"))
    assert told(folder, Expected("lite", "acme/base-3b@bbb")) == [
        "manifest.yaml:2:11: the adapter was made for revision aaa, models.lite.base_model names bbb"
    ]


def test_the_digest_is_of_what_is_served(tmp_path: Path) -> None:
    """A byte of the weights or of the configuration changes it, the manifest does not; a right one is accepted."""
    folder = make_adapter(tmp_path / "ci")
    first = digest(folder)
    manifest(f"base_model: acme/base-3b\ndigest: sha256:{first}\n")(folder)
    assert digest(folder) == first
    assert not told(folder)
    config(lora_alpha=9)(folder)
    assert digest(folder) != first
