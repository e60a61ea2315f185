"""Runs the chain of a pipeline for one event: each step sees what the ones before it gave."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from processor.chain.metrics import ChainMetrics, Outcome
from processor.chain.query import Asker
from processor.contract import DecidedBy, Event, Reading, RuleMatch, Step
from processor.errors import Rejected, Retryable
from processor.lang.fields import InvalidResult
from processor.pipeline import Pipeline
from processor.pipeline.chain import AskConfig, QueryConfig, StepConfig, ValuesConfig
from processor.tiers.ask import Ask, Asked
from processor.tiers.judge import Larger, came_of

KEPT: Final = 2000
"""Answers of models that are kept for events that wait, so that no try pays for them again."""

_LONGEST: Final = 1000
"""Characters of the longest text that an expression gives."""


@dataclass(slots=True)
class Chained:
    """What the steps gave, by name (null: left out), and what they cost; `finish` is the result that ended the chain.

    `replica` is the model server that answered last.
    """

    values: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    replica: str = ""
    finish: RuleMatch | None = None


class Chain:
    """The chain of one pipeline. `asks` by step, for those that ask a model.

    `larger` by step is asked where that model has no valid answer; None where this deployment has no such tier.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        asks: Mapping[str, Ask],
        query: Asker,
        metrics: ChainMetrics,
        larger: Mapping[str, Larger | None] = MappingProxyType({}),
    ) -> None:
        self.pipeline = pipeline
        self.asks = asks
        self.query = query
        self.metrics = metrics
        self.larger = larger
        self._kept: OrderedDict[tuple[str, str], tuple[dict[str, Any], list[Asked]]] = OrderedDict()

    @property
    def all_asks(self) -> list[Ask]:
        """All that it may ask of models."""
        return [*self.asks.values(), *(each.ask for each in self.larger.values() if each is not None)]

    async def __call__(self, event: Event, reading: Reading) -> Chained:
        """What the steps give. Raises Rejected or Retryable, as the step that fails does."""
        done = Chained()
        for step in self.pipeline.chain:
            if self._wanted(step, done, event, reading):
                await self._timed(step, done, event, reading)
            else:
                self._skip(step, done)
        return done

    async def until_asked(self, event: Event, reading: Reading) -> tuple[Chained, Ask | None]:
        """What the steps give before the first one that asks a model, and that one, if there is one. Raises as above.

        Later steps are null.
        """
        done = Chained(dict.fromkeys(step.name for step in self.pipeline.chain))
        for step in self.pipeline.chain:
            if self._wanted(step, done, event, reading):
                if isinstance(step.does, AskConfig):
                    return done, self.asks[step.name]
                await self._timed(step, done, event, reading)
        return done, None

    def _wanted(self, step: StepConfig, done: Chained, event: Event, reading: Reading) -> bool:
        return done.finish is None and (step.when is None or step.when.evaluate(scope_of(event, reading, done.values)))

    async def _timed(self, step: StepConfig, done: Chained, event: Event, reading: Reading) -> None:
        began = time.perf_counter()
        try:
            await self._run(step, done, event, reading)
        except (Rejected, Retryable) as error:
            outcome: Outcome = "waits" if isinstance(error, Retryable) else "rejected"
            self.metrics.told(self.pipeline.name, step.name, outcome)
            raise
        self.metrics.took(self.pipeline.name, step.name, time.perf_counter() - began)

    def done(self, event: Event) -> None:
        """The event waits for nothing any more."""
        identity = event.origin.id(self.pipeline.name)
        for name in self.asks:
            self._kept.pop((identity, name), None)

    def _skip(self, step: StepConfig, done: Chained) -> None:
        done.values[step.name] = None
        done.steps.append(Step(step.name, _by(step), unused="skipped"))
        self.metrics.told(self.pipeline.name, step.name, "skipped")

    async def _run(self, step: StepConfig, done: Chained, event: Event, reading: Reading) -> None:
        scope = scope_of(event, reading, done.values)
        match step.does:
            case AskConfig():
                await self._ask(step.name, done, event, reading)
                return
            case QueryConfig():
                began = time.perf_counter()
                found = await self.query(event.origin.id(self.pipeline.name), step.does, scope)
                timings = {"query": round((time.perf_counter() - began) * 1000, 2)}
                done.values[step.name] = found
                done.steps.append(Step(step.name, "query", timings_ms=timings, result=found))
            case ValuesConfig(last=False):
                values = evaluated(step.does, scope)
                done.values[step.name] = values
                done.steps.append(Step(step.name, "evaluate", result=values))
            case ValuesConfig():
                done.values[step.name] = {}
                done.finish = RuleMatch(step.name, evaluated(step.does, scope), {}, ())
        self.metrics.told(self.pipeline.name, step.name, "done")

    async def _ask(self, name: str, done: Chained, event: Event, reading: Reading) -> None:
        key = (event.origin.id(self.pipeline.name), name)
        before, asked = self._kept.get(key, (None, []))
        if before != done.values:
            known = dict(done.values)
            asked = await self._asked(name, event, _with(reading, done))
            self._kept[key] = (known, asked)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            self.metrics.told(self.pipeline.name, name, "done")
        else:
            self.metrics.told(self.pipeline.name, name, "kept")
        first, last = asked[0], asked[-1]
        if last.answer is None:
            raise first.rejected() from first.fault
        if last is not first:
            first.step.unused = first.invalid
        last.step.result = done.values[name] = last.answer.result
        done.steps += [each.step for each in asked]
        done.replica = first.replica or done.replica

    async def _asked(self, name: str, event: Event, reading: Reading) -> list[Asked]:
        """What the step's model says, and what the larger one does where that is no valid answer."""
        ask = self.asks[name]
        first = await ask(event, reading)
        if first.answer is not None:
            ask.tiers.answered(self.pipeline.name)
            return [first]
        if name not in self.larger:
            return [first]
        larger = self.larger[name]
        second = await larger(event, reading) if larger is not None else None
        ask.tiers.escalated(self.pipeline.name, first.step.adapter, first.invalid, came_of(larger, second))
        return [first] if second is None else [first, second]


