"""What is mended of the library: how a client ends, and how committed offsets are asked for."""

from __future__ import annotations

import asyncio
import gc
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer import group_coordinator
from aiokafka.errors import GroupLoadInProgressError, IncompatibleBrokerVersion
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v1, OffsetFetchResponse_v3
from structlog.testing import capture_logs

from processor.cluster import client as module
from processor.cluster.client import KafkaClient, stopped


class Connection:
    """To a broker."""

    closed = False

    def close(self) -> None:
        """Ends it."""
        self.closed = True


class Client:
    """One whose `stop` does as a test says, and leaves a connection open."""

    def __init__(self, how: Any) -> None:
        self.stop: Any = how
        self.left = Connection()
        self.client: Any = SimpleNamespace(_conns={0: self.left}, close=self._close)
        self.closed = False

    async def _close(self) -> None:
        self.closed = True


async def test_a_stop_that_raises_cancels_nobody() -> None:
    """The library's consumer raises CancelledError where it cuts off a fetch; other errors are told."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def broken() -> None:
        raise OSError("gone")

    clients = [Client(cancelled), Client(broken)]
    with capture_logs() as told:
        for each in clients:
            await stopped(each)
    assert [(each["kind"], each["error"]) for each in told] == [("OSError", "gone")]
    assert all(each.left.closed and each.closed for each in clients)


async def test_a_stop_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The brokers may be away."""
    monkeypatch.setattr(module, "STOP_S", 0.01)
    ended = asyncio.Event()
    hanging = Client(ended.wait)
    async with asyncio.timeout(5):
        await stopped(hanging)
    assert not ended.is_set()
    assert not hanging.left.closed  # it still sends what is left
    ended.set()


async def test_a_stop_that_fails_after_its_bound_closes_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The library's client would be left behind, with what keeps its metadata fresh; nobody hears of the error."""
    monkeypatch.setattr(module, "STOP_S", 0.01)
    ended = asyncio.Event()

    async def late() -> None:
        await ended.wait()
        raise OSError("gone")

    hanging = Client(late)
    await stopped(hanging)
    ended.set()
    async with asyncio.timeout(5):
        while not hanging.closed:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    assert not [each for each in caplog.records if "never retrieved" in each.getMessage()]


LOADING = 14


class Coordinator:
    """The library's, as far as it asks for offsets; a broker answers that it is still loading."""

    group_id = "g"

    async def _send_req(self, request: Any) -> Any:
        asked = request.prepare({9: (1, 8)})
        if asked.API_VERSION == 1:
            return OffsetFetchResponse_v1([("in", [(0, -1, "", LOADING)])])
        return OffsetFetchResponse_v3(0, [], LOADING)


async def test_a_coordinator_that_is_loading_is_no_group_that_has_committed_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the library alone takes it, in the versions that it would choose; then all would be read again."""
    ask = group_coordinator.GroupCoordinator._do_fetch_commit_offsets
    monkeypatch.setattr(group_coordinator, "OffsetFetchRequest", OffsetFetchRequest)
    assert await ask(Coordinator(), [TopicPartition("in", 0)]) == {}, "the library has mended it"
    KafkaClient("nowhere:9092")
    with pytest.raises(GroupLoadInProgressError):
        await ask(Coordinator(), [TopicPartition("in", 0)])


def test_a_broker_without_that_version_is_told() -> None:
    """Rather than asked in one whose errors are overlooked."""
    KafkaClient("nowhere:9092")
    with pytest.raises(IncompatibleBrokerVersion, match="no OffsetFetch version 1"):
        group_coordinator.OffsetFetchRequest("g", [("in", [0])]).prepare({9: (2, 9)})


class Silent:
    """A broker that says which requests it takes, and answers none of them."""

    def __init__(self) -> None:
        self.asked, self.left = asyncio.Event(), asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        versions = b"\x00\x00" + struct.pack(">i", 2) + struct.pack(">hhhhhh", 3, 0, 5, 18, 0, 0)
        while size := await reader.read(4):
            request = await reader.readexactly(int.from_bytes(size, "big"))
            if request[:2] == b"\x00\x12":  # ApiVersions
                answer = request[4:8] + versions
                writer.write(struct.pack(">i", len(answer)) + answer)
            else:
                self.asked.set()
        self.left.set()
        writer.close()


async def test_a_start_that_is_given_up_leaves_no_connection_open() -> None:
    """A partition may be taken away while its producer asks for the cluster's first metadata."""
    broker = Silent()
    async with await asyncio.start_server(broker, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        producer = AIOKafkaProducer(**KafkaClient(f"127.0.0.1:{port}").arguments())
        starting = asyncio.create_task(producer.start())
        async with asyncio.timeout(10):
            await broker.asked.wait()
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            gc.disable()  # which would close it, some time
            try:
                await broker.left.wait()
            finally:
                gc.enable()
        await producer.stop()
