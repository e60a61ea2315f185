"""The daemon, built of settings and pipelines: the line, the ticket role, and what both stand on.

Everything has an owner: tasks and clean-ups belong to the `Lifecycle`, whose end is the daemon's. A task that
ends early ends the daemon, since half a daemon is worse than one that is restarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

import structlog
from prometheus_client import CollectorRegistry, Gauge

from processor import topology
from processor.assemble import Plan
from processor.chain.metrics import ChainMetrics
from processor.cluster.client import KafkaClient
from processor.cluster.patience import patiently
from processor.cluster.reach import Reach
from processor.cluster.topics import ensure
from processor.contract import PASSED
from processor.costs.budgets import check_budgets
from processor.databases.open import Databases
from processor.engine.engine import Engine
from processor.engine.metrics import MetricFamilies
from processor.errors import ConfigError
from processor.fitness import Fitness
from processor.guards import watch_over
from processor.home import Homes
from processor.lane import Lane, Shared
from processor.lifecycle import Lifecycle, settle
from processor.line import Line, Topic
from processor.logs import tokens
from processor.logs.redact import REDACTION, redactor
from processor.models import needs
from processor.models.adapters import Expected, inspect, start_all
from processor.models.chat import Model
from processor.models.client import ModelClient
from processor.models.metrics import ModelMetrics
from processor.parts import Parts
from processor.pipeline import Pipeline, adapter_names, decode_config, load_all, who_asks
from processor.pipeline.chain import AskConfig
from processor.pipeline.lines import line_plan
from processor.settings import Settings
from processor.sinks.config import KafkaSinkConfig
from processor.sinks.transactions import KafkaTransactions
from processor.sources.beginning import Start, parse_start
from processor.sources.decode import DecodeConfig, Decoder
from processor.sources.providers import Providers
from processor.sources.single_lines import SingleLines
from processor.stages.fetch import Fetch
from processor.stages.park import Ward
from processor.stages.redact import Redact
from processor.stages.route import Route
from processor.telemetry import Health, LineMetrics, TelemetryServer, configure_logs
from processor.ticket_role import file_tickets
from processor.tiers.answers import Answers
from processor.tiers.metrics import TierMetrics
from processor.tiers.shadow import Shadows
from processor.tiers.warm import keep_warm

log = structlog.get_logger(__name__)

ROLES = ("line", "tickets")


def load(settings: Settings, homes: Homes) -> list[Pipeline]:
    """The pipelines to run. Raises ConfigError with all that is wrong with them."""
    pipelines = load_all(homes, settings.models, settings.pipelines, settings.databases)
    if not pipelines:
        raise ConfigError(f"no pipeline in {', '.join(map(str, homes.paths))}; give a --home that has one")
    for pipeline in pipelines:
        for asked in pipeline.asks:
            if asked.tier not in settings.models:
                raise ConfigError(f"{pipeline.folder}: tier {asked.tier} is not among the settings' models")
            tokens.counter(settings.models[asked.tier].tokenizer)
            _check_adapter(asked, settings, homes)
    check_budgets(settings, homes.pipelines())
    Fetch(settings.fetch)  # says so if a scheme needs a package that isn't there
    return pipelines


def _check_adapter(asked: AskConfig, settings: Settings, homes: Homes) -> None:
    """Adapters that servers are started with are as their manifests say. Others are seen to while the daemon runs."""
    tier = asked.tier
    folder = homes.find(f"adapters/{asked.adapter}") if asked.adapter else None
    if folder is not None and settings.models[tier].adapters is None:
        _, problems = inspect(folder, Expected.of(settings.models[tier], tier), whole=False)
        if problems:
            raise ConfigError("\n".join(map(str, problems)))


async def run(settings: Settings, homes: Homes, roles: Collection[str], stop: asyncio.Event) -> None:
    """Runs the daemon until `stop`. Raises ConfigError before anything starts, Fatal when it can't go on."""
    ours = redactor(homes.find(REDACTION))
    configure_logs(settings.log.level, settings.log.format, redact=ours.redact_text)
    pipelines = load(settings, homes)
    registry, health = CollectorRegistry(), Health()
    for pipeline in pipelines:
        log.info("pipeline", action="load", pipeline=pipeline.name, version=pipeline.version, topics=pipeline.topics)
        tier = pipeline.model.tier
        if why := pipeline.calibrations.missing(tier, settings.models[tier].base_model, pipeline.model.adapter):
            log.warning("confidence is not calibrated", action="load", pipeline=pipeline.name, why=why)
    families = MetricFamilies(registry)
    async with Lifecycle(stop, grace_s=settings.limits.drain_s + 5) as life:
        server = TelemetryServer(settings.http.host, settings.http.port, registry, health)
        await server.start()
        life.cleanup("telemetry", server.stop)
        where = f"http://{server.host}:{server.port}"
        log.info("listening", action="start", address=where, roles=list(roles), homes=list(map(str, homes.paths)))
        health.ready |= {"line" if "line" in roles else "write": lambda: "waits for Kafka"}
        client = KafkaClient.of(settings.kafka)
        wanted = [topic.wanted for topic in topology.topics(settings.topics.prefix, pipelines)]
        found = await patiently(
            partial(ensure, client.arguments(), wanted, topology.rules(settings), create=settings.kafka.create_topics),
            stop,
        )
        if found is None:
            return
        _watch_cluster(settings, client, health, registry, life)
        transactions = await _has_transactions(settings, client, stop)
        parts = Parts(settings, homes, pipelines, registry, health, client, found, transactions)
        if "line" in roles:
            await _line(parts, families, life)
        if "tickets" in roles:
            await file_tickets(parts, families, life)
        settle()
        await stop.wait()


