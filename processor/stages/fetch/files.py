"""file: logs below folders that are allowed, such as a volume that the CI system writes to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import unquote, urlsplit

from processor.errors import Rejected
from processor.settings.fetch import FetchSettings
from processor.stages.fetch import opener
from processor.stages.fetch.opener import Log, not_allowed, too_large


class Files:
    """Opens files."""

    def __init__(self, settings: FetchSettings) -> None:
        self._roots = settings.roots
        self._max_bytes = settings.max_bytes

    async def open(self, reference: str) -> Log:
        """The file, if it lies below an allowed folder when all links are followed."""
        return await asyncio.to_thread(self._read, Path(unquote(urlsplit(reference).path)))

    def _read(self, path: Path) -> Log:
        real = path.resolve()
        if not any(real.is_relative_to(root.resolve()) for root in self._roots):
            raise not_allowed(f"the folder of {path}", "fetch.roots", self._roots)
        try:
            size = real.stat().st_size
            if size > self._max_bytes:
                raise too_large(self._max_bytes)
            return real.read_bytes() if size <= opener.IN_MEMORY else real.open("rb")
        except OSError as error:
            raise Rejected("reference_failed", f"{path}: {error.strerror}") from error

    async def close(self) -> None:
        """Nothing is held open."""
