"""All that can be wrong with a pipeline's folder, found without running it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from processor.contract import ATTRIBUTES
from processor.errors import ConfigError, Rejected
from processor.home import Homes
from processor.lang import predicate, template, yaml
from processor.lang.fields import GROUNDS, Field, Ground, ResultSchema
from processor.lang.problem import Issue, Problem, line_and_column, nearest
from processor.lang.schema_files import SUFFIXES, place, read_schema
from processor.lang.types import Type
from processor.lang.validate import not_obeyed, validate
from processor.lang.yaml import Document, Path_
from processor.logs.classify import Ranker
from processor.models.adapters import Expected, inspect
from processor.models.calibration import FILE, read
from processor.models.question import questions
from processor.pipeline import contexts
from processor.pipeline.document import PipelineDocument
from processor.pipeline.rules import check_rules, prove
from processor.stages.prompt import USER_CONTEXT

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_VARYING: Final = frozenset({"event", "excerpt", "choices", "hint", "candidates", "finding", "reading", "seen"})


@dataclass(slots=True)
class Checked:
    """A pipeline's folder as it was read: the document, its schema, its adapter's folder, every problem.

    `warnings` are the keys that are given in vain.
    """

    folder: Path
    homes: Homes
    document: Document
    model: PipelineDocument | None = None
    schema: ResultSchema | None = None
    adapter: Path | None = None
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def text(self, *path: str | int) -> str | None:
        """The text at `path` of the document, None where there is none: checks run on what is there."""
        value: Any = self.document.value
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value if isinstance(value, str) else None

    def mapping(self, *path: str) -> dict[str, Any]:
        """The mapping at `path`, empty where there is none."""
        value: Any = self.document.value
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else {}

    def items(self, *path: str) -> list[Any]:
        """The list at `path`, empty where there is none."""
        *parents, last = path
        value = self.mapping(*parents).get(last)
        return value if isinstance(value, list) else []

    def say(self, path: Path_, message: str, hint: str = "", *, key: bool = False) -> None:
        """Note a problem at the value (or key) of `path`."""
        self.problems.append(self.document.problem(path, message, hint, key=key))

    def issues(self, path: Path_, found: Iterable[Issue]) -> None:
        """Note issues within the text at `path`."""
        for one in found:
            line, column = self.document.locate(path, one.offset)
            self.problems.append(Problem(self.document.file, line, column, one.message, one.hint))


def check(folder: Path, homes: Homes, tiers: Collection[str] | None = None) -> Checked:
    """Read a pipeline's folder and find all that is wrong with it.

    `tiers` are the tiers of model servers; without them nothing is checked against them.
    """
    file = folder / "pipeline.yaml"
    homes = _with_own(folder, homes)
    checked = Checked(folder, homes, yaml.load(file))
    checked.files["pipeline.yaml"] = file
    checked.model, checked.problems = validate(PipelineDocument, checked.document)
    checked.problems = list(checked.problems)
    if checked.model is not None:
        checked.warnings = sorted(not_obeyed(checked.model, checked.document))
    if isinstance(checked.document.value, dict):
        _name(checked)
        _source(checked)
        _schema(checked)
        _narrow(checked)
        _predicates(checked)
        _prompts(checked)
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


def _file(checked: Checked, path: Path_, name: str | None) -> Path | None:
    """The file of the pipeline's folder that is named at `path`; a problem where it is missing or elsewhere."""
    if name is None:
        return None
    file = checked.folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        checked.say(path, f"{name}: files of a pipeline lie in its folder")
    elif not file.is_file():
        there = [str(one.relative_to(checked.folder)) for one in checked.folder.glob("*") if one.is_file()]
        checked.say(path, f"no file {name} in {checked.folder.name}/", nearest(name, there))
    else:
        checked.files[name] = file
        return file
    return None


def _name(checked: Checked) -> None:
    name = checked.text("pipeline")
    if name is not None and name != checked.folder.name:
        checked.say(
            ("pipeline",), f"the pipeline is named {name!r}, its folder {checked.folder.name!r}", "name both alike"
        )


