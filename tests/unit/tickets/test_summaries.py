"""Tickets that tell of many faults: resolved by a person they come back, or stay away, like any other ticket."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from processor.tickets.author import Recurrence
from processor.tickets.messages import Command
from processor.tickets.text import Plan
from tests.unit.tickets.world import TOPICS, World, command, record

HOUR = 3600.0
REOPEN_STEPS = 5  # intent of the comment, transition, comment, the text, state with event and offset


def summary(count: int) -> Command:
    """What a group says of its `count`-th build."""
    digest = {"kind": "group", "name": "left-pad", "repositories": count, "faults": count, "hits": count, "listed": []}
    return replace(command(count), finding={"id": f"f1-{count}", "pipeline": "ci_failure"}, digest=digest)


async def filed(rules: Recurrence | None = None) -> World:
    """A world with the summary BUILD-1, an hour old."""
    world = World(plan=Plan("ci_failure", "BUILD", recurrence=rules or Recurrence()))
    await world.until_done(record(summary(1)))
    world.now += HOUR
    return world


def reasons(world: World) -> list[str]:
    """Why, by event."""
    return [orjson.loads(each.value or b"")["reason"] for each in world.records if each.topic == TOPICS.events]


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(-1, REOPEN_STEPS))
async def test_resolved_within_the_time_it_is_opened_again_once(step: int, effect: bool) -> None:
    """With one comment that says how far it has come, wherever the writer is killed; afterwards no more comments."""
    world = await filed()
    world.resolve("BUILD-1")
    world.step, world.kill_at, world.kill_after_effect = 0, step, effect
    await world.until_done(record(summary(2), 1))
    world.now += HOUR
    await world.until_done(record(summary(3), 2))
    (ticket,) = world.issues.values()
    assert ticket.resolution is None
    assert [("2 faults in 2 repositories" in each) for each in ticket.comments] == [True]
    assert ticket.fields["summary"] == "left-pad: 3 faults in 3 repositories"
    # Killed behind the transition it is open already for the next one, who does the rest.
    begun = (1, True) <= (step, effect) < (REOPEN_STEPS - 1, True)
    assert world.events() == ["created", "commented" if begun else "reopened", "counted"]


async def test_resolved_long_ago_it_has_a_successor() -> None:
    """Linked to it, and with the text of a summary; the old one stays as it is."""
    world = await filed(Recurrence(reopen_within=HOUR))
    world.resolve("BUILD-1")
    world.now += 2 * HOUR
    await world.until_done(record(summary(2), 1))
    old, new = world.issues.values()
    assert (old.resolution, new.links) == ("Done", {"BUILD-1"})
    assert new.fields["summary"] == "left-pad: 2 faults in 2 repositories"
    assert world.events() == ["created", "renewed"]


async def test_resolved_as_never_again_it_is_left_alone() -> None:
    """Neither text nor state is touched."""
    world = await filed(Recurrence(never_touch=frozenset({"Won't Fix"})))
    world.resolve("BUILD-1", "Won't Fix")
    text = dict(world.issues["BUILD-1"].fields)
    await world.until_done(record(summary(2), 1))
    assert (world.issues["BUILD-1"].resolution, world.issues["BUILD-1"].fields) == ("Won't Fix", text)
    assert (world.posts, world.events()) == (1, ["created", "suppressed"])
    assert "ticket.recur.never_touch" in reasons(world)[-1]


async def test_merged_into_a_ticket_of_people_it_leaves_their_text() -> None:
    """They are told there by nothing but the events."""
    world = await filed()
    other = replace(world.issues["BUILD-1"], key="OPS-3", labels=(), description="Mine", fields={}, comments=[])
    world.issues["OPS-3"] = other
    world.resolve("BUILD-1", "Duplicate")
    world.issues["BUILD-1"].duplicates = ("OPS-3",)
    await world.until_done(record(summary(2), 1))
    assert (other.description, other.fields, other.comments) == ("Mine", {}, [])
    assert world.events() == ["created", "merged", "counted"]
