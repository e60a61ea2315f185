"""`faultstream replay`: dead letters go back to the pipeline that rejected them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from processor.cli import options
from processor.cluster.client import KafkaClient
from processor.contract import Outbound, Record
from processor.errors import ConfigError, FaultstreamError
from processor.settings import Settings
from processor.sinks.dead_letters import PIPELINE, REASON, TIME, replayable
from processor.sinks.kafka import KafkaSink, KafkaSinkConfig
from processor.sources.history import history

BATCH = 200


def command(
    reason: Annotated[
        str | None, typer.Option(help="Only letters with this reason; all reasons are counted without it.")
    ] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only letters of this pipeline.")] = None,
    since: Annotated[str | None, typer.Option(help="Only letters since this time (RFC 3339).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and send nothing.")] = False,
    json: options.Json = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Count dead letters, and send those with a REASON back to the pipeline that rejected them.

    Their findings keep their ids. Letters stay where they are: give --since to send the newer ones alone.
    """
    _, settings = options.load(home, config)
    wanted = Wanted(reason, pipeline, _time(since))
    asyncio.run(_replay(settings, wanted, dry_run or reason is None, options.machine_readable(json)))


class Wanted:
    """Which letters are meant."""

    def __init__(self, reason: str | None, pipeline: str | None, since: datetime | None) -> None:
        self._reason, self._pipeline, self._since = reason, pipeline, since

    def __call__(self, headers: dict[str, str]) -> bool:
        """Whether a letter with these headers is one of them."""
        if self._reason not in (None, headers.get(REASON)) or self._pipeline not in (None, headers.get(PIPELINE)):
            return False
        return self._since is None or _moment(headers.get(TIME, "")) >= self._since


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = _moment(text)
    if moment == datetime.min.replace(tzinfo=UTC):
        raise ConfigError(f"--since: {text!r} is no time; write it as 2026-01-31T12:00:00Z")
    return moment


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _replay(settings: Settings, wanted: Wanted, dry_run: bool, as_json: bool) -> None:
    client = KafkaClient.of(settings.kafka)
    prefix = settings.topics.prefix
    counts: Counter[tuple[str, str]] = Counter()
    letters: list[Outbound] = []
    async for record in history(client, f"{prefix}.dead-letters"):
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        if wanted(headers):
            counts[headers.get(REASON, ""), headers.get(PIPELINE, "")] += 1
            back = None if dry_run else way_back(prefix, record)
            if back is not None:
                letters.append(back)
    if not as_json:
        _show(counts)
    if not dry_run and letters:
        await _send(settings, client, letters)
    if as_json:
        rows = [{"reason": reason, "pipeline": name, "letters": n} for (reason, name), n in sorted(counts.items())]
        print(orjson.dumps({"letters": rows, "sent": len(letters)}).decode())
    else:
        print(f"{len(letters)} sent back" if not dry_run else "nothing sent; name a --reason to send its letters back")


def way_back(prefix: str, record: Record) -> Outbound | None:
    """A letter as it goes back; None where no pipeline had taken it, so that nobody knows where to."""
    try:
        return replayable(prefix, record)
    except FaultstreamError:
        return None


async def _send(settings: Settings, client: KafkaClient, records: Sequence[Outbound]) -> None:
    sink = KafkaSink(KafkaSinkConfig(arguments=client.arguments(), max_bytes=settings.limits.record_bytes))
    await sink.start()
    try:
        for first in range(0, len(records), BATCH):
            await sink.publish(records[first : first + BATCH])
    finally:
        await sink.stop()


def _show(counts: Counter[tuple[str, str]]) -> None:
    table = Table(title="Dead letters", title_justify="left")
    for name in ("reason", "pipeline", "letters"):
        table.add_column(name, justify="right" if name == "letters" else "left")
    for (reason, pipeline), count in counts.most_common():
        table.add_row(reason, pipeline or "(none)", str(count))
    Console(highlight=False).print(table)