def _watch_cluster(
    settings: Settings, client: KafkaClient, health: Health, registry: CollectorRegistry, life: Lifecycle
) -> None:
    """Has /readyz and a metric tell when the brokers die."""
    reach = Reach(client, settings.kafka.unready_after_s)
    health.ready["kafka"] = reach.problem
    gauge = Gauge("faultstream_kafka_silent_seconds", "Time since a broker has answered.", registry=registry)
    gauge.set_function(lambda: reach.silent_s)
    life.task("reach", reach.run(life.stop))


async def _line(parts: Parts, families: MetricFamilies, life: Lifecycle) -> None:
    settings = parts.settings
    fetch = Fetch(settings.fetch)
    await fetch.__aenter__()
    life.cleanup("fetch", lambda: fetch.__aexit__(None, None, None))
    adapters = await start_all(settings, parts.homes, adapter_names(parts.pipelines), parts.registry, life)
    models: dict[str, ModelClient] = {}
    measured = ModelMetrics(parts.registry)
    for tier, model in settings.models.items():
        models[tier] = client = ModelClient(model, tier, residency=adapters.get(tier), metrics=measured)
        life.cleanup(f"models.{tier}", client.stop)
        if any(
            asked.tier == tier for each in parts.pipelines for asked in each.asks
        ):  # without a larger one work goes on
            parts.health.ready[f"models.{tier}"] = partial(_unhealthy, client)
    redact = Redact(redactor(parts.homes.find(REDACTION)))
    tiers = TierMetrics(parts.registry)
    for tier, manager in adapters.items():
        manager.retired = partial(_forget, models[tier], tiers)
    counts = LineMetrics(parts.registry)
    served = {tier: each.served for tier, each in adapters.items()}
    shadows = await _shadows(parts, tiers, life)
    databases = Databases(settings.databases)
    life.cleanup("databases", databases.close)
    shared = Shared(
        settings.topics.prefix,
        fetch,
        redact,
        counts,
        settings.limits.questions,
        tiers,
        served,
        shadows,
        _answers(parts),
        databases,
        ChainMetrics(parts.registry),
    )
    _say_tiers(parts.pipelines, settings)
    line = build_line(parts.pipelines, settings, parts.homes, models, shared)
    keep_warm([ask for lane in line.lanes.values() for ask in lane.asks], models, adapters)
    await needs.check_all(models, who_asks(parts.pipelines))
    fitness = Fitness(parts.pipelines, models, databases, line.wards)
    await fitness.look()
    life.task("fitness", fitness.run(life.stop))
    for lane in line.lanes.values():
        await asyncio.to_thread(lane.warm)
    starts = {topic: _start(parts.pipelines, topic) for topic in line.topics}
    source = parts.source(settings.group, starts, line_plans(parts.pipelines, settings, parts.homes))
    engine = Engine(
        source,
        parts.sink(),
        line,
        parts.limits(),
        delivery=parts.delivery(source, settings.group),
        metrics=families.of("line"),
        name="line",
    )
    parts.health.ready["line"] = engine.problem
    await watch_over(parts, line, redact, counts, life)
    life.task("line", engine.run(life.stop))


async def _shadows(parts: Parts, metrics: TierMetrics, life: Lifecycle) -> Shadows | None:
    """Room for second answers, with a sink of their own; None where no pipeline wants any."""
    wanted = [each.model.shadow for each in parts.pipelines if each.model.shadow is not None]
    if not any(each.share and each.to in parts.settings.models for each in wanted):
        return None
    sink = parts.sink()
    await sink.start()
    life.cleanup("shadow sink", sink.stop)
    shadows = Shadows(sink.publish, metrics, parts.settings.limits.shadows)
    life.cleanup("shadows", shadows.stop)
    return shadows


