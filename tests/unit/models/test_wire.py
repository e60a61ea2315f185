"""The chat format: requests to bytes, answers and errors from bytes."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.contract import Usage
from processor.errors import ConfigError, Rejected, Retryable
from processor.models.capabilities import Capabilities, Guidance
from processor.models.chat import ChatRequest, Message
from processor.models.form import Slot, compile_form
from processor.models.wire import (
    BadAnswerError,
    BusyError,
    FailedError,
    MissingAdapterError,
    NotServedError,
    decode,
    encode,
    error_of,
    retry_after,
)

FORM = compile_form("t", (Slot("category", "choice", ("k1", "k2")),))
ASK = ChatRequest((Message("system", "S"), Message("user", "U")), FORM, max_tokens=9)
VLLM = Capabilities("vllm", guidance="json_schema", alternatives=8, masked=True)
LLAMA = Capabilities("llama.cpp", guidance="grammar", alternatives=8)


def test_vllm_gets_a_json_schema() -> None:
    """The request in full, as vLLM takes it."""
    assert orjson.loads(encode(ASK, "base", VLLM)) == {
        "model": "base",
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}],
        "max_tokens": 9,
        "temperature": 0.0,
        "seed": 0,
        "logprobs": True,
        "top_logprobs": 8,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "t", "schema": FORM.json_schema, "strict": True},
        },
    }


def test_llama_cpp_gets_a_grammar() -> None:
    """A grammar without blanks, and no JSON Schema beside it."""
    body = orjson.loads(encode(ASK, "base", LLAMA))
    assert body["grammar"] == FORM.grammar
    assert "response_format" not in body


def test_a_plain_server_is_asked_for_nothing_it_lacks() -> None:
    """Neither log-probabilities nor a schema go to a server whose probe found none."""
    body = orjson.loads(encode(ASK, "base", Capabilities()))
    assert not {"grammar", "response_format", "logprobs", "lora"} & set(body)


@pytest.mark.parametrize("guidance", ["none", "json_object"])
def test_a_form_that_is_not_enforced_is_told_behind_everything_else(guidance: Guidance) -> None:
    """What is the same for all events stays in front, to the byte; the answer has room for blanks and a fence."""
    plain = orjson.loads(encode(ASK, "base", Capabilities(guidance="grammar")))
    told = orjson.loads(encode(ASK, "base", Capabilities(guidance=guidance)))
    assert told["messages"][0] == plain["messages"][0]
    last = told["messages"][1]["content"]
    assert last.startswith("U\n\nAnswer with one JSON object")
    assert '"category": one of "k1", "k2"' in last
    assert told["max_tokens"] > plain["max_tokens"] == 9
    assert told.get("response_format") == ({"type": "json_object"} if guidance == "json_object" else None)


def test_as_many_alternatives_as_there_are() -> None:
    """A server that gives five refuses eight."""
    assert orjson.loads(encode(ASK, "base", Capabilities(alternatives=5)))["top_logprobs"] == 5


@pytest.mark.parametrize(("adapter", "scales"), [("a", [1.0, 0.0]), ("b", [0.0, 1.0]), (None, [0.0, 0.0])])
def test_an_adapter_among_files_is_chosen_by_its_number(adapter: str | None, scales: list[float]) -> None:
    """All others are switched off, for the base model all of them: the server keeps what it isn't told."""
    server = Capabilities("llama.cpp", adapters="files", files={"a": 0, "b": 1})
    body = orjson.loads(encode(ChatRequest(ASK.messages, model=adapter), "base", server))
    assert body["model"] == "base"
    assert body["lora"] == [{"id": 0, "scale": scales[0]}, {"id": 1, "scale": scales[1]}]


def test_an_adapter_is_chosen_by_the_model_name() -> None:
    """The served name of the adapter stands in for the base model's."""
    request = ChatRequest(ASK.messages, model="ci_failure@3f9c")
    assert orjson.loads(encode(request, "base", VLLM))["model"] == "ci_failure@3f9c"


@pytest.mark.parametrize(("counts", "told", "known"), [(True, None, 0), (False, None, None), (False, 3, 3)])
def test_cached_tokens_that_nobody_counts_are_unknown(counts: bool, told: int | None, known: int | None) -> None:
    """A server that counts them leaves them out where there are none."""
    details = None if told is None else {"cached_tokens": told}
    answer = {
        "choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": details},
    }
    usage = decode(orjson.dumps(answer), Capabilities(cached_tokens=counts)).usage
    assert (usage.cached_tokens, usage.fresh_tokens) == (known, 9 - (known or 0))
    assert Usage.sum([usage, Usage(1, 1, 1)]).cached_tokens == (None if known is None else known + 1)


