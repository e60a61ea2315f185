"""The three kinds of failure; each names what the engine does about it."""

from __future__ import annotations


class FaultstreamError(Exception):
    """Something went wrong in Faultstream."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class Retryable(FaultstreamError):
    """A dependency is away: the engine waits and tries the same event again; nothing is lost.

    `wait` is the least number of seconds to wait, or None for the engine's own back-off. `shared` says that
    the cause is not this pipeline's own (no healthy replica, broker trouble), so that partitions pause.
    """

    def __init__(self, message: str | None = None, *, wait: float | None = None, shared: bool = True) -> None:
        super().__init__(message)
        self.wait = wait
        self.shared = shared


class Fenced(Retryable):
    """Somebody else has taken over this partition's writing, as a new owner does."""


class Suspect(Retryable):
    """This event fails where others like it do not, as far as is known: it is tried again, and nobody waits for it."""

    def __init__(self, message: str | None = None, *, wait: float | None = None) -> None:
        super().__init__(message, wait=wait, shared=False)


class Rejected(FaultstreamError):
    """This event can never become a finding: it goes to the dead letters and the line goes on.

    `reason` is a short machine code (snake_case) from `processor.reasons.REASONS`. `output` is what a model wrote,
    where that is why; it is not redacted yet.
    """

    def __init__(self, reason: str, message: str | None = None, output: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.output = output


class Fatal(FaultstreamError):
    """The daemon can't go on: it drains and exits non-zero."""


class ConfigError(Fatal):
    """The configuration is wrong: names the file, the place and the remedy. Exit code 2."""


class Unwritable(Rejected):
    """The broker refuses records for good (too large, or an invalid one): what they came from is a dead letter.

    `positions` are the refused records' indexes in what was to be published; all others have been written.
    """

    def __init__(self, message: str, positions: tuple[int, ...]) -> None:
        super().__init__("unwritable", message)
        self.positions = positions
