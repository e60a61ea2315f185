"""What goes wrong between the client and a model server, and what it means for the event."""

from __future__ import annotations

import asyncio
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from processor.bound import Bound
from processor.errors import ConfigError, Rejected, Retryable, Suspect
from processor.models.breaker import Pauses
from processor.models.chat import ChatRequest, Message
from processor.models.client import ModelClient
from processor.models.endpoints import Endpoint
from processor.models.form import Slot, compile_form
from processor.models.metrics import ModelMetrics
from processor.models.transport import AwayError, HttpTransport
from processor.settings import ModelSettings
from processor.testing.model import FakeModelServer, Fault
from tests.steps import Steps

FORM = compile_form("t", (Slot("category", "choice", ("k1", "k2")), Slot("summary", "text", length=40)))
ASK = ChatRequest((Message("system", "You judge."), Message("user", "A log.")), FORM)
OTHER = ChatRequest((ASK.messages[0], Message("user", "Another log.")), FORM)
QUICK = Pauses(first_s=0.01, longest_s=0.02)


@pytest.fixture
async def server() -> AsyncIterator[FakeModelServer]:
    """A model server that is well."""
    async with FakeModelServer() as fake:
        yield fake


def client_of(*servers: FakeModelServer, **settings: object) -> ModelClient:
    """A client with short times."""
    values = {"timeout_s": 5, "connect_timeout_s": 2, "attempts": 3} | settings
    return ModelClient(ModelSettings(urls=[each.url for each in servers], **values), pauses=QUICK)


@pytest.mark.parametrize("fault", ["500", "html", "half", "garbage", "empty", "dies", "busy", "page", "bomb", "huge"])
async def test_a_passing_fault_is_tried_again(server: FakeModelServer, fault: Fault) -> None:
    """One bad answer costs a second request and nothing else."""
    server.faults.append(fault)
    server.retry_after = "0.01"
    async with client_of(server) as client:
        answer = await client.complete(ASK)
    assert answer.text == '{"category":"k1","summary":"the build failed"}'
    assert len(server.asked) == 2


@pytest.mark.parametrize("fault", ["500", "html", "half", "garbage", "empty", "dies", "page"])
async def test_a_lasting_fault_is_retryable_for_all(server: FakeModelServer, fault: Fault) -> None:
    """After the last try the event goes back to wait, however often; tries are bounded, and so are comparisons."""
    async with client_of(server) as client:
        await client.complete(ASK)
        server.always = fault
        for times in range(1, 4):
            with pytest.raises(Retryable) as caught:
                await client.complete(OTHER)
            assert caught.value.shared
            assert len(server.asked) <= 1 + 4 * times


@pytest.mark.parametrize(
    "fault", ["500", "html", "half", "garbage", "empty", "dies", "hang", "trickle", "stall", "huge"]
)
async def test_a_fault_of_one_question_alone_is_its_own(server: FakeModelServer, fault: Fault) -> None:
    """It is suspected while others are answered, by itself and without a pause for others, and given up in the end."""
    server.poison = lambda body: fault if body["messages"][-1]["content"] == "Another log." else None
    async with client_of(server, timeout_s=0.3, attempts=2, give_up_after=3) as client:
        await client.complete(ASK)
        for _ in range(2):
            with pytest.raises(Suspect) as caught:
                await client.complete(OTHER)
            assert not caught.value.shared
            assert client.healthy
        with pytest.raises(Rejected, match="3 times the model server failed on this event") as rejected:
            await client.complete(OTHER)
        assert rejected.value.reason == "model_failed"
        assert (await client.complete(ASK)).finish_reason == "stop"


async def test_failures_count_in_a_row_only(server: FakeModelServer) -> None:
    """An answer, or a failure of the comparison as well, begins the count anew."""
    hurt: set[str] = {"Another log."}
    server.poison = lambda body: "500" if body["messages"][-1]["content"] in hurt else None
    async with client_of(server, attempts=1, give_up_after=2) as client:
        await client.complete(ASK)
        for everybody in (False, True, False):
            hurt |= {"A log."} if everybody else set()
            with pytest.raises(Retryable) as caught:
                await client.complete(OTHER)
            assert caught.value.shared is everybody
            hurt -= {"A log."}
        hurt.clear()
        await client.complete(OTHER)
        hurt.add("Another log.")
        with pytest.raises(Suspect):
            await client.complete(OTHER)


