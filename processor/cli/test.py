"""`faultstream test [PIPELINE] [--live]`: runs the cases of pipelines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.text import Text

from processor.casefile import Case, load_cases
from processor.caserun import Outcome, run_cases
from processor.cli import lint, options
from processor.errors import ConfigError
from processor.home import Homes
from processor.logs.redact import REDACTION
from processor.models.adapters import following
from processor.models.client import ModelClient
from processor.pipeline import Pipeline
from processor.settings import Settings
from processor.sources.providers import Providers
from processor.stages.infer import Served


def command(
    pipeline: Annotated[
        Path | None, typer.Argument(help="A pipeline's name or folder, or a home; by default all pipelines.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Ask the model server instead of the canned answers.")] = False,
    case: Annotated[str, typer.Option("--case", help="Only cases whose name holds this text.")] = "",
    home: options.Home = None,
    config: options.Config = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Run the cases of pipelines (cases.yaml), offline with canned answers or --live. Exit code 1 where one fails."""
    homes, settings = options.load(home, config)
    homes, folders = lint.chosen(homes, pipeline)
    wanted = [(Pipeline.load(folder, homes), _cases(folder, case)) for folder in folders]
    if pipeline is not None and not any(cases for _, cases in wanted):
        raise ConfigError(f"{pipeline}: no cases; write a cases.yaml beside pipeline.yaml")
    console = Console(highlight=False, soft_wrap=True)
    failed = 0
    for loaded, cases in wanted:
        if cases:
            outcomes = asyncio.run(_run(loaded, cases, homes, settings if live else None))
            failed += sum(not one.passed for one in outcomes)
            (_print_json if json else _show)(loaded.name, outcomes, console)
    if failed:
        raise typer.Exit(1)


def _cases(folder: Path, part: str) -> list[Case]:
    return [one for one in load_cases(folder) if part in one.name]


async def _run(pipeline: Pipeline, cases: Sequence[Case], homes: Homes, live: Settings | None) -> list[Outcome]:
    providers = Providers.load(list(homes.providers().values()))
    redaction = homes.find(REDACTION)
    if live is None:
        return await run_cases(pipeline, cases, providers=providers, redaction=redaction)
    async with AsyncExitStack() as stack:
        models: dict[str, ModelClient] = {}
        served: dict[str, Served] = {}
        for tier in dict.fromkeys(asked.tier for asked in pipeline.asks):
            if tier not in live.models:
                raise ConfigError(f"no tier {tier!r} in the settings (models)")
            names = {asked.adapter for asked in pipeline.asks if asked.tier == tier and asked.adapter}
            adapters = await stack.enter_async_context(following(live.models[tier], tier, homes, names))
            client = ModelClient(live.models[tier], tier, residency=adapters)
            models[tier] = await stack.enter_async_context(client)
            if adapters is not None:
                served[tier] = adapters.served
        return await run_cases(pipeline, cases, models, served, providers, redaction)


def _show(name: str, outcomes: Sequence[Outcome], console: Console) -> None:
    """A line per failed case with what differs, and the count."""
    for one in outcomes:
        if not one.passed:
            console.print(Text("✗ ", style="red").append(f"{name}: {one.case.name}", style="bold"))
            for failure in one.failures:
                console.print(_difference(failure))
    failed = sum(not one.passed for one in outcomes)
    rules = sum(one.finding is not None and one.finding.steps[-1].decided_by == "rule" for one in outcomes)
    text = f"{name}: {len(outcomes) - failed} of {len(outcomes)} cases passed ({rules} decided by rules)"
    console.print(Text(text, style="red" if failed else "green"))


def _difference(failure: str) -> Text:
    """`path: expected A, got B` over two lines, as a diff shows it; other failures as they are."""
    place, expected, rest = failure.partition(": expected ")
    wanted, between, got = rest.partition(", got ")
    if not expected or not between:
        return Text(f"    {failure}")
    text = Text(f"    {place}\n").append(f"      - {wanted}\n", style="green")
    return text.append(f"      + {got}", style="red")


def _print_json(name: str, outcomes: Sequence[Outcome], console: Console) -> None:
    for one in outcomes:
        line = {"pipeline": name, "case": one.case.name, "passed": one.passed, "failures": one.failures}
        console.print(orjson.dumps(line).decode(), markup=False)
