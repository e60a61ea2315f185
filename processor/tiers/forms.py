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
    steps = [(each.name, step) for each in pipelines for step in each.asks if step.step]
    return found + [
        needs.Asking(step.tier, name, step.file, largest_form(name, step.questions)) for name, step in steps
    ]
