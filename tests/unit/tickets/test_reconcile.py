"""Tickets that should not be there are found, linked and closed as duplicates; nothing is ever deleted."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from processor.contract import Record
from processor.errors import Retryable
from processor.tickets.jira import Refused
from tests.unit.tickets.world import AT, ME, TOPICS, Issue, KilledError, World, command, record

TWIN_STEPS = 3  # link, transition, state with event and offset


async def with_twin(*, resolution: str | None = None, creator: frozenset[str] = ME) -> World:
    """A fault with its ticket, and another issue with its label."""
    world = World()
    to = {"name": "Done", "statusCategory": {"key": "done"}}
    offered = {"required": True, "allowedValues": [{"id": name, "name": name} for name in ("Done", "Duplicate")]}
    world.ways = [{"id": "7", "name": "Close", "to": to, "fields": {"resolution": offered, "worklog": {}}}]
    await world.until_done(record(command(1)))
    world.now += 60
    twin = Issue("BUILD-2", ("fs-f1", "ci"), "", creator, world.now, resolution=resolution)
    world.issues["BUILD-2"] = twin
    return world


def ordered(world: World) -> list[Record]:
    """The commands that the reconciler has put on the topic."""
    made = [each for each in world.records if each.topic == TOPICS.commands]
    return [Record(each.topic, 0, 90 + at, each.key, each.value) for at, each in enumerate(made)]


async def reconciled(world: World) -> int:
    """One look by a writer, and the doing of what it asks for."""
    writer = await world.writer()
    asked = await world.reconciler(writer).look()
    for each in ordered(world):
        await world.until_done(each, writer)
    return asked


async def test_second_ticket_is_linked_and_closed_as_a_duplicate() -> None:
    """The one in the state stays, untouched; the event names both."""
    world = await with_twin()
    assert await reconciled(world) == 1
    kept, twin = world.issues["BUILD-1"], world.issues["BUILD-2"]
    assert (kept.resolution, kept.links) == (None, set())
    assert (twin.resolution, twin.links) == ("Duplicate", {"BUILD-1"})
    told = [orjson.loads(each.value or b"") for each in world.records if each.topic == TOPICS.events]
    assert [(each["action"], each["key"]) for each in told] == [("created", "BUILD-1"), ("duplicate", "BUILD-2")]
    assert "BUILD-1" in told[-1]["reason"]


async def test_what_is_closed_is_not_looked_at_again() -> None:
    """Nor is it taken for the fault's ticket when that one's successor is filed."""
    world = await with_twin()
    await reconciled(world)
    world.records = [each for each in world.records if each.topic != TOPICS.commands]
    assert await reconciled(world) == 0
    state = (await world.writer()).state(AT, "f1")
    assert state is not None
    assert (state.key, state.previous) == ("BUILD-1", ("BUILD-2",))


async def test_command_is_published_once_while_it_waits() -> None:
    """Jira may be away for hours: the topic does not fill with commands."""
    world = await with_twin()
    writer = await world.writer()
    reconciler = world.reconciler(writer)
    assert [await reconciler.look() for _ in range(3)] == [1, 0, 0]
    assert len(ordered(world)) == 1


@pytest.mark.parametrize("case", ["clone", "own", "other fault", "unsettled"])
async def test_what_is_no_second_ticket_is_left_alone(case: str) -> None:
    """A person's clone of it, the ticket itself, a fault that is not known here, one whose creation is unsettled."""
    world = await with_twin(creator=frozenset({"somebody"}) if case == "clone" else ME)
    if case == "own":
        del world.issues["BUILD-2"]
    elif case == "other fault":
        world.issues["BUILD-2"].labels = ("fs-f9",)
    elif case == "unsettled":
        world.step, world.kill_at, world.kill_after_effect = 0, 1, True
        with pytest.raises(KilledError):
            await (await world.writer()).handle(record(command(fingerprint="f2"), 5))
        world.issues["BUILD-2"].labels = ("fs-f2",)
        world.kill_at = -1
    assert await reconciled(world) == 0
    assert world.issues.get("BUILD-2") is None or world.issues["BUILD-2"].resolution is None


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(TWIN_STEPS))
async def test_killed_anywhere_it_is_closed_once(step: int, effect: bool) -> None:
    """The next writer does what is left."""
    world = await with_twin()
    writer = await world.writer()
    await world.reconciler(writer).look()
    (asked,) = ordered(world)
    world.step, world.kill_at, world.kill_after_effect = 0, step, effect
    await world.until_done(asked)
    assert world.issues["BUILD-2"].resolution == "Duplicate"
    assert world.events() == ["created", "duplicate"]
    assert world.names.count("resolve") <= 1 + (not effect and step == 1)


async def test_closed_one_is_linked_alone() -> None:
    """A person was faster."""
    world = await with_twin(resolution="Won't Fix")
    await reconciled(world)
    assert world.issues["BUILD-2"].resolution == "Won't Fix"
    assert world.issues["BUILD-2"].links == {"BUILD-1"}


async def test_one_that_jira_does_not_let_us_close_is_told_of_once() -> None:
    """No right to link or to close: an event says why, and nobody tries for ever."""
    world = await with_twin()

    async def refused(*_: Any) -> None:
        raise Refused("Jira answered 403", status=403)

    world.link = refused  # type: ignore[method-assign, assignment]
    await reconciled(world)
    assert world.events() == ["created", "duplicate"]
    world.records = [each for each in world.records if each.topic != TOPICS.commands]
    assert await reconciled(world) == 0


async def test_dry_run_closes_nothing() -> None:
    """Nothing is sent to Jira, and no event repeats that."""
    world = await with_twin()
    writer = await world.writer()
    await world.reconciler(writer).look()
    (asked,) = ordered(world)
    world.plan = type(world.plan)("ci_failure", "BUILD", dry_run=True)
    await world.until_done(asked)
    assert world.issues["BUILD-2"].resolution is None
    assert world.events() == ["created"]


async def test_search_that_fails_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jira is away: the next look finds it."""
    world = await with_twin()
    writer = await world.writer()
    recent = world.recent

    async def away(*_: Any) -> None:
        raise Retryable("Jira is away")

    monkeypatch.setattr(world, "recent", away)
    with pytest.raises(Retryable):
        await world.reconciler(writer).look()
    monkeypatch.setattr(world, "recent", recent)
    assert await world.reconciler(writer).look() == 1
