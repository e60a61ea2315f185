"""What the ticket role keeps on this machine."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from processor.settings.section import Section


class TicketSettings(Section):
    """The ticket role, apart from Jira."""

    store: Path | None = Field(
        None,
        description="Folder of this daemon alone where what is remembered of faults is kept on disk, so that memory "
        "does not grow with them; by default in memory. Either way the changelog on Kafka has all of it.",
    )
