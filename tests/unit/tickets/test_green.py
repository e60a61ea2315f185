"""Tickets whose jobs pass again: resolved unless a person has a hand in them, labelled where the fault is flaky."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest

from processor.tickets.author import Recurrence
from processor.tickets.jira import Refused
from processor.tickets.messages import Command
from processor.tickets.text import Plan
from processor.tickets.transitions import Way, closing
from tests.unit.tickets.world import World, command, record

RULES = Recurrence(when_green="resolve", never_touch=frozenset({"Won't Fix"}))
RESOLVES = Plan("ci_failure", "BUILD", recurrence=RULES)
BUILD = {"id": "p1/1", "repo": "acme/web", "job": "unit", "branch": "main", "url": "https://ci.example/9"}


def says(action: Literal["green", "flaky"], **build: str) -> Command:
    """The command that follows from a build that passed."""
    return Command(action, "f1", "ci_failure", {}, 1, "", "", build={**BUILD, **build})


async def filed(plan: Plan = RESOLVES, **world: Any) -> World:
    """A world with one open ticket."""
    made = World(plan=plan, **world)
    await made.until_done(record(command(1)))
    return made


async def test_a_ticket_is_resolved_with_a_comment_that_names_the_build() -> None:
    """By a transition into a status of the category done."""
    world = await filed()
    await world.until_done(record(says("green"), 1))
    ticket = world.issues["BUILD-1"]
    assert ticket.resolution == "Done"
    assert ["https://ci.example/9" in each for each in ticket.comments] == [True]
    assert world.events() == ["created", "resolved"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("action", ["green", "flaky"])
async def test_killed_anywhere_it_is_told_once(action: Literal["green", "flaky"], after: bool) -> None:
    """Between any two steps, and with the command read again: one comment, one transition."""
    steps = (await filed()).step
    for step in range(steps, steps + 8):
        world = await filed()
        world.kill_at, world.kill_after_effect = step, after
        for offset in (1, 2):
            await world.until_done(record(says(action), offset))
        ticket = world.issues["BUILD-1"]
        assert len(ticket.comments) == 1, world.names
        assert (ticket.resolution == "Done") == (action == "green")
        assert len(ticket.moved) == (action == "green")
        assert ticket.labels.count("flaky") <= (action == "flaky") * 2


async def test_somebody_at_work_is_not_disturbed() -> None:
    """A ticket that a person has moved on, or closed, stays where it is."""
    world = await filed()
    world.issues["BUILD-1"].category = "indeterminate"
    await world.until_done(record(says("green"), 1))
    assert world.issues["BUILD-1"].resolution is None
    assert len(world.issues["BUILD-1"].comments) == 1
    world = await filed()
    world.resolve("BUILD-1", "Won't Fix")
    await world.until_done(record(says("green"), 1))
    assert world.issues["BUILD-1"].resolution == "Won't Fix"
    assert world.issues["BUILD-1"].comments == []
    assert world.events() == ["created", "suppressed"]


@pytest.mark.parametrize(("when_green", "comments"), [("comment", 1), ("nothing", 0)])
async def test_a_policy_may_leave_it_open(when_green: Literal["comment", "nothing"], comments: int) -> None:
    """It is told, or not even that."""
    world = await filed(replace(RESOLVES, recurrence=Recurrence(when_green=when_green)))
    await world.until_done(record(says("green"), 1))
    assert world.issues["BUILD-1"].resolution is None
    assert len(world.issues["BUILD-1"].comments) == comments


async def test_seen_again_it_is_opened_again() -> None:
    """Green, then red: the same ticket."""
    world = await filed()
    await world.until_done(record(says("green"), 1))
    await world.until_done(record(command(2), 2))
    assert list(world.issues) == ["BUILD-1"]
    assert world.issues["BUILD-1"].resolution is None
    await world.until_done(record(says("green", id="p2/2"), 3))
    assert world.events() == ["created", "resolved", "reopened", "resolved"]


async def test_a_workflow_without_a_way_is_told_about() -> None:
    """The comment is there all the same, and the event says what to set."""
    world = await filed(ways=[{"id": "21", "to": {"statusCategory": {"key": "indeterminate"}}}])
    await world.until_done(record(says("green"), 1))
    assert world.issues["BUILD-1"].resolution is None
    assert world.events() == ["created", "green"]


async def test_a_screen_that_insists_on_more_leaves_it_open() -> None:
    """The comment is there all the same, and the event says what Jira wants."""
    world = await filed()
    world.fail("transition", Refused("Jira answered 400: worklog: time spent is required", status=400))
    await world.until_done(record(says("green"), 1))
    assert (world.issues["BUILD-1"].resolution, len(world.issues["BUILD-1"].comments)) == (None, 1)
    assert world.events() == ["created", "green"]


async def test_a_fault_without_a_ticket_and_a_ticket_that_is_gone() -> None:
    """Nothing is done and nothing fails."""
    world = World(plan=RESOLVES)
    await world.until_done(record(says("green")))
    assert world.events() == ["suppressed"]
    world = await filed()
    world.fail("standing", Refused("Jira answered 404", status=404))
    await world.until_done(record(says("flaky"), 1))
    assert world.events() == ["created", "failed"]


async def test_a_dry_run_sends_nothing() -> None:
    """It says what would be done."""
    world = await filed()
    world.plan = replace(RESOLVES, dry_run=True)
    await world.until_done(record(says("green"), 1))
    assert (world.issues["BUILD-1"].resolution, world.events()) == (None, ["created", "dry_run"])


async def test_a_fault_that_was_flaky_before_is_filed_as_such() -> None:
    """With the label."""
    world = World(plan=RESOLVES)
    await world.until_done(record(replace(command(1), known_flaky=True)))
    assert "flaky" in world.issues["BUILD-1"].labels


def way(number: str, name: str, category: str = "done", status: str = "", **fields: Any) -> dict[str, Any]:
    """A transition as Jira tells of it."""
    to = {"name": status or name, "statusCategory": {"key": category}}
    return {"id": number, "name": name, "to": to, "fields": fields}


def resolution(*names: str, required: bool = True) -> dict[str, Any]:
    """A screen's field."""
    return {"required": required, "allowedValues": [{"id": name.upper(), "name": name} for name in names]}


