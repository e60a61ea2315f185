"""The file that a new ticket gets: once, whatever dies in between, and never at the ticket's cost."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import replace
from typing import Any

import orjson
import pytest

from processor.errors import Retryable
from processor.testing.model import StubModel
from processor.tickets import attachment
from processor.tickets.jira import Limited, Refused, Unavailable, Unsettled
from processor.tickets.jira.kinds import Kind
from processor.tickets.messages import Command, TicketState
from processor.tickets.text import Plan
from processor.tickets.write import HOLD_S, RANKS, Writer
from tests.unit.test_line import CI_FAILURE, line
from tests.unit.test_line import record as failing
from tests.unit.tickets.world import AT, LAG_S, TOPICS, World, command, record

STEPS = 3  # its intent, the POST, the state with the event and the offset


def world(**more: Any) -> World:
    """A Jira whose pipeline attaches excerpts."""
    return World(plan=Plan("ci_failure", "BUILD", attach=True), **more)


def with_excerpt(made: Command) -> Command:
    """The command of a finding that carries its excerpt."""
    return replace(made, finding={**made.finding, "excerpt": f"> 7 | E   assert 1 == 2 ({made.id})"})


async def filed(place: World, count: int = 1) -> Writer:
    """Files the ticket of a fault."""
    writer = await place.writer()
    await place.until_done(record(with_excerpt(command(count)), count), writer)
    return writer


async def state_of(place: World) -> TicketState:
    """What is written down of the fault."""
    state = (await place.writer()).state(AT, "f1")
    assert state is not None
    return state


def reasons(place: World, action: str) -> list[str]:
    """The reasons of the events of an action."""
    told = [orjson.loads(each.value or b"") for each in place.records if each.topic == TOPICS.events]
    return [each["reason"] for each in told if each["action"] == action]


async def test_new_ticket_gets_the_excerpt_after_it_is_there() -> None:
    """The ticket first, with a command for the file; then intent, POST, and the file's name with the event."""
    place = world()
    writer = await filed(place)
    assert place.names == ["publish ticket-state", "create", "publish ticket-commands ticket-events ticket-state"]
    place.names.clear()
    await place.until_idle(writer)
    assert place.names == [
        "publish ticket-state",
        "attach",
        "publish ticket-events ticket-state",
    ]
    ((name, data),) = place.issues["BUILD-1"].files
    assert name == "log-excerpt-unit-1-f1-1.txt"
    assert b"> 7 | E   assert 1 == 2 (f1-1)" in data
    state = await state_of(place)
    assert (state.waits, state.attached, place.events()) == (None, name, ["created", "attached"])


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(STEPS))
async def test_kill_between_any_two_steps_attaches_once(step: int, effect: bool) -> None:
    """The restarted writer looks the file up by its name before it sends it again."""
    place = world()
    await filed(place)
    place.step, place.kill_at, place.kill_after_effect = 0, step, effect
    await place.until_idle()
    assert place.kill_at == -1
    assert len(place.issues["BUILD-1"].files) == 1
    assert (await state_of(place)).attached


@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(3))
async def test_kill_during_the_creation_loses_no_file(step: int, effect: bool) -> None:
    """Also where the ticket had to be searched for: it has the file of the finding that it was made for."""
    place = world(kill_at=step, kill_after_effect=effect)
    await place.until_done(record(with_excerpt(command())))
    await place.until_idle()
    assert [name for name, _ in place.issues["BUILD-1"].files] == ["log-excerpt-unit-1-f1-1.txt"]


@pytest.mark.parametrize("done", [True, False], ids=["attached", "not attached"])
async def test_unknown_outcome_is_looked_up_once_the_request_must_have_ended(done: bool) -> None:
    """No second POST before, and one after only where there is no file."""
    place = world()
    writer = await filed(place)
    place.fail("attach", Unsettled("no answer"), done=done)
    began = place.now
    await place.until_idle(writer)
    assert place.now - began >= LAG_S
    assert place.names.count("attach") == (1 if done else 2)
    assert len(place.issues["BUILD-1"].files) == 1


