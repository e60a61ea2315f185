"""Tickets that people moved, deleted, merged, edited, or took the label off are noticed; each thing is told once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from processor.contract import Record
from processor.tickets.author import Recurrence
from processor.tickets.jira import Refused
from processor.tickets.messages import Command, TicketState
from processor.tickets.reconcile import BATCH, MOST, MOST_ODD, ROUND_S
from processor.tickets.text import Plan
from processor.tickets.write import Writer
from tests.unit.tickets.world import AT, LAG_S, TOPICS, Issue, World, command, record

STEPS = 3  # the label, the comment of what follows, the state with event and offset


async def filed(**plan: Any) -> World:
    """A world with the open ticket BUILD-1, which Jira's search knows by now."""
    world = World(plan=replace(Plan("ci_failure", "BUILD"), **plan))
    await world.until_done(record(command(1)))
    world.now += LAG_S
    return world


async def reviewed(world: World, writer: Writer | None = None) -> int:
    """One look by a writer that has just been started, and the doing of what it asks for."""
    writer = writer or await world.writer()
    before = len(world.records)
    asked = await world.reconciler(writer).review()
    for each in world.records[before:]:
        if each.topic == TOPICS.commands:
            await world.until_done(Record(each.topic, 0, 90, each.key, each.value), writer)
    world.records = [each for each in world.records if each.topic != TOPICS.heard]  # begins anew
    return asked


async def state_of(world: World) -> TicketState:
    """What a writer that starts now knows."""
    state = (await world.writer()).state(AT, "f1")
    assert state is not None
    return state


def told(world: World) -> list[tuple[str, str]]:
    """Actions and keys of the events behind the first one."""
    events = [orjson.loads(each.value or b"") for each in world.records if each.topic == TOPICS.events]
    return [(each["action"], each["key"]) for each in events[1:]]


def merge(world: World, into: str, *, creator: str = "somebody", resolution: str | None = None) -> Issue:
    """Somebody closes BUILD-1 as a duplicate of another issue."""
    other = Issue(into, (), "Mine", frozenset({creator}), 1.0, resolution=resolution, resolved_at=world.now)
    world.issues[into] = other
    world.resolve("BUILD-1", "Duplicate")
    world.issues["BUILD-1"].duplicates = (into,)
    return other


async def test_a_ticket_that_is_as_it_was_left_costs_its_part_of_a_search() -> None:
    """No request for the ticket itself, no command, no event."""
    world = await filed()
    world.names.clear()
    assert await reviewed(world) == 0
    assert [name for name in world.names if not name.startswith("publish")] == ["census 1"]
    assert told(world) == []


async def test_deleted_is_told_once_and_a_ticket_that_is_there_again_as_well() -> None:
    """The state says so; no new ticket is filed."""
    world = await filed()
    gone = world.issues.pop("BUILD-1")
    assert [await reviewed(world) for _ in range(3)] == [1, 0, 0]
    assert told(world) == [("missing", "BUILD-1")]
    assert (await state_of(world)).noticed == ("missing",)
    world.issues["BUILD-1"] = gone
    assert [await reviewed(world) for _ in range(2)] == [1, 0]
    assert told(world)[1:] == [("found", "BUILD-1")]
    assert (await state_of(world)).noticed == ()
    assert world.posts == 1


async def test_moved_is_followed_before_the_fault_is_seen_again() -> None:
    """With key and project."""
    world = await filed()
    ticket = world.issues.pop("BUILD-1")
    ticket.key = world.gone_to["BUILD-1"] = "OPS-7"
    world.issues["OPS-7"] = ticket
    assert [await reviewed(world) for _ in range(2)] == [1, 0]
    assert told(world) == [("moved", "OPS-7")]
    state = await state_of(world)
    assert (state.key, state.project) == ("OPS-7", "OPS")


