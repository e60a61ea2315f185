"""The gate that all requests to Jira go through, against simulated limits, in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from processor.testing.virtual import run
from processor.tickets.jira import Limited
from processor.tickets.jira.answers import Answer
from processor.tickets.jira.gate import MOST_WAITING, Gate
from processor.tickets.jira.kinds import Kind, at_work

ANSWER_S = 0.02


def now() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


def gate(minute: int = 600, second: int = 20, at_once: int = 4, **more: Any) -> Gate:
    """A gate whose chance is always the middle."""
    return Gate(minute, second, at_once, wall=lambda: 0.0, chance=lambda: 0.5, **more)


class Tokens:
    """A server with a token bucket; says when to come again, in whole seconds as servers do."""

    def __init__(self, rate: float, room: float, *, tells: bool = False) -> None:
        self.rate, self.room, self.tells = rate, room, tells
        self.left, self.at = room, 0.0

    def ask(self) -> tuple[int, dict[str, str]]:
        """One request."""
        self.left, self.at = min(self.room, self.left + (now() - self.at) * self.rate), now()
        said = {}
        if self.tells:
            said = {
                "X-RateLimit-FillRate": f"{self.rate * 10:g}",
                "X-RateLimit-Interval-Seconds": "10",
                "X-RateLimit-Limit": f"{self.room:g}",
                "X-RateLimit-Remaining": f"{math.floor(max(0.0, self.left - 1))}",
            }
        if self.left < 1:
            return 429, {**said, "Retry-After": str(math.ceil((1 - self.left) / self.rate))}
        self.left -= 1
        return 200, said


class Windows:
    """A server that allows so many requests in each window of time."""

    def __init__(self, most: int, length_s: float) -> None:
        self.most, self.length_s = most, length_s
        self.window, self.used = -1, 0
        self.rate = most / length_s

    def ask(self) -> tuple[int, dict[str, str]]:
        """One request."""
        window = int(now() // self.length_s)
        if window != self.window:
            self.window, self.used = window, 0
        if self.used >= self.most:
            return 429, {"Retry-After": str(math.ceil((window + 1) * self.length_s - now()))}
        self.used += 1
        return 200, {}


async def busy(gate: Gate, ask: Callable[[], tuple[int, Mapping[str, str]]], until: float) -> dict[str, list[float]]:
    """Five that always want to send something; when what was accepted and refused."""
    came: dict[str, list[float]] = {"accepted": [], "refused": []}

    async def one() -> None:
        while now() < until:
            try:
                async with gate.turn(Kind.COMMENT) as turn:
                    status, headers = ask()
                    await asyncio.sleep(ANSWER_S)
                    turn.heard(Answer(status, headers, b""))
                    came["accepted" if status == 200 else "refused"].append(now())
            except Limited as error:
                await asyncio.sleep(error.wait or 0)

    await asyncio.gather(*(one() for _ in range(5)))
    return came


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(lambda: Tokens(5, 1), id="5 a second, none at once"),
        pytest.param(lambda: Tokens(5, 50), id="5 a second, 50 at once"),
        pytest.param(lambda: Tokens(1, 10), id="1 a second"),
        pytest.param(lambda: Tokens(3, 6, tells=True), id="tells its rate"),
        pytest.param(lambda: Windows(5, 1), id="5 in each second"),
        pytest.param(lambda: Windows(60, 60), id="60 in each minute"),
        pytest.param(lambda: Windows(300, 60), id="300 in each minute"),
    ],
)
def test_a_server_that_allows_less_than_the_budget_is_used_to_95_percent(server: Callable[[], Any]) -> None:
    """Whatever its limit is like, without being told in the settings; and it has to refuse little."""
    there = server()
    came = run(busy(gate(), there.ask, 900.0))
    late = [at for at in came["accepted"] if at > 300]
    assert len(late) >= 0.95 * there.rate * 600
    assert len([at for at in came["refused"] if at > 300]) <= 0.02 * len(late) + 4


def most(times: list[float], span_s: float) -> int:
    """How many of these there are at most in a span of time, its end left out."""
    return max(sum(1 for each in times if at <= each < at + span_s - 1e-6) for at in times)


@pytest.mark.parametrize(("minute", "second"), [(600, 20), (60, 10), (30, 1), (6000, 20), (1, 1)])
def test_the_budgets_are_kept_and_used(minute: int, second: int) -> None:
    """Never more in any minute, nor in any second; and 95 % of what they allow, where as much is wanted."""
    came = run(busy(gate(minute, second), lambda: (200, {}), 180.0))["accepted"]
    assert most(came, 60) <= minute
    assert most(came, 1) <= second
    assert len(came) >= 0.95 * min(minute * 3, second * 180)


async def sent(
    gate: Gate, order: list[str], kind: Kind, name: str, issue: str | None = None, hold_s: float = 0
) -> None:
    """One request that notes when its turn has come."""
    async with gate.turn(kind, issue, writes=issue is not None) as turn:
        order.append(name)
        await asyncio.sleep(hold_s)
        turn.heard(Answer(200, {}, b""))


def test_what_creates_goes_before_comments_and_these_before_edits() -> None:
    """Whatever came first; what is worked on bounds the rank of all its requests."""
    order: list[str] = []

    async def work() -> None:
        made = gate(60, 1, at_once=1)
        async with made.turn(Kind.LOOK):
            waiting = [
                asyncio.create_task(sent(made, order, kind, kind.label))
                for kind in (Kind.LOOK, Kind.EDIT, Kind.COMMENT, Kind.CREATE)
            ]
            with at_work(Kind.EDIT):
                waiting.append(asyncio.create_task(sent(made, order, Kind.CREATE, "create, for an edit")))
            await asyncio.sleep(5)
        await asyncio.gather(*waiting)

    run(work())
    assert order == ["create", "comment", "edit", "create, for an edit", "look"]


def test_on_an_issue_there_is_one_write_at_a_time() -> None:
    """So never two transitions; other issues and reads go on meanwhile."""
    order: list[str] = []

    async def work() -> None:
        made = gate()
        first = asyncio.create_task(sent(made, order, Kind.COMMENT, "first", "A-1", hold_s=5))
        await asyncio.sleep(1)
        second = asyncio.create_task(sent(made, order, Kind.COMMENT, "second", "A-1"))
        await asyncio.sleep(1)
        await sent(made, order, Kind.EDIT, "other", "A-2")
        await sent(made, order, Kind.LOOK, "read")
        assert not second.done()
        await asyncio.gather(first, second)
        assert now() >= 5

    run(work())
    assert order == ["first", "other", "read", "second"]


def test_an_issue_gets_no_more_writes_than_cloud_allows() -> None:
    """20 in two seconds, 100 in thirty."""
    times: list[float] = []

    async def write(made: Gate) -> None:
        async with made.turn(Kind.COMMENT, "A-1", writes=True):
            times.append(now())

    async def work() -> None:
        made = gate(60_000, 1000)
        await asyncio.gather(*(write(made) for _ in range(200)))

    run(work())
    assert most(times, 2) <= 26
    assert most(times, 30) <= 120
    assert times[-1] <= 200 / (100 / 30)


@pytest.mark.parametrize(
    ("reason", "stopped"),
    [
        ("jira-per-issue-on-write", {"same issue"}),
        ("jira-burst-based", {"same issue", "same kind"}),
        ("jira-quota-tenant-based", {"same issue", "same kind", "other kind"}),
        ("", {"same issue", "same kind", "other kind"}),
    ],
)
@pytest.mark.parametrize("after", ["7", "Thu, 01 Jan 1970 00:00:07 GMT"])
def test_a_refusal_stops_what_it_is_about_until_its_time(reason: str, stopped: set[str], after: str) -> None:
    """An issue, a kind of request, or all; a little longer by chance, and not all at once afterwards."""
    when: dict[str, float] = {}

    async def one(made: Gate, name: str, kind: Kind, issue: str) -> None:
        async with made.turn(kind, issue, writes=True):
            when[name] = now()

    async def work() -> None:
        made = gate()
        async with made.turn(Kind.COMMENT, "A-1", writes=True) as turn:
            turn.heard(Answer(429, {"RateLimit-Reason": reason, "Retry-After": after}, b""))
        await asyncio.gather(
            one(made, "same issue", Kind.COMMENT, "A-1"),
            one(made, "same kind", Kind.COMMENT, "A-2"),
            one(made, "other kind", Kind.CREATE, "A-3"),
        )

    run(work())
    assert {name for name, at in when.items() if at >= 7} == stopped
    assert all(at < 9 for at in when.values())


def test_no_herd_follows_a_refusal() -> None:
    """What has waited meanwhile goes at the pace that is allowed."""
    times: list[float] = []

    async def one(made: Gate) -> None:
        async with made.turn(Kind.COMMENT):
            times.append(now())

    async def work() -> None:
        made = gate()
        async with made.turn(Kind.CREATE) as turn:
            turn.heard(Answer(429, {"Retry-After": "9"}, b""))
        await asyncio.gather(*(one(made) for _ in range(40)))

    run(work())
    assert min(times) >= 9
    assert most(times, 0.5) <= 6


def test_a_long_wait_turns_requests_away_at_once() -> None:
    """The handler is free for other work; the error says when to come again, and that all wait alike."""

    async def work() -> None:
        made = gate()
        async with made.turn(Kind.CREATE) as turn:
            turn.heard(Answer(429, {"Retry-After": "300"}, b""))
        with pytest.raises(Limited) as caught:
            async with made.turn(Kind.COMMENT):
                raise AssertionError("it was let through")
        assert 300 <= (caught.value.wait or 0) <= 330
        assert caught.value.shared
        assert made.waiting(Kind.COMMENT) == 0

    run(work())


def test_refusals_that_do_not_say_how_long_are_waited_out_longer_and_longer() -> None:
    """Up to a minute."""

    async def work() -> list[float]:
        made, waits = gate(), []
        for _ in range(8):
            made.hear(Kind.CREATE, None, 429, {})
            waits.append(made.stopped_s(Kind.CREATE))
            await asyncio.sleep(waits[-1])
        return waits

    assert [round(each / 1.05) for each in run(work())] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_so_many_wait_and_no_more() -> None:
    """Reads, which begin a command's work, are turned away; what has begun is let in; what outranks them, too."""

    async def work() -> None:
        made, order = gate(60, 1, at_once=1), list[str]()
        first = asyncio.create_task(sent(made, order, Kind.COMMENT, "first", hold_s=60))
        await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(sent(made, order, Kind.COMMENT, "")) for _ in range(MOST_WAITING + 1)]
        await asyncio.sleep(0.01)
        assert made.waiting(Kind.COMMENT) == MOST_WAITING
        assert [isinstance(each.exception(), Limited) for each in waiting if each.done()] == [True]
        made.admit(Kind.CREATE)
        made.admit(Kind.COMMENT, begun=True)
        with pytest.raises(Limited, match="wait for their turn"):
            made.admit(Kind.EDIT)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.gather(first, sent(made, order, Kind.EDIT, "after"))
        assert order == ["first", "after"]
        assert made.waiting(Kind.COMMENT) == 0

    run(work())