def _answers(parts: Parts) -> Answers | None:
    """Room for answers to be remembered, if any are to be."""
    limits = parts.settings.limits
    return Answers(limits.answers_bytes, limits.answers_s, parts.registry) if limits.answers_bytes else None


def _say_tiers(pipelines: Sequence[Pipeline], settings: Settings) -> None:
    for each in pipelines:
        up = each.model.escalate
        if up is not None and up.to not in settings.models:
            said = f"no tier {up.to} in the settings: what is unsure is flagged for review"
            log.info(said, action="start", pipeline=each.name)


def _forget(client: ModelClient, tiers: TierMetrics, adapter: str) -> None:
    """Drops what is known of a version that is served no more: there may be one for each training."""
    client.forget(adapter)
    tiers.forget(adapter)


def _unhealthy(client: ModelClient) -> str | None:
    return None if client.healthy else "no healthy replica"


async def _has_transactions(settings: Settings, client: KafkaClient, stop: asyncio.Event) -> bool:
    """Whether to deliver by transactions; waits while the brokers are away. Raises ConfigError."""
    if settings.delivery == "at_least_once":
        return False
    transactions = KafkaTransactions(KafkaSinkConfig.of(settings, client))
    try:
        there = await patiently(partial(transactions.available, f"{settings.group}-probe"), stop)
    except ConfigError as error:
        raise ConfigError(f"{error}; or set delivery to at_least_once, where a crash repeats findings") from error
    await transactions.stop()
    if there is False and settings.delivery == "exactly_once":
        where = settings.kafka.bootstrap
        raise ConfigError(f"delivery is exactly_once, but {where} has no transactions; set it to at_least_once")
    if there is False:
        log.warning("no transactions on these brokers: a crash repeats findings, with their ids", action="start")
    return bool(there)


def _start(pipelines: Sequence[Pipeline], topic: str) -> Start:
    """Where to begin on a topic: what its pipeline says; retry topics from their beginning."""
    reading = [each.source.kafka for each in pipelines] + [each.outcomes.kafka for each in pipelines if each.outcomes]
    wanted = next((kafka.start for kafka in reading if topic in kafka.topics), "earliest")
    return wanted if isinstance(wanted, datetime) else parse_start(wanted)


def line_plans(pipelines: Sequence[Pipeline], settings: Settings, homes: Homes) -> dict[str, Plan]:
    """How the lines of topics that carry a record per line become logs, by topic."""
    providers = Providers.load(list(homes.providers().values()))
    plans: dict[str, Plan] = {}
    for pipeline in pipelines:
        if plan := line_plan(pipeline, providers, settings.group):
            plans |= dict.fromkeys(pipeline.topics, plan)
    return plans


def build_line(
    pipelines: Sequence[Pipeline], settings: Settings, homes: Homes, models: Mapping[str, Model], shared: Shared
) -> Line:
    """The line over all pipelines: each with its lane, its topics and its retry topic."""
    providers = Providers.load(list(homes.providers().values()))
    by_topic: dict[str, list[Pipeline]] = {}
    for pipeline in pipelines:
        for topic in pipeline.topics:
            by_topic.setdefault(topic, []).append(pipeline)

    def decoder(
        config: DecodeConfig, bodiless: frozenset[str] = frozenset(), lines: SingleLines | None = None
    ) -> Decoder:
        return Decoder(config, providers, settings.group, bodiless, lines)

    topics = {
        topic: Topic(decoder(wanting[0].decode, lines=SingleLines()), tuple(each.name for each in wanting))
        for topic, wanting in by_topic.items()
    }
    for part in [each.outcomes for each in pipelines if each.outcomes is not None]:
        for topic in part.kafka.topics:
            wanting = tuple(each.name for each in by_topic.get(topic, ()))
            how = by_topic[topic][0].decode if topic in by_topic else decode_config(part)
            topics[topic] = Topic(decoder(how, frozenset({PASSED})), wanting, outcomes=True)
    for pipeline in pipelines:
        for kind in ("retry", "parked"):
            topics[f"{shared.prefix}.{kind}.{pipeline.name}"] = Topic(
                decoder(pipeline.decode), (pipeline.name,), kind=kind
            )
    lanes = {each.name: Lane.on(each, settings, models, shared) for each in pipelines}
    route = Route({each.name: each.match for each in pipelines})
    wards = {each.name: Ward(each.name) for each in pipelines}
    return Line(shared.prefix, topics, lanes, route, shared.metrics, shared.redact, wards)