def _source(checked: Checked) -> None:
    for index, topic in enumerate(checked.items("source", "kafka", "topics")):
        if isinstance(topic, str) and not _TOPIC.fullmatch(topic):
            checked.say(("source", "kafka", "topics", index), f"{topic!r} is no name of a topic")
    for name in checked.mapping("source", "attributes"):
        if name not in ATTRIBUTES and name != "body":
            hint = nearest(name, [*ATTRIBUTES, "body"], most=16)
            checked.say(("source", "attributes", name), f"unknown attribute {name!r}", hint, key=True)
    key = checked.text("source", "assemble", "key")
    if key is not None and key not in ATTRIBUTES:
        checked.say(("source", "assemble", "key"), f"unknown attribute {key!r}", nearest(key, ATTRIBUTES, most=16))
    end = checked.text("source", "assemble", "end")
    if end is not None:
        try:
            re.compile(end)
        except re.error as exc:
            checked.say(("source", "assemble", "end"), f"not a regular expression: {exc}")


def _schema(checked: Checked) -> None:
    named = checked.text("schema")
    if named is None:
        return
    name, _, class_name = named.partition(":")
    file = _schema_file(checked, name)
    if file is None:
        return
    checked.files[name] = file
    # A source that doesn't exist is reported by the document's model; any other stands in for it here.
    given = {key: value if value in GROUNDS else "candidates.files" for key, value in checked.mapping("ground").items()}
    grounds = cast("dict[str, Ground]", given)
    checked.schema, problems = read_schema(file, class_name, grounds)
    checked.problems += problems
    if checked.schema is None:
        return
    for key in checked.mapping("ground"):
        if key not in checked.schema.fields:
            hint = nearest(key, checked.schema.fields, most=16)
            checked.say(("ground", key), f"the schema has no field {key!r}", hint, key=True)
        elif checked.schema.fields[key].enum:
            checked.say(("ground", key), f"{key} has an enum, its value can't come from the log", key=True)
    lines = [name for name, one in checked.schema.fields.items() if one.ground == "excerpt.lines"]
    if len(lines) > 1:
        checked.say(("schema",), f"only one field may hold evidence, these do: {', '.join(lines)}")
    for one_name, one in checked.schema.fields.items():
        try:
            questions(ResultSchema(checked.schema.name, {one_name: one}))
        except ConfigError as exc:
            said = str(exc).rpartition(": ")[2]
            at = place(file, class_name, one_name)
            checked.problems.append(Problem(file, *at, f"{one_name}: {said}"))


def _schema_file(checked: Checked, name: str) -> Path | None:
    file = checked.homes.find(name) or checked.folder / name
    if file.suffix not in SUFFIXES:
        checked.say(("schema",), f"{name}: a schema is a .yaml, .json or .py file")
        return None
    if file.is_file():
        return file
    there = [str(one.relative_to(home)) for home in checked.homes.paths for one in home.glob("schemas/*.*")]
    checked.say(("schema",), f"no file {name} in any home", nearest(name, (one for one in there if one[-3:] != ".pyc")))
    return None


def _narrow(checked: Checked) -> None:
    for name, value in checked.mapping("narrow").items():
        one = checked.schema.fields.get(name) if checked.schema is not None else None
        if checked.schema is not None and (one is None or not one.enum):
            enums = [key for key, each in checked.schema.fields.items() if each.enum]
            checked.say(("narrow", name), f"the schema has no enum field {name!r}", nearest(name, enums), key=True)
        named = value.get("ranker") if isinstance(value, dict) else None
        file = _file(checked, ("narrow", name, "ranker"), named if isinstance(named, str) else None)
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
        (("model", "escalate", "when"), contexts.escalate_roots(checked.schema)),
        (("ticket", "when"), contexts.ticket_roots(checked.schema)),
    ]
    for path, roots in places:
        text = checked.text(*path)
        if text is not None:
            checked.issues(path, predicate.check(text, roots))