async def test_what_fails_for_one_pipeline_alone_is_that_pipelines(server: FakeModelServer) -> None:
    """Its questions are neither given up nor everybody's trouble: they are what parks it."""
    theirs = ChatRequest(ASK.messages, compile_form("another", FORM.slots))
    server.poison = lambda body: "500" if body["response_format"]["json_schema"]["name"] == "t" else None
    async with client_of(server, attempts=1, give_up_after=1) as client:
        await client.complete(theirs)
        for request in (ASK, OTHER, ASK):
            with pytest.raises(Retryable, match="this pipeline's questions alone") as caught:
                await client.complete(request)
            assert not caught.value.shared
            assert not isinstance(caught.value, Suspect)


async def test_the_first_question_of_all_is_nobodys_trouble(server: FakeModelServer) -> None:
    """Nothing has been answered that could be asked instead: it is tried again, nobody waits and nothing is counted."""
    server.always = "500"
    async with client_of(server, attempts=1, give_up_after=1) as client:
        for _ in range(3):
            with pytest.raises(Suspect):
                await client.complete(ASK)


async def test_many_that_fail_at_once_are_compared_once(server: FakeModelServer) -> None:
    """Servers in trouble are not asked twice as much."""
    async with client_of(server, attempts=1, concurrency_min=12) as client:
        await client.complete(ASK)
        server.always = "500"
        asked = [ChatRequest((*ASK.messages, Message("user", f"log {number}"))) for number in range(12)]
        asked = [replace(each, form=FORM) for each in asked]
        results = await asyncio.gather(*(client.complete(each) for each in asked), return_exceptions=True)
    assert all(isinstance(each, Retryable) and each.shared for each in results)
    assert sum(each.user == "A log." for each in server.asked) <= 4


@pytest.mark.parametrize("fault", ["hang", "trickle", "stall"])
async def test_no_end_is_a_time_out(server: FakeModelServer, fault: Fault) -> None:
    """A server that sends no headers, half of a body, or a byte at a time for ever, is given up after timeout_s."""
    server.always = fault
    async with client_of(server, timeout_s=0.3) as client:
        with pytest.raises(Retryable, match=r"did not answer within 0\.3 s"):
            await client.complete(ASK)
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", ["hang", "trickle", "stall"])
async def test_an_event_s_own_bound_ends_it_sooner(server: FakeModelServer, fault: Fault) -> None:
    """Its connection is closed when its time is over, not the tier's; it is tried no more, and nobody else waits."""
    async with client_of(server, timeout_s=600, attempts=3) as client:
        await client.complete(ASK)
        server.poison = lambda body: fault if body["messages"][-1]["content"] == "Another log." else None
        async with asyncio.timeout(60):
            with pytest.raises(Suspect, match="did not answer within"):
                await client.complete(replace(OTHER, bound=Bound(0.5)))
        assert sum(each.user == "Another log." for each in server.asked) == 1
        assert client.healthy


