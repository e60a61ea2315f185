"""All that can be wrong with a pipeline's folder, found without running it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from processor.contract import ATTRIBUTES
from processor.errors import ConfigError
from processor.home import Homes
from processor.lang import predicate, template, yaml
from processor.lang.fields import Field
from processor.lang.problem import Problem, nearest
from processor.lang.types import Type
from processor.lang.validate import validate
from processor.logs.classify import Ranker
from processor.models.adapters import Expected, inspect
from processor.models.calibration import FILE, read
from processor.pipeline import contexts
from processor.pipeline.asking import adapter_of, prompts_of, schema_of
from processor.pipeline.assembling import check_assemble
from processor.pipeline.chain_checks import asked_of, check_chain, filled
from processor.pipeline.checked import Checked, file_of, template_problems, wiki_problems
from processor.pipeline.document import PipelineDocument
from processor.pipeline.rules import check_rules, prove

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")


def check(
    folder: Path, homes: Homes, tiers: Collection[str] | None = None, databases: Collection[str] | None = None
) -> Checked:
    """Read a pipeline's folder and find all that is wrong with it.

    `tiers` are the tiers of model servers, `databases` the names of those in the settings; without them nothing is
    checked against them.
    """
    file = folder / "pipeline.yaml"
    homes = _with_own(folder, homes)
    checked = Checked(folder, homes, yaml.load(file))
    checked.files["pipeline.yaml"] = file
    checked.model, checked.problems = validate(PipelineDocument, checked.document)
    checked.problems = list(checked.problems)
    if isinstance(checked.document.value, dict):
        _name(checked)
        _source(checked)
        checked.schema = schema_of(checked, given=filled(checked))
        checked.asked = asked_of(checked.schema, filled(checked))
        check_chain(checked, tiers, databases)
        _narrow(checked)
        _predicates(checked)
        prompts_of(checked, (), checked.asked, checked.chain, shows="" if checked.items("chain") else "excerpt")
        _rules(checked)
        _scope(checked)
        _models(checked, tiers)
        _calibration(checked)
        _ticket(checked)
    checked.problems = sorted(set(checked.problems))
    return checked


def _with_own(folder: Path, homes: Homes) -> Homes:
    """The homes with the one that the folder lies in first: its schemas and adapters are its own."""
    own = folder.resolve().parent.parent
    return Homes(tuple(dict.fromkeys([own, *homes.paths]))) if folder.parent.name == "pipelines" else homes


def _name(checked: Checked) -> None:
    name = checked.text("pipeline")
    if name is not None and name != checked.folder.name:
        checked.say(
            ("pipeline",), f"the pipeline is named {name!r}, its folder {checked.folder.name!r}", "name both alike"
        )


def _source(checked: Checked) -> None:
    for part in ("source", "outcomes"):
        for index, topic in enumerate(checked.items(part, "kafka", "topics")):
            if isinstance(topic, str) and not _TOPIC.fullmatch(topic):
                checked.say((part, "kafka", "topics", index), f"{topic!r} is no name of a topic")
        for name in checked.mapping(part, "attributes"):
            if name not in ATTRIBUTES and name != "body":
                hint = nearest(name, [*ATTRIBUTES, "body"], most=16)
                checked.say((part, "attributes", name), f"unknown attribute {name!r}", hint, key=True)
    check_assemble(checked)


def _narrow(checked: Checked) -> None:
    for name, value in checked.mapping("narrow").items():
        one = checked.asked.fields.get(name) if checked.asked is not None else None
        if checked.asked is not None and (one is None or not one.enum):
            enums = [key for key, each in checked.asked.fields.items() if each.enum]
            checked.say(("narrow", name), f"the schema has no enum field {name!r}", nearest(name, enums), key=True)
        named = value.get("ranker") if isinstance(value, dict) else None
        file = file_of(checked, ("narrow", name, "ranker"), named if isinstance(named, str) else None)
        if file is None:
            continue
        try:
            ranker = Ranker.load(file)
        except ConfigError as exc:
            checked.say(("narrow", name, "ranker"), str(exc).replace(f"{file}: ", f"{named}: "))
            continue
        unknown = [value for value in ranker.values if one is not None and one.enum and value not in one.enum]
        if unknown:
            checked.say(
                ("narrow", name, "ranker"), f"{named} ranks values that {name} can't have: {', '.join(unknown)}"
            )


def _predicates(checked: Checked) -> None:
    places: list[tuple[tuple[str, ...], Mapping[str, Type]]] = [
        (("match",), contexts.match_roots()),
        (("model", "escalate", "when"), contexts.escalate_roots(checked.asked, checked.chain)),
        (("ticket", "when"), contexts.ticket_roots(checked.schema, checked.chain)),
    ]
    for path, roots in places:
        text = checked.text(*path)
        if text is not None:
            checked.issues(path, predicate.check(text, roots))


def _rules(checked: Checked) -> None:
    file = file_of(checked, ("rules",), checked.text("rules"))
    if file is not None:
        checked.problems += check_rules(file, checked.asked)


def try_adapter(checked: Checked, expected: Mapping[str, Expected]) -> list[Problem]:
    """What is wrong with a pipeline's adapter, for the servers of its tier (by name in `expected`).

    A daemon starts all the same: such a pipeline waits, and no other.
    """
    if checked.adapter is None:
        return []
    tier = checked.text("model", "tier") or "lite"
    return inspect(checked.adapter, expected.get(tier, Expected(tier)), whole=False)[1]


def try_rules(checked: Checked, cases: Iterable[str] = ()) -> list[Problem]:
    """What examples and cases (texts, or files of the folder) say against a pipeline's rules.

    Takes seconds, so that only lint asks.
    """
    file = checked.files.get(checked.text("rules") or "")
    return prove(file, cases) if file is not None else []


def _scope(checked: Checked) -> None:
    for index, name in enumerate(checked.items("fingerprint", "scope")):
        if isinstance(name, str) and name not in ATTRIBUTES:
            hint = nearest(name, ATTRIBUTES, most=16)
            checked.say(("fingerprint", "scope", index), f"unknown attribute {name!r}", hint)


def _models(checked: Checked, tiers: Collection[str] | None) -> None:
    tier = checked.text("model", "tier") or "lite"
    places: list[tuple[str, ...]] = [("model", "tier"), ("model", "escalate", "to"), ("model", "shadow", "to")]
    for path in places:
        name = checked.text(*path)
        # A deployment without a larger model just does not escalate: `pro` need not be there.
        known = {*tiers, *(() if path == ("model", "tier") else ("pro",))} if tiers is not None else None
        if known is not None and name is not None and name not in known:
            checked.say(path, f"no tier {name!r} in the settings (models)", nearest(name, known))
        elif path[-1] == "to" and name == tier:
            checked.say(path, f"the tier {name!r} answers already; name another one")
    checked.adapter = adapter_of(checked, ("model", "adapter"), checked.text("model", "adapter"))


def _calibration(checked: Checked) -> None:
    file = checked.folder / FILE
    try:
        if read(file):
            checked.files[FILE] = file
    except ConfigError as exc:
        checked.problems.append(Problem(file, 1, 1, str(exc).removeprefix(f"{file}: ")))


def _ticket(checked: Checked) -> None:
    ticket = checked.mapping("ticket")
    if not ticket:
        return
    summary = contexts.summary_context(checked.schema, checked.chain)
    description = contexts.description_context(checked.schema, checked.chain)
    for key, default, context in (
        ("summary", "summary.j2", summary),
        ("description", "ticket.j2", description),
    ):
        file = file_of(checked, ("ticket", key), checked.text("ticket", key) if key in ticket else default)
        if file is not None:
            checked.problems += template_problems(file, context)
            checked.problems += wiki_problems(file) if key == "description" else ()
    for key in ("labels", "affects_versions", "fix_versions"):
        for index, text in enumerate(checked.items("ticket", key)):
            if isinstance(text, str):
                checked.issues(("ticket", key, index), template.check(text, summary))
    for name, value in checked.mapping("ticket", "fields").items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                checked.issues(("ticket", "fields", name), template.check(text, summary))
    _texts(checked, summary)
    if checked.schema is not None:
        _priority(checked, checked.schema.fields.get("severity"))


def _texts(checked: Checked, summary: Mapping[str, Type]) -> None:
    """Templates that stand in the pipeline's file itself."""
    places: list[tuple[tuple[str, ...], Mapping[str, Type]]] = [
        (("ticket", "assignee"), summary),
        (("ticket", "group", "by"), {"finding": summary["finding"]}),
    ]
    for path, context in places:
        text = checked.text(*path)
        if text is not None:
            checked.issues(path, template.check(text, context))


def _priority(checked: Checked, severity: Field | None) -> None:
    values: Collection[str] = severity.enum if severity is not None else ()
    for name in checked.mapping("ticket", "priority"):
        if severity is None:
            checked.say(("ticket", "priority"), "priority goes by `severity`, which the schema doesn't have", key=True)
            return
        if name not in values:
            message = f"severity is never {name!r}"
            checked.say(("ticket", "priority", name), message, nearest(name, values), key=True)
