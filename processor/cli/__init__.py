"""The command line: one command a file.

Exit codes: 0 fine, 1 the check failed, 2 usage or configuration.
"""

from __future__ import annotations

import ast
import importlib
import logging
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from processor import __version__
from processor.cli import options
from processor.errors import ConfigError, FaultstreamError

COMMANDS = (
    "run",
    "lint",
    "test",
    "explain",
    "reduce",
    "replay",
    "backfill",
    "topics",
    "tickets",
    "schema",
    "adapters",
    "doctor",
    "cost",
)


class Commands(TyperGroup):
    """Imports a command when it is asked for: `reduce` needs neither Kafka's client nor Faust, which take a second."""

    _listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Tells what commands there are, without importing them."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  the signature is click's
        """The commands' names, which are their files' names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  typer carries a click of its own
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=described(cmd_name))
        module = importlib.import_module(f"processor.cli.{cmd_name}")
        if hasattr(module, "group"):  # a command with commands of its own
            return typer.main.get_command(module.group)
        one = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        one.command(name=cmd_name)(module.command)
        return typer.main.get_command(one)


def described(name: str) -> str:
    """What a command says of itself, read from its file's text."""
    for node in ast.parse(Path(__file__).with_name(f"{name}.py").read_bytes()).body:
        match node:
            case ast.FunctionDef(name="command"):
                return ast.get_docstring(node) or ""
            case ast.Assign(targets=[ast.Name(id="group")], value=ast.Call(keywords=keywords)):
                return next(str(ast.literal_eval(each.value)) for each in keywords if each.arg == "help")
    raise LookupError(f"{name} has neither a function `command` nor a `group`")


app = typer.Typer(
    name="faultstream",
    cls=Commands,
    help="Failing CI logs from Kafka become findings and Jira tickets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def version(
    ctx: typer.Context,
    show: bool = typer.Option(False, "--version", help="Print the version and leave.", is_eager=True),
) -> None:
    """Options of the program itself."""
    if show:
        print(f"faultstream {__version__}")
        ctx.exit()


def main() -> None:
    """The console script. Errors that a person can mend are told without a traceback."""
    logging.getLogger().addHandler(logging.NullHandler())  # what libraries say is the daemon's log's alone
    try:
        app()
    except FaultstreamError as error:
        options.complain(str(error))
        sys.exit(2 if isinstance(error, ConfigError) or _denied(error) else 1)


def _denied(error: FaultstreamError) -> bool:
    """Whether a right is missing on Kafka, which no waiting brings: the daemon would wait for it all the same."""
    if error.__cause__ is None:
        return False
    from processor.cluster.diagnose import denied

    return denied(error)
