"""The part of `faultstream doctor` that is about Jira: who we are there, what we may, and what waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from processor.cli.looked import Finding
from processor.cluster.client import KafkaClient
from processor.errors import FaultstreamError, Retryable
from processor.logs.numbered import MOST
from processor.pipeline import Pipeline
from processor.settings import JiraSettings, Settings
from processor.sources.backlog import Backlog
from processor.tickets.jira import JiraClient, Refused
from processor.tickets.jira.dialects import Cloud
from processor.tickets.jira.forms import Wish
from processor.tickets.jira.kinds import Kind
from processor.tickets.jira.rights import ATTACH, rights
from processor.tickets.messages import Topics
from processor.tickets.plans import wishes
from processor.tickets.refusals import refusal

RIGHTS: Final[Mapping[str, str]] = {
    "BROWSE_PROJECTS": "Browse Projects",
    "CREATE_ISSUES": "Create Issues",
    "EDIT_ISSUES": "Edit Issues",
    "ADD_COMMENTS": "Add Comments",
    "TRANSITION_ISSUES": "Transition Issues",
    "LINK_ISSUES": "Link Issues",
}
"""What the account needs in a project, with the names that Jira's permission schemes show."""

FILES: Final[Mapping[str, str]] = {ATTACH: "Create Attachments"}
"""What it needs besides where tickets get files."""

PATIENCE_S: Final = 20.0
"""Bound on each question."""

DAEMON_S: Final = 2.0
"""Bound on asking a daemon on this machine."""

LONG_S: Final = 900.0
"""A command that waits for longer is worth a look."""


async def look(jira: JiraSettings, settings: Settings, pipelines: Sequence[Pipeline]) -> list[Finding]:
    """All that there is to say of Jira."""
    client = JiraClient(jira)
    filing = [each.ticket for each in pipelines if each.ticket is not None]
    projects = sorted({each.project for each in filing})
    files = {each.project for each in filing if each.attach != "none"}
    try:
        found = [await _who(client, jira.url)]
        if found[0].fine:
            found += [each async for each in _rights(client, projects, files)]
            found += [await _files(client)] if files else []
            found += [each async for each in _tickets(client, wishes(pipelines))]
        found += await _waiting(settings)
        found += await _daemon(settings)
    finally:
        await client.close()
    return found


async def _who(client: JiraClient, url: str) -> Finding:
    started = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE_S):
            kind = "Jira Cloud" if isinstance(await client.dialect(), Cloud) else "Jira Data Center"
            me = ", ".join(sorted(await client.myself()))
    except TimeoutError:
        return Finding("jira", False, f"{url}: no answer within {PATIENCE_S:.0f} s")
    except FaultstreamError as error:
        return Finding("jira", False, str(error))
    return Finding("jira", True, f"{url}: {kind}, as {me}", (time.perf_counter() - started) * 1000)


async def _rights(client: JiraClient, projects: Collection[str], files: Collection[str] = ()) -> AsyncIterator[Finding]:
    """What the account lacks in each project that tickets go to; those of `files` get attachments."""
    for project in projects:
        wanted = {**RIGHTS, **(FILES if project in files else {})}
        try:
            async with asyncio.timeout(PATIENCE_S):
                held = await rights(client.get, project, wanted)
        except Refused as error:
            if error.status == 404 and "project" not in str(error).lower():
                yield Finding("jira rights", True, f"{project}: this Jira does not tell what we may do there")
            else:
                yield Finding("jira rights", False, f"{project}: {error}; check ticket.project")
        except (TimeoutError, Retryable) as error:
            yield Finding("jira rights", False, f"{project}: {error or 'no answer'}")
        else:
            yield _lacking(project, held, wanted)


