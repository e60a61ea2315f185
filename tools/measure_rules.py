"""How often rules are right, on logs that people labelled: ``python -m tools.measure_rules``.

Counted are the fields that a deciding rule fills (the category; the dependency, where the truth is known) on the dev
corpus, each log once. For logs with labelled lines but no category, and for all others too, it is counted whether the
rule points within a few lines of what people marked. The recorded samples are printed apart: rules were written with
them at hand, so they prove that a rule works and not that it is precise.

`--write` notes in rules.yaml what was measured of rules that decided at least a few logs: the rule of succession,
(right + 1) / (logs + 2), which stays below what was seen by as much as so few logs demand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from processor.contract import RuleMatch
from processor.logs.rules import RuleSet
from tools.labelled import ROOT, Labelled, corpus, dev, excerpt_of, samples

RULES = ROOT / "pipelines" / "ci_failure" / "rules.yaml"
FEWEST = 5
"""Logs below which a rule's precision is not known."""
NEAR = 10
"""Lines by which a rule may miss what people marked: they mark the first mention, or the last."""


@dataclass
class Tally:
    """What rules decided: logs, the fields that they filled there, and how many of both are right."""

    logs: int = 0
    logs_right: int = 0
    fields: int = 0
    fields_right: int = 0

    def add(self, right: Sequence[bool]) -> None:
        """Count a log by its fields."""
        self.logs += 1
        self.logs_right += all(right)
        self.fields += len(right)
        self.fields_right += sum(right)

    @property
    def precision(self) -> float | None:
        """The share of fields that are right; None where there were none."""
        return self.fields_right / self.fields if self.fields else None


def tallies(logs: Sequence[Labelled], rules: RuleSet) -> dict[str, Tally]:
    """By rule what it decided, of the logs whose truth is known."""
    found: dict[str, Tally] = {}
    for log in logs:
        match = rules.match(log.excerpt)
        if match is not None and match.decides:
            found.setdefault(match.rule, Tally()).add(_right(match, log))
    return found


def _right(match: RuleMatch, log: Labelled) -> list[bool]:
    """Of each field that a rule filled whether it is right."""
    right = [match.fields["category"] in log.categories] if "category" in match.fields else []
    if log.dependency_known and "faulty_dependency" in match.fields:
        name = (match.fields["faulty_dependency"] or {}).get("name")
        right.append(name is None if not log.names else str(name).lower() in {one.lower() for one in log.names})
    return right


def rule_precision(
    logs: Sequence[Labelled] | None = None, rules: RuleSet | None = None
) -> dict[str, float | int | None]:
    """What `bench/results/reduce.json` says of rules: their precision on the dev logs, and how many they decide.

    `rule_precision` is the share of right fields, None where the corpus is absent or nothing was decided.
    """
    logs = dev() if logs is None else logs
    total = _sum(tallies(logs, rules or load()).values())
    return {
        "rule_precision": total.precision,
        "rule_fields": total.fields,
        "rule_decided": total.logs,
        "rule_logs": len(logs),
        "rule_decided_share": total.logs / len(logs) if logs else None,
    }


def pointed(folder: Path, rules: RuleSet) -> tuple[int, int]:
    """Of all dev logs with marked lines, those without a category included: decided, and decided near a marked line."""
    decided = near = 0
    for line in (folder / "ci-logs" / "labels.jsonl").read_text().splitlines():
        row = json.loads(line)
        spans = row.get("failing_lines") or []
        match = rules.match(excerpt_of((folder / "ci-logs" / row["path"]).read_bytes())) if spans else None
        if match is not None and match.decides:
            decided += 1
            near += any(first - NEAR <= number <= last + NEAR for number in match.lines for first, last in spans)
    return decided, near


def load() -> RuleSet:
    """The rules of ci_failure."""
    return RuleSet.parse(yaml.safe_load(RULES.read_text(encoding="utf-8")))


def _sum(found: Iterable[Tally]) -> Tally:
    total = Tally()
    for one in found:
        total.logs += one.logs
        total.logs_right += one.logs_right
        total.fields += one.fields
        total.fields_right += one.fields_right
    return total


def noted(text: str, found: Mapping[str, Tally]) -> str:
    """rules.yaml with the precision of each rule that decided enough logs, and of no other."""
    text = re.sub(r"^  precision: .*\n", "", text, flags=re.MULTILINE)
    for name, tally in found.items():
        if tally.logs >= FEWEST:
            value = (tally.logs_right + 1) / (tally.logs + 2)
            line = f"  precision: {value:.2f}  # right on {tally.logs_right} of {tally.logs} labelled logs\n"
            text = re.sub(rf"(?m)(^- id: {re.escape(name)}\n)((?:  .*\n)*?)(  fields:)", rf"\1\2{line}\3", text)
    return text


def main() -> int:
    """Print what rules decided; with ``--write`` note it in rules.yaml."""
    parser = argparse.ArgumentParser(prog="python -m tools.measure_rules", description=__doc__)
    parser.add_argument("--write", action="store_true", help="note the precision of rules in rules.yaml")
    options = parser.parse_args()
    rules, labelled = load(), dev()
    if not labelled:
        print("the dev corpus is absent ($FAULTSTREAM_DATA): samples only", file=sys.stderr)
    found = tallies(labelled, rules)
    for name, tally in sorted(found.items(), key=lambda one: -one[1].logs):
        print(f"{name:30} {tally.logs_right:3} of {tally.logs:3} logs right")
    for name, logs in (("dev", labelled), ("samples, first runs", [log for log in samples() if not log.repeat])):
        if logs:
            total = _sum(tallies(logs, rules).values())
            share = f"{total.logs} of {len(logs)} logs decided ({total.logs / len(logs):.0%})"
            print(f"{name}: {share}, {total.fields_right} of {total.fields} fields right")
    folder = corpus()
    if folder is not None:
        decided, near = pointed(folder, rules)
        print(f"dev, with or without a category: {decided} decided, {near} within {NEAR} lines of what people marked")
    if options.write and labelled:
        RULES.write_text(noted(RULES.read_text(encoding="utf-8"), found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
