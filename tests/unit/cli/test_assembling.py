"""What commands say of pipelines that put their logs together of lines."""

from __future__ import annotations

import pytest

from processor.cli import doctor
from processor.cluster.client import KafkaClient
from processor.errors import Retryable


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