async def _files(client: JiraClient) -> Finding:
    """Whether this Jira takes attachments at all."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            enabled, limit = await client.attaching()
    except (TimeoutError, Retryable) as error:
        return Finding("jira attachments", False, str(error) or "no answer")
    if not enabled:
        return Finding("jira attachments", False, "turned off in this Jira: turn them on, or set ticket.attach: none")
    said = "taken" if limit is None else f"taken, up to {limit} bytes"
    return Finding("jira attachments", limit is None or limit >= MOST, said)


async def _tickets(client: JiraClient, wanted: Sequence[Wish]) -> AsyncIterator[Finding]:
    """Whether Jira takes what the pipelines fill in."""
    for wish in wanted:
        what, where = "jira fields", f"{wish.pipeline}: {wish.type} in {wish.project}"
        file = f"pipelines/{wish.pipeline}/pipeline.yaml"
        try:
            async with asyncio.timeout(PATIENCE_S):
                wrong = await client.wrong(wish)
                wrong += await client.strangers(wish) if not wrong else []
        except Refused as error:
            yield Finding(what, False, f"{file}: {refusal(error, wish.project)}")
        except (TimeoutError, Retryable) as error:
            yield Finding(what, False, f"{where}: {error or 'no answer'}")
        else:
            for each in wrong:
                yield Finding(what, False, f"{file}: {each}")
            if not wrong:
                yield Finding(what, True, f"{where} can be created as the pipeline says")


def _lacking(project: str, held: Mapping[str, bool], wanted: Mapping[str, str]) -> Finding:
    lacking = [name for right, name in wanted.items() if not held.get(right, True)]
    if lacking:
        otherwise = ", or set ticket.attach: none" if lacking == list(FILES.values()) else ""
        said = f"{project}: give the account of jira.token {', '.join(lacking)}{otherwise}"
        return Finding("jira rights", False, said)
    unknown = [name for right, name in wanted.items() if right not in held]
    told = f"; not told: {', '.join(unknown)}" if unknown else ""
    return Finding("jira rights", True, f"{project}: {', '.join(n for n in wanted.values() if n not in unknown)}{told}")


async def _waiting(settings: Settings) -> list[Finding]:
    """The commands that the ticket role has not committed: what waits for Jira, over all daemons."""
    topics, client = Topics(settings.topics.prefix), KafkaClient.of(settings.kafka)
    backlog = Backlog(client, topics.writer)
    try:
        async with asyncio.timeout(PATIENCE_S):
            records, oldest_ms = await backlog.waiting(topics.commands)
    except (TimeoutError, Retryable):
        return []  # what is wrong with Kafka is told already
    finally:
        await backlog.stop()
    if not records:
        return [Finding("tickets", True, "no command waits")]
    waited_s = max(0.0, time.time() - oldest_ms / 1000)
    text = f"at most {records} commands wait, the oldest for {waited_s:.0f} s"
    return [
        Finding("tickets", waited_s < LONG_S, text if waited_s < LONG_S else f"{text}: see the log of the ticket role")
    ]


async def _daemon(settings: Settings) -> list[Finding]:
    """How a daemon on this machine does at Jira's limits; nothing where there is none."""
    address = f"http://{settings.http.host}:{settings.http.port}/metrics"
    try:
        timeout = aiohttp.ClientTimeout(total=DAEMON_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(address) as answer:
            text = await answer.text()
    except (aiohttp.ClientError, TimeoutError, OSError):
        return []
    return limits(text)


def limits(metrics: str) -> list[Finding]:
    """What a daemon's metrics say of the rate of its requests; nothing where it has no ticket role."""
    try:
        families = list(text_string_to_metric_families(metrics))
    except ValueError:
        return []
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("faultstream_jira_")
    }
    rate = samples.get(("faultstream_jira_rate_limit",))
    if rate is None:
        return []
    told = [f"{rate:.3g} requests a second at most"]
    for kind in Kind:
        waiting = samples.get(("faultstream_jira_waiting", kind.label), 0)
        stopped = samples.get(("faultstream_jira_stopped_seconds", kind.label), 0)
        told += [f"{waiting:.0f} of {kind.label} wait"] if waiting else []
        told += [f"{kind.label} stopped by Jira for {stopped:.0f} s"] if stopped else []
    refused = {key[1]: count for key, count in samples.items() if key[0] == "faultstream_jira_limited_total"}
    told += [f"refused for its rate: {reason} {count:.0f} times" for reason, count in refused.items() if count]
    return [Finding("jira rate", True, f"the daemon here: {'; '.join(told)}")]
