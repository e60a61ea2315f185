"""Puts logs together that shippers send as one record per line, between the source and the engine.

The engine sees each log as one record of a partition that is numbered without gaps, and commits those numbers. Here a
number becomes the offset up to which all lines are done, with a note on those above it that are not (see `checkpoint`).
"""

from processor.assemble.checkpoint import METADATA_BYTES
from processor.assemble.metrics import AssemblyMetrics
from processor.assemble.plan import Plan
from processor.assemble.source import AssemblingSource, AssemblingTransactions

__all__ = ["METADATA_BYTES", "AssemblingSource", "AssemblingTransactions", "AssemblyMetrics", "Plan"]
