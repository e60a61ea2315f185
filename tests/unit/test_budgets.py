"""Budgets: what was spent is read from the findings, so that a restart forgets nothing; the hard limit parks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from processor.contract import Outbound, Usage
from processor.costs.budgets import BudgetMetrics, Budgets, check_budgets
from processor.costs.ledger import Ledger
from processor.errors import ConfigError, Rejected, Retryable
from processor.models.chat import ChatRequest, Completion
from processor.settings import Settings
from processor.settings.costs import Budget, CostSettings
from processor.settings.models import ModelSettings
from processor.stages.park import Ward
from processor.testing.broker import MemoryBroker
from processor.testing.history import MemoryHistory
from processor.testing.model import StubModel
from tests.unit.test_costs import HOURLY, PRICED, URLS, by_model, finding, tariff
from tests.unit.test_line import CI_FAILURE, line, record

DAY = 86_400
MORNING = 20_000 * DAY + 3 * 3600
TOPIC = "t.findings.ci"


@dataclass
class Books:
    """A topic of findings, a clock, and daemons that look into them one after the other."""

    broker: MemoryBroker = field(default_factory=MemoryBroker)
    now: float = MORNING
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        for kind in ("findings", "shadow"):
            self.broker.create(f"t.{kind}.ci", 2)

    def spend(self, usd: float, at_s: float | None = None) -> None:
        """A finding that cost so much."""
        made = finding([by_model(Usage(10, 0, 1, usd))], at_s=at_s or self.now)
        partition = len(self.broker.records(TOPIC)) % 2
        self.broker.produce(Outbound(TOPIC, b"k", made.value, partition=partition))
        log = self.broker._logs(TOPIC)[partition]
        log[-1] = type(log[-1])(TOPIC, partition, log[-1].offset, b"k", made.value, (), made.timestamp_ms)

    def daemon(self, **budget: Any) -> tuple[Budgets, Ward]:
        """One that has just started."""
        self.registry = CollectorRegistry()
        ward = Ward("ci")
        budgets = Budgets(
            MemoryHistory(self.broker),
            Ledger(tariff(lite=PRICED)),
            [TOPIC, "t.shadow.ci"],
            {"ci": Budget(**budget)},
            {"ci": ward},
            BudgetMetrics(self.registry),
            clock=lambda: self.now,
        )
        return budgets, ward

    def gauge(self, name: str, **labels: str) -> float | None:
        """The value of a metric of budgets."""
        return self.registry.get_sample_value(f"faultstream_cost_budget_{name}", {"pipeline": "ci", **labels})


async def test_the_hard_limit_holds_until_the_window_is_over() -> None:
    """Over it the pipeline is held, with the reason and until when; the next day it goes on, with a new budget."""
    books = Books()
    budgets, ward = books.daemon(soft_usd=1, hard_usd=2)
    books.spend(1.5)
    assert await budgets.look() is None
    assert ward.held is None
    assert (books.gauge("spent_usd"), books.gauge("held")) == (1.5, 0)
    books.spend(0.5)
    assert await budgets.look() is None
    assert ward.held == "its budget of 2 $ is spent until 2024-10-05T00:00:00+00:00"
    assert (books.gauge("spent_usd"), books.gauge("held")) == (2.0, 1)
    assert (books.gauge("limit_usd", limit="soft"), books.gauge("limit_usd", limit="hard")) == (1, 2)
    books.now += DAY
    assert await budgets.look() is None
    assert ward.held is None
    assert books.gauge("spent_usd") == 0


async def test_a_restart_forgets_nothing_and_what_is_of_yesterday_does_not_count() -> None:
    """The new process reads the books from the window's beginning."""
    books = Books()
    books.spend(5, at_s=MORNING - 4 * 3600)
    books.spend(1.2)
    books.spend(0.9)
    budgets, ward = books.daemon(hard_usd=2)
    assert await budgets.look() is None
    assert books.gauge("spent_usd") == pytest.approx(2.1)
    assert ward.held is not None


async def test_answers_that_come_to_nothing_are_part_of_the_budget() -> None:
    """A model that answers everything wrong spends it as one that answers well."""
    books = Books()
    books.broker.create("t.dead-letters", 1)
    wrong = line(StubModel("no object"), replace(CI_FAILURE, name="ci", rules=None))
    [letter] = await wrong.handle(record(b"error: out of tune\n"))
    spent = json.loads(dict(letter.headers)["fs-spent"])
    assert [(step["tier"], step["usage"]["completion_tokens"]) for step in spent] == [("lite", 2)], "two answers"
    dear = Ledger(tariff(lite=ModelSettings(urls=URLS, usd_per_million_prompt=1e6)))
    ward, metrics = Ward("ci"), BudgetMetrics(books.registry)
    topics, budget = [TOPIC, "t.dead-letters"], {"ci": Budget(hard_usd=3)}
    budgets = Budgets(MemoryHistory(books.broker), dear, topics, budget, {"ci": ward}, metrics, clock=lambda: books.now)
    books.broker.produce(Outbound(letter.topic, letter.key, letter.value, letter.headers, partition=0))
    log = books.broker._logs(letter.topic)[0]
    log[-1] = replace(log[-1], timestamp_ms=int(books.now * 1000))
    assert await budgets.look() is None
    assert books.gauge("spent_usd") == sum(step["usage"]["prompt_tokens"] + 2 for step in spent)
    assert ward.held is not None


