"""Faults that come again: comments, counts, tickets that were closed, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from processor.contract import Record
from processor.lang.template import Template
from processor.tickets.author import Recurrence
from processor.tickets.jira import Refused
from processor.tickets.messages import TicketState
from processor.tickets.text import Plan
from processor.tickets.write import TOUCH_S
from tests.unit.tickets.world import AT, LAG_S, TOPICS, Issue, World, command, record

HOUR = 3600.0
REOPEN_STEPS = 5  # intent of the comment, transition, comment, description, state with event and offset
RENEW_STEPS = 4  # intent, POST, link, key with the event


def world(recurrence: Recurrence | None = None, **plan: object) -> World:
    """A world with one ticket, BUILD-1."""
    made = World()
    made.plan = replace(Plan("ci_failure", "BUILD", recurrence=recurrence or Recurrence()), **plan)  # type: ignore[arg-type]
    return made


async def state_of(given: World) -> TicketState:
    """What a writer that starts now knows of the fault."""
    state = (await given.writer()).state(AT, "f1")
    assert state is not None
    return state


async def catch_up(given: World) -> int:
    """What the writer's own commands do; how many there were."""
    given.now += TOUCH_S
    writer = await given.writer()
    before = len(given.records)
    asked = await writer.ask_for_counts()
    for each in given.records[before : before + asked]:
        await given.until_done(Record(each.topic, 0, 0, each.key, each.value), writer)
    return asked


async def test_comments_keep_their_distance() -> None:
    """News within an hour of the last comment waits for its turn; the counts don't."""
    given = world(Recurrence(comment_every=HOUR))
    for count in range(1, 4):
        await given.until_done(record(command(count), count))
        given.now += TOUCH_S
    (ticket,) = given.mine("f1")
    assert len(ticket.comments) == 1
    assert "Seen 3 times" in ticket.description
    assert given.events() == ["created", "commented", "counted"]
    given.now += HOUR
    await given.until_done(record(command(4), 4))
    assert len(ticket.comments) == 2


async def test_what_says_nothing_new_is_counted_only() -> None:
    """The same branch, job and result as the ticket says: no comment, however long ago; another branch is news."""
    given = world()
    for count, branch in enumerate(["main", "main", "main", "dev", "main"], 1):
        await given.until_done(record(command(count, branch=branch), count))
        given.now += HOUR
    (ticket,) = given.mine("f1")
    assert given.events() == ["created", "counted", "counted", "commented", "counted"]
    assert len(ticket.comments) == 1
    assert "Seen 5 times" in ticket.description


async def test_storm_asks_little_of_jira_and_the_counts_follow() -> None:
    """Five hundred builds at once: a ticket, no further request, and the right count a little later."""
    given = world()
    writer = await given.writer()
    for count in range(1, 501):
        await given.until_done(record(command(1, finding=f"id-{count}", branch="main"), count), writer)
    (ticket,) = given.mine("f1")
    assert [name for name in given.names if not name.startswith("publish")] == ["create"]
    assert "Seen 500 times" not in ticket.description
    assert await catch_up(given) == 1
    assert "Seen 500 times" in ticket.description
    assert await catch_up(given) == 0


async def test_counts_are_asked_for_once_while_jira_is_away() -> None:
    """An outage of hours must not fill the topic of commands."""
    given = world()
    writer = await given.writer()
    for count in range(1, 4):
        await given.until_done(record(command(count, branch="main"), count), writer)
    given.now += TOUCH_S
    assert [await writer.ask_for_counts() for _ in range(3)] == [1, 0, 0]
    asked = next(each for each in reversed(given.records) if each.topic == TOPICS.commands)
    await given.until_done(Record(asked.topic, 0, 9, asked.key, asked.value), writer)
    await given.until_done(record(command(4, branch="main"), 10), writer)
    given.now += TOUCH_S
    assert await writer.ask_for_counts() == 1


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, 3))
async def test_kill_while_catching_up_loses_no_count(step: int, effect: bool) -> None:
    """Killed around the description or the state: the next time it is right."""
    given = world()
    for count in range(1, 4):
        await given.until_done(record(command(count, branch="main"), count))
    given.step, given.kill_at, given.kill_after_effect = 0, step, effect
    await catch_up(given)
    await given.until_done(record(command(4, branch="main"), 4))
    await catch_up(given)
    (ticket,) = given.mine("f1")
    assert "Seen 4 times" in ticket.description


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(REOPEN_STEPS))
async def test_resolved_ticket_is_reopened_once_wherever_it_is_killed(step: int, effect: bool) -> None:
    """Within the time: the same ticket, open, with one comment more."""
    given = world()
    await given.until_done(record(command(1, branch="main")))
    given.now += HOUR
    given.resolve("BUILD-1")
    given.names.clear()
    given.step, given.kill_at, given.kill_after_effect = 0, step, effect
    await given.until_done(record(command(2, branch="main"), 1))
    (ticket,) = given.mine("f1")
    assert ticket.resolution is None
    assert len(ticket.comments) == 1
    assert given.posts == 1
    assert given.names.count("reopen") <= 2


