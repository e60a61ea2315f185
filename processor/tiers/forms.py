"""What is asked of the servers of each tier, before any event comes: the forms of all answers."""

from __future__ import annotations

from collections.abc import Sequence

from processor.models import needs
from processor.pipeline import Pipeline
from processor.stages.prompt import largest_form


def asking(pipelines: Sequence[Pipeline]) -> list[needs.Asking]:
    """The largest form that each pipeline asks of each of its tiers, by its chain too."""
    found = [
        needs.Asking(
            tier, each.name, each.schema_file, largest_form(each.name, each.questions), needed=tier == each.model.tier
        )
        for each in pipelines
        for tier in each.model.tiers
    ]
    for each in pipelines:
        up = each.model.escalate.to if each.model.escalate is not None else None
        for step in (asked for asked in each.asks if asked.step):
            form = largest_form(each.name, step.questions)
            found.append(needs.Asking(step.tier, each.name, step.file, form))
            if up is not None and up != step.tier:
                found.append(needs.Asking(up, each.name, step.file, form, needed=False))
    return found