def test_no_more_tickets_are_begun_than_can_be_created_in_time() -> None:
    """An intent is good for some seconds: it must not be written for a request that waits for longer."""

    async def work() -> None:
        made = gate(60, 1)
        with made.room(), made.room(), made.room(), made.room():
            with pytest.raises(Limited, match="being created") as caught, made.room():
                raise AssertionError("there was room")
            assert caught.value.wait
        with made.room():
            assert made.rate == 1

    run(work())


def test_what_can_wait_does_near_a_limit() -> None:
    """Cloud tells when a fifth of its quota is left."""

    async def work() -> None:
        made = gate()
        made.hear(Kind.LOOK, None, 200, {"X-RateLimit-NearLimit": "true"})
        assert [made.stopped_s(kind) > 0 for kind in Kind] == [False, False, True, True]

    run(work())


@pytest.mark.parametrize("partitions", [[8], [4, 4], [3, 3, 2], [1] * 8])
def test_daemons_share_one_budget(partitions: list[int]) -> None:
    """However the partitions are dealt out, all daemons together stay within the budget of a minute, and use it."""

    async def sent() -> list[int]:
        gates = [gate(minute=240, second=100) for _ in partitions]
        for each, held in zip(gates, partitions, strict=True):
            each.share(held / sum(partitions))
        came = await asyncio.gather(*(busy(each, lambda: (200, {}), 120.0) for each in gates))
        times = [at for each in came for at in each["accepted"]]
        return [sum(begin <= at < begin + 60 for at in times) for begin in (0.0, 20.0, 60.0)]

    counts = run(sent())
    assert max(counts) <= 240
    assert min(counts) >= 0.9 * 240


def test_a_budget_that_is_shared_anew_begins_with_nothing_saved_up() -> None:
    """A daemon that takes over partitions does not send at once what the other one has sent already."""

    async def sent() -> tuple[int, float]:
        shared = gate(minute=600, second=20)
        await busy(shared, lambda: (200, {}), now() + 1.0)
        shared.share(0.5)
        begun = now()
        came = await busy(shared, lambda: (200, {}), begun + 12.0)
        return len([at for at in came["accepted"] if at < begun + 12.0]), shared.rate

    count, rate = run(sent())
    assert rate == 5.0
    assert count <= 12 * 5