async def test_reopening_takes_the_steps_in_this_order() -> None:
    """Intent, transition, comment, counts, state, event."""
    given = world()
    await given.until_done(record(command(1, branch="main")))
    given.now += HOUR
    given.resolve("BUILD-1")
    given.names.clear()
    await given.until_done(record(command(2, branch="main"), 1))
    assert given.names == [
        "publish ticket-state",
        "reopen",
        "comment",
        "describe",
        "publish ticket-events ticket-state",
    ]
    assert len(given.names) == REOPEN_STEPS
    assert given.events() == ["created", "reopened"]


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("lag", [0.0, 60.0], ids=["search at once", "search lags"])
@pytest.mark.parametrize("step", range(RENEW_STEPS))
async def test_ticket_resolved_long_ago_gets_one_successor_wherever_it_is_killed(
    step: int, effect: bool, lag: float
) -> None:
    """One new ticket, linked to the old one, which stays as it is and is not taken for it."""
    given = world(Recurrence(reopen_within=10 * HOUR))
    await given.until_done(record(command(1)))
    given.resolve("BUILD-1")
    given.now += 11 * HOUR
    given.lag_s = lag
    given.step, given.kill_at, given.kill_after_effect = 0, step, effect
    await given.until_done(record(command(2), 1))
    old, new = given.mine("f1")
    assert (old.resolution, old.comments) == ("Done", [])
    assert new.links == {"BUILD-1"}
    assert "Seen 2 times" in new.description
    state = await state_of(given)
    assert (state.key, state.previous) == ("BUILD-2", ("BUILD-1",))
    await given.until_done(record(command(3), 2))
    assert len(new.comments) == 1


async def test_successor_takes_the_steps_in_this_order() -> None:
    """Intent, POST, link, key with the event."""
    given = world(Recurrence(reopen_within=HOUR))
    await given.until_done(record(command(1)))
    given.resolve("BUILD-1")
    given.now += 2 * HOUR
    given.names.clear()
    await given.until_done(record(command(2), 1))
    assert given.names == ["publish ticket-state", "create", "link", "publish ticket-events ticket-state"]
    assert len(given.names) == RENEW_STEPS
    assert given.events() == ["created", "renewed"]


async def test_wont_fix_is_left_alone() -> None:
    """No comment, no transition, no new ticket, no edit; an event says why."""
    given = world(Recurrence(reopen_within=0.0, never_touch=frozenset({"Won't Fix"})))
    await given.until_done(record(command(1)))
    given.resolve("BUILD-1", "Won't Fix")
    given.now += HOUR
    given.names.clear()
    await given.until_done(record(command(2), 1))
    assert given.events()[-1] == "suppressed"
    assert await catch_up(given) == 0
    assert {name for name in given.names if not name.startswith("publish")} == set()
    assert (await state_of(given)).count == 2


async def test_counts_of_a_closed_ticket_are_not_edited() -> None:
    """Closed in the middle of a storm: left as it is until the fault is looked at again."""
    given = world()
    for count in range(1, 4):
        await given.until_done(record(command(count, branch="main"), count))
    given.resolve("BUILD-1")
    assert await catch_up(given) == 1
    (ticket,) = given.mine("f1")
    assert "Seen once" in ticket.description
    assert await catch_up(given) == 0


async def test_ticket_that_is_gone_is_asked_for_its_counts_once() -> None:
    """Deleted in the middle of a storm."""
    given = world()
    for count in range(1, 4):
        await given.until_done(record(command(count, branch="main"), count))
    given.fail("standing", Refused("404", status=404))
    assert await catch_up(given) == 1
    assert await catch_up(given) == 0


async def test_old_state_without_the_shown_sentence_is_brought_up_to_date() -> None:
    """A ticket of an earlier version: its counts are found by what the state knows."""
    given = world()
    await given.until_done(record(command(1)))
    state = replace(await state_of(given), shown=-1, says="", told=(), touched=0.0)
    given.records.append(state.record(TOPICS, 0))
    assert await catch_up(given) == 0
    await given.until_done(record(command(2), 1))
    (ticket,) = given.mine("f1")
    assert "Seen 2 times" in ticket.description


async def test_dry_run_says_what_it_would_do() -> None:
    """Nothing in Jira, no state; a ticket that is there already is left alone."""
    given = world(dry_run=True)
    await given.until_done(record(command(1)))
    assert given.events() == ["dry_run"]
    assert b"would create in BUILD" in b"".join(each.value or b"" for each in given.records)
    assert given.posts == 0
    given.plan = replace(given.plan, dry_run=False)
    await given.until_done(record(command(1)))
    await given.until_done(record(command(1, finding="again"), 1))
    given.plan = replace(given.plan, dry_run=True)
    given.names.clear()
    await given.until_done(record(command(2), 2))
    assert b"would add to BUILD-1" in b"".join(each.value or b"" for each in given.records)
    assert await catch_up(given) == 1, "it is behind since before"
    assert {name for name in given.names if not name.startswith("publish")} == set()


