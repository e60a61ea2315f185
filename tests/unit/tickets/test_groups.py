"""The same dependency in many repositories: one ticket that lists them, and no more tickets of their own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from processor.contract import Outbound, Record
from processor.lang.template import Template
from processor.tickets.caps import on_its_way
from processor.tickets.decider import Place, Tables
from processor.tickets.messages import Command, read_command
from processor.tickets.policy import Grouping, Policy
from processor.tickets.signals import Signals
from tests.unit.tickets.test_caps import Guard, command
from tests.unit.tickets.world import TOPICS, World, record

RULE = Grouping(Template("{{ finding.result.package }}", "group.by"), "repositories", 3)
POLICY = Policy(project="BUILD", group=RULE, max_age=timedelta(days=400))


def of(fault: int, *, package: str = "left-pad", number: int = 1, **build: str) -> Command:
    """A command of a fault that a package causes."""
    made = command(fault, float(number), number=number)
    result = made.finding["result"] | {"package": package}
    finding: dict[str, Any] = made.finding | {"result": result, "build": made.finding["build"] | build}
    return replace(made, finding=finding, group=RULE.of(finding))


class Groups(Guard):
    """The decider with records that go by their group."""

    def hears(self, *commands: Command) -> Groups:
        """Has commands come along, by all ways that they are sent on."""
        for each in commands:
            self.take(on_its_way(each, self.policy, TOPICS, grouping=True))
        return self

    def take(self, out: Any) -> None:
        """Has a record come along, if it is for groups, and what follows from it."""
        if out.topic != TOPICS.groups:
            self.out.append(out)
            return
        self.offset += 1
        tables = Tables(self.stored.get).at(0, 1_000_000)
        for each in self.decider(Record(out.topic, 0, self.offset, out.key, out.value), tables):
            self.take(each)
        tables.kept()
        self.stored |= tables.changes


def test_from_the_third_repository_on_there_is_one_ticket() -> None:
    """Those before have tickets of their own, and keep them; it lists all of them."""
    groups = Groups(POLICY).hears(*(of(fault) for fault in range(5)))
    assert groups.passed() == ["f0", "f1"]
    parents = groups.summaries()
    assert len({each.fingerprint for each in parents}) == 1
    assert [each.action for each in parents] == ["create", "comment", "comment"]
    assert (parents[-1].digest["faults"], parents[-1].digest["repositories"]) == (5, 5)
    assert [each["filed"] for each in parents[-1].digest["listed"]] == [True, True, False, False, False]
    assert all(f"fs-{parents[0].fingerprint}" in reason for reason in groups.reasons())
    groups.hears(of(0, number=2), of(4, number=2))
    assert groups.passed() == ["f0", "f1", "f0"]
    assert groups.summaries()[-1].count == 5


def test_other_packages_and_the_same_repository_make_no_group() -> None:
    """A group is of one thing, over several places."""
    groups = Groups(POLICY).hears(*(of(fault, package=f"p{fault}") for fault in range(5)))
    groups.hears(*(of(10 + fault, repo="acme/web") for fault in range(5)))
    groups.hears(*(of(20 + fault, package="") for fault in range(5)))
    assert len(groups.passed()) == 15
    assert groups.summaries() == []


@pytest.mark.parametrize("over", ["faults", "branches"])
def test_a_group_may_be_over_faults_or_branches(over: Any) -> None:
    """Of one repository, too."""
    groups = Groups(replace(POLICY, group=replace(RULE, over=over)))
    groups.hears(*(of(fault, repo="acme/web", branch=f"b{fault}") for fault in range(4)))
    assert groups.passed() == ["f0", "f1"]
    assert len(groups.summaries()) == 2


def test_what_is_heard_again_is_counted_once() -> None:
    """After a crash a command comes again: it goes the way that it went."""
    groups = Groups(POLICY).hears(of(0), of(0), of(1), of(2), of(2))
    assert groups.passed() == ["f0", "f0", "f1"]
    assert [each.count for each in groups.summaries()] == [1]


def test_what_goes_on_is_still_under_the_cap() -> None:
    """By its project, after its group."""
    groups = Groups(replace(POLICY, cap=1)).hears(of(0), of(1))
    assert groups.passed() == ["f0"]
    assert [each.digest["kind"] for each in groups.summaries()] == ["cap"]


def test_a_template_that_fails_leaves_a_fault_on_its_own() -> None:
    """It is filed."""
    rule = replace(RULE, by=Template("{{ finding.result.package.name.first }}", "group.by"))
    commands = [replace(each, group=rule.of(each.finding)) for each in map(of, range(4))]
    assert Groups(replace(POLICY, group=rule)).hears(*commands).passed() != []


@pytest.mark.parametrize("cap", [0, 10])
def test_a_build_that_passes_overtakes_no_ticket_of_a_group(cap: int) -> None:
    """It goes by the group and the project, under the same keys, behind what asks for the ticket."""
    policy = replace(POLICY, group=replace(RULE, least=2), cap=cap, follows=True, when_green="resolve")
    signals, stored = Signals(TOPICS, {"ci_failure": policy}), dict[Place, bytes]()
    finding = of(0).finding | {"confidence": {"value": 0.9}, "time": "2026-11-22T04:01:00Z"}
    passes = finding["build"] | {"id": "p1", "state": "passed", "time": "2026-11-22T04:02:00Z"}
    heard: list[Outbound] = []
    for offset, (found, passed) in enumerate([(finding, None), (None, passes)]):
        tables = Tables(stored.get).at(0, 1_000)
        value = orjson.dumps({"kind": "x", "finding": found, "outcome": passed, "v": 1})
        heard += signals(Record(TOPICS.signals, 0, offset, b"acme/r0", value), tables)
        tables.kept()
        stored |= tables.changes
    assert [read_command(each.value).action for each in heard] == ["create", "green"]
    assert len({(each.topic, each.key) for each in heard}) == 1
    groups = Groups(policy)
    for each in heard:
        groups.take(each)
    assert [read_command(each.value).action for each in groups.out] == ["create", "green"]


async def test_the_ticket_of_a_group_names_its_repositories() -> None:
    """Kept up to date; log text in it stays text."""
    groups = Groups(POLICY).hears(*(of(fault) for fault in range(5)))
    world = World()
    writer = await world.writer()
    for offset, each in enumerate(groups.summaries()):
        world.now += 60
        await world.until_done(record(each, offset), writer)
    [ticket] = world.issues.values()
    assert all(f"acme/r{number}" in ticket.description for number in range(5))
    assert "fs-f0" in ticket.description
    assert "fs-f4" not in ticket.description
    assert ticket.fields["summary"] == "left-pad: 5 faults in 5 repositories"
    assert orjson.loads(world.records[-1].value or b"")["action"] == "counted"
