"""A pipeline's folder as it was read, and what every check of it needs: files, templates, where a mistake stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from processor.home import Homes
from processor.lang import template
from processor.lang.fields import ResultSchema
from processor.lang.problem import Issue, Problem, line_and_column, nearest
from processor.lang.schema_files import SUFFIXES
from processor.lang.types import Type
from processor.lang.yaml import Document, Path_
from processor.pipeline.contexts import NO_CHAIN
from processor.pipeline.document import PipelineDocument

_WIKI: Final = re.compile(r"^h[1-6]\. |\{(?:noformat|code|quote|panel|color)(?::[^}\n]*)?\}", re.MULTILINE)


@dataclass(slots=True)
class Checked:
    """A pipeline's folder as it was read: the document, its schema, its adapter's folder, every problem.

    `asked` is the part of the schema that the model is asked for, `chain` the type of what the chain's steps give,
    `scopes` what each of them sees of that, `schemas` those of its steps that ask a model.
    """

    folder: Path
    homes: Homes
    document: Document
    model: PipelineDocument | None = None
    schema: ResultSchema | None = None
    asked: ResultSchema | None = None
    chain: Type = NO_CHAIN
    scopes: list[Type] = field(default_factory=list)
    schemas: dict[str, ResultSchema] = field(default_factory=dict)
    adapter: Path | None = None
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def text(self, *path: str | int) -> str | None:
        """The text at `path` of the document, None where there is none."""
        value = self.at(*path)
        return value if isinstance(value, str) else None

    def at(self, *path: str | int) -> Any:
        """What stands at `path` of the document, None where there is nothing: checks run on what is there."""
        value: Any = self.document.value
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def mapping(self, *path: str | int) -> dict[str, Any]:
        """The mapping at `path`, empty where there is none."""
        value = self.at(*path)
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


def file_of(checked: Checked, path: Path_, name: str | None) -> Path | None:
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


def schema_file(checked: Checked, path: Path_, name: str) -> Path | None:
    """The file of the schema that is named at `path`, of a home or of the pipeline's folder; a problem without one."""
    file = checked.homes.find(name) or checked.folder / name
    if file.suffix not in SUFFIXES:
        checked.say(path, f"{name}: a schema is a .yaml, .json or .py file")
        return None
    if file.is_file():
        return file
    there = [str(one.relative_to(home)) for home in checked.homes.paths for one in home.glob("schemas/*.*")]
    checked.say(path, f"no file {name} in any home", nearest(name, (one for one in there if one[-3:] != ".pyc")))
    return None


def template_problems(file: Path, context: Mapping[str, Type]) -> Iterator[Problem]:
    """What is wrong with a template, checked against the types of its variables."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        yield Problem(file, 1, 1, f"not UTF-8 text (byte {exc.start})")
        return
    for one in template.check(text, context):
        yield Problem(file, *line_and_column(text, one.offset), one.message, one.hint)


def wiki_problems(file: Path) -> Iterator[Problem]:
    """Jira's wiki markup in the template of a description, which is Markdown: it would be shown as it is written."""
    text = file.read_text(encoding="utf-8", errors="replace")
    for found in _WIKI.finditer(text):
        message = f"{found[0].strip()!r} is Jira's wiki markup; descriptions are Markdown"
        yield Problem(file, *line_and_column(text, found.start()), message, "write ### for a heading, ``` for code")


def variables(file: Path) -> set[str]:
    """The variables that a template reads."""
    try:
        return template.variables(file.read_text(encoding="utf-8"))
    except ValueError:
        return {"excerpt"}  # its mistake is reported already
