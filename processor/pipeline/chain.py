"""The `chain` of a pipeline.yaml: steps before the pipeline's own question, and what they are compiled to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from processor.databases.ports import Column, ColumnType, Query
from processor.databases.statement import Statement
from processor.lang.fields import Ground, ResultSchema
from processor.lang.predicate import Expression, Predicate
from processor.lang.template import Template
from processor.lang.types import BOOL, DOUBLE, INT, STRING, Type, list_of, object_of
from processor.lang.validate import Part
from processor.lang.values import Duration
from processor.models.question import Question, questions
from processor.pipeline import contexts

KINDS: Final = ("ask", "query", "evaluate", "finish")
"""What a step does: one of these."""

NAME: Final = r"^[a-z][a-z0-9_]{0,48}$"

_TYPES: Final[Mapping[ColumnType, Type]] = {"string": STRING, "integer": INT, "number": DOUBLE, "boolean": BOOL}


class PromptPart(Part):
    """What the model is told. Both are templates in the pipeline's folder."""

    system: str = Field(
        description="The system prompt: the same bytes for every event (it stays in the server's prefix cache), so it "
        "may use `pipeline` and `schema` alone.",
        examples=["system.j2"],
    )
    user: str = Field(description="The user prompt: the excerpt and what may be chosen.", examples=["user.j2"])
    excerpt_tokens: int | None = Field(
        None,
        ge=100,
        description="About how many tokens of the excerpt the model reads: its likeliest lines; by default all. "
        "Rules, candidates, ranking, tickets and a larger model (`escalate`, `shadow`) have the whole either way.",
        examples=[400],
    )


Adapter = Annotated[
    str | None,
    BeforeValidator(lambda value: None if value == "none" else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]}),
]
"""A LoRA adapter, or none."""


class AskPart(Part):
    """A step that asks a model. Its result is `chain.<step>`, with the fields of its schema."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "escalate": "a step's answer has no confidence, only the pipeline's own has: escalate under the pipeline's "
        "`model`, whose `when` sees chain.<step> and which steps without a valid answer go by as well, or name a "
        "larger `tier` for the step",
        "shadow": "only the pipeline's own answer is compared: shadow under the pipeline's `model`",
        "within": "the bound is for all questions of an event: within under the pipeline's `model`",
    }

    prompt: PromptPart = Field(
        description="What the model is told.", examples=[{"system": "service.system.j2", "user": "service.user.j2"}]
    )
    result_schema: str = Field(
        alias="schema", description="What it answers, as the pipeline's `schema`.", examples=["service.yaml"]
    )
    ground: dict[str, Ground] = Field(
        default_factory=dict,
        description="Field to where its value comes from in the log.",
        examples=[{"file": "candidates.files"}],
    )
    adapter: Adapter = Field(None, description="LoRA adapter, a folder of adapters/, or none.", examples=["service"])
    tier: str | None = Field(None, description="Tier of model servers; by default the pipeline's.", examples=["lite"])
    max_tokens: int = Field(96, ge=8, le=2048, description="Most tokens of the answer.", examples=[96])


def _column(value: Any) -> Any:
    """`string or null` becomes `{type: string, nullable: true}`."""
    if not isinstance(value, str):
        return value
    return {"type": value.removesuffix(" or null"), "nullable": value.endswith(" or null")}


class ColumnPart(Part):
    """A column of a query's rows."""

    type: ColumnType = Field("string", description="string, integer, number or boolean.", examples=["string"])
    nullable: bool = Field(False, description="Whether it may be null.", examples=[True])
    max_length: int = Field(200, ge=1, le=4000, description="A longer text is cut.", examples=[80])


Columns = Annotated[
    ColumnPart,
    BeforeValidator(_column),
    WithJsonSchema({"anyOf": [{"type": "string"}, ColumnPart.model_json_schema()]}),
]
"""A column, written as its type, with `or null` where it may be null, or in full."""


class QueryPart(Part):
    """A step that reads a database: `chain.<step>` has `row` (the first, or null), `rows`, `count` and `more`."""

    database: str = Field(description="A database of the settings (`databases`).", examples=["catalogue"])
    sql: str = Field(
        description="One SELECT, with parameters as `:name`. Values are bound, never pasted: it is no template.",
        examples=["SELECT team FROM services WHERE repo = :repo"],
    )
    bound: dict[str, str] = Field(
        default_factory=dict,
        alias="with",
        description="Parameter to the expression (CEL) that gives its value.",
        examples=[{"repo": "event.repo"}],
    )
    columns: dict[str, Columns] = Field(
        min_length=1,
        description="Column to its type: string, integer, number or boolean, with `or null` where it may be.",
        examples=[{"team": "string", "on_call": "string or null"}],
    )
    rows: int = Field(10, ge=1, le=100, description="Most rows that are read.", examples=[1])
    within: Duration = Field(2.0, gt=0, le=60, description="Most time that it may take.", examples=["2s"])


