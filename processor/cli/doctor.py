"""`faultstream doctor`: what the daemon would reach, how fast, and what is misconfigured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processor import app, topology
from processor.assemble import METADATA_BYTES
from processor.cli import doctor_jira, options
from processor.cli.looked import Finding
from processor.cluster.client import KafkaClient
from processor.cluster.security import principal
from processor.cluster.topics import METADATA_MOST, Found, describe, differences, metadata_most
from processor.databases.open import Databases
from processor.errors import ConfigError, FaultstreamError
from processor.home import Homes
from processor.models import needs
from processor.models.capabilities import Capabilities
from processor.models.client import ModelClient
from processor.pipeline import Pipeline, who_asks
from processor.settings import Settings
from processor.tiers.forms import asking

PATIENCE_S = 20


def command(
    json: options.Json = False,
    text: options.PlainText = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Look at everything that the daemon needs, and say what is wrong with it. Exit code 1 if anything is."""
    options.quiet_logs("error")  # what is wrong is a finding, and a line of the log no JSON
    homes, settings = options.load(home, config)
    file = options.settings_file(homes, config)
    where = f"{options.shown(file) if file else 'defaults'}; homes: {', '.join(map(options.shown, homes.paths))}"
    found = [Finding("settings", True, where), *asyncio.run(_look(homes, settings))]
    if options.machine_readable(json, text):
        print(orjson.dumps([asdict(one) for one in found]).decode())
    else:
        _show(found)
    if not all(one.fine for one in found):
        raise typer.Exit(1)


async def _look(homes: Homes, settings: Settings) -> list[Finding]:
    pipelines: list[Pipeline] = []
    try:
        pipelines = app.load(settings, homes)
        names = ", ".join(f"{one.name} {one.version}" for one in pipelines)
        found = [Finding("pipelines", True, names)]
    except ConfigError as error:
        found = [Finding("pipelines", False, f"{error}\nfaultstream lint has the details")]
    looks = [_kafka(settings, pipelines), *(_models(settings, tier, pipelines) for tier in settings.models)]
    if settings.databases:
        looks.append(_databases(settings, pipelines))
    if settings.jira:
        looks.append(doctor_jira.look(settings.jira, settings, pipelines))
    for part in await asyncio.gather(*looks):
        found += part
    if not settings.jira:
        found.append(Finding("jira", True, "not set: findings are emitted, no ticket is filed (settings: jira.url)"))
    return found


async def _timed(what: str, look: Callable[[], Awaitable[str]]) -> Finding:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE_S):
            text = await look()
    except TimeoutError:
        return Finding(what, False, f"no answer within {PATIENCE_S} s")
    except FaultstreamError as error:
        return Finding(what, False, str(error))
    return Finding(what, True, text, (time.perf_counter() - started) * 1000)


async def _kafka(settings: Settings, pipelines: list[Pipeline]) -> list[Finding]:
    wanted = [topic.wanted for topic in topology.topics(settings.topics.prefix, pipelines)]
    there: dict[str, Found] = {}

    async def look() -> str:
        client = replace(KafkaClient.of(settings.kafka), request_timeout_s=10)
        there.update(await describe(client.arguments(), wanted))
        return f"{settings.kafka.bootstrap} as {principal(client.arguments())}"

    found = [await _timed("kafka", look)]
    if not found[0].fine:
        return found
    differ = differences(wanted, there, topology.rules(settings))
    if settings.kafka.create_topics:
        missing = [topic.name for topic in wanted if topic.name not in there]
        differ = [each for each in differ if each.topic not in missing]
        if missing:
            found.append(Finding("topics", True, f"the daemon will create {len(missing)}: {', '.join(missing)}"))
    found += [Finding("topics", False, f"{each.topic}: {each.text}") for each in differ]
    if any(each.source.assemble is not None for each in pipelines):
        found += await _metadata(KafkaClient.of(settings.kafka))
    return found if len(found) > 1 else [*found, Finding("topics", True, f"all {len(wanted)} there, as they should be")]