async def test_a_repair_that_does_not_come_leaves_the_first_answer_paid_for() -> None:
    """Where the server refuses the second question, the letter tells what the first one cost."""

    class Once(StubModel):
        async def complete(self, request: ChatRequest) -> Completion:
            if self.requests:
                raise Rejected("request_refused")
            return await super().complete(request)

    [letter] = await line(Once("no object"), replace(CI_FAILURE, rules=None)).handle(record(b"error: out of tune\n"))
    headers = dict(letter.headers)
    assert headers["fs-reason"] == b"request_refused"
    assert [step["usage"]["completion_tokens"] for step in json.loads(headers["fs-spent"])] == [1]


AMOUNTS = st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.integers(0, 4000)), max_size=12)


@given(AMOUNTS)
async def test_spend_is_never_lost(amounts: Sequence[tuple[float, bool, int]]) -> None:
    """Whenever the daemon looks or is started anew, it knows all that was spent in its window, once."""
    books = Books()
    budgets, _ = books.daemon(window="hour", hard_usd=1000)
    total: dict[int, float] = {}
    for usd, restarts, later in amounts:
        books.now += later
        books.spend(usd)
        hour = int(books.now // 3600)
        total[hour] = total.get(hour, 0.0) + usd
        if restarts:
            budgets, _ = books.daemon(window="hour", hard_usd=1000)
        assert await budgets.look() is None
        assert books.gauge("spent_usd") == pytest.approx(total[hour])


async def test_books_that_can_not_be_read_are_read_later() -> None:
    """From where that stopped; the window ends in any case."""
    books = Books()
    budgets, ward = books.daemon(hard_usd=1)
    books.spend(2)
    assert await budgets.look() is None
    assert ward.held
    books.broker.fail("ends", Retryable("away"))
    books.now += DAY
    assert isinstance(await budgets.look(), Retryable)
    assert ward.held is None
    books.spend(0.25)
    books.broker.fail("poll", Retryable("away"))
    assert isinstance(await budgets.look(), Retryable)
    assert await budgets.look() is None
    assert books.gauge("spent_usd") == 0.25


async def test_replica_hours_count_by_their_share() -> None:
    """A tier that is paid by the hour: half of the work is half of what has run up of the hour."""
    books = Books(now=MORNING + 1800)
    books.broker.create("t.findings.other", 1)
    wards = {"ci": Ward("ci")}
    budgets = Budgets(
        MemoryHistory(books.broker),
        Ledger(tariff(lite=HOURLY)),
        [TOPIC, "t.findings.other"],
        {"ci": Budget(hard_usd=1.5)},
        wards,
        BudgetMetrics(books.registry),
        clock=lambda: books.now,
    )
    for name in ("ci", "other"):
        made = finding([by_model(Usage(100, 0, 0))], name, at_s=books.now)
        books.broker.produce(Outbound(f"t.findings.{name}", b"k", made.value, partition=0))
        log = books.broker._logs(f"t.findings.{name}")[0]
        log[-1] = type(log[-1])(f"t.findings.{name}", 0, 0, b"k", made.value, (), made.timestamp_ms)
    assert await budgets.look() is None
    assert books.gauge("spent_usd") == pytest.approx(2 * 3 * 0.5 / 2)
    assert wards["ci"].held


async def test_events_of_a_held_pipeline_go_aside_and_nobody_is_asked() -> None:
    """Beside another one on the topic they are parked; alone they wait where they are. No trial is made."""
    model = StubModel()
    second = replace(CI_FAILURE, name="second", rules=None)
    both = line(model, CI_FAILURE, second)
    both.wards["second"].held = "its budget is spent"
    for offset in range(3):
        outputs = await both.handle(record(b"error: x\n", offset=offset))
        assert [out.topic for out in outputs if "signals" not in out.topic] == [
            "t.findings.ci_failure",
            "t.parked.second",
        ]
    asked = model.requests
    with pytest.raises(Retryable, match="its budget is spent"):
        await both.handle(record(b"error: x\n", topic="t.parked.second"))
    assert model.requests == asked
    both.wards["second"].held = None
    outputs = await both.handle(record(b"error: x\n", offset=9))
    assert "t.findings.second" in [out.topic for out in outputs]


@pytest.mark.parametrize("wrong", [{}, {"soft_usd": 3, "hard_usd": 2}, {"hard_usd": -1}])
def test_a_budget_has_limits_that_make_sense(wrong: dict[str, float]) -> None:
    """None at all, or the soft one over the hard one, is a mistake."""
    with pytest.raises(ValidationError):
        Budget.model_validate(wrong)


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("nobody", PRICED, "no pipeline nobody"),
        ("ci", ModelSettings(urls=URLS), "nothing is known of what models.lite costs"),
        ("ci", PRICED, None),
        ("ci", HOURLY, None),
    ],
)
def test_a_budget_needs_a_pipeline_and_prices(name: str, model: ModelSettings, said: str | None) -> None:
    """Else it would never be spent."""
    settings = Settings(models={"lite": model}, costs=CostSettings(budgets={name: Budget(hard_usd=1)}))
    if said is None:
        check_budgets(settings, ["ci"])
        assert settings.costs.budgets
    else:
        with pytest.raises(ConfigError, match=said):
            check_budgets(settings, ["ci"])