async def test_assignee_comes_from_a_template_and_costs_no_ticket() -> None:
    """A name that Jira refuses is left out, and the event says so; any other refusal stays one."""
    given = world(assignee=Template("{{ finding.build.job }}-team", "assignee"))
    await given.until_done(record(command(1)))
    assert given.issues["BUILD-1"].fields["assignee"] == {"name": "unit-team"}
    given.fail("create", Refused("400", status=400, fields={"assignee": "no such user"}))
    await given.until_done(record(command(1, fingerprint="f2"), 1))
    (ticket,) = given.mine("f2")
    assert "assignee" not in ticket.fields
    assert b"refuses unit-team (ticket.assignee)" in b"".join(each.value or b"" for each in given.records)
    given.fail("create", Refused("400", status=400, fields={"assignee": "x", "priority": "y"}))
    await given.until_done(record(command(1, fingerprint="f3"), 2))
    assert given.mine("f3") == []


async def test_hits_of_the_ticket_before_are_not_adopted() -> None:
    """The search names the old ticket too, and a twin that was made meanwhile: that one is the new ticket."""
    given = world(Recurrence(reopen_within=0.0))
    await given.until_done(record(command(1)))
    given.resolve("BUILD-1")
    given.now += LAG_S + 1
    given.step, given.kill_at, given.kill_after_effect = 0, 1, False
    given.issues["BUILD-9"] = Issue("BUILD-9", ("fs-f1",), "", frozenset({"faultstream"}), given.now)
    await given.until_done(record(command(2), 1))
    assert (await state_of(given)).key == "BUILD-9"


def spread(count: int, priority: str) -> Record:
    """A sight of the fault by which it has spread so far; on the branch of the others."""
    return record(replace(command(count, branch="main"), priority=priority), count)


@pytest.mark.parametrize(
    ("at_first", "asked", "is_", "edits"),
    [
        ("Medium", ["High", "High", "Highest"], "Highest", 2),
        ("High", ["Medium", "Low"], "High", 0),
        ("Medium", ["Blocker", "High"], "High", 1),
    ],
)
async def test_priority_rises_as_the_fault_spreads(at_first: str, asked: list[str], is_: str, edits: int) -> None:
    """Never down, nor to one that Jira does not have; at once, whatever else has to wait."""
    given = world(Recurrence(comment_every=HOUR), priority={"major": at_first})
    await given.until_done(record(command(1, branch="main"), 1))
    for count, priority in enumerate(asked, 2):
        await given.until_done(spread(count, priority))
    assert given.mine("f1")[0].fields["priority"]["name"] == is_
    assert given.names.count("edit") == edits


async def test_priority_that_a_person_has_set_stays() -> None:
    """The event says so, once."""
    given = world(Recurrence(comment_every=HOUR), priority={"major": "Medium"})
    await given.until_done(record(command(1, branch="main"), 1))
    given.mine("f1")[0].fields["priority"] = {"name": "Low"}
    for count in (2, 3):
        await given.until_done(spread(count, "High"))
    assert given.mine("f1")[0].fields["priority"] == {"name": "Low"}
    said = [orjson.loads(each.value or b"")["reason"] for each in given.records if each.topic == TOPICS.events]
    assert [each for each in said if "somebody has set" in each] == [
        "not raised to High: somebody has set the priority to Low"
    ]


@pytest.mark.parametrize("after", [False, True])
async def test_killed_while_the_priority_rises(after: bool) -> None:
    """Between any two steps: it is raised all the same, and nobody is taken for a person."""
    calm = world(Recurrence(comment_every=HOUR), priority={"major": "Medium"})
    await calm.until_done(record(command(1, branch="main"), 1))
    for step in range(calm.step, calm.step + 4):
        given = world(Recurrence(comment_every=HOUR), priority={"major": "Medium"})
        given.kill_at, given.kill_after_effect = step, after
        await given.until_done(record(command(1, branch="main"), 1))
        await given.until_done(spread(2, "High"))
        assert given.mine("f1")[0].fields["priority"]["name"] == "High"
        state = await state_of(given)
        assert (state.priority, state.raised) == ("High", "High")


async def test_ticket_that_was_moved_is_followed() -> None:
    """Comments go to where it is now, and so does what looks for it."""
    given = world(Recurrence(comment_every=HOUR))
    await given.until_done(record(command(1), 1))
    given.issues["OPS-7"] = replace(given.issues.pop("BUILD-1"), key="OPS-7")
    given.gone_to["BUILD-1"] = "OPS-7"
    given.now += TOUCH_S
    await given.until_done(record(command(2), 2))
    state = await state_of(given)
    assert (state.key, state.project, len(given.issues["OPS-7"].comments)) == ("OPS-7", "OPS", 1)