def _prompts(checked: Checked) -> None:
    system = _file(checked, ("prompt", "system"), checked.text("prompt", "system"))
    if system is not None:
        context = contexts.system_context(checked.schema)
        found = [_depends(problem) for problem in _template_problems(system, context)]
        checked.problems += found or _rendered(checked, system)
    user = _file(checked, ("prompt", "user"), checked.text("prompt", "user"))
    if user is not None:
        checked.problems += _template_problems(user, USER_CONTEXT)
        if "excerpt" not in _variables(user):
            checked.problems.append(Problem(user, 1, 1, "the user prompt never shows `excerpt`: the model sees no log"))


def _rendered(checked: Checked, system: Path) -> Iterator[Problem]:
    """What only rendering shows: the system prompt has no variable that is not known beforehand."""
    if checked.schema is not None:
        try:
            template.Template.load(system).render(**contexts.system_values(checked.folder.name, checked.schema))
        except Rejected as exc:
            yield Problem(system, 1, 1, f"can't be rendered: {exc}")


def _variables(file: Path) -> set[str]:
    try:
        return template.variables(file.read_text(encoding="utf-8"))
    except ValueError:
        return {"excerpt"}  # its mistake is reported already


def _depends(problem: Problem) -> Problem:
    """An unknown variable of the system prompt that belongs to an event gets the reason said."""
    found = re.fullmatch(r"unknown variable '(\w+)'", problem.message)
    if found is None or found[1] not in _VARYING:
        return problem
    message = f"the system prompt must be the same for every event, {found[1]!r} is not"
    return Problem(problem.file, problem.line, problem.column, message, "use it in the user prompt")


def _template_problems(file: Path, context: Mapping[str, Type]) -> Iterator[Problem]:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        yield Problem(file, 1, 1, f"not UTF-8 text (byte {exc.start})")
        return
    for one in template.check(text, context):
        yield Problem(file, *line_and_column(text, one.offset), one.message, one.hint)


def _rules(checked: Checked) -> None:
    file = _file(checked, ("rules",), checked.text("rules"))
    if file is not None:
        checked.problems += check_rules(file, checked.schema)


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
    adapter = checked.text("model", "adapter")
    if adapter is None or adapter == "none":
        return
    folder = checked.homes.find(f"adapters/{adapter}")
    if folder is None or not folder.is_dir():
        there = [one.name for home in checked.homes.paths for one in home.glob("adapters/*") if one.is_dir()]
        checked.say(("model", "adapter"), f"no adapter {adapter!r} in any home", nearest(adapter, there))
        return
    checked.adapter = folder


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
    summary, description = contexts.summary_context(checked.schema), contexts.description_context(checked.schema)
    for key, default, context in (
        ("summary", "summary.j2", summary),
        ("description", "ticket.j2", description),
    ):
        file = _file(checked, ("ticket", key), checked.text("ticket", key) if key in ticket else default)
        if file is not None:
            checked.problems += _template_problems(file, context)
    for index, label in enumerate(checked.items("ticket", "labels")):
        if isinstance(label, str):
            checked.issues(("ticket", "labels", index), template.check(label, summary))
    assignee = checked.text("ticket", "assignee")
    if assignee is not None:
        checked.issues(("ticket", "assignee"), template.check(assignee, summary))
    if checked.schema is not None:
        _priority(checked, checked.schema.fields.get("severity"))


def _priority(checked: Checked, severity: Field | None) -> None:
    values: Collection[str] = severity.enum if severity is not None else ()
    for name in checked.mapping("ticket", "priority"):
        if severity is None:
            checked.say(("ticket", "priority"), "priority goes by `severity`, which the schema doesn't have", key=True)
            return
        if name not in values:
            message = f"severity is never {name!r}"
            checked.say(("ticket", "priority", name), message, nearest(name, values), key=True)
