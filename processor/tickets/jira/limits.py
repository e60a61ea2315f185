"""What bounds the rate of requests to Jira: buckets of our own, and what the server's answers tell of its own.

Data Center tells the rate at which it allows requests (`X-RateLimit-FillRate` in `X-RateLimit-Interval-Seconds`).
Cloud tells which of its limits was hit (`RateLimit-Reason`) and when to come again (`Retry-After`,
`X-RateLimit-Reset`); see https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ and "Adjusting your code
for rate limiting" in Data Center's documentation. A server that tells neither is found out by halving the interval
between the rate that went well and the one that did not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal

LONGEST_S: Final = 3600.0
"""Most seconds that a server's wish to wait is followed at once; afterwards it is asked again."""

QUIET_S: Final = 20.0
"""Seconds without a refusal after which a rate is taken for one that goes well."""

FORGET_S: Final = 300.0
"""Seconds without a refusal after which a limit that was found out is tried anew: limits change."""

NEAR: Final = 1.02
"""Ratio of a rate that went badly to one that went well, at which the search for the middle ends."""

SLOWEST: Final = 1 / 60
"""Requests per second that are tried whatever a server has refused."""

Scope = Literal["issue", "kind", "all"]
"""What a refusal is about: writes on one issue, requests of one kind, or all."""


class Bucket:
    """A token bucket: `rate` requests a second, and `room` at once after a pause."""

    __slots__ = ("_at", "_tokens", "rate", "room")

    def __init__(self, rate: float, room: float, now: float) -> None:
        self.rate = rate
        self.room = max(1.0, room)
        self._tokens = self.room
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until the next request may go."""
        self._fill(now)
        return max(0.0, (1.0 - self._tokens) / self.rate) if self._tokens < 1.0 - 1e-9 else 0.0

    def take(self, now: float) -> None:
        """One request goes."""
        self._fill(now)
        self._tokens -= 1.0

    def hold(self, now: float, tokens: float) -> None:
        """There are no more tokens than this."""
        self._fill(now)
        self._tokens = min(self._tokens, tokens)

    def _fill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self.room, self._tokens + (now - self._at) * self.rate)
            self._at = now


def per_minute(most: int, now: float) -> Bucket:
    """At most so many requests in any minute: evenly, but for two in a hundred that may go at once."""
    room = max(1, most // 50)
    return Bucket((most - room + 1) / 60.0, room, now)


def per_second(most: int, minute: int, now: float) -> Bucket:
    """At most so many requests in any second; what the budget of a minute leaves over may go at once."""
    room = max(1, min(most // 2, math.floor(most - minute / 60.0)))
    return Bucket(float(most - room + 1), room, now)


def bounds(minute: int, second: int, now: float, unused: float = math.inf) -> list[Bucket]:
    """Both budgets, of which so many requests may go at once at the beginning."""
    made = [per_minute(minute, now), per_second(second, minute, now)]
    for each in made:
        each.hold(now, unused)
    return made


class Pace:
    """The rate that a server allows, found out from its answers; no limit before it has refused something.

    Between the highest rate that went well and the lowest that did not the middle is tried, until they are near.
    """

    def __init__(self, now: float) -> None:
        self._good = 0.0
        self._bad = math.inf
        self._rate = math.inf  # that is tried
        self._begun = now  # of the run at this rate
        self._accepted = 0
        self._last = -math.inf  # when the last request went
        self._further = 0.1  # how far beyond what is good is tried next, as a share
        self._back = 0.1  # and how far below it, where it is so no more
        self.told: Bucket | None = None
        """The server's own bucket, where it tells of it."""

    @property
    def rate(self) -> float:
        """Requests per second, infinity for no limit."""
        return self._rate if self.told is None else self.told.rate

    def wait(self, now: float) -> float:
        """Seconds until the next request may go."""
        if self.told is not None:
            return self.told.wait(now)
        return max(0.0, self._last + 1.0 / self._rate - now)

    def take(self, now: float) -> None:
        """One request goes."""
        if self.told is not None:
            self.told.take(now)
        self._last = now

    def accepted(self, now: float) -> None:
        """A request was let through."""
        self._accepted += 1
        run = now - self._begun
        if self._rate == math.inf or run < QUIET_S or self._accepted < 0.8 * run * self._rate:
            return
        self._good, self._back = self._rate, 0.1
        if self._bad > self._good * NEAR:
            self._try(now)
        elif run > FORGET_S:
            self._bad = self._good * (1 + self._further)
            self._further = min(self._further * 2, 3.0)
            self._try(now)

    def refused(self, now: float, wait_s: float) -> None:
        """A request was refused, and the next may go after `wait_s`."""
        run = max(now - self._begun, 1e-3)
        if not self._accepted and self._rate == math.inf:
            self._begun = now + wait_s  # it was at its limit before we came
            return
        went, least = self._accepted / run, self._accepted / (run + wait_s)
        self._bad = went if self._rate == math.inf else self._rate
        if not self._good:
            self._good = max(SLOWEST, min(least, 0.9 * self._bad))
        elif self._bad <= self._good:  # what was good is so no more
            self._good = max(SLOWEST, self._bad * (1 - self._back))
            self._back = min(self._back * 2, 0.5)
        self._further = 0.1
        self._try(now + wait_s)

    def _try(self, begin: float) -> None:
        middle = math.sqrt(self._good * self._bad)
        self._rate = max(SLOWEST, middle if self._bad > self._good * NEAR else self._good)
        self._begun, self._accepted = begin, 0

    def tell(self, now: float, rate: float, room: float, left: float | None) -> None:
        """What the server says its bucket is."""
        if self.told is None or (self.told.rate, self.told.room) != (rate, max(1.0, room)):
            self.told = Bucket(rate, room, now)
        if left is not None:
            self.told.hold(now, left)


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says of limits. `wait_s`: how long to wait; `rate` and `room`: the server's bucket."""

    reason: str = ""
    wait_s: float | None = None
    rate: float | None = None
    room: float = 1.0
    left: float | None = None
    near: bool = False

    @property
    def scope(self) -> Scope:
        """What a refusal is about, by the reasons of Cloud; without one, everything."""
        if "per-issue" in self.reason:
            return "issue"
        return "kind" if "burst" in self.reason else "all"