async def test_comment_does_not_wait_for_a_file_whose_outcome_is_unknown() -> None:
    """The command for the file ends, and comes back later."""
    place = world()
    writer = await filed(place)
    place.fail("attach", Unsettled("no answer"))
    assert await writer.ask_for_counts() == 0  # it was asked for with the ticket
    asked = next(each for each in place.records if each.topic == TOPICS.commands)
    began = place.now
    await place.until_done(replace(record(command(1)), value=asked.value), writer)
    await place.until_done(record(command(2), 2), writer)
    assert (place.now, len(place.issues["BUILD-1"].comments), writer.trouble) == (began, 1, None)
    assert await writer.ask_for_counts() == 0


async def test_recurrence_attaches_nothing() -> None:
    """The file is of the build that the ticket was filed for; comments say the rest."""
    place = world()
    writer = await filed(place)
    await place.until_idle(writer)
    await place.until_done(record(with_excerpt(command(2)), 2), writer)
    await place.until_idle(writer)
    assert len(place.issues["BUILD-1"].files) == 1


async def test_renewed_ticket_gets_a_file_of_its_own() -> None:
    """Another ticket, another build."""
    place = world()
    writer = await filed(place)
    await place.until_idle(writer)
    place.resolve("BUILD-1")
    place.now += 15 * 86_400
    await place.until_done(record(with_excerpt(command(2)), 2), writer)
    await place.until_idle(writer)
    assert [name for name, _ in place.issues["BUILD-2"].files] == ["log-excerpt-unit-2-f1-2.txt"]


@pytest.mark.parametrize(
    ("takes", "error", "said"),
    [
        ((False, None), None, "turned off"),
        ((True, 10), None, "this Jira takes 10"),
        ((True, None), Refused("Jira answered 403", status=403), "Create Attachments in project BUILD"),
        ((True, None), Refused("Jira answered 404", status=404), "out of sight"),
        ((True, None), Refused("Jira answered 413", status=413), "413"),
    ],
)
async def test_jira_that_takes_no_file_costs_the_ticket_nothing(
    takes: tuple[bool, int | None], error: Refused | None, said: str
) -> None:
    """One event names the key and what to do; it is not tried again, and the next comment is written."""
    place = world(takes=takes)
    writer = await filed(place)
    if error is not None:
        place.fail("attach", error)
    await place.until_idle(writer)
    (reason,) = reasons(place, "unattached")
    assert said in reason
    assert "ticket.attach" in reason
    assert (await state_of(place)).attached == ""
    await place.until_done(record(command(2), 2))
    await place.until_idle()
    assert place.events() == ["created", "unattached", "commented"]


@pytest.mark.parametrize("error", [Limited("429", wait=30.0), Unavailable("Jira can't be reached")])
async def test_request_that_was_not_sent_is_sent_again_without_waiting_for_its_outcome(error: Retryable) -> None:
    """Nothing to settle: as soon as Jira allows."""
    place = world()
    writer = await filed(place)
    place.fail("attach", error)
    began = place.now
    await place.until_idle(writer)
    assert place.now - began < LAG_S / 2
    assert len(place.issues["BUILD-1"].files) == 1


async def test_writer_that_stood_still_needs_a_new_intent() -> None:
    """Frozen between intent and POST: another may have attached it meanwhile."""
    place = world()
    writer = await filed(place)
    place.frozen_s = HOLD_S + 1
    asked = next(each for each in place.records if each.topic == TOPICS.commands)
    with pytest.raises(Retryable):
        await writer.handle(replace(record(command(1)), value=asked.value))
    assert place.issues["BUILD-1"].files == []
    place.frozen_s = 0.0
    await place.until_idle()
    assert len(place.issues["BUILD-1"].files) == 1


async def test_forgotten_ticket_waits_for_no_file() -> None:
    """What was ordered by hand ends it."""
    place = world()
    writer = await filed(place)
    order = replace(command(1), action="forget", finding={"id": "order-1"})
    await place.until_done(record(order, 2), writer)
    assert writer.book.owed == set()


