"""What a deployment's topics should be, and what is said where they are not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from processor import topology
from processor.cluster.topics import CLEANUP, LARGEST, RETENTION, Found, Rules, Wanted, differences, wishes
from processor.home import Homes
from processor.pipeline import load_all
from processor.settings import Settings

HOUR = 3_600_000
RULES = Rules(partitions=3, retention_ms=168 * HOUR, record_bytes=50_000_000)
SOURCE = Wanted("builds", source=True, setting="source.kafka.topics of ci")
FINDINGS = Wanted("p.findings.ci")
LETTERS = Wanted("p.dead-letters", originals=True)
COMMANDS = Wanted("p.ticket-commands")
STATE = Wanted("p.ticket-state", compact=True, like="p.ticket-commands")
ALL = [SOURCE, FINDINGS, LETTERS, COMMANDS, STATE]


def config(cleanup: str = "delete", hours: float = 168, largest: int = 1_048_588) -> dict[str, str]:
    """A topic's configuration."""
    return {CLEANUP: cleanup, RETENTION: str(int(hours * HOUR)) if hours >= 0 else "-1", LARGEST: str(largest)}


GOOD = {
    "builds": Found(6, config(hours=72, largest=10_500_000)),
    "p.findings.ci": Found(3, config()),
    "p.dead-letters": Found(1, config(hours=72, largest=10_565_536)),
    "p.ticket-commands": Found(4, config()),
    "p.ticket-state": Found(4, config("compact")),
}


def test_nothing_is_said_where_all_is_well() -> None:
    """Partitions are free, but for those that go together; longer than asked for is fine."""
    assert differences(ALL, GOOD, RULES) == []
    assert differences(ALL, GOOD | {"p.findings.ci": Found(50, config(hours=-1))}, RULES) == []


@pytest.mark.parametrize(
    ("topic", "found", "told", "grave"),
    [
        ("builds", None, "missing; create it, or correct source.kafka.topics of ci", True),
        ("p.dead-letters", None, "missing; faultstream topics --create", True),
        ("p.ticket-state", Found(2, config("compact")), "2 partitions, 4 are needed, as many as p.ticket-comm", True),
        ("p.ticket-state", Found(4, config()), "cleanup.policy is delete, not compact", True),
        (
            "p.ticket-state",
            Found(4, config("compact,delete")),
            "cleanup.policy is compact,delete, not compact (its state would be lost)",
            True,
        ),
        ("p.findings.ci", Found(3, config("compact")), "cleanup.policy is compact, not delete", True),
        ("p.findings.ci", Found(3, config(hours=24)), "retention.ms is 86400000, not 604800000", False),
        (
            "p.dead-letters",
            Found(1, config(hours=168, largest=10_565_536)),
            "retention.ms is 604800000, not 259200000 (as long as the sources keep events)",
            False,
        ),
        (
            "p.dead-letters",
            Found(1, config(hours=72)),
            "--entity-name p.dead-letters --add-config max.message.bytes=10565536",
            False,
        ),
    ],
)
def test_each_difference_is_told_with_its_remedy(topic: str, found: Found | None, told: str, grave: bool) -> None:
    """One at a time; what a daemon must not run on is grave."""
    there: Mapping[str, Found] = {name: each for name, each in GOOD.items() if name != topic}
    (differs,) = differences(ALL, {**there, topic: found} if found else there, RULES)
    assert (differs.topic, differs.grave) == (topic, grave)
    assert told in differs.text


def test_what_may_not_be_looked_at_is_not_guessed() -> None:
    """Without the right to see configurations nothing is said about them, nor about what follows the sources."""
    blind = {name: Found(each.partitions) for name, each in GOOD.items()}
    assert differences(ALL, blind, RULES) == []
    assert wishes(ALL, blind, RULES)["p.dead-letters"].config() == {CLEANUP: "delete"}


def test_what_is_created_follows_its_sources() -> None:
    """Dead letters keep events as long as the source that keeps them longest, and take its largest."""
    there = {"builds": GOOD["builds"], "p.ticket-commands": Found(9, config())}
    wish = wishes(ALL, there, RULES)
    assert wish["p.dead-letters"].config() == config(hours=72, largest=10_565_536)
    assert (wish["p.ticket-state"].partitions, wish["p.ticket-state"].config()) == (9, {CLEANUP: "compact"})
    assert wish["p.findings.ci"].config() == {CLEANUP: "delete", RETENTION: str(168 * HOUR)}
    forever = {"builds": Found(6, config(hours=-1))}
    assert wishes(ALL, forever, RULES)["p.dead-letters"].retention_ms == -1
    nothing = wishes(ALL, {}, RULES)["p.dead-letters"]
    assert (nothing.retention_ms, nothing.max_message_bytes) == (168 * HOUR, 50_000_000)


def test_the_bundled_pipelines_topics() -> None:
    """Each once; what is compacted besides the ledger of replays has the partitions of what fills it."""
    listed = topology.topics("fs", load_all(Homes.of([Path(__file__).parents[2]]), {}, None))
    names = [topic.name for topic in listed]
    assert len(names) == len(set(names))
    assert {topic.name: topic.wanted.like for topic in listed if topic.wanted.compact} == {
        "fs.ticket-state": "fs.ticket-commands",
        "fs.decide-faults-changelog": "fs.signals",
        "fs.decide-jobs-changelog": "fs.signals",
        "fs.feedback-heard": None,
        "fs.decide-rooms-changelog": "fs.signals",
        "fs.replays": None,
    }
    originals = {topic.name for topic in listed if topic.wanted.originals}
    assert originals == {"fs.dead-letters", *(name for name in names if ".retry." in name or ".parked." in name)}
    assert all(topic.name.startswith("fs.") for topic in listed if not topic.wanted.source)


def test_settings_make_the_rules() -> None:
    """Hours in the settings, milliseconds on the cluster."""
    made = topology.rules(Settings(topics={"retention_h": 24.5}, kafka={"partitions": 7, "replication": 3}))
    assert made == Rules(7, 3, 88_200_000, 50_000_000)


@pytest.mark.parametrize(
    ("topic", "seconds"),
    [
        (Found(1, config(hours=72)), 72 * 3600),
        (Found(1, config(hours=-1)), math.inf),
        (Found(1), 24.5 * 3600),
    ],
)
def test_how_long_a_topic_keeps_records(topic: Found, seconds: float) -> None:
    """By its own retention; by the settings where that can't be seen."""
    assert topology.kept_s(topic, Settings(topics={"retention_h": 24.5})) == seconds
