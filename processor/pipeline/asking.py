"""What can be wrong with a question to a model: its schema, its prompts, its adapter. A chain has several."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, cast

from processor.errors import ConfigError, Rejected
from processor.lang import template
from processor.lang.fields import GROUNDS, Ground, ResultSchema
from processor.lang.problem import Problem, nearest
from processor.lang.schema_files import place, read_schema
from processor.lang.types import Type
from processor.lang.yaml import Path_
from processor.models.question import questions
from processor.pipeline import contexts
from processor.pipeline.checked import Checked, file_of, schema_file, template_problems, variables

_VARYING: Final = frozenset(
    {"event", "excerpt", "choices", "hint", "candidates", "finding", "reading", "seen", "chain"}
)


def schema_of(checked: Checked, at: Path_ = (), given: Collection[str] = ()) -> ResultSchema | None:
    """The schema that is named at `at`, grounded as is said beside it; None, and problems, where there is none.

    The fields that are `given` are not asked of a model.
    """
    named = checked.text(*at, "schema")
    if named is None:
        return None
    name, _, class_name = named.partition(":")
    file = schema_file(checked, (*at, "schema"), name)
    if file is None:
        return None
    checked.files[name] = file
    # A source that doesn't exist is reported by the document's model; any other stands in for it here.
    said = checked.mapping(*at, "ground")
    known = {key: value if value in GROUNDS else "candidates.files" for key, value in said.items()}
    grounds = cast("dict[str, Ground]", known)
    schema, problems = read_schema(file, class_name, grounds)
    checked.problems += problems
    if schema is None:
        return None
    for key in said:
        if key not in schema.fields:
            hint = nearest(key, schema.fields, most=16)
            checked.say((*at, "ground", key), f"the schema has no field {key!r}", hint, key=True)
        elif schema.fields[key].enum:
            checked.say((*at, "ground", key), f"{key} has an enum, its value can't come from the log", key=True)
    lines = [name for name, one in schema.fields.items() if one.ground == "excerpt.lines"]
    if len(lines) > 1:
        checked.say((*at, "schema"), f"only one field may hold evidence, these do: {', '.join(lines)}")
    for one_name, one in schema.fields.items():
        if one_name in given:
            continue
        try:
            questions(ResultSchema(schema.name, {one_name: one}))
        except ConfigError as exc:
            told = str(exc).rpartition(": ")[2]
            where = place(file, class_name, one_name)
            checked.problems.append(Problem(file, *where, f"{one_name}: {told}"))
    return schema


def prompts_of(checked: Checked, at: Path_, schema: ResultSchema | None, chain: Type, *, shows: str = "") -> None:
    """Checks the templates of the prompt at `at`. The user prompt has to show the variable `shows`, if one is named."""
    system = file_of(checked, (*at, "prompt", "system"), checked.text(*at, "prompt", "system"))
    if system is not None:
        context = contexts.system_context(schema)
        found = [_depends(problem) for problem in template_problems(system, context)]
        checked.problems += found or _rendered(checked, system, schema, () if at else checked.mapping("narrow"))
    user = file_of(checked, (*at, "prompt", "user"), checked.text(*at, "prompt", "user"))
    if user is not None:
        checked.problems += template_problems(user, contexts.user_context(chain))
        if shows and shows not in variables(user):
            told = f"the user prompt never shows `{shows}`: the model sees no log"
            checked.problems.append(Problem(user, 1, 1, told))


def _rendered(
    checked: Checked, system: Path, schema: ResultSchema | None, narrowed: Collection[str]
) -> Iterator[Problem]:
    """What only rendering shows: the system prompt can be made, and tells what the values of `narrowed` fields mean."""
    if schema is None:
        return
    try:
        text = template.Template.load(system).render(**contexts.system_values(checked.folder.name, schema))
    except Rejected as exc:
        yield Problem(system, 1, 1, f"can't be rendered: {exc}")
        return
    for name in narrowed:
        one = schema.fields.get(name)
        untold = [value for value, meaning in ((one and one.enum) or {}).items() if meaning not in text]
        if untold:
            told = f"the model is never told what {untold[0]!r} of {name} means: choices of a narrowed field are bare"
            yield Problem(system, 1, 1, told, f"list `schema.fields.{name}.enum` in the system prompt")


def _depends(problem: Problem) -> Problem:
    """An unknown variable of the system prompt that belongs to an event gets the reason said."""
    found = re.fullmatch(r"unknown variable '(\w+)'", problem.message)
    if found is None or found[1] not in _VARYING:
        return problem
    message = f"the system prompt must be the same for every event, {found[1]!r} is not"
    return Problem(problem.file, problem.line, problem.column, message, "use it in the user prompt")


def adapter_of(checked: Checked, path: Path_, name: str | None) -> Path | None:
    """The folder of the adapter that is named at `path`, None for the base model; a problem where there is none."""
    if name is None or name == "none":
        return None
    folder = checked.homes.find(f"adapters/{name}")
    if folder is not None and folder.is_dir():
        return folder
    there = [one.name for home in checked.homes.paths for one in home.glob("adapters/*") if one.is_dir()]
    checked.say(path, f"no adapter {name!r} in any home", nearest(name, there))
    return None
