"""What can be wrong with the chain of a pipeline, and the types of what its steps give."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from processor.databases import statement
from processor.databases.statement import Statement
from processor.errors import Rejected
from processor.lang import predicate
from processor.lang.fields import Field, ResultSchema
from processor.lang.predicate import Expression
from processor.lang.problem import Issue, nearest
from processor.lang.types import Type, object_of
from processor.lang.yaml import Path_
from processor.pipeline import contexts
from processor.pipeline.asking import adapter_of, prompts_of, schema_of
from processor.pipeline.chain import KINDS, NAME, QueryPart, StepPart, columns_of, rows_type
from processor.pipeline.checked import Checked

_RESERVED: Final = frozenset(dir(dict))
"""Names that templates would take for methods."""

MOST_CHARACTERS: Final = 8000
"""Of all texts that a query may give: they go into prompts, where the excerpt needs room as well."""


def filled(checked: Checked) -> set[str]:
    """The fields of the result that `fill` gives."""
    return {name for name in checked.mapping("fill") if isinstance(name, str)}


def check_chain(checked: Checked, tiers: Collection[str] | None, databases: Collection[str] | None) -> None:
    """Finds what is wrong with the chain, and says in `checked` what its steps give. After the schema was read."""
    known: dict[str, Type] = {}
    early: set[str] = set()  # the steps before one that may end the chain
    for index, step in enumerate(checked.items("chain")):
        if not isinstance(step, dict):
            continue
        at: Path_ = ("chain", index)
        checked.scopes.append(object_of(known))
        scope = contexts.chain_roots(checked.scopes[-1])
        if (when := checked.text(*at, "when")) is not None:
            checked.issues((*at, "when"), predicate.check(when, scope))
        gives = _step(checked, at, step, scope, tiers, databases)
        name = checked.text(*at, "name")
        if name is None or not re.fullmatch(NAME, name):
            continue
        if name in known:
            checked.say((*at, "name"), f"two steps are named {name!r}")
        elif name in _RESERVED:
            checked.say((*at, "name"), f"{name!r} can't be the name of a step", "templates take it for a method")
        known = {**known, name: gives.or_null() if when is not None else gives}
        if not any("finish" in one for one in checked.items("chain")[:index] if isinstance(one, dict)):
            early.add(name)
    checked.chain = object_of({name: kind if name in early else kind.or_null() for name, kind in known.items()})
    _fill(checked)


def _step(
    checked: Checked,
    at: Path_,
    step: Mapping[str, Any],
    scope: Mapping[str, Type],
    tiers: Collection[str] | None,
    databases: Collection[str] | None,
) -> Type:
    """The type of what a step gives."""
    kinds = [kind for kind in KINDS if kind in step]
    if len(kinds) != 1:
        if not kinds and step.keys() - StepPart.model_fields.keys():
            return Type("any")  # what it does is written wrong, which is said already
        said = f"has {' and '.join(kinds)}" if kinds else "does nothing"
        checked.say(at, f"step {step.get('name', '')!r} {said}", f"a step has one of {', '.join(KINDS)}")
        return Type("any")
    if kinds == ["ask"]:
        return _ask(checked, at, scope, tiers)
    if kinds == ["query"]:
        return _query(checked, at, scope, databases)
    if kinds == ["evaluate"]:
        return object_of(dict(_values(checked, (*at, "evaluate"), scope)))
    _finish(checked, at, scope)
    return object_of({})


def _ask(checked: Checked, at: Path_, scope: Mapping[str, Type], tiers: Collection[str] | None) -> Type:
    at = (*at, "ask")
    schema = schema_of(checked, at)
    prompts_of(checked, at, schema, scope["chain"])
    adapter = checked.text(*at, "adapter")
    adapter_of(checked, (*at, "adapter"), adapter)
    tier = checked.text(*at, "tier")
    if tiers is not None and tier is not None and tier not in tiers:
        checked.say((*at, "tier"), f"no tier {tier!r} in the settings (models)", nearest(tier, tiers))
    if schema is None:
        return Type("any")
    name = checked.text(*at[:2], "name")
    if name is not None:
        checked.schemas[name] = schema
    return schema.shape


def _query(checked: Checked, at: Path_, scope: Mapping[str, Type], databases: Collection[str] | None) -> Type:
    at = (*at, "query")
    database = checked.text(*at, "database")
    if databases is not None and database is not None and database not in databases:
        told = f"no database {database!r} in the settings (databases)"
        checked.say((*at, "database"), told, nearest(database, databases) or "add it there")
    _sql(checked, at)
    for name, text in checked.mapping(*at, "with").items():
        if isinstance(text, str):
            checked.issues((*at, "with", name), Expression.read(text, scope)[1])
    columns = checked.mapping(*at, "columns")
    for name in columns:
        if name in _RESERVED:
            hint = "name it otherwise with AS; templates take it for a method"
            checked.say((*at, "columns", name), f"{name!r} can't be the name of a column", hint, key=True)
    part = _part(checked, at)
    if part is None:
        return Type("any")
    most = part.rows * sum(one.max_length for one in part.columns.values() if one.type == "string")
    if most > MOST_CHARACTERS:
        told = f"its texts may have {most:,} characters together, at most {MOST_CHARACTERS:,} are allowed"
        checked.say((*at, "columns"), told, "read fewer rows, or set max_length of columns", key=True)
    return rows_type(columns_of(part))


def _part(checked: Checked, at: Path_) -> QueryPart | None:
    """The query as the document's model has it, None where the document is wrong."""
    index = at[1]
    return checked.model.chain[index].query if checked.model is not None and isinstance(index, int) else None