async def _metadata(client: KafkaClient) -> list[Finding]:
    """Whether the brokers take what is written down of logs that lie in lines."""
    try:
        most = await metadata_most(client.arguments())
    except FaultstreamError as error:
        return [Finding("kafka", False, f"{METADATA_MOST}: {error}")]
    if most is None or most >= METADATA_BYTES:
        return []
    told = f"{METADATA_MOST} is {most}; source.assemble needs {METADATA_BYTES}, or offsets are refused while many logs"
    return [Finding("kafka", False, f"{told} are open")]


async def _models(settings: Settings, tier: str, pipelines: list[Pipeline]) -> list[Finding]:
    found = []
    adapters = _adapters(tier, pipelines)
    async with ModelClient(settings.models[tier], tier) as client:
        for report in await client.inspect():
            what = f"models.{tier}"
            if report.capabilities is None:
                told = str(report.error).removeprefix(f"{report.url}: ")
                found.append(Finding(what, False, f"{report.url}: {told} (settings: {what}.urls)"))
                continue
            text = f"{report.url}: {_capabilities(report.capabilities)}"
            found.append(Finding(what, True, text, report.milliseconds))
            wrong, remarks = needs.judge(report.capabilities, settings.models[tier], what, adapters)
            found += [Finding(what, False, each) for each in wrong] + [Finding(what, True, each) for each in remarks]
            base, own = settings.models[tier].base_model, [each for each in pipelines if each.model.tier == tier]
            found += [_calibration(each, tier, base, report.capabilities) for each in own]
        if any(each.fine and each.what == f"models.{tier}" for each in found):
            found += await _grammars(client, tier, pipelines)
    return found


def _adapters(tier: str, pipelines: list[Pipeline]) -> list[tuple[str, str]]:
    """Who asks this tier for which adapters: pipelines, also by the steps of their chains."""
    return [(name, adapter) for of, name, adapter in who_asks(pipelines) if of == tier and adapter]


async def _grammars(client: ModelClient, tier: str, pipelines: list[Pipeline]) -> list[Finding]:
    """Whether the tier's server takes the schemas of the pipelines that ask it."""
    asked = [each for each in asking(pipelines) if each.tier == tier]
    refused = await needs.refusals(client, tier, asked)
    if refused is None:
        return [Finding("schemas", False, f"models.{tier} does not say within {needs.PATIENCE_S:g} s if it takes them")]
    if refused or not asked:
        return [Finding("schemas", False, each.told) for each in refused]
    return [Finding("schemas", True, f"models.{tier} takes those of {', '.join(each.pipeline for each in asked)}")]


def _calibration(pipeline: Pipeline, tier: str, base: str | None, server: Capabilities) -> Finding:
    """Whether answers of this server get a confidence; not having one is a state, not a mistake."""
    if not server.logprobs:
        why: str | None = f"the {server.engine} server gives no log-probabilities"
    else:
        why = pipeline.calibrations.missing(tier, base, pipeline.model.adapter, server.engine)
    text = f"{pipeline.name} on {server.engine}: " + (f"none, confidence is null: {why}" if why else "calibrated")
    return Finding("confidence", True, text)


def _capabilities(can: Capabilities) -> str:
    engine, *rest = can.told().items()
    return ", ".join([engine[1], *[f"{name.replace('_', ' ')}: {text}" for name, text in rest]])


async def _databases(settings: Settings, pipelines: list[Pipeline]) -> list[Finding]:
    """Whether databases answer, and take the queries of the pipelines' chains."""
    try:
        databases = Databases(settings.databases)
    except ConfigError as error:
        return [Finding("databases", False, str(error))]
    found: list[Finding] = []
    try:
        for name, database in databases.items():
            reached = await _timed(f"databases.{name}", database.reach)
            found.append(reached)
            queries = [each for one in pipelines for each in one.queries if each.database == name]
            for each in queries if reached.fine else ():
                wrong = await database.check(each.query)
                found += [Finding(f"databases.{name}", False, f"{each.query.where}: {said}") for said in wrong]
    except FaultstreamError as error:
        found.append(Finding("databases", False, str(error)))
    finally:
        await databases.close()
    return found


def _show(found: list[Finding]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for one in found:
        mark = Text("ok", style="green") if one.fine else Text("!!", style="bold red")
        took = f"{one.milliseconds:.0f} ms" if one.milliseconds is not None else ""
        table.add_row(mark, one.what, Text(one.text), Text(took, style="dim"))
    Console(highlight=False).print(table)
