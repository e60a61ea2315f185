"""The adapters of one tier: which version an event asks, and that a server has it before it is asked.

The pointers of the store say what should be served; `routes` is what traffic goes to. A new version first has to be
loaded wherever the old one is, and its prompts' beginning computed there; then the route moves. What was in flight ends
on the old version, which is unloaded after a while. Whatever is wrong with an adapter is told as Retryable that is not
shared: its pipeline is parked, and goes on by itself once it is mended.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import structlog

from processor.errors import ConfigError, Retryable
from processor.home import Homes
from processor.lang.problem import Problem
from processor.models.adapters.folder import Expected, inspect
from processor.models.adapters.metrics import AdapterMetrics
from processor.models.adapters.publish import Folders
from processor.models.adapters.routes import RefusedError, Routes
from processor.models.adapters.store import Pointer, Store, served_name
from processor.models.replicas import Replica
from processor.settings import ModelSettings
from processor.settings.models import AdapterSettings

log = structlog.get_logger(__name__)

LOOK_S: Final = 0.05
"""How often the store is looked at for moved pointers."""
_SURE_S: Final = 5.0
"""How often everything is looked at anew, whatever time stamps say, and what failed is tried again."""
_FAILED_S: Final = 2.0
"""How long a server's refusal of an adapter is remembered instead of asking again for each event."""
_HANGS_S: Final = 30.0
"""How long a route waits for servers that load a new version, and as long again while they are warmed for it."""

Warm = Callable[[str, str], Awaitable[None]]
"""Has servers compute what prompts for an adapter begin with, in the version with this served name."""


async def _as_it_is(name: str, served: str) -> None:
    """Servers are not warmed."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a server can't serve an adapter, as it said at a time of `clock`."""

    why: str
    at: float


def fraction(name: str, event: str) -> float:
    """A number from 0 to 1 that is always the same for an event's id and an adapter, evenly spread over events."""
    made = hashlib.blake2b(f"{name}\n{event}".encode(), digest_size=8).digest()
    return int.from_bytes(made) / 2**64


