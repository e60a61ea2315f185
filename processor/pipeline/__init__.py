"""Pipelines: a folder of YAML and templates becomes what the line runs, or a list of all that is wrong with it."""

from __future__ import annotations

from processor.pipeline.chain import PromptConfig
from processor.pipeline.checked import Checked
from processor.pipeline.checks import check, try_adapter, try_rules
from processor.pipeline.load import (
    Pipeline,
    PipelineError,
    adapter_names,
    clashes,
    conflicts,
    decode_config,
    load_all,
    who_asks,
)
from processor.pipeline.ticket import TicketConfig

__all__ = [
    "Checked",
    "Pipeline",
    "PipelineError",
    "PromptConfig",
    "TicketConfig",
    "adapter_names",
    "check",
    "clashes",
    "conflicts",
    "decode_config",
    "load_all",
    "try_adapter",
    "try_rules",
    "who_asks",
]
