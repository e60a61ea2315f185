"""Which replica serves which adapter: what the client of a tier asks before a request that names one."""

from __future__ import annotations

from typing import Protocol

from processor.models.replicas import Replica


class Residency(Protocol):
    """Which replica serves which adapter. `model` is always the immutable served name, `<name>@<digest>`."""

    async def ready(self, replica: Replica, model: str) -> None:
        """Makes sure that `replica` serves the adapter before it is asked.

        Raises Retryable: not shared where the adapter is what is wrong, shared where the replica is away.
        """
        ...

    def lost(self, replica: Replica, model: str) -> None:
        """The replica said that it has no such adapter: it is loaded again before the next request."""
        ...

    def restarted(self, replica: Replica) -> None:
        """Whatever the replica had is gone."""
        ...

    def holds(self, replica: Replica, model: str) -> bool:
        """Whether the replica is known to serve the adapter; for placement and metrics."""
        ...


class Unmanaged:
    """Adapters that the servers were started with, under the names that pipelines use: nothing is loaded."""

    async def ready(self, replica: Replica, model: str) -> None:
        """The server has it, or says that it doesn't."""

    def lost(self, replica: Replica, model: str) -> None:
        """Nothing to note."""

    def restarted(self, replica: Replica) -> None:
        """Nothing to note."""

    def holds(self, replica: Replica, model: str) -> bool:  # noqa: ARG002  the protocol's
        """Any replica may have it."""
        return True