async def test_no_connection_is_a_time_out_of_its_own() -> None:
    """A server whose queue of connections is full answers no handshake: connect_timeout_s bounds that."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        queued = [socket.socket() for _ in range(3)]
        for each in queued:
            each.setblocking(False)
            each.connect_ex(address)
        transport = HttpTransport(ModelSettings(urls=["http://x/v1"], connect_timeout_s=0.3, timeout_s=60))
        began = time.monotonic()
        with pytest.raises(AwayError, match=r"no connection within 0\.3 s"):
            await transport.send(Endpoint(f"http://127.0.0.1:{address[1]}/v1"), "GET", "/models", None)
        assert time.monotonic() - began < 30
        await transport.close()
        for each in queued:
            each.close()


async def test_a_server_that_does_not_speak_tls_is_a_time_out() -> None:
    """It takes the connection and never answers the handshake."""
    left = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    silent = await asyncio.start_server(take, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    transport = HttpTransport(ModelSettings(urls=["http://x/v1"], connect_timeout_s=0.3, timeout_s=60))
    with pytest.raises(AwayError, match=r"no connection within 0\.3 s"):
        await transport.send(Endpoint(f"https://127.0.0.1:{port}/v1"), "GET", "/models", None)
    await transport.close()
    await asyncio.wait_for(left.wait(), 30)
    silent.close()


@pytest.mark.parametrize("fault", ["bomb", "huge"])
async def test_no_answer_fills_the_memory(server: FakeModelServer, fault: Fault) -> None:
    """256 MB in some kilobytes of gzip, that nobody asked for, or 64 MB as they are: read to a bound and dropped."""
    async with client_of(server, attempts=1) as client:
        await client.complete(ASK)
        server.always = fault
        with pytest.raises(Retryable):  # once before: what the double makes only once is made
            await client.complete(OTHER)
        tracemalloc.start()
        with pytest.raises(Retryable, match="over 4000000 bytes"):
            await client.complete(OTHER)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 32_000_000


async def test_an_answer_that_says_it_is_plain_text_counts(server: FakeModelServer) -> None:
    """What is whole and valid is taken, whatever a proxy calls it."""
    server.always = "text"
    async with client_of(server) as client:
        assert (await client.complete(ASK)).text == "{}"


async def test_a_proxys_limit_is_a_prompt_too_long(server: FakeModelServer) -> None:
    """413 without a word of a model: less of the log may fit."""
    server.always = "body_too_large"
    async with client_of(server) as client:
        with pytest.raises(Rejected) as caught:
            await client.complete(ASK)
    assert caught.value.reason == "prompt_too_long"
    assert len(server.asked) == 1


async def test_the_base_never_answers_for_an_adapter(server: FakeModelServer) -> None:
    """A server that says another model's name than it was asked for has not answered."""
    server.adapters.add("ci@1")
    server.faults.append("base_instead")
    async with client_of(server, attempts=1) as client:
        with pytest.raises(Retryable, match="answered from base, not from ci@1") as caught:
            await client.complete(replace(ASK, model="ci@1"))
        assert not caught.value.shared
        assert (await client.complete(replace(ASK, model="ci@1"))).model == "ci@1"


async def test_a_server_that_comes_back_with_another_model_is_waited_for(server: FakeModelServer) -> None:
    """No event is to blame, and none is lost: it is found again when it serves what it should."""
    async with client_of(server) as client:
        await client.complete(ASK)
        server.model = "something-else"
        for _ in range(3):
            with pytest.raises(Retryable) as caught:
                await client.complete(ASK)
            assert caught.value.shared
        server.model = "base"
        async with asyncio.timeout(20):
            while True:
                try:
                    answer = await client.complete(ASK)
                except Retryable:
                    await asyncio.sleep(0.01)
                else:
                    break
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize("jump_s", [-86_400 * 365, -3600, 3600, 86_400 * 365])
async def test_the_wall_clock_may_jump(server: FakeModelServer, monkeypatch: pytest.MonkeyPatch, jump_s: int) -> None:
    """Time-outs, rests and budgets go by a clock that does not: a year more or less changes nothing."""
    async with client_of(server, timeout_s=0.5) as client:
        await client.complete(ASK)
        true = time.time
        monkeypatch.setattr(time, "time", lambda: true() + jump_s)
        assert (await client.complete(OTHER)).finish_reason == "stop"
        server.faults.append("busy")
        server.retry_after = "0.01"
        assert (await client.complete(ASK)).finish_reason == "stop"
        server.always = "hang"
        began = time.monotonic()
        with pytest.raises(Retryable, match="did not answer within"):
            await client.complete(OTHER)
        assert 0.4 < time.monotonic() - began < 20
        server.always = None
        assert (await client.complete(ASK)).finish_reason == "stop"