def read(headers: Mapping[str, str], wall: float) -> Told:
    """What the headers of an answer (in whatever case) say; `wall` is Unix time."""
    low = {name.lower(): value.strip() for name, value in headers.items()}
    fill, interval = _number(low.get("x-ratelimit-fillrate")), _number(low.get("x-ratelimit-interval-seconds"))
    return Told(
        reason=" ".join((low.get("ratelimit-reason") or low.get("x-ratelimit-reason") or "").lower().split())[:64],
        wait_s=retry_after(low, wall),
        rate=fill / interval if fill and interval else None,
        room=_number(low.get("x-ratelimit-limit")) or 1.0,
        left=_number(low.get("x-ratelimit-remaining")),
        near=low.get("x-ratelimit-nearlimit", "").lower() == "true",
    )


def retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds that an answer asks to wait, at most an hour; None where it says nothing of it.

    `Retry-After` is a number or an HTTP date (RFC 9110, 10.2.3), `X-RateLimit-Reset` an ISO 8601 time.
    """
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is None and value:
        seconds = _until(value, wall)
    if seconds is None and (reset := headers.get("x-ratelimit-reset", "")):
        seconds = _until(reset, wall)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_S)


def _until(text: str, wall: float) -> float | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return parse(text).timestamp() - wall
        except (ValueError, OverflowError):
            continue
    return None


def _number(text: str | None) -> float | None:
    try:
        read = float(text or "")
    except ValueError:
        return None
    return read if math.isfinite(read) and read >= 0 else None
