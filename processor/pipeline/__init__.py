"""Pipelines: a folder of YAML and templates becomes what the line runs, or a list of all that is wrong with it."""

from __future__ import annotations

from processor.pipeline.checks import Checked, check, try_adapter, try_rules
from processor.pipeline.load import Pipeline, PipelineError, PromptConfig, clashes, conflicts, load_all
from processor.pipeline.ticket import TicketConfig

__all__ = [
    "Checked",
    "Pipeline",
    "PipelineError",
    "PromptConfig",
    "TicketConfig",
    "check",
    "clashes",
    "conflicts",
    "load_all",
    "try_adapter",
    "try_rules",
]
