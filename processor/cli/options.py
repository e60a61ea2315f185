"""Options and small things that several commands share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from processor import settings
from processor.errors import ConfigError
from processor.home import Homes
from processor.settings import Settings

Home = Annotated[
    list[Path] | None,
    typer.Option(
        "--home", help="A home with pipelines, schemas, adapters, config; may be repeated. Default: $FAULTSTREAM_HOME."
    ),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="Settings file; by default config/faultstream.yaml of the homes.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text; the default when the output is no terminal.")]
Log = Annotated[str, typer.Argument(metavar="LOG", help="A log file, or - for standard input.")]


def load(home: list[Path] | None, config: Path | None) -> tuple[Homes, Settings]:
    """The homes and the settings that the options name."""
    homes = Homes.of(home or [])
    return homes, settings.load(settings_file(homes, config))


def settings_file(homes: Homes, config: Path | None) -> Path | None:
    """The settings file: the one that was named, else that of the first home with one."""
    return config or homes.find("config/faultstream.yaml")


def read(log: str) -> bytes:
    """The bytes of a log file or of standard input. Raises ConfigError."""
    if log == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(log).read_bytes()
    except OSError as error:
        raise ConfigError(f"{log}: can't be read: {error.strerror}") from error


def machine_readable(wanted: bool) -> bool:
    """Whether to print JSON: asked for, or piped."""
    return wanted or not sys.stdout.isatty()


def shown(path: Path) -> str:
    """A path as people type it: relative to where they stand, if it lies below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
