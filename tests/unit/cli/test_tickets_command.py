"""`faultstream tickets`: what it says of a fault whose ticket something is being done with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.cli.tickets import _list, _said, intent
from processor.tickets.attachment import Attachment
from processor.tickets.messages import TicketState

OPEN = TicketState("f1", "ci", "BUILD", "open", key="BUILD-7", count=3, shown=3, seen=("a",), heard=("b",))


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (OPEN, None),
        (replace(OPEN, status="creating", key=None, since=900.0, attempt=2), "creating for 100 s, attempt 2: whether"),
        (replace(OPEN, commenting="finding-9"), "adding a comment on finding-9"),
        (replace(OPEN, count=5), "the counts in the description are behind"),
        (replace(OPEN, waits=Attachment("log-excerpt-7.txt", "lines")), "attaching log-excerpt-7.txt"),
        (
            replace(OPEN, waits=Attachment("a.txt", "", sent=True)),
            "attaching a.txt: whether Jira has it is not settled",
        ),
        (replace(OPEN, status="failed", key=None), None),
    ],
)
def test_intents_are_told(state: TicketState, said: str | None) -> None:
    """What is under way, and for how long; nothing where nothing is."""
    told = intent(state, 1000.0)
    assert told is None if said is None else str(told).startswith(said)


def test_only_what_means_something_to_people_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """No ids and digests; what a summary stands for, and how many tickets have something under way."""
    digest = {"faults": 40, "hits": 90, "most": 20, "project": "BUILD"}
    summary = replace(OPEN, fingerprint="f2", digest=digest)
    assert not {"seen", "heard", "told", "digest", "v"} & _said(OPEN).keys()
    assert _said(replace(OPEN, waits=Attachment("a.txt", "lines of a log")))["waits"] == "a.txt"
    assert _said(summary)["summary_of"].startswith("40 faults in 90 failed builds not filed")
    _list({"f1": OPEN, "f2": replace(summary, status="creating")}, as_json=False)
    assert "2 faults, 1 with a ticket, 1 without, 1 with something under way" in capsys.readouterr().out
