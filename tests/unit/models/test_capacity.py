"""How many requests a replica is given, and how many tries may be repeated."""

from __future__ import annotations

import pytest

from processor.models.capacity import Limiter, RetryBudget


class Clock:
    """A clock that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def served(limiter: Limiter, clock: Clock, capacity: int, *, reads_queue: bool, rounds: int = 300) -> list[int]:
    """The limits while a server that runs `capacity` at once is kept as busy as the limit allows."""
    limits = []
    for _ in range(rounds):
        held = limiter.limit
        seconds = max(1.0, held / capacity)  # beyond its capacity requests wait in the server
        clock.now += seconds
        if reads_queue:
            limiter.queued(max(0, held - capacity))
        for _ in range(held):
            limiter.answered(seconds, 50, held)
        limits.append(limiter.limit)
    return limits


@pytest.mark.parametrize("capacity", [8, 30, 100])
def test_the_limit_finds_a_servers_capacity_by_its_queue(capacity: int) -> None:
    """It stays near what the server runs at once, whatever it began with."""
    clock = Clock()
    limits = served(Limiter(2, 256, clock), clock, capacity, reads_queue=True)
    late = limits[100:]
    assert 0.7 * capacity <= sum(late) / len(late) <= 1.3 * capacity + 2


def test_prompts_that_come_together_are_no_overload() -> None:
    """A burst waits in the server's queue until its prompts are read, one after the other, and then all run."""
    clock = Clock()
    limiter = Limiter(2, 16, clock)
    for _ in range(10):
        for waiting in (15, 10, 5, 0):
            clock.now += 5
            limiter.queued(waiting)
        for _ in range(16):
            limiter.answered(20.0, 1000, 16)
        assert limiter.limit == 16


def test_a_queue_that_never_empties_is_one() -> None:
    """Even where each reading finds another length."""
    clock = Clock()
    limiter = Limiter(2, 16, clock)
    for waiting in (15, 9, 12):
        clock.now += 6
        limiter.queued(waiting)
        for _ in range(7):
            limiter.answered(10.0, 1000, 16)
    assert limiter.limit == 16, "until all that were sent together are answered, it may be a burst"
    clock.now += 6
    limiter.queued(15)
    assert limiter.limit == 8


def test_the_first_answers_of_a_burst_say_nothing_of_its_queue() -> None:
    """A server that warmed up with one short question is not known by the time that took."""
    clock = Clock()
    limiter = Limiter(2, 16, clock)
    limiter.answered(2.0, 10, 1)
    for waiting in (15, 12, 9, 6, 3, 0):
        clock.now += 5
        limiter.queued(waiting)
        limiter.answered(2.0, 1000, 16)
    for _ in range(10):
        limiter.answered(30.0, 1000, 16)
    clock.now += 5
    limiter.queued(0)
    assert limiter.limit == 16


@pytest.mark.parametrize("capacity", [8, 30])
def test_without_a_queue_to_read_time_tells(capacity: int) -> None:
    """It is bounded by how much slower answers become, and never idles the server."""
    clock = Clock()
    limits = served(Limiter(2, 256, clock), clock, capacity, reads_queue=False)
    assert min(limits[50:]) >= 0.5 * capacity
    assert max(limits[50:]) <= 8 * capacity


def test_floor_and_ceiling_hold() -> None:
    """However slow or quick the server is."""
    clock = Clock()
    limiter = Limiter(4, 16, clock)
    for _ in range(50):
        clock.now += 100
        limiter.refused()
    assert limiter.limit == 4
    for _ in range(1000):
        limiter.answered(0.1, 10, limiter.limit)
    assert limiter.limit == 16
    assert Limiter(8, 3, clock).limit == 3


def test_one_overload_counts_once() -> None:
    """Ten refusals of requests that were sent together shrink the limit as one does."""
    clock = Clock()
    limiter = Limiter(1, 64, clock)
    for _ in range(200):
        limiter.answered(1.0, 10, limiter.limit)
    before = limiter.limit
    for _ in range(10):
        limiter.refused()
    assert 0.5 * before <= limiter.limit < before


def test_an_idle_limit_does_not_grow() -> None:
    """What a server can hold is not known while it holds little."""
    clock = Clock()
    limiter = Limiter(2, 64, clock)
    before = limiter.limit
    for _ in range(100):
        limiter.answered(1.0, 10, 1)
    assert limiter.limit == before


def test_retries_are_a_share_of_requests() -> None:
    """Beyond the burst, a tenth of the requests may be repeated; time alone gives one a second."""
    clock = Clock()
    budget = RetryBudget(0.1, 16, clock)
    assert sum(budget.take() for _ in range(100)) == 16
    for _ in range(100):
        budget.request()
    assert sum(budget.take() for _ in range(100)) in (9, 10)
    clock.now += 3
    assert sum(budget.take() for _ in range(100)) == 3
    clock.now += 1e6
    assert sum(budget.take() for _ in range(100)) == 16
