"""`faultstream explain LOG …`: logs become findings, on the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.text import Text

from processor.cli import options
from processor.cli.inputs import Input, gather
from processor.cli.lines import Work, each_log, whole
from processor.cli.show import as_json, console, show
from processor.contract import Candidate, Event, Finding, Reading, Record, Step, deciding
from processor.databases.open import Databases
from processor.errors import ConfigError, FaultstreamError, Rejected, Retryable
from processor.home import Homes
from processor.lane import Lane, Shared
from processor.lang.template import shorten
from processor.logs.extract import EVERYTHING
from processor.logs.redact import REDACTION, redactor
from processor.logs.why import why as why_of
from processor.models.adapters import following
from processor.models.client import ModelClient
from processor.models.question import Prompt
from processor.pipeline import Pipeline
from processor.pipeline.lines import line_plan
from processor.settings import Settings
from processor.sources.decode import Decoder
from processor.sources.providers import Providers
from processor.stages.fetch import Fetch
from processor.stages.infer import Served
from processor.stages.redact import Redact
from processor.telemetry import LineMetrics

_AT_ONCE: Final = 8
"""Logs that are worked on at once, and as many questions open."""


class Unwanted(str):
    """Why there is nothing to say of a log."""


Result = Finding | Reading | Prompt | Unwanted | FaultstreamError
"""What becomes of a log: what the model or a rule says, what is known offline, the question alone, or an error."""


def command(
    logs: options.Logs,
    pipeline: Annotated[str, typer.Option(help="Pipeline to explain them with.")] = "ci_failure",
    offline: Annotated[bool, typer.Option("--offline", help="No model: the excerpt and what rules say.")] = False,
    prompt: Annotated[
        bool, typer.Option("--prompt", help="No model: what one would be asked, a rule's answer notwithstanding.")
    ] = False,
    lines: Annotated[
        bool, typer.Option("--lines", help="LOG holds records of a topic of lines (source.assemble), one a line.")
    ] = False,
    why: options.Why = False,
    model_url: Annotated[str | None, typer.Option(help="Model server, such as http://127.0.0.1:8000/v1.")] = None,
    tokenizer: options.Tokenizer = None,
    json: options.Json = False,
    text: options.PlainText = False,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Say what went wrong in each LOG. Needs a model server and nothing else; with --offline not even that.

    LOG: a file, a folder (all logs in it, however deep), - for standard input,
    or an address of a host that the settings' fetch.allow lists. What is packed
    (.gz, .zst, .xz, .bz2, .lz4) is unpacked; secrets are taken out. With --lines
    it holds records of lines, of which each log is explained.

    Exit codes: 0 fine, 1 a log failed (the others are read), 2 usage.
    """
    if json and text:
        raise ConfigError("--json and --text exclude each other")
    if why and not offline:
        raise ConfigError("--why says why lines are in the excerpt, which is shown with --offline")
    if prompt and (offline or model_url):
        raise ConfigError("--prompt asks no model: it goes with neither --offline nor --model-url")
    homes, settings = options.load(home, config)
    folder = homes.pipelines().get(pipeline)
    if folder is None:
        raise ConfigError(f"no pipeline {pipeline}; there are {', '.join(homes.pipelines())}")
    loaded = Pipeline.load(folder, homes, settings.models, settings.databases)
    settings = _changed(settings, loaded.model.tier, model_url, tokenizer)
    inputs = gather(logs, lambda: settings.fetch)
    many = lines or len(inputs) > 1 or inputs[0].name != logs[0]
    machine = options.machine_readable(json, text)
    explainer = Explainer(loaded, settings, homes, offline=offline, prompt=prompt, lines=lines)
    out = console()
    raise typer.Exit(asyncio.run(_tell(explainer.each(inputs), Shown(out, many, machine, why), out)))


async def _tell(results: AsyncIterator[tuple[str, Result]], shown: Shown, out: Console) -> int:
    """Shows each result as it comes; the exit code."""
    failed = False
    terminal = out if out.is_terminal else Console(stderr=True)
    status = terminal.status("reading …") if terminal.is_terminal else nullcontext()
    with status:
        async for name, result in results:
            shown(name, result)
            if isinstance(result, FaultstreamError):
                failed = True
                options.complain(f"{name}: {result}")
    return int(failed)


def _changed(settings: Settings, tier: str, url: str | None, tokenizer: Path | None) -> Settings:
    """The settings with what the command line says of the model."""
    if url and not url.startswith(("http://", "https://")):
        raise ConfigError(f"--model-url: {url!r} is no address; it begins with http:// or https://")
    changes: dict[str, Any] = {"urls": [url]} if url else {}
    if tokenizer:
        changes["tokenizer"] = tokenizer
    model = settings.models[tier].model_copy(update=changes)
    return settings.model_copy(update={"models": {**settings.models, tier: model}})