class Adapters:
    """Which version of an adapter is asked, and that it is there; a Residency. For one event loop.

    `names` are the adapters that pipelines name. Nothing else is ever loaded. `warm` may be set, and is called with a
    version before traffic goes there; `retired` with one that has been taken from the servers.
    """

    def __init__(
        self,
        settings: ModelSettings,
        adapters: AdapterSettings,
        tier: str,
        homes: Homes,
        names: Collection[str],
        metrics: AdapterMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.names = tuple(sorted(set(names)))
        self.store = Store(adapters.store)
        self._settings = adapters
        self._expected = Expected.of(settings, tier)
        self._folders = Folders(self.store, homes, self._expected)
        self._server_path = PurePosixPath(adapters.server_path or str(adapters.store.absolute()))
        self._servers = Routes(settings, tier)
        self._metrics = metrics
        self._clock = clock
        self._routes: dict[str, Pointer] = {}
        self._trouble: dict[str, dict[str, str]] = {}  # name → what → why
        self._held: dict[str, set[str]] = {}
        self._loading: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._refusals: dict[tuple[str, str], Refusal] = {}
        self._retiring: dict[str, float] = {}
        self._coming: dict[str, str] = {}  # name → served name of what is about to get traffic
        self.warm: Warm = _as_it_is
        self.retired: Callable[[str], None] = lambda _: None

    # -- which version ------------------------------------------------------------------------------------------

    def served(self, name: str, event: str) -> str:
        """The served name that an event asks; by its id alone, so that a repeat asks the same while routes stay.

        Raises Retryable, not shared, where no version can be served.
        """
        route = self._routes.get(name)
        if route is None or route.version is None:
            raise Retryable(f"adapter {name}: {self._why(name) or 'no version is there yet'}", shared=False)
        if route.candidate is not None and fraction(name, event) < route.share:
            return served_name(name, route.candidate)
        return served_name(name, route.version)

    def routed(self, name: str) -> tuple[str, ...]:
        """The served names that get traffic, and the one that is about to."""
        route = self._routes.get(name)
        served = [served_name(name, each) for each in route.routed] if route is not None else []
        return tuple(dict.fromkeys([*served, *([self._coming[name]] if name in self._coming else [])]))

    def problem(self) -> str | None:
        """What is wrong with adapters, for people; None where nothing is."""
        return "; ".join(f"{name}: {why}" for name in self.names if (why := self._why(name))) or None

    def _why(self, name: str) -> str:
        return "; ".join(self._trouble.get(name, {}).values())

    # -- Residency ----------------------------------------------------------------------------------------------

    async def ready(self, replica: Replica, model: str) -> None:
        """Has `replica` load the adapter unless it has it. Raises RefusedError, or Retryable where it is away."""
        await self._ready(replica.url, model)

    async def _ready(self, url: str, model: str) -> None:
        if model in self._held.get(url, ()):
            return
        key = (url, model)
        refusal = self._refusals.get(key)
        if refusal is not None and self._clock() - refusal.at < _FAILED_S:
            raise RefusedError(refusal.why)
        task = self._loading.get(key)
        if task is None:
            task = self._loading[key] = asyncio.create_task(self._load(url, model), name=f"load {model}")
            task.add_done_callback(lambda done: self._loaded(key, done))
        # Whoever waits may give up; the others wait on.
        await asyncio.shield(task)

    def lost(self, replica: Replica, model: str) -> None:
        """The replica has it no more."""
        if model in self._held.get(replica.url, ()):
            self._held[replica.url].discard(model)
            self._metrics.lost(replica.url, model)
            log.warning("adapter is gone from a server", action="adapter", adapter=model, replica=replica.url)

    def restarted(self, replica: Replica) -> None:
        """The replica has nothing any more, as far as is known."""
        self._forget(replica.url)

    def holds(self, replica: Replica, model: str) -> bool:
        """Whether the replica is known to have it."""
        return model in self._held.get(replica.url, ())

    # -- loading ------------------------------------------------------------------------------------------------

    async def _load(self, url: str, model: str) -> None:
        if url not in self._held:
            await self._learn(url)
            if model in self._held[url]:
                return
        name, _, version = model.rpartition("@")
        path = str(self._server_path / self.store.relative(model))
        began = time.perf_counter()
        try:
            new = await self._servers.load(url, model, path, self.store.folder(name, version))
        except RefusedError as error:
            self._refusals[url, model] = Refusal(str(error), self._clock())
            self._metrics.refused(model)
            raise
        self._refusals.pop((url, model), None)
        spent = time.perf_counter() - began
        self._held.setdefault(url, set()).add(model)
        self._metrics.loaded(url, model, spent)
        if new:
            log.info("adapter loaded", action="adapter", adapter=model, replica=url, ms=round(spent * 1000))

    def _loaded(self, key: tuple[str, str], done: asyncio.Task[None]) -> None:
        self._loading.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waited has it; nobody may wait any more

    async def _learn(self, url: str) -> None:
        """What a server has of ours already; versions that get no traffic any more are taken from it in the end."""
        listed = await self._servers.listed(url)
        ours = {each for each in listed if each.rpartition("@")[0] in self.names}
        self._held.setdefault(url, set()).update(ours)
        for each in ours:
            self._metrics.held(url, each)
            name, _, version = each.rpartition("@")
            route = self._routes.get(name)
            if route is not None and version not in route.routed and self.store.folder(name, version).is_dir():
                self._retiring.setdefault(each, self._clock() + self._settings.grace_s)

    # -- moving -------------------------------------------------------------------------------------------------

    async def start(self, *, publish: bool = True) -> None:
        """Reads the pointers and routes to them; first publishes what was never published."""
        if publish:
            await self._publish()
        await self._follow()

    async def run(self, stop: asyncio.Event) -> None:
        """Watches the store and the folders of adapters until `stop`."""
        stamp, sure_at, folders_at = 0, self._clock(), self._clock()
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)
            now = self._clock()
            if self._settings.watch_s and now - folders_at >= self._settings.watch_s:
                folders_at = now
                if await self._publish():
                    await self._follow()
            found = await asyncio.to_thread(self.store.stamp)
            # A stamp is coarse: what changed twice within one looks the same, so a young one isn't trusted.
            if found != stamp or time.time_ns() - found < 1e9 or now - sure_at >= _SURE_S:
                stamp, sure_at = found, now
                await self._follow()
            await self._retire()

    async def stop(self) -> None:
        """Ends what is under way and closes the connections. The servers keep what they have."""
        for task in list(self._loading.values()):
            task.cancel()
        await self._servers.stop()

    async def _publish(self) -> bool:
        """Makes versions of folders that changed; whether there were any."""
        any_new = False
        for name in self.names:
            try:
                outcome = await asyncio.to_thread(self._folders.look, name)
            except ConfigError as error:
                self._troubled(name, "folder", str(error))
                continue
            if outcome.problems:
                self._troubled(name, "folder", _told(outcome.problems))
                continue
            self._well(name, "folder")
            if outcome.published is not None:
                any_new = True
                log.info("adapter published", action="adapter", adapter=served_name(name, outcome.published))
        return any_new

    async def _follow(self) -> None:
        """Moves the routes of adapters to where their pointers are."""
        pointers = await asyncio.to_thread(self._read)
        moved: list[Pointer] = []
        for name, pointer in pointers.items():
            if isinstance(pointer, ConfigError):
                self._troubled(name, "pointer", str(pointer))
                continue
            self._well(name, "pointer")
            if pointer == self._routes.get(name):
                self._well(name, "version")
            elif pointer.version is not None:
                moved.append(pointer)
        if moved:
            await asyncio.gather(*[self._move(each) for each in moved])

    def _read(self) -> dict[str, Pointer | ConfigError]:
        found: dict[str, Pointer | ConfigError] = {}
        for name in self.names:
            try:
                found[name] = self.store.pointer(name)
            except ConfigError as error:
                found[name] = error
        return found

    async def _move(self, to: Pointer) -> None:
        """Moves a route, once what it goes to is whole and loaded wherever the old version is."""
        old = self._routes.get(to.name)
        before = set(old.routed) if old is not None else set()
        for version in [each for each in to.routed if each not in before]:
            folder = self.store.folder(to.name, version)
            _, problems = await asyncio.to_thread(inspect, folder, self._expected, verify=False)
            if problems:
                self._troubled(to.name, "version", _told(problems))
                return
            self._coming[to.name] = served = served_name(to.name, version)
            try:
                await self._everywhere(to.name, served)
                await self._warmed(to.name, served)
            except RefusedError as error:
                self._troubled(to.name, "version", str(error))
                return
            finally:
                del self._coming[to.name]
        self._routes[to.name] = to
        self._well(to.name, "version")
        self._metrics.routed(to.name, {served_name(to.name, each): _share(to, each) for each in to.routed})
        for version in before - set(to.routed):
            self._retiring[served_name(to.name, version)] = self._clock() + self._settings.grace_s
        for version in to.routed:
            self._retiring.pop(served_name(to.name, version), None)
        if old is None or before != set(to.routed) or old.share != to.share:
            log.info("adapter served", action="adapter", adapter=served_name(to.name, to.version or ""), **_tried(to))

    async def _everywhere(self, name: str, model: str) -> None:
        """Loads a version on each server that has one of the adapter; one that is away gets it when it is back."""
        having = [url for url, held in self._held.items() if any(each.rpartition("@")[0] == name for each in held)]
        for refusal in await asyncio.gather(*[self._prepare(url, model) for url in having]):
            if refusal is not None:
                raise refusal

    async def _warmed(self, name: str, model: str) -> None:
        """Warms servers for a version; one that hangs holds nobody up."""
        try:
            async with asyncio.timeout(_HANGS_S):
                await self.warm(name, model)
        except TimeoutError:
            log.warning("adapter gets traffic before it is warm", action="adapter", adapter=model)

    async def _prepare(self, url: str, model: str) -> RefusedError | None:
        """The server's refusal of a version, if it has one; a server that is away or hangs holds nobody up."""
        try:
            async with asyncio.timeout(_HANGS_S):
                await self._ready(url, model)
        except RefusedError as error:
            return error
        except (Retryable, TimeoutError) as error:
            log.warning("adapter not loaded yet", action="adapter", adapter=model, replica=url, error=str(error))
            self._forget(url)
        return None

    def _forget(self, url: str) -> None:
        for model in self._held.pop(url, set()):
            self._metrics.gone(url, model)

    async def _retire(self) -> None:
        """Unloads versions that have had no traffic for the time of grace."""
        now = self._clock()
        for model in [each for each, at in self._retiring.items() if at <= now]:
            del self._retiring[model]
            for url in [url for url, held in self._held.items() if model in held]:
                self._held[url].discard(model)
                self._metrics.gone(url, model)
                with contextlib.suppress(Retryable):  # a server that is away has nothing to unload when it is back
                    await self._servers.unload(url, model)
                    log.info("adapter unloaded", action="adapter", adapter=model, replica=url)
            self._metrics.retired(model)
            self.retired(model)

    def _troubled(self, name: str, what: str, why: str) -> None:
        """Notes what keeps an adapter from being served, or from moving on; told once."""
        known = self._trouble.setdefault(name, {})
        if known.get(what) != why:
            known[what] = why
            route = self._routes.get(name)
            serving = served_name(name, route.version) if route is not None and route.version else "nothing"
            log.error("adapter can't be used", action="adapter", adapter=name, error=why, serving=serving)
            self._metrics.troubled(name, True)

    def _well(self, name: str, what: str) -> None:
        known = self._trouble.get(name)
        if known is not None and known.pop(what, None) is not None and not known:
            self._metrics.troubled(name, False)


def _told(problems: Iterable[Problem]) -> str:
    return "; ".join(map(str, problems))


def _share(pointer: Pointer, version: str) -> float:
    return pointer.share if version == pointer.candidate else 1.0 - pointer.share


def _tried(pointer: Pointer) -> dict[str, object]:
    return {"candidate": pointer.candidate, "share": pointer.share} if pointer.candidate else {}