@pytest.mark.parametrize("notices", ["review", "recurrence"])
async def test_merged_goes_on_in_the_ticket_that_it_duplicates(notices: str) -> None:
    """Whoever has filed that: what is new is said there, its text stays, and it is found by the fault's label."""
    world = await filed()
    other = merge(world, "OPS-3")
    if notices == "review":
        assert [await reviewed(world) for _ in range(2)] == [1, 0]
        assert told(world) == [("merged", "OPS-3")]
    await world.until_done(record(command(2), 2))
    assert told(world) == [("merged", "OPS-3"), ("commented", "OPS-3")]
    assert (len(other.comments), other.description, other.labels) == (1, "Mine", ("fs-f1",))
    state = await state_of(world)
    assert (state.key, state.previous, state.project) == ("OPS-3", ("BUILD-1",), "OPS")
    assert world.issues["BUILD-1"].resolution == "Duplicate"
    assert world.posts == 1


async def test_duplicates_of_duplicates_end_somewhere() -> None:
    """A chain at its end, a circle where it closes; one that can't be seen is not gone to."""
    world = await filed()
    merge(world, "OPS-3", resolution="Duplicate").duplicates = ("OPS-4",)
    world.issues["OPS-4"] = Issue("OPS-4", (), "", frozenset(), 1.0)
    await reviewed(world)
    assert (await state_of(world)).key == "OPS-4"
    world = await filed()
    merge(world, "OPS-3", resolution="Duplicate").duplicates = ("BUILD-1",)
    assert [await reviewed(world) for _ in range(2)] == [1, 0]
    assert (await state_of(world)).key == "OPS-3"
    world = await filed()
    merge(world, "OPS-3")
    del world.issues["OPS-3"]
    await reviewed(world)
    assert ((await state_of(world)).key, told(world)) == ("BUILD-1", [])


async def test_a_policy_may_leave_duplicates_alone() -> None:
    """By its resolution, then; and an open ticket with such a link is an open ticket."""
    rules = Recurrence(follow_duplicates=False, never_touch=frozenset({"Duplicate"}))
    world = await filed(recurrence=rules)
    other = merge(world, "OPS-3")
    await world.until_done(record(command(2), 2))
    assert (told(world), other.comments) == ([("suppressed", "BUILD-1")], [])
    world = await filed()
    merge(world, "OPS-3")
    world.issues["BUILD-1"].resolution = None
    await world.until_done(record(command(2), 2))
    assert told(world) == [("commented", "BUILD-1")]


async def test_what_stands_for_more_than_the_fault_is_not_resolved_by_it() -> None:
    """The jobs of this fault pass: the other ticket is told, and stays open."""
    world = await filed(recurrence=Recurrence(when_green="resolve"))
    other = merge(world, "OPS-3")
    await reviewed(world)
    build = {"id": "p1/1", "job": "unit", "url": "https://ci.example/9"}
    await world.until_done(record(Command("green", "f1", "ci_failure", {}, 1, "", "", build=build), 3))
    assert (other.resolution, len(other.comments)) == (None, 1)
    assert told(world) == [("merged", "OPS-3"), ("green", "OPS-3")]


async def test_a_label_is_put_back_once() -> None:
    """Taken off again it stays off, and the event says what that means."""
    world = await filed()
    ticket = world.issues["BUILD-1"]
    for expected in (["relabelled"], ["relabelled", "unlabelled"], ["relabelled", "unlabelled"]):
        ticket.labels = ("ci",)
        await reviewed(world)
        assert [action for action, _ in told(world)] == expected
    assert ticket.labels == ("ci",)
    ticket.labels = ("ci", "fs-f1")
    assert [await reviewed(world) for _ in range(2)] == [1, 0]
    assert (await state_of(world)).noticed == ("relabelled",)


