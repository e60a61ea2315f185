"""What every section of the settings is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the settings; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"{text!r} is no address; it begins with http:// or https://")
    return text.rstrip("/")


Address = Annotated[str, AfterValidator(_address)]
"""An http(s) address, without a slash at its end."""


def from_file(values: Any, name: str) -> Any:
    """Fills `name` from the file that `<name>_file` names. Raises ValueError."""
    path = values.get(f"{name}_file") if isinstance(values, dict) else None
    if not path:
        return values
    return {**values, name: read_secret(Path(path), f"{name}_file")}


def read_secret(path: Path, key: str) -> str:
    """The secret in a file, without the line's end. Raises ValueError that names the setting `key`."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{key}: can't read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{key}: {path} is no text in UTF-8") from error
