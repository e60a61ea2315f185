"""Two writers for one partition, clocks that jump, states that are lost: still one ticket per fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from time import process_time
from typing import Any

import pytest

from processor.engine.delivery import Lost
from processor.errors import Retryable
from processor.tickets.jira import Late, Unsettled
from processor.tickets.messages import Command, TicketState
from processor.tickets.write import HOLD_S, Writer
from tests.unit.tickets.world import AT, LAG_S, TOPICS, KilledError, World, command, record


async def tried(world: World, writer: Writer, made: Command, *, until: float) -> None:
    """Handles a command as the engine does, as long as it has to wait and the time is not come."""
    while world.now < until:
        try:
            await writer.handle(record(made))
        except Retryable as error:
            world.now += error.wait or 1.0
        else:
            return


async def test_replaced_writer_commits_no_intent_and_posts_nothing() -> None:
    """Another one has taken the partition over, and this one has not noticed."""
    world = World()
    old = await world.writer()
    await world.writer()
    with pytest.raises(Lost):
        await old.handle(record(command()))
    assert (world.posts, world.records) == (0, [])


@pytest.mark.parametrize("frozen_s", [HOLD_S + 1, 3600.0])
async def test_writer_that_stood_still_between_intent_and_post_needs_a_new_intent(frozen_s: float) -> None:
    """Still the owner: it writes another, and posts once."""
    world = World(frozen_s=frozen_s)
    writer = await world.writer()
    with pytest.raises(Late):
        await writer.handle(record(command()))
    assert (world.posts, writer.trouble) == (0, None)
    world.frozen_s = 0.0
    await world.until_done(record(command()), writer)
    assert (world.posts, len(world.mine("f1"))) == (1, 1)


async def test_writer_that_was_replaced_while_it_stood_still_never_posts() -> None:
    """Frozen between intent and POST, as long as it takes another to come, wait and file the ticket."""
    world = World()
    old = await world.writer()
    create = world.create

    async def frozen(fields: Mapping[str, Any], may: Callable[[], bool] = lambda: True) -> str:
        world.create = create  # type: ignore[method-assign]
        new = await world.writer()
        await world.until_done(record(command()), new)
        return await create(fields, may)

    world.create = frozen  # type: ignore[method-assign]
    with pytest.raises(Lost):
        await old.handle(record(command()))
    assert (world.posts, len(world.mine("f1"))) == (1, 1)


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0, 30.0])
@pytest.mark.parametrize("restarts", [True, False])
async def test_clock_that_jumps_while_an_issue_may_be_unseen_brings_no_second_post(
    jump_s: float, restarts: bool
) -> None:
    """The wait is by the steady clock, from when the state was read: also for another machine's intent."""
    world = World(lag_s=LAG_S - 20)
    world.fail("create", Unsettled("no answer"), done=True)
    writer = await world.writer()
    with pytest.raises(Unsettled):
        await writer.handle(record(command()))
    world.wall_off = jump_s
    if restarts:
        writer = await world.writer()
    await tried(world, writer, command(), until=world.now + 10 * LAG_S)
    assert (world.posts, world.events()) == (1, ["adopted"])


async def test_next_owner_waits_longer_than_the_last_one_may_take_to_post() -> None:
    """The last one may send until its intent is stale; what it sends then is found, and not sent again."""
    world = World(lag_s=LAG_S)
    old = await world.writer()
    create = world.create

    async def slow(fields: Mapping[str, Any], may: Callable[[], bool] = lambda: True) -> str:
        world.create = create  # type: ignore[method-assign]
        new = await world.writer()  # takes over at once, and looks right away
        with pytest.raises(Retryable):
            await new.handle(record(command()))
        world.now += HOLD_S - 1
        key = await create(fields, may)
        await tried(world, new, command(), until=world.now + 10 * LAG_S)
        return key

    world.create = slow  # type: ignore[method-assign]
    with pytest.raises(Lost):
        await old.handle(record(command()))
    assert (world.posts, world.events()) == (1, ["adopted"])


async def test_project_that_was_changed_before_the_intent_was_settled() -> None:
    """The issue is looked for where it was to be; the pipeline's new project gets those that come later."""
    world = World(kill_at=1, kill_after_effect=True)
    searched = list[str]()
    search = world.search

    async def spied(project: str, label: str) -> Any:
        searched.append(project)
        return await search(project, label)

    world.search = spied  # type: ignore[method-assign]
    with pytest.raises(KilledError):
        await (await world.writer()).handle(record(command()))
    world.plan = replace(world.plan, project="OPS")
    await world.until_done(record(command()))
    assert (searched, world.posts) == (["BUILD"], 1)
    await world.until_done(record(command(fingerprint="f2"), 1))
    assert world.issues["BUILD-2"].fields["project"] == {"key": "OPS"}


@pytest.mark.parametrize("lost", ["erased", "cut", "unknown"])
async def test_ticket_of_a_lost_state_is_found_again(lost: str) -> None:
    """The state was taken away, the topic's beginning was, or all of it: the ticket is searched for before a POST."""
    world = World()
    await world.until_done(record(command(1)))
    world.records = [each for each in world.records if each.topic != TOPICS.state]
    world.erased, world.cut = frozenset({"f1"} if lost == "erased" else ()), lost == "cut"
    await world.until_done(record(command(2), 1))
    assert (world.posts, len(world.mine("f1"))) == (1, 1)
    state = (await world.writer()).state(AT, "f1")
    assert state is not None
    assert (state.key, state.count) == ("BUILD-1", 2)


async def test_lost_state_of_a_ticket_that_search_does_not_know_yet() -> None:
    """Created right before the topic was cut: nothing is posted until the search must know it."""
    world = World(lag_s=LAG_S)
    await world.until_done(record(command(1)))
    world.records.clear()
    world.cut = True
    await world.until_done(record(command(1, finding="other"), 1))
    assert (world.posts, world.events()) == (1, ["adopted"])


async def test_fault_without_a_ticket_gets_one_though_it_was_seen_before() -> None:
    """As after a dry run: nothing is found, and the ticket is filed at once."""
    world = World()
    began = world.now
    await world.until_done(record(command(5)))
    (ticket,) = world.mine("f1")
    assert "Seen 5 times" in ticket.description
    assert world.now == began


async def test_first_sight_asks_jira_nothing() -> None:
    """Jira is searched to recover alone."""
    world, searched = World(), list[str]()

    async def spied(project: str, label: str) -> Any:
        searched.append(label)

    world.search = spied  # type: ignore[method-assign]
    await world.until_done(record(command(1)))
    assert (world.posts, searched) == (1, [])


async def test_fifty_thousand_fingerprints_are_loaded_and_looked_through_in_seconds() -> None:
    """Of one partition, by processor time: some 50 µs for each; all that is asked of Jira is about the new ones."""
    world = World()
    state = TicketState("", "ci_failure", "BUILD", "open", key="BUILD-1", count=3, seen=("a" * 36, "b" * 36, "c" * 36))
    model = replace(state, fingerprint="@").record(TOPICS, 0)
    names = [f"{at:032x}".encode() for at in range(50_000)]
    world.records = [replace(model, key=name, value=(model.value or b"").replace(b"@", name)) for name in names]
    began = process_time()
    writer = await world.writer()
    assert await world.reconciler(writer).look() == 0
    assert len(writer.book.states(AT)) == 50_000
    assert process_time() - began < 20.0
