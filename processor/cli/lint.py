"""`faultstream lint [PATH]`: all that is wrong with pipelines, each at file:line:column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.text import Text

from processor.cli import options
from processor.errors import ConfigError
from processor.home import Homes
from processor.lang.problem import Problem, nearest
from processor.settings import Settings


def command(
    path: Annotated[
        Path | None, typer.Argument(help="A pipeline's name or folder, or a home; by default all pipelines.")
    ] = None,
    home: options.Home = None,
    config: options.Config = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Check pipelines without a server: YAML, predicates, templates, rules, cases, adapters, mappings of providers.

    Exit code 1: problems.
    """
    homes, settings = options.load(home, config)
    homes, folders = chosen(homes, path)
    problems = lint(homes, settings, folders)
    if json:
        print(orjson.dumps([_as_json(one) for one in problems]).decode())
    else:
        show(problems, len(folders))
    if problems:
        raise typer.Exit(1)


def lint(homes: Homes, settings: Settings | None, folders: Sequence[Path]) -> list[Problem]:
    """The problems of the pipelines in these folders, in order of place."""
    from processor.casefile import check_cases, load_cases
    from processor.logs.redact import REDACTION
    from processor.logs.secrets import own
    from processor.models.adapters import Expected
    from processor.pipeline import check, clashes, conflicts, try_adapter, try_rules
    from processor.sources import providers

    models = settings.models if settings is not None else None
    databases = settings.databases if settings is not None else None
    checked = [check(folder, homes, models, databases) for folder in folders]
    expected = {tier: Expected.of(each, tier) for tier, each in (models or {}).items()}
    problems = [problem for one in checked for problem in one.problems]
    for one in checked:
        wrong = check_cases(one.folder, one.schema, one.model.chain if one.model is not None else None)
        logs = [case.sample or case.text for case in ([] if wrong else load_cases(one.folder))]
        problems += [*wrong, *try_rules(one, [log for log in logs if log]), *try_adapter(one, expected)]
    problems += [*clashes(homes), *conflicts(checked)]
    problems += [problem for file in homes.providers().values() for problem in providers.check(file)[1]]
    redaction = homes.find(REDACTION)
    problems += own.check(redaction) if redaction is not None else []
    return sorted(set(problems))


def chosen(homes: Homes, path: Path | None) -> tuple[Homes, list[Path]]:
    """The folders that `path` means, and the homes with the one that it lies in. Raises ConfigError."""
    if path is None:
        own = [file.parent for home in homes.own for file in sorted((home / "pipelines").glob("*/pipeline.yaml"))]
        return homes, list(dict.fromkeys([*own, *homes.pipelines().values()]))
    known = homes.pipelines()
    if str(path) in known and not path.exists():
        return homes, [known[str(path)]]
    if path.name == "pipeline.yaml" and path.is_file():
        path = path.parent
    if (path / "pipeline.yaml").is_file():
        return homes, [path]
    folders = [file.parent for file in sorted(path.glob("pipelines/*/pipeline.yaml"))]
    folders = folders or [file.parent for file in sorted(path.glob("*/pipeline.yaml"))]
    if not folders:
        hint = nearest(str(path), known)
        raise ConfigError(f"{path}: no pipeline of this name, no pipeline.yaml there; {hint}")
    return Homes(tuple(dict.fromkeys([path.resolve(), *homes.paths]))), folders


def show(problems: Sequence[Problem], checked: int) -> None:
    """Problems as `file:line:column: what; hint`, then the count; colour on a terminal alone."""
    console = Console(highlight=False, soft_wrap=True)
    for one in problems:
        text = Text(f"{options.shown(one.file)}:{one.line}:{one.column}: ", style="bold")
        text.append(one.message, style="red")
        console.print(text.append(f"; {one.hint}" if one.hint else "", style="default"))
    errors = Console(stderr=True, highlight=False)
    count = f"{checked} pipeline{'' if checked == 1 else 's'}"
    if problems:
        errors.print(f"{len(problems)} problem{'' if len(problems) == 1 else 's'} in {count}", style="red")
    else:
        errors.print(f"{count}: no problems", style="green")


def _as_json(one: Problem) -> dict[str, object]:
    return {
        "severity": "error",
        "file": options.shown(one.file),
        "line": one.line,
        "column": one.column,
        "message": one.message,
        "hint": one.hint,
    }
