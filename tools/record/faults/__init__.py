"""The faults that can be injected, one file per toolchain."""

from __future__ import annotations

import importlib
import pkgutil


def load() -> None:
    """Import every file of this folder, so that its kinds are in the registry."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