async def test_a_label_that_jira_does_not_let_us_put_back_is_told_of_once() -> None:
    """With what Jira said."""
    world = await filed()
    world.issues["BUILD-1"].labels = ()

    async def refused(*_: Any) -> None:
        raise Refused("Jira answered 403: no right to edit", status=403)

    world.mark = refused  # type: ignore[method-assign, assignment]
    assert [await reviewed(world) for _ in range(3)] == [1, 0, 0]
    assert told(world) == [("unlabelled", "BUILD-1")]


async def test_an_edited_description_is_left_alone_and_told_of_once() -> None:
    """The sentence with the counts is gone; put back, it is kept up to date again."""
    world = await filed()
    ticket, text = world.issues["BUILD-1"], world.issues["BUILD-1"].description
    ticket.description = "All is known"
    assert [await reviewed(world) for _ in range(2)] == [1, 0]
    await world.until_done(record(command(2), 2))
    assert ticket.description == "All is known"
    assert told(world) == [("edited", "BUILD-1"), ("commented", "BUILD-1")]
    world = await filed()
    ticket = world.issues["BUILD-1"]
    ticket.description = f"Known. {text}"
    assert await reviewed(world) == 0


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(STEPS))
async def test_killed_anywhere_each_thing_is_done_once(step: int, effect: bool) -> None:
    """Merged and noticed as the fault comes again: one label, one comment, one event of each kind."""
    world = await filed()
    other = merge(world, "OPS-3")
    world.step, world.kill_at, world.kill_after_effect = 0, step, effect
    await world.until_done(record(command(2), 2))
    assert len(other.comments) == 1
    assert set(other.labels) == {"fs-f1"}
    assert (await state_of(world)).key == "OPS-3"
    assert sorted(set(told(world))) == [("commented", "OPS-3"), ("merged", "OPS-3")]


async def test_dry_run_touches_nothing() -> None:
    """Neither label nor event."""
    world = await filed()
    world.issues["BUILD-1"].labels = ()
    world.plan = replace(world.plan, dry_run=True)
    assert await reviewed(world) == 1
    assert (told(world), world.issues["BUILD-1"].labels) == ([], ())


async def many(count: int) -> World:
    """A world in which so many tickets are known."""
    world = World()
    for number in range(count):
        name, key = f"{number:08x}", f"BUILD-{number}"
        state = TicketState(name, "ci_failure", "BUILD", "open", key=key)
        world.records.append(state.record(TOPICS, 0))
        world.issues[key] = Issue(key, (f"fs-{name}",), "", frozenset(), 0.0)
    return world


async def test_a_look_is_bounded_and_the_next_process_goes_on_where_it_stood() -> None:
    """Searches for fifty each, five hundred in a look; a round begins again only after a while."""
    world = await many(MOST + BATCH + 1)
    await world.reconciler(await world.writer()).review()
    assert world.names.count(f"census {BATCH}") == MOST // BATCH
    world.names.clear()
    reconciler = world.reconciler(await world.writer())
    for _ in range(3):
        await reconciler.review()
    assert [name for name in world.names if name.startswith("census")] == [f"census {BATCH}", "census 1"]
    world.now += ROUND_S
    world.names.clear()
    await reconciler.review()
    assert len([name for name in world.names if name.startswith("census")]) == MOST // BATCH


async def test_an_index_that_has_lost_all_floods_nothing() -> None:
    """Twenty are judged in a look, and the next look goes on behind them."""
    world = await many(3 * MOST_ODD)
    world.lag_s = 10 * world.now
    reconciler = world.reconciler(await world.writer())
    assert [await reconciler.review() for _ in range(4)] == [MOST_ODD, MOST_ODD, MOST_ODD, 0]
    asked = [each.key for each in world.records if each.topic == TOPICS.commands]
    assert len(set(asked)) == len(asked) == 3 * MOST_ODD


async def test_what_the_search_may_not_know_yet_is_no_suspect() -> None:
    """A ticket that has just been filed."""
    world = World(lag_s=LAG_S)
    await world.until_done(record(command(1)))
    assert await reviewed(world) == 0
