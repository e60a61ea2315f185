"""The serving benchmark: its arithmetic, and each of its parts against the double of a model server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.serving import __main__ as command
from bench.serving import adapters, lora, overhead, placement, questions, servers, warmth
from bench.serving.figures import in_turn, ratio, right, rounds, spread
from bench.serving.loads import Cases, salted
from processor.models.adapters import Expected, inspect
from processor.testing.model import FakeModelServer
from tools.evaluate import Answer
from tools.labelled import Labelled, excerpt_of

SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
}
LOG = b"collected 2 items\nFAILED tests/test_a.py::test_b - assert 1 == 2\n1 failed, 1 passed\n"


def labelled(folder: Path, number: int, *, category: str = "test", names: Sequence[str] = ()) -> Labelled:
    """A log of its own length, with its truth."""
    path = folder / f"{number}.log"
    path.write_bytes(LOG + b"line\n" * number)
    return Labelled(
        id=str(number),
        set="dev",
        group="g",
        path=path,
        weight=1.0,
        repeat=False,
        excerpt=excerpt_of(LOG),
        categories=(category,),
        names=frozenset(names),
        dependency_known=True,
    )


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    """Six logs, each ranked the same."""
    logs = [labelled(tmp_path, number) for number in range(6)]
    return Cases(logs, {log.id: (("test", 0.8), ("compile", 0.2)) for log in logs})


def ticking(*times: float) -> Callable[[], float]:
    """A clock that tells these times."""
    left: Iterator[float] = iter(times)
    return lambda: next(left)


def test_rounds_end_before_the_time_would_be_over() -> None:
    """The third round would end at 30 of 25 seconds, and is left out."""
    assert list(rounds(5, 25.0, ticking(0.0, 10.0, 20.0))) == [0, 1]


def test_there_is_one_round_however_long_it_takes() -> None:
    """Without one there is no figure."""
    assert list(rounds(5, 1.0, ticking(0.0, 100.0))) == [0]


def test_there_are_no_more_rounds_than_asked_for() -> None:
    """Time that is left is not used up."""
    assert list(rounds(2, 1e9, ticking(0.0, 1.0, 2.0))) == [0, 1]


def test_rounds_turn_around() -> None:
    """Nobody always comes first."""
    assert [tuple(in_turn(number, ("a", "b"))) for number in range(3)] == [("a", "b"), ("b", "a"), ("a", "b")]


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    """Rounds are compared each with itself: what disturbed one disturbs both of its sides."""
    assert ratio([1.0, 30.0, 100.0], [2.0, 10.0, 400.0]) == 0.5


def test_right_answers_are_counted_among_those_that_can_be_judged(tmp_path: Path) -> None:
    """Rightly none counts as right, an answer that is missing as wrong, an unknown truth not at all."""
    logs = [
        labelled(tmp_path, 0, names=["left-pad"]),
        labelled(tmp_path, 1),
        labelled(tmp_path, 2),
        replace(labelled(tmp_path, 3), dependency_known=False),
    ]
    answers = {"0": Answer("test", "Left-Pad"), "1": Answer("compile", None), "3": Answer("test", "any")}
    found = right(logs, answers)
    assert (found.category, found.logs) == (0.5, 4)
    assert found.dependency == pytest.approx(2 / 3)
    assert found.dependency_logs == 3


def test_logs_of_a_few_are_spread_over_their_sizes(tmp_path: Path) -> None:
    """Of nine logs three: the middle of each third."""
    logs = [labelled(tmp_path, number) for number in (8, 1, 5, 3, 0, 2, 7, 4, 6)]
    assert [log.id for log in spread(logs, 3, lambda log: log.path.stat().st_size)] == ["1", "4", "7"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('```json\n{"category": "test", "faulty_dependency": {"name": "a"}}\n```', Answer("test", "a")),
        ('{"category": "test", "faulty_dependency": "none"}', Answer("test", None)),
        ('{"category": "test"', Answer("", "")),
        ("no idea", Answer("", "")),
        ('{"category": "test", "faulty_dependency": ["a", "b"]}', Answer("test", "")),
    ],
)
def test_what_a_politely_asked_model_says_is_read_kindly(text: str, answer: Answer) -> None:
    """Fences and chatter around the JSON are forgiven; no JSON is a wrong answer."""
    assert questions.read(text) == answer


def test_more_keys_are_put_into_a_question() -> None:
    """The rest of its bytes stays as it is."""
    assert json.loads(salted(b'{"a":1}', {"b": "x"})) == {"a": 1, "b": "x"}
    assert salted(b'{"a":1}', {}) == b'{"a":1}'


def test_adapters_fit_the_shape_and_pass_the_checks(tmp_path: Path) -> None:
    """What is made here is an adapter as PEFT writes them, with other weights for another seed."""
    for seed in (1, 2):
        lora.write(tmp_path / str(seed), SHAPE, adapters.BASE_MODEL, seed)
    adapter, problems = inspect(tmp_path / "1", Expected("lite", adapters.BASE_MODEL, max_rank=8))
    assert not problems
    assert adapter is not None
    assert (adapter.rank, len(adapter.modules)) == (8, 7)
    files = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("1", "2")]
    assert files[0] != files[1]


def test_the_large_shape_keeps_the_tokenizer_and_has_no_weights(tmp_path: Path) -> None:
    """The server makes the weights up."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "config.json").write_text('{"hidden_size": 1, "model_type": "qwen2"}')
    (source / "tokenizer.json").write_text("{}")
    (source / "model.safetensors").write_bytes(b"weights")
    servers.shaped(source, target)
    assert sorted(file.name for file in target.iterdir()) == ["config.json", "tokenizer.json"]
    config = json.loads((target / "config.json").read_text())
    assert (config["hidden_size"], config["model_type"]) == (2048, "qwen2")


