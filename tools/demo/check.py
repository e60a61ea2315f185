"""What the demo's figures are, and whether all is as promised."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tools.demo.plan import Build
from tools.demo.watch import Outcome, Place

Sent = Mapping[Place, Build]


def jira_tickets(address: str, project: str = "BUILD") -> dict[str, str]:
    """Ticket key by fingerprint, read from Jira itself; a fingerprint with two tickets raises ValueError."""
    query = urllib.parse.urlencode({"jql": f"project = {project}", "maxResults": 5000, "fields": "labels"})
    request = urllib.request.Request(f"{address}/rest/api/2/search?{query}", headers={"Authorization": "Bearer demo"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  an address of our own, on loopback
        issues = json.load(response)["issues"]
    found: dict[str, list[str]] = defaultdict(list)
    for issue in issues:
        for label in issue["fields"].get("labels") or []:
            if label.startswith("fs-"):
                found[label.removeprefix("fs-")].append(issue["key"])
    return {fingerprint: " ".join(sorted(keys)) for fingerprint, keys in found.items()}


def _share(cached: Sequence[int | None], prompt: int) -> float | None:
    """The share of prompt tokens that were cached; None where a server does not count them."""
    known = [tokens for tokens in cached if tokens is not None]
    if len(known) < len(cached):
        return None
    return round(sum(known) / prompt, 3) if prompt else 0.0


def summary(
    sent: Sent, outcome: Outcome, tickets: Mapping[str, str], valid: Callable[[dict[str, Any]], bool], engine: str
) -> dict[str, Any]:
    """The figures of `.demo/summary.json`."""
    found = {build.id: outcome.findings[place] for place, build in sent.items() if place in outcome.findings}
    results = {build.id: (build, found[build.id]["data"]) for build in sent.values() if build.id in found}
    steps = [step for _, data in results.values() for step in data["steps"]]
    usage = [data["usage"] for _, data in results.values()]
    prompt, cached = sum(u["prompt_tokens"] for u in usage), [u["cached_tokens"] for u in usage]
    keys = [key for joined in tickets.values() for key in joined.split()]
    return {
        "events": len(sent),
        "findings": len(found),
        "dead_letters": sum(place in outcome.dead for place in sent),
        "tickets": len(keys),
        "expected_tickets": len({build.pair for build in sent.values()}),
        "duplicate_tickets": duplicates(sent, outcome, tickets),
        "merged_tickets": merged(sent, outcome, tickets),
        "schema_valid": sum(valid(finding) for finding in found.values()),
        "engine": engine,
        "seconds_to_first_ticket": _rounded(outcome.first_ticket_s),
        "seconds_to_first_model_ticket": _rounded(outcome.first_model_ticket_s),
        "seconds_total": _rounded(outcome.seconds()),
        "correct_category": sum(_category_right(build, data["result"]) for build, data in results.values()),
        "correct_dependency": sum(_dependency_right(build, data["result"]) for build, data in results.values()),
        "decided_by": {
            "rules": sum(step["decided_by"] == "rule" for step in steps),
            "model": sum(step["decided_by"] == "model" for step in steps),
        },
        "answers_reused": sum(step["reused"] is not None for step in steps),
        "prompt_tokens": prompt,
        "completion_tokens": sum(u["completion_tokens"] for u in usage),
        "cached_token_share": _share(cached, prompt),
    }


def duplicates(sent: Sent, outcome: Outcome, tickets: Mapping[str, str]) -> int:
    """Tickets too many: for each injected fault, those beyond its first."""
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    for place, build in sent.items():
        if place in outcome.findings:
            keys[build.pair] |= set(tickets.get(outcome.findings[place]["data"]["fingerprint"], "").split())
    return sum(max(0, len(each) - 1) for each in keys.values())


def merged(sent: Sent, outcome: Outcome, tickets: Mapping[str, str]) -> int:
    """Faults that share a ticket with another fault."""
    pairs: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for place, build in sent.items():
        if place in outcome.findings:
            for key in tickets.get(outcome.findings[place]["data"]["fingerprint"], "").split():
                pairs[key].add(build.pair)
    return sum(len(each) - 1 for each in pairs.values())


def faults(figures: Mapping[str, Any]) -> list[str]:
    """What is not as promised; `make demo CHECK=1` fails on any."""
    events, decided = figures["events"], figures["decided_by"]
    rules: list[tuple[bool, str]] = [
        (events >= 30, f"only {events} events were sent; at least 30 are promised"),
        (
            figures["findings"] + figures["dead_letters"] == events,
            f"{events} events, but {figures['findings']} findings and {figures['dead_letters']} dead letters",
        ),
        (figures["dead_letters"] == 0, f"{figures['dead_letters']} builds became dead letters"),
        (
            figures["tickets"] == figures["expected_tickets"],
            f"{figures['tickets']} tickets for {figures['expected_tickets']} injected faults",
        ),
        (figures["duplicate_tickets"] == 0, f"{figures['duplicate_tickets']} tickets too many for the same fault"),
        (figures["merged_tickets"] == 0, f"{figures['merged_tickets']} faults share a ticket with another"),
        (
            figures["schema_valid"] == figures["findings"],
            f"{figures['findings'] - figures['schema_valid']} findings do not fit the schema",
        ),
        (2 * decided["model"] >= events, f"the model decided {decided['model']} of {events}; half is promised"),
    ]
    return [message for fine, message in rules if not fine]


def _category_right(build: Build, result: Mapping[str, Any]) -> bool:
    return result.get("category") in {build.truth["category"], *build.truth.get("category_alt", [])}


def _dependency_right(build: Build, result: Mapping[str, Any]) -> bool:
    """The right package by name, or rightly none."""
    truth, named = build.truth.get("faulty_dependency"), result.get("faulty_dependency")
    if not truth or not named:
        return bool(truth) == bool(named)
    return named["name"] in {truth["name"], *truth.get("accept", [])}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
