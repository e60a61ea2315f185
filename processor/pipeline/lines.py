"""How the lines of a pipeline's topics become its logs."""

from __future__ import annotations

from processor.assemble import Plan
from processor.pipeline.load import Pipeline, decode_config
from processor.sources.decode import Decoder
from processor.sources.providers import Providers


def line_plan(pipeline: Pipeline, providers: Providers, group: str) -> Plan | None:
    """The plan of `source.assemble`, if there is one; `group` is the consumer group."""
    source, how = pipeline.source, pipeline.source.assemble
    if how is None:
        return None
    decoder = Decoder(decode_config(source), providers, group)
    idle, age, most = how.idle, how.max_age, source.max_bytes
    return Plan.of(decoder, how.key, how.end, how.passed, idle_s=idle, max_age_s=age, max_bytes=most)
