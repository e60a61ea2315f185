"""Which dead letters `faultstream replay` can send back, and where to."""

from __future__ import annotations

from processor.cli.replay import way_back
from processor.contract import Origin, Outbound, Record
from processor.errors import Rejected
from processor.sinks.dead_letters import dead_letter
from processor.tickets.messages import Topics, letter

COMMAND = Record("p.ticket-commands", 1, 7, b"f", b"{}", (), 0)


def received(outbound: Outbound) -> Record:
    """A letter as it is read from its topic."""
    return Record(outbound.topic, 0, 0, outbound.key, outbound.value, outbound.headers, 0)


def test_a_refused_ticket_goes_back_to_the_commands() -> None:
    """It names no pipeline, but the topic that it was read from."""
    refused = letter(Topics("p"), "p.tickets", COMMAND, Rejected("ticket_refused", "no such project"))
    back = way_back("p", received(refused))
    assert back is not None
    assert (back.topic, back.key, back.value) == ("p.ticket-commands", b"f", b"{}")


def test_an_event_goes_back_to_its_pipeline_alone() -> None:
    """To the retry topic of the pipeline that rejected it, or nowhere if none had taken it."""
    record = Record("builds", 0, 3, None, b"log", (), 0)
    origin = Origin("p.line", "builds", 0, 3)
    taken = way_back(
        "p", received(dead_letter("p", record, "invalid_output", "cut", "ci_failure", origin, "2026-01-01"))
    )
    assert taken is not None
    assert taken.topic == "p.retry.ci_failure"
    assert way_back("p", received(dead_letter("p", record, "empty", "empty", "", origin, "2026-01-01"))) is None
