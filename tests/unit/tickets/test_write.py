"""The writer's protocol: one ticket per fault, wherever it is killed and whatever Jira answers."""

from __future__ import annotations

import orjson
import pytest

from processor.contract import Record
from processor.errors import Rejected, Retryable
from processor.sinks.dead_letters import replayable
from processor.tickets.jira import Refused, Unauthorised, Unavailable, Unsettled
from tests.unit.tickets.world import AT, LAG_S, TOPICS, Issue, World, command, record

CREATE_STEPS = 3  # intent, POST, key with the event
RECUR_STEPS = 4  # intent of the comment, comment, description, state with the event and the offset


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(CREATE_STEPS))
@pytest.mark.parametrize("lag", [0.0, 60.0], ids=["search at once", "search lags"])
async def test_kill_between_any_two_steps_gives_one_ticket(step: int, effect: bool, lag: float) -> None:
    """Killed before and after each step of a creation, the restarted writer ends with exactly one ticket."""
    world = World(lag_s=lag, kill_at=step, kill_after_effect=effect)
    await world.until_done(record(command()))
    assert len(world.mine("f1")) == 1
    state = (await world.writer()).state(AT, "f1")
    assert state is not None
    assert (state.status, state.key, state.count) == ("open", "BUILD-1", 1)


async def test_creation_takes_the_steps_in_this_order() -> None:
    """The intent is committed before the POST, the key with the event and before the offset."""
    world = World()
    await world.until_done(record(command()))
    assert world.names == ["publish ticket-state", "create", "publish ticket-events ticket-state"]
    assert len(world.names) == CREATE_STEPS


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(RECUR_STEPS))
async def test_kill_during_a_recurrence_comments_once(step: int, effect: bool) -> None:
    """Killed anywhere in a recurrence: still one ticket, one comment, and the right count in the description."""
    world = World()
    await world.until_done(record(command(1)))
    world.step, world.kill_at, world.kill_after_effect = 0, step, effect
    await world.until_done(record(command(2), 1))
    (ticket,) = world.mine("f1")
    assert len(ticket.comments) == 1
    assert "Seen 2 times" in ticket.description


async def test_recurrence_takes_the_steps_in_this_order() -> None:
    """Intent of the comment, comment, counts in the description, state with event and offset."""
    world = World()
    await world.until_done(record(command(1)))
    world.names.clear()
    await world.until_done(record(command(2), 1))
    assert world.names == [
        "publish ticket-state",
        "comment",
        "describe",
        "publish ticket-events ticket-state",
    ]
    assert len(world.names) == RECUR_STEPS


async def test_redelivered_command_does_nothing() -> None:
    """The offset was not committed, all else was done: no ticket, no comment, no event more."""
    world = World()
    await world.until_done(record(command()))
    before = len(world.records)
    assert await (await world.writer()).handle(record(command())) == ()
    assert len(world.records) == before


@pytest.mark.parametrize("done", [True, False], ids=["created", "not created"])
async def test_unsettled_create_is_searched_for_and_never_posted_twice_in_the_lag(done: bool) -> None:
    """An unknown outcome: no second POST before the search must know; then one only if there is nothing."""
    world = World(lag_s=60.0)
    world.fail("create", Unsettled("no answer"), done=done)
    writer = await world.writer()
    began = world.now
    with pytest.raises(Retryable):
        await writer.handle(record(command()))
    while world.now < began + LAG_S - 10 and world.posts == 1:
        try:
            await writer.handle(record(command()))
            break
        except Retryable as error:
            assert world.posts == 1
            world.now += error.wait or 1.0
    await world.until_done(record(command()), writer)
    assert len(world.mine("f1")) == 1
    assert world.posts == (1 if done else 2)


async def test_hits_of_others_are_not_taken() -> None:
    """A clone of somebody else's with our label, and an issue of ours without it, are no hits."""
    world = World(kill_at=1, kill_after_effect=True)
    world.issues["BUILD-90"] = Issue("BUILD-90", ("fs-f1",), "", frozenset({"somebody"}), 0.0)
    world.issues["BUILD-91"] = Issue("BUILD-91", ("fs-f2",), "", frozenset({"faultstream"}), 0.0)
    await world.until_done(record(command()))
    state = (await world.writer()).state(AT, "f1")
    assert state is not None
    assert state.key == "BUILD-3"
    assert "adopted" in world.events()


async def test_oldest_of_several_hits_wins() -> None:
    """Accidental twins: the older one is the ticket, and the event names the other."""
    world = World(kill_at=1, kill_after_effect=True)
    world.issues["BUILD-70"] = Issue("BUILD-70", ("fs-f1",), "", frozenset({"faultstream"}), 1.0)
    await world.until_done(record(command()))
    state = (await world.writer()).state(AT, "f1")
    assert state is not None
    assert state.key == "BUILD-70"


async def test_repeats_add_to_the_ticket() -> None:
    """Ten more builds with the fault: one ticket, ten comments, the count up to date."""
    world = World()
    for count in range(1, 12):
        await world.until_done(record(command(count), count))
    (ticket,) = world.mine("f1")
    assert len(ticket.comments) == 10
    assert "Seen 11 times, first on 22 Nov 2026 04:01 UTC, last on 22 Nov 2026 04:11 UTC." in ticket.description


