"""As what a member of a group commits offsets (aiokafka 0.14).

The library repeats a commit while its coordinator is away, each time as what the member is by then. Where a rebalance
came in between, the partition may be another member's, and the broker does not ask whose it is: an offset that was true
once would set back what its owner has committed since, and all in between would come again. From who is no member the
broker takes it as soon as the group is empty. So a commit is bound to a term, which is what the member was when it was
assigned the partitions; a term that is over commits nothing any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self

from aiokafka.consumer import group_coordinator
from aiokafka.errors import IllegalGenerationError
from aiokafka.protocol.commit import OffsetCommitRequest


@dataclass(frozen=True, slots=True)
class Term:
    """What a member is from one rebalance to the next."""

    generation: int = OffsetCommitRequest.DEFAULT_GENERATION_ID
    member: str = ""

    @classmethod
    def of(cls, coordinator: Any) -> Self:
        """The present one of the library's coordinator."""
        return cls(coordinator.generation, coordinator.member_id)

    def refuses(self, generation: int, member: str) -> bool:
        """Whether a commit as that is none of this term; nothing is one where there was no generation."""
        return self.generation < 0 or (generation, member) != (self.generation, self.member)


_bound: ContextVar[Term | None] = ContextVar("term of a commit", default=None)
"""That of the commit that is under way."""


@contextmanager
def during(term: Term) -> Iterator[None]:
    """What is committed within is committed in this term; else the library raises CommitFailedError."""
    token = _bound.set(term)
    try:
        yield
    finally:
        _bound.reset(token)


class _Bound(OffsetCommitRequest):  # type: ignore[misc]
    """Made anew for each try. Raises IllegalGenerationError, as the broker does where it can tell."""

    def __init__(self, group: str, generation: int, member: str, *rest: Any) -> None:
        term = _bound.get()
        if term is not None and term.refuses(generation, member):
            raise IllegalGenerationError(group)
        super().__init__(group, generation, member, *rest)


def install() -> None:
    """Makes every consumer of this process do so; those that are bound to no term commit as before."""
    group_coordinator.OffsetCommitRequest = _Bound
