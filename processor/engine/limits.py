"""The bounds of an engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one engine; times in seconds."""

    in_flight: int = 4_000  # records read and not yet committed
    in_flight_bytes: int = 256_000_000
    concurrency: int = 256  # handlers at once
    poll: int = 500  # records per poll
    poll_s: float = 1.0
    batch: int = 1_000  # records per delivery
    batch_bytes: int = 4_000_000  # of their outputs: a transaction has to end in time, and buffers are used again
    linger_s: float = 0.01  # how long a delivery waits for more
    drain_s: float = 20.0
    revoke_s: float = 10.0
    poison_starts: int = 2  # starts that do not get past a record, after which records are tried with care
    slow_s: float = 60.0  # without a finished poll or delivery for this long, it is not well
    backoff_first_s: float = 0.2
    backoff_most_s: float = 30.0