async def test_the_loops_clock_may_jump_ahead(server: FakeModelServer) -> None:
    """A machine that slept for a day: what was resting may be asked, and the next answer comes as before."""
    ahead = 0.0
    client = ModelClient(
        ModelSettings(urls=[server.url], timeout_s=5, attempts=1),
        pauses=QUICK,
        clock=lambda: asyncio.get_running_loop().time() + ahead,
    )
    async with client:
        await client.complete(ASK)
        server.always, server.retry_after = "busy", "500"
        with pytest.raises(Retryable):
            await client.complete(ASK)
        server.always = None
        with pytest.raises(Retryable):
            await client.complete(ASK)
        ahead = 86_400.0
        assert (await client.complete(ASK)).finish_reason == "stop"


async def test_ten_thousand_adapters_listed_cost_no_request_anything() -> None:
    """Fifty of them are asked: as many series as are asked, and the work that it takes without the others."""
    used = [f"used{number}@1" for number in range(50)]
    done = {}
    for listed in (0, 10_000):
        registry = CollectorRegistry()
        adapters = {*used, *(f"other{number}@1" for number in range(listed))}
        async with FakeModelServer(adapters=adapters) as one, FakeModelServer(adapters=adapters) as two:
            settings = ModelSettings(urls=[one.url, two.url], timeout_s=60, probe_s=600)
            async with ModelClient(settings, metrics=ModelMetrics(registry)) as client:
                await client.capabilities()
                await client.complete(ASK)
                with Steps() as steps:
                    for name in used:
                        answer = await client.complete(replace(ASK, model=name, pipeline=name))
                        assert answer.model == name
                done[listed] = steps.count
        names = {each.labels.get("adapter") for family in registry.collect() for each in family.samples}
        assert {name for name in names if name} == set(used)
    assert 50 < done[10_000] < 1.2 * done[0]


async def test_a_server_that_is_down_is_retryable_and_found_again(server: FakeModelServer) -> None:
    """Down at start is no error of the event; once the server is up the same client works."""
    port = int(server.url.split(":")[2].split("/")[0])
    await server.stop()
    async with client_of(server) as client:
        with pytest.raises(Retryable) as caught:
            await client.complete(ASK)
        assert caught.value.shared
        await server.start(port)
        assert (await client.complete(ASK)).finish_reason == "stop"


async def test_a_long_retry_after_is_left_to_the_engine(server: FakeModelServer) -> None:
    """What the server asks to wait is told, not slept through."""
    server.always, server.retry_after = "busy", "30"
    async with client_of(server) as client:
        with pytest.raises(Retryable) as caught:
            await client.complete(ASK)
        assert caught.value.wait == 30
        with pytest.raises(Retryable) as again:
            await client.complete(ASK)
    assert again.value.wait == pytest.approx(30, abs=1)
    assert len(server.asked) == 1


@pytest.mark.parametrize(("fault", "reason"), [("too_long", "prompt_too_long"), ("grammar", "schema_refused")])
async def test_what_no_other_try_can_help_is_rejected_at_once(
    server: FakeModelServer, fault: Fault, reason: str
) -> None:
    """The server's verdict on a request's length and schema is not asked for twice."""
    server.always = fault
    async with client_of(server) as client:
        with pytest.raises(Rejected) as caught:
            await client.complete(ASK)
    assert caught.value.reason == reason
    assert len(server.asked) == 1


async def test_what_is_refused_is_rejected_where_others_are_answered(server: FakeModelServer) -> None:
    """One round is no proof, for a proxy may stand before the server for a moment."""
    server.poison = lambda body: "refused" if body["messages"][-1]["content"] == "Another log." else None
    async with client_of(server, give_up_after=2) as client:
        await client.complete(ASK)
        with pytest.raises(Suspect):
            await client.complete(OTHER)
        with pytest.raises(Rejected) as caught:
            await client.complete(OTHER)
    assert caught.value.reason == "request_refused"
    assert [each.user for each in server.asked] == ["A log.", *2 * ("Another log.", "A log.")]


async def test_a_server_that_refuses_everything_is_waited_for(server: FakeModelServer) -> None:
    """A proxy that stands before it, say: no event is to blame."""
    async with client_of(server) as client:
        await client.complete(ASK)
        server.always = "refused"
        for request in (ASK, OTHER):
            with pytest.raises(Retryable, match="refused the request") as caught:
                await client.complete(request)
            assert caught.value.shared


