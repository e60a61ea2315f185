"""Keeps pipelines within their budgets: warns at the soft limit, and puts events aside at the hard one.

What was spent is read from the topics of findings, shadows and dead letters, as `faultstream cost` reads it: those of
all daemons of the deployment, and those of before a restart. So a budget is one for all of them, nothing is forgotten,
and nothing has to be kept. What is in flight while the books are read comes on top: a budget is overrun by some
seconds' work.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, Self

import structlog
from prometheus_client import CollectorRegistry, Gauge

from processor.contract import TopicPartition
from processor.costs.ledger import HOUR_S, Ledger, Paid, Tariff
from processor.errors import ConfigError, Retryable
from processor.models.prices import Prices
from processor.settings import Settings
from processor.settings.costs import Budget
from processor.sources.history import History, Span
from processor.stages.park import Ward

log = structlog.get_logger(__name__)

LOOK_S: Final = 5.0
"""Seconds between looks into the books."""


class BudgetMetrics:
    """What budgets say, by pipeline."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix, one = "faultstream_cost_budget", ["pipeline"]
        self._spent = Gauge(f"{prefix}_spent_usd", "Spent in the present window.", one, registry=registry)
        self._limit = Gauge(f"{prefix}_limit_usd", "Limits, soft and hard.", [*one, "limit"], registry=registry)
        self._held = Gauge(f"{prefix}_held", "1 while events are put aside for it.", one, registry=registry)

    def limits(self, pipeline: str, budget: Budget) -> None:
        """What a pipeline may spend."""
        for name, limit in (("soft", budget.soft_usd), ("hard", budget.hard_usd)):
            if limit is not None:
                self._limit.labels(pipeline, name).set(limit)

    def spent(self, pipeline: str, amount: float, *, held: bool) -> None:
        """What it has spent, and whether that was all."""
        self._spent.labels(pipeline).set(amount)
        self._held.labels(pipeline).set(held)


class Budgets:
    """The budgets of one deployment. `ledger` is empty at first; `topics`: all of findings, shadows and dead letters.

    `clock` gives Unix time: windows are hours and days in UTC.
    """

    def __init__(
        self,
        history: History,
        ledger: Ledger,
        topics: Collection[str],
        budgets: Mapping[str, Budget],
        wards: Mapping[str, Ward],
        metrics: BudgetMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._history = history
        self._ledger = ledger
        self._topics = topics
        self._budgets = {name: budget for name, budget in budgets.items() if name in wards}
        self._wards = wards
        self._metrics = metrics
        self._clock = clock
        self._next: dict[TopicPartition, int] = {}
        self._warned: dict[str, int] = {}  # by pipeline, the window in which it was
        for name, budget in self._budgets.items():
            metrics.limits(name, budget)

    @classmethod
    def of(
        cls,
        settings: Settings,
        history: History,
        topics: Collection[str],
        wards: Mapping[str, Ward],
        registry: CollectorRegistry,
    ) -> Self | None:
        """The budgets that the settings give these pipelines; None where they give none."""
        if not settings.costs.budgets.keys() & wards.keys():
            return None
        ledger, metrics = Ledger(Tariff.of(settings.models, settings.costs)), BudgetMetrics(registry)
        return cls(history, ledger, topics, settings.costs.budgets, wards, metrics)

    async def look(self) -> Retryable | None:
        """Reads what has come since, and holds or lets go of each pipeline. Returns what kept it from reading."""
        try:
            await self._read()
        except Retryable as error:
            return error
        finally:  # a window may be over, whatever could be read
            for name, budget in self._budgets.items():
                self._judge(name, budget)
        return None

    async def run(self, stop: asyncio.Event) -> None:
        """Looks now and then, until `stop`."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)
            if error := await self.look():
                log.warning("can't read what was spent", action="budget", error=str(error))

    async def _read(self) -> None:
        oldest = min(_first_hour(budget, self._clock()) for budget in self._budgets.values())
        start = None if self._next else datetime.fromtimestamp(oldest * HOUR_S, UTC)
        spans = await self._history.spans(self._topics, start)
        left = {tp: Span(self._next.get(tp, span.start), span.end) for tp, span in spans.items()}
        for tp, span in left.items():
            self._next.setdefault(tp, span.start)
        async with aclosing(self._history.between(left)) as records:
            async for record in records:
                self._ledger.add(record)
                self._next[TopicPartition(record.topic, record.partition)] = record.offset + 1
        self._next |= {tp: span.end for tp, span in left.items()}  # over the markers of transactions
        self._ledger.forget(oldest)

    def _judge(self, name: str, budget: Budget) -> None:
        now = self._clock()
        first = _first_hour(budget, now)
        spent = sum(self._ledger.known(hour, name, now) for hour in range(first, int(now) // HOUR_S + 1))
        ward, was = self._wards[name], self._wards[name].held
        over = budget.hard_usd is not None and spent >= budget.hard_usd
        until = datetime.fromtimestamp((first + _HOURS[budget.window]) * HOUR_S, UTC).isoformat()
        ward.held = f"its budget of {budget.hard_usd:g} $ is spent until {until}" if over else None
        self._metrics.spent(name, spent, held=over)
        told = {"pipeline": name, "usd": round(spent, 4), "until": until}
        if over and was is None:
            log.error("budget is spent: parks", action="budget", **told)
        elif was is not None and not over:
            log.warning("budget is there again", action="budget", **told)
        elif budget.soft_usd is not None and spent >= budget.soft_usd and self._warned.get(name) != first:
            self._warned[name] = first
            log.warning("over the soft limit of its budget", action="budget", **told)


def check_budgets(settings: Settings, pipelines: Collection[str]) -> None:
    """Raises ConfigError for a budget of a pipeline that isn't there, and for one that nothing can be held against."""
    for name in settings.costs.budgets:
        if name not in pipelines:
            raise ConfigError(f"costs.budgets: no pipeline {name}; there are {', '.join(pipelines)}")
    unpriced = [tier for tier, one in settings.models.items() if Prices.of(one) is None and Paid.of(one) is None]
    if settings.costs.budgets and unpriced:
        raise ConfigError(f"costs.budgets: nothing is known of what models.{unpriced[0]} costs; set its price")


_HOURS: Final = {"hour": 1, "day": 24}


def _first_hour(budget: Budget, now_s: float) -> int:
    """The hour (Unix time in hours) with which the present window began."""
    hours = _HOURS[budget.window]
    return int(now_s) // HOUR_S // hours * hours