class StepPart(Part):
    """A step: its name and one of `ask`, `query`, `evaluate` and `finish`."""

    name: str = Field(pattern=NAME, description="Later steps see its result as `chain.<name>`.", examples=["owner"])
    when: str | None = Field(
        None,
        description="Predicate (CEL) over `event`, `rule` and `chain`; where it is false the step is left out, and its "
        "result is null.",
        examples=['rule == ""'],
    )
    ask: AskPart | None = Field(None, description="Ask a model.", examples=[{"schema": "service.yaml"}])
    query: QueryPart | None = Field(None, description="Read a database.", examples=[{"database": "catalogue"}])
    evaluate: dict[str, str] | None = Field(
        None,
        description="Name to the expression (CEL) that gives its value: text, a number, true or false.",
        examples=[{"urgent": "chain.owner.row != null && chain.owner.row.tier == 1"}],
    )
    finish: dict[str, str] | None = Field(
        None,
        description="Ends the chain with this result, field to expression (CEL); the pipeline's model is not asked.",
        examples=[{"category": '"other"', "summary": '"The service is retired."'}],
    )

    @property
    def kind(self) -> str:
        """What it does."""
        return next((kind for kind in KINDS if getattr(self, kind) is not None), "")


@dataclass(frozen=True, slots=True)
class PromptConfig:
    """The rendered system prompt, the same for every event, the template of the user prompt, and what that shows."""

    system: str
    user: Template
    excerpt_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class AskConfig:
    """A question to a model, compiled; `step` is "" for the pipeline's own, `file` where its schema stands."""

    step: str
    prompt: PromptConfig
    schema: ResultSchema
    questions: tuple[Question, ...]
    tier: str
    adapter: str | None
    max_tokens: int
    file: str = ""


@dataclass(frozen=True, slots=True)
class QueryConfig:
    """A query, compiled, with what its parameters are bound to."""

    database: str
    query: Query
    bound: Mapping[str, Expression]


@dataclass(frozen=True, slots=True)
class ValuesConfig:
    """Expressions by name; `last` where they are the result and end the chain."""

    values: Mapping[str, Expression]
    last: bool = False


@dataclass(frozen=True, slots=True)
class StepConfig:
    """A step, compiled."""

    name: str
    when: Predicate | None
    does: AskConfig | QueryConfig | ValuesConfig


def columns_of(part: QueryPart) -> tuple[Column, ...]:
    """The columns of a query."""
    return tuple(Column(name, one.type, one.nullable, one.max_length) for name, one in part.columns.items())


def rows_type(columns: tuple[Column, ...]) -> Type:
    """What a query gives."""
    members = {one.name: _TYPES[one.type].or_null() if one.nullable else _TYPES[one.type] for one in columns}
    row = object_of(members)
    return object_of({"row": row.or_null(), "rows": list_of(row), "count": INT, "more": BOOL})


def query_of(part: QueryPart, chain: Type, where: str) -> QueryConfig:
    """A query that was found correct."""
    roots = contexts.chain_roots(chain)
    bound = {name: Expression.compile(text, roots) for name, text in part.bound.items()}
    kinds = {name: one.type.kind for name, one in bound.items()}
    query = Query(Statement.parse(part.sql), kinds, columns_of(part), part.rows, part.within, where)
    return QueryConfig(part.database, query, bound)


def ask_of(name: str, part: AskPart, prompt: PromptConfig, schema: ResultSchema, tier: str) -> AskConfig:
    """A question that was found correct."""
    return AskConfig(
        name, prompt, schema, questions(schema), part.tier or tier, part.adapter, part.max_tokens, part.result_schema
    )


def values_of(texts: Mapping[str, str], chain: Type, *, last: bool = False) -> ValuesConfig:
    """Expressions that were found correct."""
    roots = contexts.chain_roots(chain)
    return ValuesConfig({name: Expression.compile(text, roots) for name, text in texts.items()}, last)