class Explainer:
    """Takes logs through a pipeline's lane, without Kafka."""

    def __init__(
        self, pipeline: Pipeline, settings: Settings, homes: Homes, *, offline: bool, prompt: bool, lines: bool = False
    ) -> None:
        self._pipeline = pipeline
        self._fetch = Fetch(settings.fetch)
        self._settings, self._homes = settings, homes
        self._redact = Redact(redactor(homes.find(REDACTION)))
        self._offline, self._prompt = offline, prompt
        providers = Providers.load(list(homes.providers().values()))
        self._decoder = Decoder(pipeline.decode, providers, "explain")
        self._plan = line_plan(pipeline, providers, "explain") if lines else None
        if lines and self._plan is None:
            raise ConfigError(f"{pipeline.name} reads whole logs: --lines is for pipelines with source.assemble")
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def each(self, inputs: Sequence[Input]) -> AsyncIterator[tuple[str, Result]]:
        """Name and result of each log, in their order. Raises FaultstreamError where no model answers."""
        part, known = self._pipeline.model, self._settings.models
        asking = {asked.tier: {one.adapter for one in self._pipeline.asks if one.tier == asked.tier and one.adapter}
                  for asked in self._pipeline.asks}  # fmt: skip
        if part.escalate is not None:
            asking.setdefault(part.escalate.to, set())
        async with self._fetch, AsyncExitStack() as stack:
            models: dict[str, ModelClient] = {}
            served: dict[str, Served] = {}
            for tier, names in asking.items():
                if tier not in known:
                    continue
                own = following(known[tier], tier, self._homes, [] if self._offline or self._prompt else names)
                adapters = await stack.enter_async_context(own)
                if adapters is not None:
                    served[tier] = adapters.served
                client = ModelClient(known[tier], tier, residency=adapters)
                models[tier] = await stack.enter_async_context(client)
            metrics = LineMetrics(CollectorRegistry())
            databases = Databases(self._settings.databases)
            stack.push_async_callback(databases.close)
            shared = Shared("explain", self._fetch, self._redact, metrics, served=served, databases=databases)
            lane = Lane.on(self._pipeline, self._settings, models, shared)
            works = [work for log in inputs for work in await asyncio.to_thread(self._works, log)]
            tasks = [asyncio.create_task(self._result(lane, work)) for _, work in works]
            try:
                for (label, _), task in zip(works, tasks, strict=True):
                    yield label, await task
            except Retryable as error:
                raise FaultstreamError(
                    f"{error}\nStart one with `make model-server`, name one with --model-url, or use --offline."
                ) from error
            finally:
                for task in tasks:
                    task.cancel()

    def _works(self, log: Input) -> list[tuple[str, Work]]:
        """What is to be explained of a file: the log that it is, or those that its lines make."""
        if self._plan is None:
            return [(log.label, partial(whole, log))]
        try:
            return each_log(log, self._plan, self._decoder)
        except (OSError, Rejected, Retryable) as error:
            return [(log.label, partial(_fail, error))]

    async def _result(self, lane: Lane, work: Work) -> Result:
        async with self._room:
            try:
                event = self._decoder.decode(await asyncio.to_thread(work))
            except OSError as error:
                return FaultstreamError(f"can't be read: {error.strerror or error}")
            except (Rejected, Retryable) as error:
                return error
            match = self._pipeline.match if self._plan is not None else None
            if match is not None and not match.evaluate({"event": event.attributes}):
                return Unwanted(f"the pipeline does not want it (match: {match.text})")
            try:
                return await self._answer(lane, event)
            except Rejected as error:
                return error

    async def _answer(self, lane: Lane, event: Event) -> Finding | Reading | Prompt:
        if not (self._offline or self._prompt):
            return await lane.find(event)
        body = event.body or b""
        event, session = lane.redact(event)
        excerpt = await lane.reduce(body, session)
        if self._offline:
            return replace(lane.recognise, kinds=EVERYTHING)(excerpt)  # for people, what no question asks for too
        return await lane.first_prompt(event, lane.recognise(excerpt))


