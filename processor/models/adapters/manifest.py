"""`adapters/<name>/manifest.yaml`: what an adapter was made for, from what, and how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pydantic import Field

from processor.lang import yaml
from processor.lang.problem import Problem
from processor.lang.validate import Part, validate

FILE: Final = "manifest.yaml"


class Manifest(Part):
    """What an adapter was made for. `rank`, `target_modules` and `digest` are held against the files where given."""

    base_model: str = Field(
        min_length=1, description="The model that the adapter was made for.", examples=["Qwen/Qwen3-4B-Instruct-2507"]
    )
    revision: str | None = Field(None, description="That model's revision.", examples=["1a2b3c4"])
    rank: int | None = Field(None, ge=1, description="Rank of the adapter, at most.", examples=[16])
    target_modules: list[str] | None = Field(
        None, min_length=1, description="Modules that it changes.", examples=[["q_proj", "v_proj"]]
    )
    digest: str | None = Field(
        None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Digest of what is served, as `faultstream adapters manifest` writes it; other files are refused.",
    )
    description: str = Field("", description="What it is good for, for people.")
    data: Any = Field(None, description="What it was trained on, in any form.")
    evaluation: Any = Field(None, description="How good it was and on what, in any form.")
    calibration: Any = Field(None, description="How its confidence is calibrated.")


def read(folder: Path) -> tuple[Manifest | None, yaml.Document, list[Problem]]:
    """The manifest of an adapter's folder with its places, or what is wrong with it."""
    file = folder / FILE
    if not file.is_file():
        hint = "write one with base_model, or have `faultstream adapters manifest` do so"
        return None, yaml.Document(file, ""), [Problem(file, 1, 1, "no manifest.yaml in the adapter's folder", hint)]
    document = yaml.load(file)
    manifest, problems = validate(Manifest, document)
    return manifest, document, problems
