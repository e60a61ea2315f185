"""Assignment, in flight, commit. Knows no stage: the line and the ticket writer are two uses of it."""

from processor.engine.delivery import AtLeastOnce, Backoff, Delivery
from processor.engine.engine import Engine
from processor.engine.exactly_once import ExactlyOnce
from processor.engine.journal import Journal
from processor.engine.limits import Limits
from processor.engine.metrics import EngineMetrics, MetricFamilies
from processor.engine.ports import Listener, Sink, Source, Transactions, Transactor, Worker

__all__ = [
    "AtLeastOnce",
    "Backoff",
    "Delivery",
    "Engine",
    "EngineMetrics",
    "ExactlyOnce",
    "Journal",
    "Limits",
    "Listener",
    "MetricFamilies",
    "Sink",
    "Source",
    "Transactions",
    "Transactor",
    "Worker",
]
