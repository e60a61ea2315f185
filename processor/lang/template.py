"""Templates in Jinja: prompts, ticket summaries and descriptions, labels.

Rendered in a sandbox, on an immutable view of plain data; an undefined variable is an error, never an empty
string. `check` finds undefined variables and members before anything runs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from processor.errors import Rejected
from processor.lang.problem import Issue
from processor.lang.template_check import TemplateChecker
from processor.lang.types import Type

_MAX_OUTPUT: Final = 1_000_000


def shorten(value: Any, length: int = 80) -> str:
    """The text on one line, cut to `length` characters with an ellipsis."""
    text = " ".join(str(value).split())
    return text if len(text) <= length else text[: max(0, length - 1)].rstrip() + "…"


def percent(value: float | None, digits: int = 0) -> str:
    """0.93 as 93 %; null as 'unknown'."""
    return "unknown" if value is None else f"{100 * value:.{digits}f} %"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`3 builds`, `1 build`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def short_hash(value: Any, length: int = 10) -> str:
    """The first characters of a commit hash."""
    return str(value)[:length]


def words(value: Any) -> str:
    """An identifier as words: `dependency_resolution` becomes `dependency resolution`."""
    return str(value).replace("_", " ").replace("-", " ")


def slug(value: Any) -> str:
    """Text as a label: letters, digits, dots, dashes and underscores, no spaces."""
    kept = "".join(char if char.isalnum() or char in "._-" else "-" for char in str(value))
    return "-".join(part for part in kept.split("-") if part)[:255]


def codes(values: Iterable[Any], prefix: str) -> list[tuple[str, Any]]:
    """Each value with a code: ('c1', first), ('c2', second) and so on."""
    return [(f"{prefix}{index}", value) for index, value in enumerate(values, 1)]


FILTERS: Final = {
    "shorten": shorten, "percent": percent, "plural": plural, "short_hash": short_hash, "words": words,
    "slug": slug, "codes": codes, "dedent": textwrap.dedent,
}  # fmt: skip
"""Faultstream's own filters; Jinja's are there too."""

_ENVIRONMENT: Final = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False, autoescape=False
)
_ENVIRONMENT.filters.update(FILTERS)
# The same bytes for the same context, always: prompts are cached by their text.
del _ENVIRONMENT.filters["random"]
_ENVIRONMENT.globals.clear()


class TemplateInvalid(ValueError):
    """The text is no valid template; `issue` says why and where."""

    def __init__(self, name: str, issue: Issue) -> None:
        super().__init__(f"{name}: {issue.message}")
        self.issue = issue


class Template:
    """A compiled template."""

    __slots__ = ("_template", "name", "text")

    def __init__(self, text: str, name: str = "<template>", *, finalize: Callable[[Any], Any] | None = None) -> None:
        """Raises TemplateInvalid where the text doesn't parse. `finalize` goes over each printed value (escaping)."""
        self.name, self.text = name, text
        environment = _ENVIRONMENT.overlay(finalize=finalize) if finalize else _ENVIRONMENT
        try:
            self._template = environment.from_string(text)
        except TemplateSyntaxError as exc:
            raise TemplateInvalid(name, _syntax_issue(text, exc)) from exc

    @classmethod
    def load(cls, file: Path) -> Template:
        """Read a `.j2` file."""
        return cls(file.read_text(encoding="utf-8"), file.name)

    def render(self, /, **context: Any) -> str:
        """The text for this context; raises Rejected("template_failed")."""
        try:
            text = self._template.render(**context)
        except (TemplateError, TypeError, ValueError, KeyError, ArithmeticError, OverflowError) as exc:
            raise Rejected("template_failed", f"{self.name}: {exc}") from exc
        if len(text) > _MAX_OUTPUT:
            raise Rejected("template_failed", f"{self.name}: gave {len(text)} characters")
        return text


def check(text: str, context: Mapping[str, Type]) -> list[Issue]:
    """Syntax errors, undefined variables and members, unknown filters and tests of a template."""
    try:
        tree = _ENVIRONMENT.parse(text)
    except TemplateSyntaxError as exc:
        return [_syntax_issue(text, exc)]
    return TemplateChecker(text, context, set(_ENVIRONMENT.filters), set(_ENVIRONMENT.tests)).check(tree)


def variables(text: str) -> set[str]:
    """Names of the variables that a template reads; raises TemplateInvalid."""
    try:
        tree = _ENVIRONMENT.parse(text)
    except TemplateSyntaxError as exc:
        raise TemplateInvalid("<template>", _syntax_issue(text, exc)) from exc
    return {node.name for node in tree.find_all(nodes.Name) if node.ctx == "load"}


def _syntax_issue(text: str, exc: TemplateSyntaxError) -> Issue:
    lines = text.split("\n")
    row = min(exc.lineno, len(lines)) - 1
    start = sum(len(one) + 1 for one in lines[:row])
    column = min((found for mark in ("{{", "{%", "{#") if (found := lines[row].find(mark)) >= 0), default=0)
    return Issue(start + column, f"not a template: {exc.message}")