async def test_dry_run_says_what_would_be_attached() -> None:
    """And attaches nothing."""
    place = World(plan=Plan("ci_failure", "BUILD", attach=True, dry_run=True))
    writer = await filed(place)
    await place.until_idle(writer)
    (reason,) = reasons(place, "dry_run")
    assert "would attach log-excerpt-unit-1-f1-1.txt (" in reason
    assert place.issues == {}


async def test_without_the_key_nothing_is_kept_or_attached() -> None:
    """A signal that carries an excerpt all the same, from before the key was taken away."""
    place = World()
    writer = await filed(place)
    assert writer.book.owed == set()
    assert b"assert 1 == 2 (f1-1)" not in b"".join(
        each.value or b"" for each in place.records if each.topic == TOPICS.state
    )


async def test_secret_is_in_no_file() -> None:
    """The text is redacted once more before it is written down, let alone sent."""
    place, secret = world(), uuid.uuid4().hex
    writer = await place.writer()
    texts = writer._author
    texts._redact = lambda text: text.replace(secret, "***")  # type: ignore[attr-defined]
    made = command()
    made = replace(made, finding={**made.finding, "excerpt": f"> 7 | token {secret}"})
    await place.until_done(record(made), writer)
    await place.until_idle(writer)
    assert b"> 7 | token ***" in place.issues["BUILD-1"].files[0][1]
    assert secret.encode() not in b"".join(each.value or b"" for each in place.records)


async def test_secret_of_a_log_is_in_no_signal_and_no_file() -> None:
    """From the log to the file: planted in a failing line, it leaves the line redacted and stays so."""
    secret = "ghp_" + secrets.token_hex(18)
    log = f"$ make test\nE   AssertionError: token={secret} https://u:{secret}@example.com/x\nerror: exit 1\n".encode()
    assert CI_FAILURE.ticket is not None
    pipeline = replace(CI_FAILURE, ticket=replace(CI_FAILURE.ticket, attach="excerpt"))
    outputs = await line(StubModel(), pipeline).handle(failing(log))
    [signal] = [each for each in outputs if each.topic.endswith(".signals")]
    finding = orjson.loads(signal.value or b"")["finding"]
    assert "AssertionError" in finding["excerpt"]
    assert all(secret.encode() not in (each.value or b"") for each in outputs)
    place = World(plan=Plan("ci_failure", "BUILD", attach=True))
    made = Command("create", finding["fingerprint"], "ci_failure", finding, 1, finding["time"], finding["time"])
    await place.until_done(record(made))
    await place.until_idle()
    ((_, data),) = place.issues["BUILD-1"].files
    assert b"AssertionError" in data
    assert secret.encode() not in data


def test_files_rank_behind_tickets_and_comments() -> None:
    """Near a limit they wait first."""
    assert Kind.CREATE < RANKS["comment"] < RANKS["attach"] < Kind.LOOK


def test_name_is_plain_and_short_whatever_the_build_is_called() -> None:
    """No path, no quote, no line end gets into the request's header; the id tells files apart."""
    build = {"job": '../../x"\r\ny\u202e', "run_id": "7" * 100}
    made = attachment.name({"build": build, "id": str(uuid.UUID(int=0x1234 << 112))})
    assert made == f"log-excerpt-x-y-{'7' * 40}-12340000.txt"
    assert attachment.name({}) == "log-excerpt.txt"


def test_text_begins_with_the_build() -> None:
    """Where it is from, without control characters of the log."""
    build = {"repo": "acme/web", "branch": "main", "job": "unit", "run_id": "7", "attempt": 2, "url": "https://ci/7"}
    text = attachment.content(
        {"build": build, "id": "f", "result": {"summary": "It\nbroke"}, "excerpt": "  1 | a\u202eb\x1b[31m"}
    )
    assert text.startswith("Repository: acme/web\nBranch:     main\n")
    assert "Run:        7, attempt 2\nFinding:    f\nCause:      It broke\n" in text
    assert text.endswith("\n  1 | ab\n")
