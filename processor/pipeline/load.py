"""From a pipeline's folder to the compiled pipeline that the line runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from processor.errors import ConfigError, Rejected
from processor.home import Homes
from processor.lang import yaml
from processor.lang.fields import Ground, ResultSchema
from processor.lang.predicate import Expression, Predicate
from processor.lang.problem import Problem
from processor.lang.template import Template
from processor.logs.classify import Ranker
from processor.logs.rules import RuleSet
from processor.models.calibration import FILE, Calibrations
from processor.models.question import Question, questions
from processor.pipeline import contexts
from processor.pipeline.chain import (
    AskConfig,
    PromptConfig,
    PromptPart,
    QueryConfig,
    StepConfig,
    ValuesConfig,
    ask_of,
    query_of,
    values_of,
)
from processor.pipeline.checked import Checked
from processor.pipeline.checks import check
from processor.pipeline.document import ModelPart, Outcomes, PipelineDocument, ReducePart, Source
from processor.pipeline.rules import load_rules
from processor.pipeline.ticket import FieldTemplate, TicketConfig, TicketDocument
from processor.sources.decode import DecodeConfig


class PipelineError(ConfigError):
    """One or several pipelines are wrong; `problems` has all that is, each at its place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(one) for one in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline, checked and compiled. `version` is the digest of every file that it loads.

    `asked` is the part of the schema that the model answers: all but what `fill` gives. `schema_file` is where its
    schema stands, as its file says.
    """

    name: str
    version: str
    description: str
    folder: Path
    source: Source
    match: Predicate | None
    reduce: ReducePart
    rules: RuleSet | None
    rankers: Mapping[str, tuple[Ranker, int]]
    prompt: PromptConfig
    schema: ResultSchema
    questions: tuple[Question, ...]
    scope: tuple[str, ...]
    model: ModelPart
    escalate: Predicate | None
    ticket: TicketConfig | None
    calibrations: Calibrations
    asked: ResultSchema
    outcomes: Outcomes | None = None
    chain: tuple[StepConfig, ...] = ()
    fill: Mapping[str, Expression] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    schema_file: str = ""

    @classmethod
    def load(
        cls, folder: Path, homes: Homes, tiers: Collection[str] | None = None, databases: Collection[str] | None = None
    ) -> Pipeline:
        """The pipeline in `folder`; raises PipelineError with all problems. The rest is as in `checks.check`."""
        checked = check(folder, homes, tiers, databases)
        if checked.problems:
            raise PipelineError(checked.problems)
        return build(checked)

    @property
    def question(self) -> AskConfig:
        """The pipeline's own question to its model."""
        part = self.model
        return AskConfig(
            "", self.prompt, self.asked, self.questions, part.tier, part.adapter, part.max_tokens, self.schema_file
        )

    @property
    def asks(self) -> tuple[AskConfig, ...]:
        """All questions that it may put to models: those of its chain, and its own."""
        return (*(step.does for step in self.chain if isinstance(step.does, AskConfig)), self.question)

    @property
    def queries(self) -> tuple[QueryConfig, ...]:
        """Its queries."""
        return tuple(step.does for step in self.chain if isinstance(step.does, QueryConfig))

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that it reads."""
        return tuple(self.source.kafka.topics)

    @property
    def outcome_topics(self) -> tuple[str, ...]:
        """The topics that tell it which builds passed."""
        return tuple(self.outcomes.kafka.topics) if self.outcomes is not None else ()

    @property
    def decode(self) -> DecodeConfig:
        """How its events are read: the records of its topics, or the logs that are put together of them."""
        if self.source.assemble is None:
            return decode_config(self.source)
        return DecodeConfig("log", {}, self.source.max_bytes, assembled=True)

    @property
    def ground(self) -> dict[str, Ground]:
        """The grounded fields and where their values come from."""
        return {name: one.ground for name, one in self.schema.fields.items() if one.ground is not None}


def decode_config(source: Source | Outcomes) -> DecodeConfig:
    """How the records of these topics are read."""
    attributes = {name: tuple(places) for name, places in source.attributes.items()}
    return DecodeConfig(source.kafka.format, attributes, source.max_bytes)


def build(checked: Checked) -> Pipeline:
    """The compiled pipeline of a folder without problems; raises PipelineError where its system prompt fails."""
    model, schema = checked.model, checked.schema
    asked = checked.asked
    if model is None or schema is None or asked is None:
        raise PipelineError(checked.problems)
    return Pipeline(
        name=model.pipeline,
        version=digest(checked.files),
        description=" ".join(model.description.split()),
        folder=checked.folder,
        source=model.source,
        match=Predicate.compile(model.match, contexts.match_roots()) if model.match is not None else None,
        reduce=model.reduce,
        rules=load_rules(checked.files[model.rules]) if model.rules is not None else None,
        rankers={name: (Ranker.load(checked.files[one.ranker]), one.keep) for name, one in model.narrow.items()},
        prompt=_prompt(checked, model.prompt, asked),
        schema=schema,
        questions=questions(asked, model.narrow),
        scope=tuple(model.fingerprint.scope),
        model=model.model,
        escalate=_escalate(checked, model),
        ticket=_ticket(checked, model.ticket, schema) if model.ticket is not None else None,
        calibrations=_calibrations(checked, model),
        asked=asked,
        outcomes=model.outcomes,
        chain=tuple(_step(checked, model, index) for index in range(len(model.chain))),
        fill=_fill(checked, model),
        files=dict(checked.files),
        schema_file=model.result_schema,
    )


def _calibrations(checked: Checked, model: PipelineDocument) -> Calibrations:
    """Those that lie with the pipeline and with its adapter; what they hold for is what makes the question.

    That is prompts, schema, rankers and how much of the log is shown. Rules are left out: they say which events come to
    the model, and change far more often.
    """
    asking = {model.prompt.system, model.prompt.user, model.result_schema.partition(":")[0]}
    asking |= {one.ranker for one in model.narrow.values()}
    if model.chain:  # what its steps give is part of the question
        asking |= checked.files.keys()
    shown: dict[str, object] = {
        "reduce": model.reduce.model_dump(mode="json"),
        "keep": {k: one.keep for k, one in model.narrow.items()},
    }
    if model.prompt.excerpt_tokens is not None:  # by default the digests of before hold
        shown["read"] = model.prompt.excerpt_tokens
    files_digest = digest({name: file for name, file in checked.files.items() if name in asking})
    asked = hashlib.sha256(f"{files_digest} {json.dumps(shown, sort_keys=True)}".encode()).hexdigest()[:12]
    folder = checked.homes.find(f"adapters/{model.model.adapter}") if model.model.adapter else None
    files = (checked.folder / FILE, *((folder / FILE,) if folder is not None else ()))
    return Calibrations(model.pipeline, asked, files)


def digest(files: Mapping[str, Path]) -> str:
    """Twelve hexadecimal digits over the names and bytes of files."""
    total = hashlib.sha256()
    for name, file in sorted(files.items()):
        content = file.read_bytes()
        total.update(f"{name}\n{len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()[:12]


def _prompt(checked: Checked, part: PromptPart, schema: ResultSchema) -> PromptConfig:
    file = checked.files[part.system]
    try:
        system = Template.load(file).render(**contexts.system_values(checked.folder.name, schema)).strip()
    except Rejected as exc:
        raise PipelineError([Problem(file, 1, 1, str(exc))]) from exc
    return PromptConfig(system, Template.load(checked.files[part.user]), part.excerpt_tokens)


def _step(checked: Checked, model: PipelineDocument, index: int) -> StepConfig:
    part, chain = model.chain[index], checked.scopes[index]
    when = Predicate.compile(part.when, contexts.chain_roots(chain)) if part.when is not None else None
    does: AskConfig | QueryConfig | ValuesConfig
    if part.ask is not None:
        schema = checked.schemas[part.name]
        does = ask_of(part.name, part.ask, _prompt(checked, part.ask.prompt, schema), schema, model.model.tier)
    elif part.query is not None:
        line, _ = checked.document.at(("chain", index, "query", "sql"))
        does = query_of(part.query, chain, f"{checked.folder.name}/pipeline.yaml:{line}")
    else:
        does = values_of(part.evaluate or part.finish or {}, chain, last=part.finish is not None)
    return StepConfig(part.name, when, does)


def _fill(checked: Checked, model: PipelineDocument) -> dict[str, Expression]:
    roots = contexts.fill_roots(checked.chain, checked.asked)
    return {name: Expression.compile(text, roots) for name, text in model.fill.items()}


def _escalate(checked: Checked, model: PipelineDocument) -> Predicate | None:
    escalate = model.model.escalate
    roots = contexts.escalate_roots(checked.asked, checked.chain)
    return Predicate.compile(escalate.when, roots) if escalate is not None else None


def _field(name: str, value: str | float) -> FieldTemplate:
    return Template(value, f"field {name!r}") if isinstance(value, str) else value


def _ticket(checked: Checked, ticket: TicketDocument, schema: ResultSchema) -> TicketConfig:
    roots = contexts.ticket_roots(schema, checked.chain)
    return TicketConfig(
        project=ticket.project,
        type=ticket.type,
        when=Predicate.compile(ticket.when, roots) if ticket.when is not None else None,
        unsure=ticket.unsure,
        max_age=ticket.max_age,
        summary=Template.load(checked.files[ticket.summary]),
        description=Template.load(checked.files[ticket.description]),
        labels=tuple(Template(label, f"label {label!r}") for label in ticket.labels),
        components=tuple(ticket.components),
        priority=dict(ticket.priority),
        after=ticket.after,
        escalate=tuple(ticket.escalate),
        recur=ticket.recur,
        resolve=ticket.resolve,
        group=ticket.group,
        group_by=Template(ticket.group.by, "group.by") if ticket.group is not None else None,
        cap=ticket.cap,
        quiet=ticket.quiet,
        assignee=Template(ticket.assignee, "assignee") if ticket.assignee else None,
        attach=ticket.attach,
        dry_run=ticket.dry_run,
        affects_versions=tuple(Template(each, f"version {each!r}") for each in ticket.affects_versions),
        fix_versions=tuple(Template(each, f"version {each!r}") for each in ticket.fix_versions),
        fields={
            name: [_field(name, each) for each in value] if isinstance(value, list) else _field(name, value)
            for name, value in ticket.fields.items()
        },
    )


def load_all(
    homes: Homes,
    tiers: Collection[str] | None = None,
    names: Sequence[str] | None = None,
    databases: Collection[str] | None = None,
) -> list[Pipeline]:
    """The pipelines of the homes (those named, or all); raises PipelineError with the problems of all of them."""
    folders = homes.pipelines()
    unknown = [name for name in names or () if name not in folders]
    if unknown:
        raise ConfigError(f"no pipeline {', '.join(unknown)} in {', '.join(map(str, homes.paths))}")
    wanted = [folder for name, folder in folders.items() if names is None or name in names]
    checked = [check(folder, homes, tiers, databases) for folder in wanted]
    problems = [problem for one in checked for problem in one.problems]
    problems += [*clashes(homes), *conflicts(checked)]
    if problems:
        raise PipelineError(sorted(set(problems)))
    return [build(one) for one in checked]


def who_asks(pipelines: Sequence[Pipeline]) -> list[tuple[str, str, str | None]]:
    """Who asks which model servers: tier, pipeline and adapter, each once."""
    return list(dict.fromkeys((asked.tier, each.name, asked.adapter) for each in pipelines for asked in each.asks))


def adapter_names(pipelines: Sequence[Pipeline]) -> dict[str, list[str]]:
    """The adapters that pipelines ask, by tier."""
    found: dict[str, list[str]] = {}
    for tier, _, adapter in who_asks(pipelines):
        if adapter is not None:
            found.setdefault(tier, []).append(adapter)
    return found


def clashes(homes: Homes) -> Iterator[Problem]:
    """Pipelines whose stem stands in two homes of the user's."""
    for stem, first, second in homes.clashes():
        document = yaml.load(second / "pipeline.yaml")
        yield document.problem(("pipeline",), f"pipeline {stem!r} stands in {first}, too", "rename one of them")


