"""What the daemon refuses before it reaches for anything: each fault with the file or the setting that it is about."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from processor import app
from processor.errors import ConfigError
from processor.home import Homes, bundled
from processor.settings import Settings
from processor.testing.lora import make_adapter

URLS = {"lite": {"urls": ["http://127.0.0.1:1/v1"], "base_model": "acme/base-3b"}}


def test_an_adapter_that_servers_are_started_with_has_to_be_whole(tmp_path: Path) -> None:
    """Without a store of versions nobody else would look at it."""
    shutil.copytree(bundled() / "pipelines" / "log_router", tmp_path / "pipelines" / "log_router")
    shutil.copytree(bundled() / "schemas", tmp_path / "schemas")
    file = tmp_path / "pipelines" / "log_router" / "pipeline.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("model: {", "model: {adapter: router, ", 1), encoding="utf-8")
    adapter = make_adapter(tmp_path / "adapters" / "router")
    settings = Settings.model_validate({"models": URLS, "pipelines": ["log_router"]})
    homes = Homes.of([tmp_path])
    assert [each.model.adapter for each in app.load(settings, homes)] == ["router"]
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(ConfigError, match=r"adapter_model\.safetensors"):
        app.load(settings, homes)


def test_s3_without_its_package_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the brokers are asked for anything."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    settings = Settings.model_validate({"models": URLS, "fetch": {"schemes": ["s3"], "s3": {"buckets": ["logs"]}}})
    with pytest.raises(ConfigError, match=r"faultstream\[s3\]"):
        app.load(settings, Homes.of([]))