def test_placement_tells_medians_over_seeds() -> None:
    """Few requests tell little, but the bounds of what is told hold, the worst seed's beside the median."""
    found = placement.run(requests=300, seeds=3)
    assert found["detail"]["worst"]["prefix_hit_share"] <= found["prefix_hit_share"] <= 1
    assert found["detail"]["worst"]["imbalance"] >= found["imbalance"] >= 1
    assert found["detail"]["medians"]["round_robin"]["hit_share"] < found["prefix_hit_share"]


def naive_or_valid(body: dict[str, Any]) -> str:
    """A wrong answer to who asks nicely, else a valid one."""
    valid = FakeModelServer().answer
    return valid(body) if "response_format" in body else '{"category": "resource", "faulty_dependency": "x"}'


async def test_the_line_and_the_bare_client_ask_the_same(cases: Cases) -> None:
    """Each round of both has as many questions, and no two rounds share a salt."""
    async with FakeModelServer() as server:
        found = await questions.closed_loop(servers.Target(server.url, "the double"), cases, 4, 2, 60.0)
    assert found["closed_loop_vs_bare"] > 0
    assert found["detail"]["requests"] == {"line": [6, 6], "bare": [6, 6]}
    rounds_of = [[asked.body for asked in server.asked[at : at + 7]] for at in range(0, len(server.asked), 7)]
    assert [len({body["cache_salt"] for body in bodies}) for bodies in rounds_of] == [1] * 5
    assert len({body["cache_salt"] for bodies in rounds_of for body in bodies}) == 5
    sent = [sorted(str(body["messages"]) for body in bodies) for bodies in rounds_of]
    assert all(each == sent[0] for each in sent), "the bare client sends what the line has sent"


async def test_naive_use_is_judged_on_the_logs_that_it_was_asked_about(cases: Cases) -> None:
    """Its answers are wrong here; the line's are right, on the same logs."""
    async with FakeModelServer(answer=naive_or_valid) as server:
        target = servers.Target(server.url, "the double")
        found = await questions.vs_naive(target, cases, 3, 4, 1, 60.0, 60.0)
    assert found["naive_accuracy"] == 0
    assert found["accuracy"] == 1
    assert found["detail"]["requests"]["naive"] == [3]
    [naive, *_] = [asked.body for asked in server.asked if "response_format" not in asked.body and "top_logprobs"
                   not in asked.body and asked.body["max_tokens"] > 1]  # fmt: skip
    assert len(naive["messages"]) == 1
    assert naive["messages"][0]["content"].startswith("This is the log of the failed build ")


async def test_adapters_in_turn_are_asked_by_their_versions(tmp_path: Path) -> None:
    """All six have been asked, as versions that the manager loaded."""
    async with FakeModelServer() as server:
        target, choice = servers.Target(server.url, "the double", SHAPE), servers.Choice(store=tmp_path)
        found = await adapters.mixed_vs_one(target, choice, 4, 1, 60.0)
    assert found["adapters_mixed_vs_one"] > 0
    names = {asked.body["model"].partition("@")[0] for asked in server.asked}
    assert names == set(adapters.NAMES)


async def test_a_new_version_is_live_in_milliseconds(tmp_path: Path) -> None:
    """Both ways end with the new version's answer."""
    async with FakeModelServer() as server:
        target, choice = servers.Target(server.url, "the double", SHAPE), servers.Choice(store=tmp_path)
        found = await adapters.live(target, choice, 1, 60.0)
    assert 0 < found["new_adapter_live_ms"] < found["new_adapter_from_folder_ms"]
    loads = [call for call in server.lora.calls if call.startswith("load")]
    assert len(set(loads)) == 3, "the first version, and one new one each way"


async def test_the_first_token_is_taken_cold_and_warm() -> None:
    """Cold has a salt of its own, warm the one of before and another event."""
    async with FakeModelServer() as server:
        found = await warmth.cold_vs_warm(servers.Target(server.url, "the double"), 2, 60.0)
    assert found["detail"]["rounds"] == 2
    bodies = [asked.body for asked in server.asked][-4:]
    assert bodies[0]["cache_salt"] == bodies[1]["cache_salt"] != bodies[2]["cache_salt"] == bodies[3]["cache_salt"]
    assert bodies[0]["messages"][0] == bodies[1]["messages"][0]
    assert bodies[0]["messages"][1] != bodies[1]["messages"][1]


async def test_the_clients_cost_is_taken_beside_a_bare_loops() -> None:
    """Processor time is above zero on both sides, and the client's share of it is the difference."""
    found = await overhead.run(64, 1, 60.0, in_flight=16, delay_s=0.02)
    [bare], [ours] = (found["detail"]["cpu_ms"][side] for side in ("bare", "client"))
    assert bare > 0
    assert found["cpu_ms_per_request"] == ours
    assert found["cpu_ms_over_bare"] == pytest.approx(ours - bare)


def test_figures_of_other_parts_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that runs alone changes its own figures only."""
    monkeypatch.setattr(command, "RESULT", tmp_path / "serving.json")
    command.keep("ttft", {"ttft_cold_vs_warm": 20.0, "detail": {"rounds": 5}}, 1.0, ["--only", "ttft"])
    known = command.keep("live", {"new_adapter_live_ms": 50.123456, "detail": {"rounds": 3}}, 2.0, [])
    assert known["ttft_cold_vs_warm"] == 20.0
    assert known["new_adapter_live_ms"] == 50.1235
    assert known["parts"]["ttft"]["command"] == "python -m bench.serving --only ttft"
    assert known["parts"]["live"]["rounds"] == 3
    assert json.loads((tmp_path / "serving.json").read_text()) == known
    assert "new_adapter_live_ms" in command.table(known)
