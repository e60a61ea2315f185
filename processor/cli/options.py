"""Options and small things that several commands share."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processor.errors import ConfigError
from processor.home import Homes
from processor.lang.values import parse_duration

if TYPE_CHECKING:
    from processor.settings import Settings
    from processor.settings.fetch import FetchSettings

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
Logs = Annotated[
    list[str], typer.Argument(metavar="LOG...", help="Log files, folders of logs, addresses, or - for standard input.")
]
PlainText = Annotated[bool, typer.Option("--text", help="Text even when the output is no terminal.")]
Why = Annotated[bool, typer.Option("--why", help="Tell of each kept block its score and the patterns that hit.")]
Tokenizer = Annotated[
    Path | None,
    typer.Option(
        help="The model's tokenizer.json, to count tokens by; default: that of the settings' tier lite, "
        "else a safe estimate.",
    ),
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Logs read at once; by default as many as there are cores.")
]


WIDEST: Final = 240
"""Characters that a line of a table may have."""


@dataclass(frozen=True)
class Lazy:
    """The settings, read when they are asked for: one log in a file is reduced sooner without them."""

    home: Sequence[Path] | None
    config: Path | None

    @cached_property
    def settings(self) -> Settings:
        """The settings that the options name."""
        return load(self.home, self.config)[1]

    def fetch(self) -> FetchSettings:
        """Which addresses are allowed."""
        return self.settings.fetch

    def redaction(self) -> Path | None:
        """The homes' own patterns of secrets."""
        return Homes.of(self.home or ()).find("config/redaction.yaml")

    def tokenizer(self) -> Path | None:
        """The tokenizer of the tier `lite`. The settings are read only if some tier has one."""
        file = settings_file(Homes.of(self.home or ()), self.config)
        named = file is not None and b"tokenizer" in _bytes(file)
        if named or any(name.upper().startswith("FAULTSTREAM_MODELS") for name in os.environ):
            return self.settings.models["lite"].tokenizer
        return None


def load(home: Sequence[Path] | None, config: Path | None) -> tuple[Homes, Settings]:
    """The homes and the settings that the options name."""
    from processor import settings  # a quarter of a second that not every command needs

    homes = Homes.of(home or ())
    return homes, settings.load(settings_file(homes, config))


def settings_file(homes: Homes, config: Path | None) -> Path | None:
    """The settings file: the one that was named, else that of the first home with one."""
    return config or homes.find("config/faultstream.yaml")


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}") from error


def complain(text: str) -> None:
    """Tells an error on standard error."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text.assemble(("error: ", "red"), text))


def machine_readable(wanted: bool, text: bool = False) -> bool:
    """Whether to print JSON: asked for, or piped; `text` is what somebody wants who pipes it all the same."""
    return wanted or not (text or sys.stdout.isatty())


def quiet_logs(level: str) -> None:
    """The log of a command that tells by itself what it can't reach: Kafka's client need not say it, too."""
    from processor.telemetry import configure_logs

    configure_logs(level, "console")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def print_table(table: Table, console: Console) -> None:
    """A table as wide as it has to be: names that are cut off can be neither read nor copied."""
    wanted = console.measure(table, options=console.options.update(max_width=WIDEST)).maximum
    before = console.width
    console.width = max(wanted, before)
    console.print(table)
    console.width = before


def print_json(value: Any) -> None:
    """A line of JSON on standard output, as UTF-8 whatever the locale says."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def moment(option: str, text: str, now: datetime | None = None) -> datetime:
    """The time that an option names, or that lies a span such as 24h before `now`; without a zone it is UTC.

    Raises ConfigError.
    """
    try:
        return (now or datetime.now(UTC)) - timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        pass  # no span, or one that begins before all times
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        said = "write it as 2026-01-31T12:00:00Z, as 2026-01-31, or as a span such as 24h or 7d"
        raise ConfigError(f"{option}: {text!r} is no time; {said}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def shown(path: Path) -> str:
    """A path as people type it: relative to where they stand, if it lies below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