@dataclass(frozen=True, slots=True)
class Shown:
    """How results are shown: to people or machines, with a head where they are `many`."""

    out: Console
    many: bool
    machine: bool
    why: bool

    def __call__(self, name: str, result: Result) -> None:
        """Shows one result; an error only where a machine counts on a line for each log."""
        if self.machine:
            if self.many or not isinstance(result, FaultstreamError):
                options.print_json({"file": name, **self._parts(result)})
            return
        if self.many:
            self.out.print(Text(f"── {name}", style="bold"))
        match result:
            case Finding():
                self._finding(result)
            case Reading():
                self._reading(result)
            case Unwanted():
                self.out.print(Text(result, style="dim"))
            case Prompt():
                for message in result.messages:
                    self.out.print(Text(f"── {message.role}", style="dim"))
                    self.out.print(Text(message.content))
        if self.many:
            self.out.print()

    def _parts(self, result: Result) -> dict[str, Any]:
        match result:
            case Finding():
                return asdict(result)
            case Unwanted():
                return {"unwanted": str(result)}
            case Prompt():
                return {"messages": [asdict(message) for message in result.messages]}
            case Reading():
                rule = result.rule and {"rule": result.rule.rule, "fields": dict(result.rule.fields)}
                found = {kind: [asdict(each) for each in many] for kind, many in result.candidates.items()}
                parts = {"excerpt": result.excerpt.text, "rule": rule, "candidates": found}
                return parts | ({"blocks": as_json(why_of(result.excerpt))} if self.why else {})
        reason = result.reason if isinstance(result, Rejected) else "unreadable"
        return {"error": {"reason": reason, "text": str(result)}}

    def _reading(self, reading: Reading) -> None:
        show(reading.excerpt, self.out, why_of(reading.excerpt) if self.why else ())
        rule = reading.rule
        if rule is not None:
            verb = "decides" if rule.decides else "proposes"
            self.out.print(Text(f"\nrule {rule.rule} {verb}:", style="bold"))
            self._fields(dict(rule.fields))
        else:
            self.out.print(Text("\nno rule knows this; a model would be asked", style="bold"))
        for kind, found in reading.candidates.items():
            names = ", ".join(map(_named, found[:6]))
            if names:
                self.out.print(Text.assemble((f"{kind}: ", "dim"), names))

    def _finding(self, finding: Finding) -> None:
        summary = finding.result.get("summary")
        if summary:
            self.out.print(Text(str(summary), style="bold"))
        self._fields({name: value for name, value in finding.result.items() if name != "summary"})
        self.out.print(Text("\nevidence", style="dim"))
        for line in finding.evidence:
            self.out.print(Text.assemble((f"{line.line:>7} │ ", "dim"), (line.text, "red")))
        for each in finding.steps if finding.chain else ():
            self._step(each)
        step = deciding(finding.steps) or finding.steps[-1]
        decided = f"rule {step.rule}" if step.decided_by == "rule" else f"model {step.model}, tier {step.tier}"
        decided = f"the chain's step {step.name}" if step.decided_by == "evaluate" else decided
        sure = finding.confidence.value
        unknown = "not measured for this rule" if step.decided_by == "rule" else "not calibrated, treat it as a guess"
        how = f"{sure:.0%}" if sure is not None else unknown
        usage = finding.usage
        seconds = step.timings_ms.get("infer", 0) / 1000
        cached = "cached unknown" if usage.cached_tokens is None else f"{usage.cached_tokens} cached"
        cost = f"; {usage.prompt_tokens} + {usage.completion_tokens} tokens, {cached}, {seconds:.1f} s"
        self.out.print(Text(f"\ndecided by {decided}{cost if usage.prompt_tokens else ''}", style="dim"))
        if step.shrunk is not None:
            told = "the model's context had room for {lines} of the excerpt's {of} lines".format(**step.shrunk)
            self.out.print(Text(told, style="yellow"))
        self.out.print(Text(f"confidence {how}; fingerprint {finding.fingerprint}", style="dim"))

    def _step(self, step: Step) -> None:
        """A step of a chain, and what it gave."""
        if step.name == "diagnose":
            return
        took = sum(step.timings_ms.values())
        gave = "left out" if step.unused == "skipped" else orjson.dumps(step.result).decode()
        head = f"\n{step.name} ({step.decided_by}{f', {took:.0f} ms' if took else ''}): "
        self.out.print(Text.assemble((head, "dim"), shorten(gave, 400)))

    def _fields(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            shown = " ".join(str(part) for part in value.values() if part) if isinstance(value, dict) else value
            shown = ", ".join(map(str, shown)) if isinstance(shown, list) else shown
            value_shown = "none" if shown in (None, "") else str(shown)
            self.out.print(Text.assemble((f"{name:>20}  ", "dim"), value_shown))


def _fail(error: Exception) -> Record:
    raise error


def _named(candidate: Candidate) -> str:
    """A candidate's name, with its version or its place."""
    place = candidate.place and f"({candidate.place})"
    return " ".join(filter(None, (candidate.name, candidate.version, place)))
