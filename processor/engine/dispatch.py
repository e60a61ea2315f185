"""Runs the worker on many entries at once, with as few task switches as possible.

A slot is a task that takes one entry after the other. A handler that never suspends is run without a new task
or a turn of the event loop; before each entry, a slot makes sure that another one is awake to go on with the
queue should the handler suspend.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable

from processor.contract import Record
from processor.engine.inflight import Entry, Partition

TURN_S = 0.005
"""How long all slots together start entries before the rest of the event loop (heartbeats, acknowledgements) runs."""


class _Slot:
    __slots__ = ("entry", "idle", "task")

    def __init__(self) -> None:
        self.entry: Entry | None = None
        self.idle: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None


class Turns:
    """Entries that wait: the partitions take turns, so that one with many holds none of the others up."""

    __slots__ = ("_first", "_queues", "_ring")

    def __init__(self) -> None:
        self._first: deque[Entry] = deque()  # before all others
        self._queues: dict[Partition, deque[Entry]] = {}
        self._ring: deque[deque[Entry]] = deque()  # none of them empty

    def __bool__(self) -> bool:
        return bool(self._first or self._ring)

    @property
    def head(self) -> Entry:
        """The next one."""
        return self._first[0] if self._first else self._ring[0][0]

    def append(self, entry: Entry) -> None:
        """Behind those of its partition."""
        queue = self._queues.get(entry.partition)
        if queue is None:
            queue = self._queues[entry.partition] = deque()
            self._ring.append(queue)
        queue.append(entry)

    def ahead(self, entry: Entry, *, of_all: bool = False) -> None:
        """Before all that are in turn; `of_all`: before those that were put ahead, too."""
        if of_all:
            self._first.appendleft(entry)
        else:
            self._first.append(entry)

    def take(self) -> Entry:
        """Takes the next one."""
        if self._first:
            return self._first.popleft()
        queue = self._ring[0]
        entry = queue.popleft()
        if queue:
            self._ring.rotate(-1)
        else:
            self._ring.popleft()
            del self._queues[entry.partition]
        return entry


class Dispatcher:
    """At most `concurrency` entries at once; with `key_of`, entries of one key one after the other, in order.

    `work` must not raise; `crashed` is told if it does.
    """

    def __init__(
        self,
        work: Callable[[Entry], Awaitable[None]],
        concurrency: int,
        key_of: Callable[[Record], Hashable] | None,
        crashed: Callable[[BaseException], None],
        name: str,
    ) -> None:
        self._work = work
        self._concurrency = concurrency
        self._key_of = key_of
        self._crashed = crashed
        self._name = name
        self._queue = Turns()
        self._behind: dict[Hashable, deque[Entry]] = {}  # by key: who waits for the entry that is worked on
        self._slots: set[_Slot] = set()
        self._idle: list[_Slot] = []
        self._waking = False
        self._stopped = False
        self.alone: Entry | None = None  # while set, nothing else is begun
        self._turn_ends = 0.0  # loop time; 0 before the turn's first entry

    def submit(self, entry: Entry) -> None:
        """Queues a new entry; the one that is to be alone goes before all."""
        if entry is self.alone:
            self._queue.ahead(entry, of_all=True)
            self.wake()
            return
        if self._key_of is not None:
            key = self._key_of(entry.record)
            behind = self._behind.get(key)
            if behind is not None:
                behind.append(entry)
                return
            self._behind[key] = deque()
        self._queue.append(entry)
        self.wake()

    def again(self, entry: Entry) -> None:
        """Queues an entry that has waited before all others, whose commits wait for it; its key is still its own."""
        if entry.partition.closed:
            self.leave(entry)
        else:
            self._queue.ahead(entry)  # and behind the one that is to be alone
            self.wake()

    def leave(self, entry: Entry) -> None:
        """The entry is finished or dropped: the next of its key may go."""
        if self._key_of is None:
            return
        key = self._key_of(entry.record)
        behind = self._behind.get(key)
        while behind:
            following = behind.popleft()
            if following.partition.taking:
                self._queue.append(following)
                self.wake()
                return
        self._behind.pop(key, None)

    def working(self) -> list[Entry]:
        """The entries that a handler is running on."""
        return [slot.entry for slot in self._slots if slot.entry is not None]

    async def cancel_closed(self) -> None:
        """Cancels the handlers of entries whose partition is closed, and awaits their end."""
        tasks = [s.task for s in self._slots if s.task and s.entry is not None and s.entry.partition.closed]
        await self._cancel(tasks)

    async def stop(self) -> None:
        """Cancels everything."""
        self._stopped = True
        await self._cancel([slot.task for slot in self._slots if slot.task])

    @staticmethod
    async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def wake(self) -> None:
        """Has another slot look at the queue."""
        if self._waking or self._stopped:
            return
        if self._idle:
            self._waking = True
            idle = self._idle.pop().idle
            if idle is not None and not idle.done():
                idle.set_result(None)
        elif len(self._slots) < self._concurrency:
            self._waking = True
            slot = _Slot()
            self._slots.add(slot)
            slot.task = asyncio.create_task(self._run(slot), name=f"{self._name}-slot-{len(self._slots)}")
            slot.task.add_done_callback(lambda task, slot=slot: self._ended(slot, task))  # type: ignore[misc]

    async def _run(self, slot: _Slot) -> None:
        self._waking = False
        while True:
            waits = self.alone is not None and bool(self._queue) and self._queue.head is not self.alone
            if not self._queue or waits or self._turn_is_over():
                await self._rest(slot)
                continue
            entry = self._queue.take()
            if not entry.partition.taking:
                self.leave(entry)
                continue
            if self._queue:
                self.wake()
            slot.entry = entry
            await self._work(entry)
            slot.entry = None
            if slot.task is not None and slot.task.cancelling():
                return  # the handler has swallowed it, and whoever cancelled awaits the end

    def _turn_is_over(self) -> bool:
        # One bound over all: each slot that works wakes another, and each with a bound of its own would in the end
        # have hundreds of them work one after the other before the loop turns.
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._turn_ends:
            self._turn_ends = now + TURN_S
            loop.call_soon(self._next_turn)
        return now >= self._turn_ends

    def _next_turn(self) -> None:
        self._turn_ends = 0.0
        if self._queue:
            self.wake()

    async def _rest(self, slot: _Slot) -> None:
        slot.idle = asyncio.get_running_loop().create_future()
        self._idle.append(slot)
        try:
            await slot.idle
        finally:
            self._waking = False
            slot.idle = None
            if slot in self._idle:
                self._idle.remove(slot)

    def _ended(self, slot: _Slot, task: asyncio.Task[None]) -> None:
        self._slots.discard(slot)
        if slot.entry is not None:
            self.leave(slot.entry)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crashed(error)
        elif self._queue:
            self.wake()