def _with(reading: Reading, done: Chained) -> Reading:
    """The reading with what is known by now."""
    return replace(reading, chain=dict(done.values), replica=done.replica)


def _by(step: StepConfig) -> DecidedBy:
    if isinstance(step.does, AskConfig):
        return "model"
    return "query" if isinstance(step.does, QueryConfig) else "evaluate"


def scope_of(event: Event, reading: Reading, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the expressions of a step see."""
    rule = reading.rule.rule if reading.rule is not None and reading.rule.decides else ""
    return {"event": event.attributes, "rule": rule, "chain": values}


def evaluated(config: ValuesConfig, scope: Mapping[str, Any]) -> dict[str, Any]:
    """The values of expressions by name. Raises Rejected ("expression_failed")."""
    return {name: _bounded(each.evaluate(scope)) for name, each in config.values.items()}


def _bounded(value: Any) -> Any:
    return value[: _LONGEST - 1] + "…" if isinstance(value, str) and len(value) > _LONGEST else value


def filled(pipeline: Pipeline, event: Event, reading: Reading, result: dict[str, Any]) -> dict[str, Any]:
    """The result with the fields that `fill` gives, as the schema has them. Raises Rejected ("expression_failed")."""
    if not pipeline.fill:
        return result
    scope = {**scope_of(event, reading, reading.chain), "result": result}
    given: dict[str, Any] = {}
    for name, each in pipeline.fill.items():
        value, most = each.evaluate(scope), pipeline.schema.fields[name].max_length
        long = isinstance(value, str) and most is not None and len(value) > most
        given[name] = f"{value}"[: (most or 1) - 1] + "…" if long else value
    try:
        return pipeline.schema.validate({**result, **given})
    except InvalidResult as error:
        raise Rejected("expression_failed", f"fill: {error}") from error


def asks_of(pipeline: Pipeline) -> Sequence[AskConfig]:
    """The questions of a pipeline's chain."""
    return [step.does for step in pipeline.chain if isinstance(step.does, AskConfig)]
