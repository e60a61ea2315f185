"""Whether servers and databases take what pipelines ask of them; one that they refuse is parked, and no other.

What they refuse no event can mend: the schema of an answer that the server's decoder can't hold, a query of a table
that isn't there. It is looked at before the daemon begins, and again until all are taken, so that the pipeline goes on
when the server or the database is mended. When its own files are, the daemon is restarted anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from processor.chain.query import refused_queries
from processor.databases.ports import Database
from processor.models import needs
from processor.models.client import ModelClient
from processor.pipeline import Pipeline
from processor.stages.park import Ward
from processor.tiers.forms import asking

log = structlog.get_logger(__name__)

LOOK_S: Final = 10.0
"""Seconds between looks at what was refused or could not be asked."""

Said = Mapping[str, str]
"""What is refused, by pipeline; of a pipeline that can do without, nothing."""


class Fitness:
    """Looks at the tiers and databases that pipelines ask, and tells their wards."""

    def __init__(
        self,
        pipelines: Sequence[Pipeline],
        models: Mapping[str, ModelClient],
        databases: Mapping[str, Database],
        wards: Mapping[str, Ward],
    ) -> None:
        self._asking = asking(pipelines)
        self._models = models
        self._databases = databases
        self._wards = wards
        self._open: dict[str, Pipeline | None] = {each.tier: None for each in self._asking if each.tier in models}
        self._open |= {each.name: each for each in pipelines if each.queries}
        self._said: dict[str, Said] = {}
        self._told: dict[str, str] = {}

    async def look(self) -> None:
        """Asks all that have refused something, or could not be asked yet."""
        parts = tuple(self._open.items())
        verdicts = await asyncio.gather(*(self._form(name) if one is None else self._query(one) for name, one in parts))
        for (name, _), said in zip(parts, verdicts, strict=True):
            if said is None:
                continue  # what was said before holds, until it is known better
            self._said[name] = said
            if not said:
                del self._open[name]
        for name, ward in self._wards.items():
            self._tell(name, ward)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks now and then, until `stop` or until there is nothing left to look at."""
        while self._open and not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)
            if not stop.is_set():
                await self.look()
        await stop.wait()

    async def _form(self, tier: str) -> Said | None:
        """What a tier refuses. A larger tier that refuses a form is done without: what is unsure is flagged."""
        refused = await needs.refusals(self._models[tier], tier, self._asking)
        if refused is None:
            return None
        names = {each.pipeline for each in refused}  # what was taken is not asked again
        self._asking = [each for each in self._asking if each.tier != tier or each.pipeline in names]
        for each in refused:
            if not each.needed:
                self._once(f"{tier} {each.pipeline}", each.pipeline, each.told)
        lines: dict[str, list[str]] = {}
        for each in refused:
            lines.setdefault(each.pipeline, []).extend([each.told] if each.needed else [])
        return {name: "; ".join(told) for name, told in lines.items()}

    async def _query(self, pipeline: Pipeline) -> Said | None:
        refused = await refused_queries(pipeline, self._databases)
        if refused is None:
            return None
        return {pipeline.name: "; ".join(refused)} if refused else {}

    def _once(self, key: str, pipeline: str, told: str) -> None:
        if self._told.get(key) != told:
            self._told[key] = told
            log.error("the larger model can't be asked", action="start", pipeline=pipeline, error=told)

    def _tell(self, name: str, ward: Ward) -> None:
        why = "; ".join(said[name] for said in self._said.values() if said.get(name)) or None
        if why == ward.unfit:
            return
        if why is not None:
            log.error("pipeline can't work: parks", action="park", pipeline=name, error=why)
        else:
            log.warning("pipeline works again", action="park", pipeline=name, parked=ward.waiting)
        ward.unfit = why