def conflicts(checked: Sequence[Checked]) -> Iterator[Problem]:
    """Pipelines that read one topic in different ways."""
    seen: dict[str, tuple[str, Source | Outcomes]] = {}
    models = [(one, one.model) for one in checked if one.model is not None]
    for one, model in models:
        for part, source in (("source", model.source), ("outcomes", model.outcomes)):
            for index, topic in enumerate(source.kafka.topics if source is not None else ()):
                other, first = seen.setdefault(topic, (model.pipeline, source or model.source))
                ours = source or model.source
                different = [key for key, left, right in _settings(first, ours) if left != right]
                if different:
                    message = f"pipeline {other!r} reads {topic} with another {', '.join(different)}"
                    hint = "a topic is read in one way"
                    yield one.document.problem((part, "kafka", "topics", index), message, hint)


def _settings(first: Source | Outcomes, second: Source | Outcomes) -> Iterator[tuple[str, object, object]]:
    yield "format", first.kafka.format, second.kafka.format
    yield "start", first.kafka.start, second.kafka.start
    for key in ("attributes", "max_bytes"):
        yield key, getattr(first, key), getattr(second, key)
    if isinstance(first, Source) and isinstance(second, Source):  # outcomes are read as the topic's pipelines say
        yield "assemble", first.assemble, second.assemble
