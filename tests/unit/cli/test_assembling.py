"""What commands say of pipelines that put their logs together of lines."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from processor.cli import app, doctor
from processor.cluster.client import KafkaClient
from processor.errors import ConfigError, Retryable

GOOD = Path(__file__).parents[2] / "data" / "config_good"


@pytest.mark.parametrize(
    ("most", "said"),
    [
        (4_096, []),
        (None, []),
        (1_000, ["offset.metadata.max.bytes is 1000; source.assemble needs 4096"]),
        (Retryable("nobody there"), ["offset.metadata.max.bytes: nobody there"]),
    ],
)
async def test_brokers_that_take_too_little_metadata_are_told(
    most: int | Exception | None, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before offsets are refused, which is when many logs are open."""

    async def answer(_: object) -> int | None:
        if isinstance(most, Exception):
            raise most
        return most

    monkeypatch.setattr(doctor, "metadata_most", answer)
    found = await doctor._metadata(KafkaClient("nowhere:9092"))
    assert [each.text.partition(", or")[0] for each in found] == said
    assert not any(each.fine for each in found)


def test_past_lines_are_not_sent_again(tmp_path: Path) -> None:
    """Backfill says so before it asks any broker."""
    file = tmp_path / "faultstream.yaml"
    file.write_text(yaml.safe_dump({"pipelines": ["builds"]}), encoding="utf-8")
    words = ["backfill", "builds", "--since", "2026-01-01", "--home", str(GOOD), "--config", str(file)]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ConfigError)
    assert "builds puts its logs together of lines (source.assemble)" in str(result.exception)
