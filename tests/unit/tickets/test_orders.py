"""What is ordered by hand: forgotten tickets, and adopted ones."""

from __future__ import annotations

from typing import Any

import pytest

from processor.tickets.messages import Command, TicketState
from tests.unit.tickets.world import AT, Issue, KilledError, World, command, record


def order(action: Any, key: str | None = None, number: int = 1) -> Command:
    """An order about the fault f1."""
    time = "2026-11-22T05:00:00.000Z"
    return Command(action, "f1", "ci_failure", {"id": f"order-{number}"}, 1, time, time, key=key)


async def known(world: World) -> TicketState:
    """The fault's state."""
    state = (await world.writer()).state(AT, "f1")
    assert state is not None
    return state


async def test_forgotten_ticket_is_followed_by_a_new_one() -> None:
    """Counts go on; the old ticket is linked, and not found again."""
    world = World()
    await world.until_done(record(command(1)))
    await world.until_done(record(order("forget"), 1))
    assert ((await known(world)).status, (await known(world)).key) == ("idle", None)
    await world.until_done(record(command(2), 2))
    assert [each.links for each in world.mine("f1")] == [set(), {"BUILD-1"}]
    assert (await known(world)).count == 2
    assert world.events() == ["created", "forgotten", "renewed"]


async def test_order_that_is_read_again_undoes_nothing() -> None:
    """A crash before the offset was committed: the ticket that was filed meanwhile stays the fault's."""
    world = World()
    await world.until_done(record(command(1)))
    for _ in range(2):
        await world.until_done(record(order("forget"), 1))
        await world.until_done(record(command(2), 2))
    assert len(world.mine("f1")) == 2
    assert (await known(world)).key == "BUILD-2"


async def test_adopted_ticket_gets_what_comes_next() -> None:
    """It is marked, so that it can be found; the one before it gets nothing more."""
    world = World()
    await world.until_done(record(command(1)))
    world.issues["OPS-7"] = Issue("OPS-7", ("team-a",), "Known.", frozenset({"somebody"}), 0.0)
    await world.until_done(record(order("adopt", "OPS-7"), 1))
    await world.until_done(record(command(2), 2))
    ours = world.issues["OPS-7"]
    assert ours.labels == ("team-a", "fs-f1")
    assert (len(ours.comments), ours.description) == (1, "Known.")
    assert world.issues["BUILD-1"].comments == []
    state = await known(world)
    assert (state.key, state.project, state.previous) == ("OPS-7", "OPS", ("BUILD-1",))


async def test_forgotten_ticket_can_be_adopted_again() -> None:
    """Then it is none of those before."""
    world = World()
    await world.until_done(record(command(1)))
    await world.until_done(record(order("forget"), 1))
    await world.until_done(record(order("adopt", "BUILD-1", 2), 2))
    assert ((await known(world)).key, (await known(world)).previous) == ("BUILD-1", ())


@pytest.mark.parametrize("action", ["forget", "adopt"])
async def test_what_can_not_be_done_is_told(action: str) -> None:
    """No such fault, or no such ticket: an event says why, and nothing changes."""
    world = World()
    await world.until_done(record(order(action, "BUILD-1")))
    assert world.events() == ["suppressed"]
    await world.until_done(record(command(1), 1))
    await world.until_done(record(order("adopt", "GONE-1", 2), 2))
    assert world.events()[-1] == "failed"
    assert (await known(world)).key == "BUILD-1"


async def test_unsettled_creation_is_left_to_settle() -> None:
    """Forgetting it could make a second ticket."""
    world = World(kill_at=1, kill_after_effect=True, lag_s=60.0)
    writer = await world.writer()
    with pytest.raises(KilledError):
        await writer.handle(record(command(1)))
    world.kill_at = -1
    await world.until_done(record(order("forget"), 1))
    assert world.events() == ["suppressed"]
    assert (await known(world)).status == "creating"
