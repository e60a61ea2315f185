"""Asks Jira before the first ticket whether it will take what the pipelines fill in.

What it will not take is an error of the start. Jira being away is none: it is asked again until it answers, readiness
tells that long, and what is found wrong then is told by the log and readiness, since others' tickets go on. A person
whom nobody knows is told by the log alone, since people leave: tickets go without them. So do those whose files Jira
does not take from us.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from processor.errors import ConfigError
from processor.tickets.jira import JiraClient, Refused, Unavailable
from processor.tickets.jira.forms import Wish
from processor.tickets.refusals import refusal

log = structlog.get_logger(__name__)

AGAIN_S: Final = 10.0
"""Seconds between two questions while Jira is away."""


class Screening:
    """Compares the pipelines' wishes with Jira's screens, each once."""

    def __init__(self, jira: JiraClient, wishes: Sequence[Wish], redact: Callable[[str], str]) -> None:
        self._jira = jira
        self._open = list(wishes)
        self._redact = redact
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Why tickets may not be taken; None if they will be."""
        return self._problem

    async def at_start(self) -> None:
        """Asks once. Raises ConfigError that names each pipeline, key and field; not where Jira is away."""
        if wrong := await self._ask():
            raise ConfigError("\n".join(wrong))

    async def run(self, stop: asyncio.Event) -> None:
        """Asks until Jira has answered, and then does nothing until `stop`."""
        wrong: list[str] = []
        while self._open and not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), AGAIN_S)
            if not stop.is_set():
                wrong += await self._ask()
                self._problem = "; ".join(wrong) or self._problem
        for each in wrong:
            log.error("jira will not take tickets of a pipeline", action="screening", error=each)
        await stop.wait()

    async def _ask(self) -> list[str]:
        """What is wrong with those that have not been answered for yet."""
        wrong: list[str] = []
        while self._open:
            wish = self._open[0]
            try:
                said = await self._jira.wrong(wish)
                strangers = await self._jira.strangers(wish) if not said else []
                unfiled = await self._unfiled(wish) if not said else ""
            except Unavailable as error:
                self._problem = f"Jira has not said yet what it takes: {self._redact(str(error))}"
                log.warning("jira can't be asked what it takes", action="screening", error=self._redact(str(error)))
                break
            except Refused as error:
                said, strangers, unfiled = [refusal(error, wish.project)], [], ""
            self._open.pop(0)
            self._problem = None
            file = f"pipelines/{wish.pipeline}/pipeline.yaml"
            wrong += [f"{file}: {self._redact(each)}" for each in said]
            for each in strangers:
                told = f"{file}: {self._redact(each)}; tickets go without"
                log.warning("jira does not know whom a pipeline names", action="screening", error=told)
            if unfiled:
                told = f"{file}: ticket.attach: {unfiled}; tickets go without"
                log.warning("jira takes no files of a pipeline", action="screening", error=told)
        return wrong

    async def _unfiled(self, wish: Wish) -> str:
        """Why Jira will not take the files of a pipeline's tickets; empty if it will, or does not say."""
        if not wish.files:
            return ""
        if not (await self._jira.attaching())[0]:
            return "attachments are turned off in this Jira: have them turned on, or write none"
        if not await self._jira.may_attach(wish.project):
            right = f"the right Create Attachments in project {wish.project}"
            return f"give the account of jira.token {right}, or write none"
        return ""
