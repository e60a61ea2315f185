"""fetch: a reference to a log becomes its bytes, from allowed places only. One file per kind of place."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit

from processor.errors import Rejected
from processor.settings.fetch import FetchSettings
from processor.stages.fetch.files import Files
from processor.stages.fetch.opener import Log, Opener, not_allowed, shown
from processor.stages.fetch.s3 import S3
from processor.stages.fetch.web import Web

__all__ = ["Fetch", "Log"]


class Fetch:
    """Fetches references; one per daemon. Use as an asynchronous context manager.

    Raises ConfigError where the settings can't be met.
    """

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings
        self._openers = _openers(settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for opener in set(self._openers.values()):
            await opener.close()

    async def __call__(self, reference: str) -> bytes:
        """The bytes behind `reference`; see `open`."""
        found = await self.open(reference)
        if isinstance(found, bytes):
            return found
        with found:
            return await asyncio.to_thread(found.read)

    async def open(self, reference: str) -> Log:
        """What is behind `reference`: its bytes, or a file of them if they are many, which whoever reads it closes.

        Raises Rejected (`reference_not_allowed`, `reference_failed`, `too_large`) or Retryable.
        """
        try:
            scheme = urlsplit(reference).scheme
        except ValueError as error:
            raise Rejected("reference_failed", f"the reference to the log is no address: {error}") from error
        opener = self._openers.get(scheme)
        if opener is None:
            raise not_allowed(f"the scheme of {shown(reference)}", "fetch.schemes", self._settings.schemes)
        return await opener.open(reference)


def _openers(settings: FetchSettings) -> dict[str, Opener]:
    """Who opens references of each scheme that the settings list."""
    found: dict[str, Opener] = {}
    web = Web(settings)
    found |= {"https": web, "http": web, "file": Files(settings)}
    if settings.s3 is not None:
        found["s3"] = S3(settings, settings.s3)
    return {scheme: opener for scheme, opener in found.items() if scheme in settings.schemes}
