"""Reading a log, usable alone: scan, mask, redact, rank, reduce, extract."""

from __future__ import annotations

from processor.logs.mask import mask
from processor.logs.redact import Redactor, Session, redactor
from processor.logs.reduce import reduce, reduce_stream
from processor.logs.text import sniff
from processor.logs.tokens import TokenCounter, estimate

__all__ = [
    "Redactor",
    "Session",
    "TokenCounter",
    "estimate",
    "mask",
    "redactor",
    "reduce",
    "reduce_stream",
    "sniff",
]
