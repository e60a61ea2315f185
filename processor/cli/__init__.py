"""The command line: one command a file.

Exit codes: 0 fine, 1 the check failed, 2 usage or configuration.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from processor import __version__
from processor.cli import doctor, explain, lint, reduce, replay, run, schema, test
from processor.errors import ConfigError, FaultstreamError

app = typer.Typer(
    name="faultstream",
    help="Failing CI logs from Kafka become findings and Jira tickets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (run, lint, test, explain, reduce, replay, schema, doctor):
    app.command(name=command.__name__.rpartition(".")[2])(command.command)


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
    try:
        app()
    except FaultstreamError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/red] {_plain(str(error))}")
        sys.exit(2 if isinstance(error, ConfigError) else 1)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
