"""The ticket role: what it is built of. *decide* says what is to be done with tickets, *write* does it, some watch."""

from __future__ import annotations

from collections.abc import Callable

from processor.engine.engine import Engine
from processor.engine.journal import Journal
from processor.engine.metrics import MetricFamilies
from processor.errors import ConfigError
from processor.lifecycle import Lifecycle
from processor.logs.redact import REDACTION, redactor
from processor.parts import Parts
from processor.settings import JiraSettings
from processor.sinks.kafka import KafkaSink
from processor.sources.history import KafkaHistory
from processor.tickets.caps import Caps
from processor.tickets.decide import Decide, FaustConfig
from processor.tickets.decider import Decider
from processor.tickets.jira import JiraClient
from processor.tickets.jira.census import Census
from processor.tickets.jira.metrics import JiraMetrics
from processor.tickets.jira.watch import Watch
from processor.tickets.listen import Listener, last_mark, marks
from processor.tickets.load import StateLoader
from processor.tickets.messages import TicketEvent, Topics
from processor.tickets.metrics import TicketMetrics
from processor.tickets.plans import plans, policies, wishes
from processor.tickets.reconcile import Reconciler
from processor.tickets.screening import Screening
from processor.tickets.signals import Signals
from processor.tickets.text import Texts
from processor.tickets.write import Writer

Redact = Callable[[str], str]
Told = Callable[[TicketEvent], None]


async def file_tickets(parts: Parts, families: MetricFamilies, life: Lifecycle) -> None:
    """Begins to file tickets. Raises ConfigError where Jira takes none like these."""
    config = parts.settings.jira
    if config is None:
        raise ConfigError("the role tickets needs the settings' section jira; set jira.url and jira.token_file")
    redact = redactor(parts.homes.find(REDACTION)).redact_text
    measured, told = JiraMetrics(parts.registry), TicketMetrics(parts.registry).told
    jira = JiraClient(config, measured)
    life.cleanup("jira", jira.close)
    screening = Screening(jira, wishes(parts.pipelines), redact)
    await screening.at_start()
    parts.health.ready["jira"] = screening.problem
    life.task("screening", screening.run(life.stop))
    await _decide(parts, redact, told, life)
    sink = await _sink(parts, "write", life)
    writer = _write(parts, config, jira, sink, redact, told, families, life)
    measured.trouble.set_function(lambda: writer.trouble is not None)
    parts.health.ready["jira"] = lambda: writer.trouble or screening.problem()
    _listen(parts, config, jira, sink, writer, redact, life)


async def _sink(parts: Parts, name: str, life: Lifecycle) -> KafkaSink:
    sink = parts.sink()
    await sink.start()
    life.cleanup(f"{name} sink", sink.stop)
    return sink


async def _decide(parts: Parts, redact: Redact, told: Told, life: Lifecycle) -> None:
    settings, topics, wanted = parts.settings, Topics(parts.settings.topics.prefix), policies(parts.pipelines)
    faust = FaustConfig(
        parts.client,
        parts.topics[topics.signals].partitions,
        folder=settings.tickets.store,
        session_timeout_s=settings.kafka.session_timeout_s,
    )
    deciders: list[Decider] = [Signals(topics, wanted, told=told), Caps(topics, wanted, told)]
    decide = Decide(faust, topics, deciders, (await _sink(parts, "decide", life)).publish, redact=redact)
    parts.health.ready["decide"] = decide.problem
    life.task("decide", decide.run(life.stop))


def _write(
    parts: Parts,
    config: JiraSettings,
    jira: JiraClient,
    sink: KafkaSink,
    redact: Redact,
    told: Told,
    families: MetricFamilies,
    life: Lifecycle,
) -> Writer:
    topics, journal = Topics(parts.settings.topics.prefix), Journal()
    writer = Writer(
        jira,
        Texts(plans(parts.pipelines), redact),
        journal,
        sink.publish,
        StateLoader(KafkaHistory(parts.client), topics, journal.ahead),
        topics,
        unsettled_s=config.timeout_s + config.search_lag_s,
        redact=redact,
        told=told,
        held=_sharing(jira, parts.topics[topics.commands].partitions),
    )
    source = parts.joining(topics.writer, {topics.commands: "earliest"})
    engine = Engine(
        source,
        parts.sink(),
        writer,
        parts.limits(),
        delivery=parts.delivery(source, topics.writer, stateful=True),
        key_of=Writer.key_of,
        journal=journal,
        metrics=families.of("write"),
        name="write",
    )
    parts.health.ready["write"] = engine.problem
    life.task("write", engine.run(life.stop))
    life.task("recount", writer.catch_up(life.stop))
    reconciler = Reconciler(
        jira,
        writer.book,
        sink.publish,
        topics,
        redact=redact,
        census=Census(jira),
        marks=marks(parts.client, topics),
        lag_s=config.search_lag_s,
    )
    life.task("reconcile", reconciler.run(life.stop))
    return writer


def _sharing(jira: JiraClient, partitions: int) -> Callable[[int], None]:
    """Has a daemon keep to the part of the budgets of requests that its partitions of the commands are of all."""
    return lambda held: jira.gate.share(max(1, held) / max(1, partitions))


def _listen(
    parts: Parts,
    config: JiraSettings,
    jira: JiraClient,
    sink: KafkaSink,
    writer: Writer,
    redact: Redact,
    life: Lifecycle,
) -> None:
    """Hears what people do with tickets, unless that is turned off."""
    topics, feedback = Topics(parts.settings.topics.prefix), config.feedback
    if not feedback.every_s:
        return
    listener = Listener(
        Watch(jira, feedback.category_field),
        jira.myself,
        sink.publish,
        last_mark(parts.client, topics),
        lambda: writer.holds(0),
        topics,
        every_s=feedback.every_s,
        lag_s=config.search_lag_s,
        label=feedback.label,
        redact=redact,
    )
    life.task("feedback", listener.run(life.stop))
