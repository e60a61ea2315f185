"""Which replica the next request goes to."""

from __future__ import annotations

import pytest

from processor.errors import Retryable
from processor.models.replicas import Pauses, Replicas


class Clock:
    """A clock that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The tests' clock."""
    return Clock()


def replicas(clock: Clock, count: int = 3) -> Replicas:
    """Some replicas whose first rest is about a second."""
    return Replicas([f"http://{index}/v1" for index in range(count)], 4, Pauses(1.0, 8.0), clock)


def test_rotation_uses_all(clock: Clock) -> None:
    """Each replica gets its turn."""
    some = replicas(clock)
    assert {some.pick("").url for _ in range(3)} == {"http://0/v1", "http://1/v1", "http://2/v1"}


def test_one_that_is_away_rests_and_comes_back(clock: Clock) -> None:
    """A replica that does not answer is left out until its pause is over."""
    some = replicas(clock)
    away = some.pick("")
    some.failed(away, away=True)
    assert all(some.pick("") is not away for _ in range(6))
    clock.now += 1.3
    assert any(some.pick("") is away for _ in range(3))


def test_a_bad_answer_alone_rests_nobody(clock: Clock) -> None:
    """One 500 may be the request's own doing; three in a row are the server's."""
    some = replicas(clock, 1)
    one = some.pick("")
    some.failed(one, away=False)
    some.failed(one, away=False)
    assert some.pick("") is one
    some.failed(one, away=False)
    with pytest.raises(Retryable):
        some.pick("")


def test_all_away_says_when_to_come_back(clock: Clock) -> None:
    """With no healthy replica the wait is the shortest rest left."""
    some = replicas(clock, 2)
    for each in list(some):
        some.failed(each, away=True)
    with pytest.raises(Retryable) as caught:
        some.pick("")
    assert caught.value.shared
    assert caught.value.wait is not None
    assert 0 < caught.value.wait <= 1.25
    assert some.healthy == 0


def test_rests_grow_to_a_limit(clock: Clock) -> None:
    """Each failure in a row doubles the rest; a success ends the row."""
    some = replicas(clock, 1)
    one = next(iter(some))
    rests = []
    for _ in range(6):
        some.failed(one, away=True)
        rests.append(some.resting(one))
    assert rests[0] < rests[2] < rests[-1] <= 10
    one.succeeded()
    assert some.resting(one) == 0


def test_what_failed_is_avoided_where_there_is_another(clock: Clock) -> None:
    """The second try of a request goes elsewhere, or to the same where it is the only one."""
    some = replicas(clock, 2)
    first = some.pick("")
    assert all(some.pick("", avoid=first) is not first for _ in range(4))
    alone = replicas(clock, 1)
    only = alone.pick("")
    assert alone.pick("", avoid=only) is only