@pytest.mark.parametrize(
    ("ways", "asked", "chosen"),
    [
        ([way("1", "Start", "indeterminate"), way("2", "Erledigen")], {}, Way("2")),
        ([way("1", "Verwerfen"), way("2", "Weiter", status="Done")], {}, Way("2")),
        ([way("1", "Cancel"), way("2", "Schließen")], {"transition": "schließen"}, Way("2")),
        ([way("1", "Cancel")], {"transition": "Close"}, None),
        ([way("1", "Start", "new")], {}, None),
        (
            [way("1", "Close", resolution=resolution("Won't Fix", "Fixed"))],
            {},
            Way("1", {"resolution": {"id": "FIXED"}}),
        ),
        (
            [way("1", "Close", resolution=resolution("Won't Fix", "Fertig"))],
            {},
            Way("1", {"resolution": {"id": "FERTIG"}}),
        ),
        ([way("1", "Close", resolution=resolution("Won't Fix"))], {}, None),
        ([way("1", "Close", resolution=resolution("Won't Fix", required=False))], {}, Way("1")),
        (
            [way("1", "Close", resolution=resolution("Fixed", "Green"))],
            {"resolution": "green"},
            Way("1", {"resolution": {"id": "GREEN"}}),
        ),
        ([way("1", "Close", resolution=resolution("Fixed"))], {"resolution": "Green"}, None),
        ([way("1", "Close", customfield_1={"required": True}), way("2", "Weg")], {}, Way("2")),
        ([way("1", "Close", customfield_1={"required": True, "hasDefaultValue": True})], {}, Way("1")),
        (
            [way("1", "To Done", worklog={"required": True}, resolution=resolution("Done"))],
            {},
            Way("1", {"resolution": {"id": "DONE"}}),
        ),
    ],
)
def test_the_way_that_closes(ways: list[dict[str, Any]], asked: dict[str, str], chosen: Way | None) -> None:
    """By category, then by name; a screen gets the resolution that it asks for, never one that means never again."""
    assert closing(ways, **asked, never={"Won't Fix"}) == chosen