async def test_what_people_wrote_stays() -> None:
    """Only the sentence with the counts is changed; without it the description is left alone."""
    world = World()
    await world.until_done(record(command(1)))
    (ticket,) = world.mine("f1")
    ticket.description = "Known: see the wiki.\n" + ticket.description
    await world.until_done(record(command(2), 1))
    assert ticket.description.startswith("Known: see the wiki.\n")
    assert "Seen 2 times" in ticket.description
    ticket.description = "Mine now."
    await world.until_done(record(command(3), 2))
    assert ticket.description == "Mine now."


async def test_create_command_of_a_fault_with_a_ticket_is_a_recurrence() -> None:
    """*decide* may have forgotten; the writer's state is the judge of whether there is a ticket."""
    world = World()
    await world.until_done(record(command(1)))
    await world.until_done(record(command(1, finding="other"), 1))
    assert len(world.mine("f1")) == 1
    state = (await world.writer()).state(AT, "f1")
    assert state is not None
    assert state.count == 2


async def test_jira_away_loses_nothing() -> None:
    """Down, then back: the ticket is filed once, and readiness says why it took so long."""
    world = World()
    world.fail("create", Unavailable("Jira can't be reached: check jira.url"), times=3)
    writer = await world.writer()
    with pytest.raises(Retryable):
        await writer.handle(record(command()))
    assert writer.trouble == "Jira can't be reached: check jira.url"
    await world.until_done(record(command()), writer)
    assert writer.trouble is None
    assert len(world.mine("f1")) == 1
    assert world.posts == 4


async def test_broker_that_is_away_is_no_trouble_of_jira() -> None:
    """Readiness does not blame Jira for what the brokers did."""
    world = World()
    writer = await world.writer()
    world.fail("publish", Retryable("the brokers do not answer"))
    with pytest.raises(Retryable):
        await writer.handle(record(command()))
    assert writer.trouble is None
    assert world.posts == 0


async def test_unauthorised_waits_and_names_the_setting() -> None:
    """401: nothing is lost or dead-lettered; the token may be rotated."""
    world = World()
    world.fail("create", Unauthorised("Jira does not accept the credentials: check jira.token"))
    writer = await world.writer()
    with pytest.raises(Retryable, match=r"jira\.token"):
        await writer.handle(record(command()))
    assert writer.trouble is not None
    await world.until_done(record(command()), writer)
    assert len(world.mine("f1")) == 1


@pytest.mark.parametrize(
    ("error", "setting"),
    [
        (Refused("404", status=404), r"ticket\.project \(BUILD\)"),
        (Refused("400", status=400, fields={"project": "valid project is required"}), r"ticket\.project \(BUILD\)"),
        (Refused("400", status=400, fields={"priority": "no such priority"}), r"ticket\.priority"),
        (Refused("400", status=400, fields={"customfield_1": "required"}), "ticket.fields.customfield_1"),
        (Refused("403", status=403), r"jira\.token"),
    ],
)
async def test_refusal_is_a_dead_letter_that_names_the_setting(error: Refused, setting: str) -> None:
    """404 (project), 400 (field), 403: state and event say failed, the command is a dead letter, the rest goes on."""
    world = World()
    world.fail("create", error)
    writer = await world.writer()
    with pytest.raises(Rejected, match=setting) as caught:
        await writer.handle(record(command()))
    assert caught.value.reason == "ticket_refused"
    state = writer.state(AT, "f1")
    assert state is not None
    assert state.status == "failed"
    told, letter = writer.reject(record(command()), caught.value)
    assert orjson.loads(told.value or b"")["action"] == "failed"
    assert letter.topic == "fs.dead-letters"
    assert letter.value == record(command()).value
    assert (
        replayable("fs", Record(letter.topic, 0, 0, letter.key, letter.value, letter.headers)).topic == TOPICS.commands
    )
    await world.until_done(record(command(fingerprint="f2"), 1), writer)
    assert len(world.mine("f2")) == 1


async def test_fault_that_failed_gets_its_ticket_from_the_next_finding() -> None:
    """Once the setting is right, the fault's next finding files the ticket, with the counts of all."""
    world = World()
    world.fail("create", Refused("400", status=400, fields={"priority": "no such"}))
    await world.until_done(record(command(1)))
    await world.until_done(record(command(2), 1))
    (ticket,) = world.mine("f1")
    assert "Seen 2 times" in ticket.description


async def test_missing_ticket_is_left_alone() -> None:
    """The ticket was deleted: an event says so; it is never filed anew behind people's backs."""
    world = World()
    await world.until_done(record(command(1)))
    world.fail("comment", Refused("404", status=404))
    await world.until_done(record(command(2), 1))
    assert world.posts == 1
    assert world.events() == ["created", "missing"]


async def test_no_command_is_rejected() -> None:
    """A record that is no command is a dead letter with its own reason."""
    writer = await World().writer()
    with pytest.raises(Rejected) as caught:
        await writer.handle(Record(TOPICS.commands, 0, 0, b"f1", b"{}"))
    assert caught.value.reason == "invalid_command"


async def test_unknown_pipeline_is_rejected_without_an_intent() -> None:
    """A pipeline that files no tickets here: a dead letter, and nothing is intended."""
    world = World()
    writer = await world.writer()
    with pytest.raises(Rejected) as caught:
        await writer.handle(record(command(pipeline="gone")))
    assert caught.value.reason == "unknown_pipeline"
    assert world.records == []


async def test_partition_without_its_state_is_not_worked_on() -> None:
    """Before the state is loaded, and after the partition is gone, nothing can be known to have no ticket."""
    world = World()
    writer = await world.writer()
    await writer.revoked(AT)
    with pytest.raises(Retryable):
        await writer.handle(record(command()))
    assert world.posts == 0