def _sql(checked: Checked, at: Path_) -> None:
    sql, bound = checked.text(*at, "sql"), checked.mapping(*at, "with")
    if sql is None:
        return
    issues = statement.faults(sql)
    checked.issues((*at, "sql"), issues)
    if issues:
        return
    names = Statement.parse(sql).names
    for name in names:
        if name not in bound:
            hint = nearest(name, bound) or f"add with: {{{name}: …}}"
            checked.issues((*at, "sql"), [Issue(sql.find(f":{name}"), f"nothing is bound to :{name}", hint)])
    for name in bound:
        if name not in names:
            hint = nearest(name, names)
            checked.say((*at, "with", name), f"the query has no parameter :{name}", hint, key=True)


def _values(checked: Checked, at: Path_, scope: Mapping[str, Type]) -> Iterator[tuple[str, Type]]:
    """The types of the expressions at `at`, by name."""
    for name, text in checked.mapping(*at).items():
        if not isinstance(text, str):
            continue
        if not re.fullmatch(NAME, name) or name in _RESERVED:
            checked.say((*at, name), f"{name!r} can't be a name", "lower case, digits and _", key=True)
        expression, issues = Expression.read(text, scope)
        checked.issues((*at, name), issues)
        yield name, expression.type if expression is not None else Type("any")


def _finish(checked: Checked, at: Path_, scope: Mapping[str, Type]) -> None:
    if checked.text(*at, "when") is None:
        checked.say(at, "a step that ends the chain always would make the rest dead", "give it `when`")
    fields = checked.asked.result_fields if checked.asked is not None else {}
    given = checked.mapping(*at, "finish")
    for name in given:
        _given(checked, (*at, "finish", name), name, fields, scope)
    needed = [name for name, one in fields.items() if not one.nullable and one.type != "list" and name not in given]
    if needed and checked.asked is not None:
        checked.say((*at, "finish"), f"the result would have no {', '.join(needed)}", "give each a value", key=True)


def _fill(checked: Checked) -> None:
    fields = checked.schema.result_fields if checked.schema is not None else {}
    scope = contexts.fill_roots(checked.chain, checked.asked)
    for name in checked.mapping("fill"):
        _given(checked, ("fill", name), name, fields, scope)
    if checked.asked is not None and checked.mapping("fill") and not checked.asked.result_fields:
        checked.say(("fill",), "the model is left with nothing to answer", "let it decide one field", key=True)


def _given(checked: Checked, path: Path_, name: str, fields: Mapping[str, Field], scope: Mapping[str, Type]) -> None:
    """Checks the expression at `path` that gives the value of a field."""
    text = checked.text(*path)
    if text is None:
        return
    expression, issues = Expression.read(text, scope)
    checked.issues(path, issues)
    if checked.schema is None:
        return
    if name not in fields:
        filled_too = " that is not filled" if name in checked.schema.fields else ""
        checked.say(path, f"the schema has no field {name!r}{filled_too}", nearest(name, fields, most=16), key=True)
        return
    if expression is not None and (said := unfit(expression, fields[name])):
        checked.say(path, said)


def unfit(expression: Expression, field: Field) -> str:
    """Why an expression can't give the value of a field, or nothing."""
    wanted, given = field.shape, expression.type
    if wanted.kind not in predicate.VALUES:
        return f"{field.name} is {wanted}, which no expression gives"
    if wanted.kind != given.kind and (wanted.kind, given.kind) != ("double", "int"):
        return f"{field.name} is {wanted}, this is {given}"
    if given.nullable and not wanted.nullable:
        return f"{field.name} is never null, this may be null"
    if not expression.constant:
        return ""
    messages: list[str] = []
    try:
        field.check(expression.evaluate({}), field.name, messages)
    except Rejected as error:
        return str(error)
    return "; ".join(messages)


def asked_of(schema: ResultSchema | None, given: Collection[str]) -> ResultSchema | None:
    """The part of a schema that the model is asked for: all of it but the fields that are `given`."""
    if schema is None or not given:
        return schema
    fields = {name: one for name, one in schema.fields.items() if name not in given}
    return ResultSchema(schema.name, fields, schema.version, schema.description)
