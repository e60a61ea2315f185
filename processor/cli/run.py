"""`faultstream run`: the daemon."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from processor import app
from processor.cli import options
from processor.errors import ConfigError, Fatal
from processor.home import Homes
from processor.lifecycle import stop_on_signals
from processor.settings import Settings


def command(
    role: Annotated[str, typer.Option(help="Roles of this process, comma-separated: line, tickets.")] = "line,tickets",
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C, which let it finish what is in flight; a second one aborts."""
    roles = [name.strip() for name in role.split(",") if name.strip()]
    unknown = sorted(set(roles) - set(app.ROLES))
    if unknown or not roles:
        raise ConfigError(f"--role: no role {', '.join(unknown) or 'given'}; there are {', '.join(app.ROLES)}")
    homes, settings = options.load(home, config)
    if settings.jira is None and roles == ["tickets"]:
        raise ConfigError("the role tickets needs Jira: set jira.url and jira.token_file (or FAULTSTREAM_JIRA__URL …)")
    if settings.jira is None and role == "line,tickets":
        roles = ["line"]
    asyncio.run(_run(settings, homes, roles))


async def _run(settings: Settings, homes: Homes, roles: list[str]) -> None:
    stop = asyncio.Event()
    with stop_on_signals(stop):
        try:
            await app.run(settings, homes, roles, stop)
        except asyncio.CancelledError:
            if not stop.is_set():
                raise
            raise Fatal("aborted by a second signal; what was in flight is read again at the next start") from None