def test_a_completion_in_full() -> None:
    """Text, reason, tokens with alternatives, usage; a model's path on the server's disk is cut to its name."""
    token = {"token": "{", "logprob": -0.5, "top_logprobs": [{"token": "{", "logprob": -0.5}]}
    answer = {
        "model": "/models/qwen.gguf",
        "choices": [{"message": {"content": "{}"}, "finish_reason": "stop", "logprobs": {"content": [token]}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
    }
    completion = decode(orjson.dumps(answer), VLLM)
    assert (completion.text, completion.finish_reason, completion.model) == ("{}", "stop", "qwen.gguf")
    assert completion.tokens[0].top == (("{", -0.5),)
    assert (completion.usage.prompt_tokens, completion.usage.cached_tokens) == (9, 4)
    assert completion.masked


@pytest.mark.parametrize(
    ("told", "milliseconds"),
    [
        ({"metrics": {"time_to_first_token_ms": 80.5, "queue_time_ms": 12.0, "generation_time_ms": 900.0}}, 92.5),
        ({"metrics": {"time_to_first_token_ms": 80.5, "queue_time_ms": None}}, 80.5),
        ({"metrics": {"time_to_first_token_ms": None}}, None),
        ({"timings": {"prompt_n": 8, "prompt_ms": 43.25, "predicted_ms": 238.0}}, 43.25),
        ({"metrics": None}, None),
        ({"metrics": {"time_to_first_token_ms": "soon"}}, None),
        ({"metrics": {"time_to_first_token_ms": -1}}, None),
        ({"timings": [1]}, None),
        ({}, None),
    ],
)
def test_servers_tell_the_time_to_first_token(told: dict[str, object], milliseconds: float | None) -> None:
    """With vLLM's queue, which llama.cpp has not; what makes no sense is not known, and spoils no answer."""
    answer = {"choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}], **told}
    assert decode(orjson.dumps(answer), VLLM).first_token_ms == milliseconds


@given(st.one_of(st.binary(max_size=40), st.recursive(
    st.none() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["choices", "message", "content", "logprobs", "usage", "finish_reason"]), inner, max_size=3),
    max_leaves=8,
).map(orjson.dumps)))  # fmt: skip
def test_anything_else_is_a_bad_answer(data: bytes) -> None:
    """No body makes the decoder fail otherwise."""
    try:
        completion = decode(data, VLLM)
    except BadAnswerError as error:
        assert str(error).startswith("no chat completion")  # noqa: PT017
    else:
        assert isinstance(completion.text, str)


@pytest.mark.parametrize(
    ("status", "body", "adapter", "kind", "says"),
    [
        (401, b"no", None, ConfigError, "models.lite.api_key"),
        (403, b"no", None, ConfigError, "models.lite.api_key"),
        (429, b"", None, BusyError, "busy"),
        (503, b"<html>", None, BusyError, "busy"),
        (500, b'{"error": {"message": "engine died"}}', None, FailedError, "engine died"),
        (302, b"", None, FailedError, "failed"),
        (
            404,
            b'{"error": {"message": "The model `a@1` does not exist."}}',
            "a@1",
            MissingAdapterError,
            "no adapter a@1",
        ),
        (404, b'{"error": {"message": "The model `b` does not exist."}}', None, NotServedError, "models.lite.model"),
        (404, b"not found", None, NotServedError, "models.lite.urls"),
        (400, b'{"error": {"message": "maximum context length is 9"}}', None, Rejected, "too long"),
        (400, b'{"error": {"type": "x", "message": "exceeds the available context size"}}', None, Rejected, "too long"),
        (400, b'{"error": {"message": "Grammar error: no multipleOf"}}', None, Rejected, "schema of ci.*no multipleOf"),
        (500, b'{"error": {"message": "Failed to parse grammar"}}', None, Rejected, "can't enforce the schema of ci"),
        (503, b'{"error": {"message": "grammar backend is loading"}}', None, BusyError, "busy"),
        (422, b"{}", None, Rejected, "refused"),
    ],
)
def test_what_an_error_status_means(
    status: int, body: bytes, adapter: str | None, kind: type[Exception], says: str
) -> None:
    """Each status is one of the kinds of failure, and the message names the remedy or the server's words."""
    error = error_of(status, body, {}, "models.lite", adapter, "ci")
    assert type(error) is kind
    assert re.search(says, str(error))


def test_only_a_missing_adapter_is_not_shared() -> None:
    """Other pipelines go on while one lacks its adapter."""
    body = b'{"error": {"message": "The model `a@1` does not exist."}}'
    own, shared = (error_of(404, body, {}, "models.lite", adapter) for adapter in ("a@1", None))
    assert isinstance(own, Retryable)
    assert isinstance(shared, Retryable)
    assert (own.shared, shared.shared) == (False, True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("", None), ("soon", None), ("Sun, 22 Nov 2026 00:01:00 GMT", 60.0)],
)
def test_retry_after_in_both_forms(value: str, seconds: float | None) -> None:
    """Seconds or a date; anything else says nothing."""
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert retry_after({"Retry-After": value}, now) == seconds


def test_what_json_forbids_in_an_answer_is_let_through() -> None:
    """Half a surrogate pair, raw control characters and impossible tokens do not make a server look broken."""
    data = (
        b'{"choices": [{"finish_reason": "stop", "message": {"content": "{\\"a\\":\\"\\ud800 \t\\"}"}, "logprobs": '
        b'{"content": [{"token": "\\udc00", "logprob": null, "top_logprobs": [{"token": "x", "logprob": null}]}]}}]}'
    )
    answer = decode(data, VLLM)
    assert answer.text == '{"a":"\ud800 \t"}'
    assert answer.tokens[0].logprob == answer.tokens[0].top[0][1] == -9999


def test_an_answer_nested_without_end_is_a_bad_one() -> None:
    """Even where what is nested is nothing that anybody reads."""
    whole = b'{"choices": [{"finish_reason": "stop", "message": {"content": "{}"}}]'
    assert decode(whole + b"}", VLLM).text == "{}"
    with pytest.raises(BadAnswerError):
        decode(whole + b', "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", VLLM)
