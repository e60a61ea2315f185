"""What a passing run of the same job also says: noise, however much it looks like an error.

Lines are compared by their templates (`mask.template`): figures and white space out, so that times, counts and
line numbers do not hide that two runs say the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from processor.logs import text
from processor.logs.mask import template


@dataclass(frozen=True, slots=True)
class Baseline:
    """The lines of a passing run, by template; give it to `reduce`."""

    templates: frozenset[bytes]

    @classmethod
    def of(cls, data: bytes) -> Baseline:
        """The baseline of a passing log. Raises Rejected ("empty", "binary")."""
        return cls.of_stream((text.require_text(data),))

    @classmethod
    def of_stream(cls, chunks: Iterable[bytes]) -> Baseline:
        """The baseline of a passing log that comes in chunks; it holds each different line once."""
        seen: set[bytes] = set()
        for block in text.blocks(chunks):
            seen.update(template(text.clean(block)).split(b"\n"))
        seen.discard(b"")
        return cls(frozenset(seen))

    def __contains__(self, line: bytes) -> bool:
        """Whether the passing run says this clean line as well."""
        return template(line) in self.templates