async def test_a_missing_adapter_is_this_pipelines_own_trouble(server: FakeModelServer) -> None:
    """Other pipelines go on while an adapter is away."""
    request = ChatRequest(ASK.messages, FORM, model="ci_failure@abc")
    async with client_of(server) as client:
        with pytest.raises(Retryable, match="no adapter ci_failure@abc") as caught:
            await client.complete(request)
        assert not caught.value.shared
        server.adapters.add("ci_failure@abc")
        assert (await client.complete(request)).model == "ci_failure@abc"


async def test_a_server_that_knows_no_adapters_is_not_asked_for_one(server: FakeModelServer) -> None:
    """It would answer from the base, and nobody would know; the base itself may be asked."""
    server.any_name = True
    async with client_of(server) as client:
        with pytest.raises(Retryable, match=r"has no adapters, but the pipeline asks for tuned") as caught:
            await client.complete(replace(ASK, model="tuned"))
        assert not caught.value.shared
        assert not server.asked[1:]
        assert (await client.complete(ASK)).finish_reason == "stop"


async def test_a_refused_key_names_the_setting_and_not_the_key(server: FakeModelServer) -> None:
    """401 is the operator's to mend; the key stays out of the error even where the server says it."""
    server.key = "right"
    async with client_of(server, api_key="sk-secret-123") as client:
        with pytest.raises(ConfigError) as caught:
            await client.complete(ASK)
    assert str(caught.value).startswith("models.lite.api_key:")
    assert "sk-secret-123" not in str(caught.value)
    assert "[api key]" in str(caught.value)


async def test_a_wrong_model_name_says_what_is_served(server: FakeModelServer) -> None:
    """The remedy is in the error."""
    async with client_of(server, model="basis") as client:
        with pytest.raises(ConfigError, match=r"models\.lite\.model: .* no `basis`; it serves base"):
            await client.complete(ASK)


async def test_another_replica_answers_for_one_that_fails(server: FakeModelServer) -> None:
    """A request that fails on one replica is answered by the next."""
    async with FakeModelServer(always="500") as broken, client_of(broken, server) as client:
        answers = [await client.complete(replace(ASK, pipeline=str(number))) for number in range(12)]
    assert {answer.replica for answer in answers} == {server.url}
    assert len(broken.asked) >= 1


async def test_requests_at_once_are_bounded(server: FakeModelServer) -> None:
    """No replica is asked for more at once than models.<tier>.concurrency."""
    running = most = 0

    async with client_of(server, concurrency=3) as client:
        await client.capabilities()
        send = client._transport.send

        async def counted(*arguments: Any, **bounds: Any) -> Any:
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                return await send(*arguments, **bounds)
            finally:
                running -= 1

        client._transport.send = counted  # type: ignore[method-assign]
        await asyncio.gather(*(client.complete(ASK) for _ in range(12)))
    assert most == 3


async def test_cut_off_answers_say_so(server: FakeModelServer) -> None:
    """finish_reason length is told apart from an answer."""
    server.always = "cut_off"
    async with client_of(server) as client:
        assert (await client.complete(ASK)).cut_off


async def test_usage_is_priced(server: FakeModelServer) -> None:
    """Cached prompt tokens have a price of their own."""
    prices = {"usd_per_million_prompt": 1.0, "usd_per_million_cached": 0.5, "usd_per_million_completion": 2.0}
    async with client_of(server, **prices) as client:
        usage = (await client.complete(ASK)).usage
    assert usage.cost_usd == pytest.approx((36 * 1.0 + 64 * 0.5 + usage.completion_tokens * 2.0) / 1e6)


async def test_the_doctor_sees_each_replica(server: FakeModelServer) -> None:
    """`inspect` reports what is well and what is not, and raises for neither."""
    async with FakeModelServer(key="k") as locked, client_of(server, locked) as client:
        reports = await client.inspect()
    assert reports[0].capabilities is not None
    assert reports[0].capabilities.engine == "vllm"
    assert reports[1].capabilities is None
    assert "api_key" in reports[1].error
