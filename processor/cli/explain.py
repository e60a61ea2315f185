"""`faultstream explain LOG`: one log becomes a finding, on the terminal."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.text import Text

from processor import app
from processor.cli import options
from processor.cli.reduce import show
from processor.contract import Finding, Reading, Record
from processor.errors import ConfigError, FaultstreamError, Rejected, Retryable
from processor.home import Homes
from processor.line import Lane, Shared
from processor.logs.extract import EVERYTHING
from processor.logs.redact import redactor
from processor.models.client import ModelClient
from processor.pipeline import Pipeline
from processor.settings import ModelSettings, Settings
from processor.sources.decode import Decoder
from processor.sources.providers import Providers
from processor.stages.fetch import Fetch
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics


def command(
    log: options.Log,
    pipeline: Annotated[str, typer.Option(help="Pipeline to explain it with.")] = "ci_failure",
    offline: Annotated[bool, typer.Option("--offline", help="No model: the excerpt and what rules say.")] = False,
    model_url: Annotated[str | None, typer.Option(help="Model server, such as http://127.0.0.1:8000/v1.")] = None,
    json: options.Json = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Say what went wrong in LOG. Needs a model server and nothing else; with --offline not even that."""
    homes, settings = options.load(home, config)
    folder = homes.pipelines().get(pipeline)
    if folder is None:
        raise ConfigError(f"no pipeline {pipeline}; there are {', '.join(homes.pipelines())}")
    loaded = Pipeline.load(folder, homes, app.tiers(settings))
    tier = settings.models[loaded.model.tier]
    if model_url:
        tier = tier.model_copy(update={"urls": [model_url]})
    told = Explanation(loaded, settings, tier, homes, options.read(log), log)
    if offline:
        asyncio.run(told.offline(options.machine_readable(json)))
    else:
        asyncio.run(told.ask(options.machine_readable(json)))


class Explanation:
    """One log on its way through a pipeline's lane, without Kafka."""

    def __init__(
        self, pipeline: Pipeline, settings: Settings, tier: ModelSettings, homes: Homes, body: bytes, name: str
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._tier = tier
        self._homes = homes
        headers = (("subject", Path(name).name.encode()),)
        self._record = Record("explain", 0, 0, None, body, headers, int(time.time() * 1000))
        self._console = Console(highlight=False, soft_wrap=True)

    async def offline(self, as_json: bool) -> None:
        """The excerpt and what the deterministic stages know."""
        lane, event = self._prepare(None)
        try:
            event = await lane.redact(event, event.body or b"")
            recognise = replace(lane.recognise, kinds=EVERYTHING)  # for people, what no question asks for too
            reading = recognise(await lane.reduce(event.body or b""))
        except Rejected as error:
            raise FaultstreamError(f"{self._record.headers[0][1].decode()}: {error}") from error
        if as_json:
            rule = reading.rule and {"rule": reading.rule.rule, "fields": dict(reading.rule.fields)}
            found = {kind: [asdict(each) for each in many] for kind, many in reading.candidates.items()}
            print(orjson.dumps({"excerpt": reading.excerpt.text, "rule": rule, "candidates": found}).decode())
        else:
            self._show_reading(reading)

    async def ask(self, as_json: bool) -> None:
        """The finding."""
        async with ModelClient(self._tier, self._pipeline.model.tier) as model:
            lane, event = self._prepare(model)
            try:
                with self._console.status("the model reads …"):
                    finding = await lane.find(event)
            except Retryable as error:
                raise FaultstreamError(
                    f"{error}\nStart one with `make model-server`, name one with --model-url, or use --offline."
                ) from error
            except Rejected as error:
                raise FaultstreamError(f"{self._record.headers[0][1].decode()}: {error}") from error
        if as_json:
            print(orjson.dumps(finding).decode())
        else:
            self._show(finding)

    def _prepare(self, model: ModelClient | None) -> tuple[Lane, Any]:
        metrics = LineMetrics(CollectorRegistry())
        shared = Shared("explain", Fetch(app.fetch_config(self._settings)), Redact(redactor()), metrics)
        lane = Lane.of(
            self._pipeline, model or ModelClient(self._tier), shared, context_tokens=self._tier.context_tokens
        )
        providers = Providers.load(list(self._homes.providers().values()))
        try:
            return lane, Decoder(self._pipeline.decode, providers, "explain").decode(self._record)
        except Rejected as error:
            raise FaultstreamError(f"{self._record.headers[0][1].decode()}: {error}") from error

    def _show_reading(self, reading: Reading) -> None:
        show(reading.excerpt, self._console)
        rule = reading.rule
        if rule is not None:
            verb = "decides" if rule.decides else "proposes"
            self._console.print(Text(f"\nrule {rule.rule} {verb}:", style="bold"))
            self._fields(dict(rule.fields))
        else:
            self._console.print(Text("\nno rule knows this; a model would be asked", style="bold"))
        for kind, found in reading.candidates.items():
            names = ", ".join(" ".join(filter(None, (each.name, each.version))) for each in found[:6])
            if names:
                self._console.print(Text(f"{kind}: ", style="dim").append(names))

    def _show(self, finding: Finding) -> None:
        summary = finding.result.get("summary")
        if summary:
            self._console.print(Text(str(summary), style="bold"))
        self._fields({name: value for name, value in finding.result.items() if name != "summary"})
        self._console.print(Text("\nevidence", style="dim"))
        for line in finding.evidence:
            self._console.print(Text(f"{line.line:>7} │ ", style="dim").append(line.text, style="red"))
        step = finding.steps[-1]
        decided = f"rule {step.rule}" if step.decided_by == "rule" else f"model {step.model}, tier {step.tier}"
        sure = finding.confidence.value
        how = f"{sure:.0%}" if sure is not None else "not calibrated, treat it as a guess"
        usage = finding.usage
        seconds = step.timings_ms.get("infer", 0) / 1000
        cost = (
            f"; {usage.prompt_tokens} + {usage.completion_tokens} tokens, {usage.cached_tokens} cached, {seconds:.1f} s"
        )
        self._console.print(Text(f"\ndecided by {decided}", style="dim").append(cost if usage.prompt_tokens else ""))
        self._console.print(Text(f"confidence {how}; fingerprint {finding.fingerprint}", style="dim"))

    def _fields(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            shown = " ".join(str(part) for part in value.values() if part) if isinstance(value, dict) else value
            shown = ", ".join(map(str, shown)) if isinstance(shown, list) else shown
            self._console.print(
                Text(f"{name:>20}  ", style="dim").append("none" if shown in (None, "") else str(shown))
            )
