"""The line on real vLLM: beside a bare client with the same questions, and beside naive use of the same model."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.serving.figures import in_turn, ratio, right, rounds, spread
from bench.serving.loads import TIMEOUT_S, Cases, Run, bare, daemon, lane, prefix, settings_of, through_the_line
from bench.serving.servers import CONTEXT, Target
from processor.models.capabilities import Capabilities
from processor.models.question import Question
from processor.models.wire import encode
from tools.evaluate import Answer
from tools.labelled import Labelled

Found = dict[str, Any]

NAIVE_TOKENS: Final = 8_000
"""Of the log's end, in a naive prompt."""

_NAIVE_ANSWER: Final = 256
_MOST_BYTES_A_TOKEN: Final = 12
"""Of a log; where a token is longer on average, a little less of the log is asked about."""


async def closed_loop(target: Target, cases: Cases, in_flight: int, most: int, seconds: float) -> Found:
    """Events a second through the line (rules off), over those of a bare client that sends the same questions."""
    ours: list[Run] = []
    theirs: list[Run] = []
    async with daemon(settings_of(target.url, in_flight)) as (client, wire):
        own = lane(client, rules=False, context=CONTEXT)
        first = encode(prefix(own), "base", Capabilities())
        # Not counted: grammars are compiled, and the client learns how much the server takes.
        await through_the_line(client, wire, own, cases, in_flight)
        asked = list(wire.sent)
        for number in rounds(most, seconds):
            for side in in_turn(number, ("line", "bare")):
                if side == "line":
                    ours.append(await through_the_line(client, wire, own, cases, in_flight))
                else:
                    theirs.append(await bare(target.url, first, asked, in_flight))
    rates = {"line": [_rate(run) for run in ours], "bare": [_rate(run) for run in theirs]}
    return {
        "closed_loop_vs_bare": ratio(rates["line"], rates["bare"]),
        "detail": {
            "rounds": len(ours),
            "logs": len(cases.logs),
            "in_flight": in_flight,
            "requests_per_s": rates,
            "requests": {"line": [run.requests for run in ours], "bare": [run.requests for run in theirs]},
            "tokens_written": {"line": [run.written for run in ours], "bare": [run.written for run in theirs]},
        },
    }


def _rate(run: Run) -> float:
    return run.requests / run.seconds


async def vs_naive(
    target: Target, cases: Cases, naive_logs: int, in_flight: int, most: int, seconds: float, naive_seconds: float
) -> Found:
    """Events a second through the line, with rules and without, over those of naive use; and how right each is."""
    few = spread(cases.logs, naive_logs, _size)
    runs: dict[str, list[Run]] = {"rules_on": [], "rules_off": [], "naive": []}
    async with daemon(settings_of(target.url, in_flight)) as (client, wire):
        lanes = {f"rules_{name}": lane(client, rules=name == "on", context=CONTEXT) for name in ("on", "off")}
        question = naive_question(lanes["rules_on"].pipeline.questions)
        for number in rounds(most, seconds):
            for side in in_turn(number, tuple(runs)):
                if side == "naive":
                    runs[side].append(await naively(target.url, few, question, naive_seconds))
                else:
                    runs[side].append(await through_the_line(client, wire, lanes[side], cases, in_flight))
    rates = {side: [len(cases.logs) / run.seconds for run in runs[side]] for side in ("rules_on", "rules_off")}
    rates["naive"] = [run.requests / run.seconds for run in runs["naive"]]
    asked = [log for log in few if log.id in runs["naive"][0].answers]
    same = {side: right(asked, found[0].answers) for side, found in runs.items()}
    whole = {side: right(cases.logs, runs[side][0].answers) for side in ("rules_on", "rules_off")}
    return {
        "vs_naive": ratio(rates["rules_on"], rates["naive"]),
        "vs_naive_rules_off": ratio(rates["rules_off"], rates["naive"]),
        "accuracy": same["rules_on"].category,
        "naive_accuracy": same["naive"].category,
        "dependency_accuracy": same["rules_on"].dependency,
        "naive_dependency_accuracy": same["naive"].dependency,
        "detail": {
            "rounds": len(runs["naive"]),
            "in_flight": in_flight,
            "events_per_s": rates,
            "right_on_the_naive_logs": {side: asdict(each) for side, each in same.items()},
            "right_on_all_logs": {side: asdict(each) for side, each in whole.items()},
            "requests": {side: [run.requests for run in found] for side, found in runs.items()},
            "set": cases.logs[0].set,
        },
    }


def _size(log: Labelled) -> int:
    return log.path.stat().st_size


async def naively(url: str, logs: Sequence[Labelled], question: str, seconds: float) -> Run:
    """One log at a time, whole as far as it goes in, asked politely for JSON; ends after `seconds`, one log at least.

    A log that was asked about has an answer, be it an empty one.
    """
    run = Run()
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        room = await _room(session, url)
        prompts = [(log, await _prompt(session, url, log, room, question)) for log in logs]
        began = time.perf_counter()
        for log, prompt in prompts:
            messages = [{"role": "user", "content": prompt}]
            body = {"model": "base", "messages": messages, "max_tokens": _NAIVE_ANSWER, "temperature": 0}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                response.raise_for_status()
                said = await response.json()
            run.answers[log.id] = read(said["choices"][0]["message"]["content"] or "")
            run.written += said["usage"]["completion_tokens"]
            run.requests += 1
            run.seconds = time.perf_counter() - began
            if run.seconds * (run.requests + 1) / run.requests > seconds:
                break
    return run


def read(text: str) -> Answer:
    """What a politely asked model says: the JSON between the first brace and the last; an empty answer without."""
    try:
        said = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except ValueError:
        return Answer("", "")
    dependency = said.get("faulty_dependency") if isinstance(said, dict) else ""
    if isinstance(dependency, Mapping):
        dependency = dependency.get("name")
    known = dependency is None or isinstance(dependency, str)
    named = None if dependency in ("", "none", "null", "None") else dependency
    return Answer(str(said.get("category", "")) if isinstance(said, dict) else "", named if known else "")


def naive_question(questions: Sequence[Question]) -> str:
    """What is asked, with the categories and what they mean, after the log: nothing fixed stands before it."""
    [category] = [each for each in questions if each.name == "category"]
    categories = "\n".join(f"- {value}: {meaning}" for value, meaning in category.values.items())
    return (
        "What broke this build? The categories are:\n"
        f"{categories}\n\n"
        "Please answer with nothing but a JSON object with these keys: category (one of the above), faulty_dependency "
        "(the name of the package that has to change for the build to pass, or null), failing_tests (a list), severity "
        "(critical, major or minor), evidence (a list of lines of the log), summary (one sentence)."
    )


_CIRCUMSTANCES: Final = 900
"""Tokens beside the log and the answer: the question, and the template of the chat."""


async def _room(session: aiohttp.ClientSession, url: str) -> int:
    """Tokens of a log's end that a naive prompt has: 8,000, or what the server's context leaves."""
    async with session.get(f"{url}/models") as response:
        context = (await response.json())["data"][0].get("max_model_len") or CONTEXT
    return min(NAIVE_TOKENS, int(context) - _NAIVE_ANSWER - _CIRCUMSTANCES)


async def _prompt(session: aiohttp.ClientSession, url: str, log: Labelled, room: int, question: str) -> str:
    """The end of a log as it is, then the question; tokens are the server's own where it counts them (vLLM)."""
    end = _end(log.path, room * _MOST_BYTES_A_TOKEN)
    root = url.removesuffix("/v1")
    asked = {"model": "base", "prompt": end, "add_special_tokens": False}
    async with session.post(f"{root}/tokenize", json=asked) as response:
        tokens = (await response.json())["tokens"] if response.status == 200 else None
    if tokens is None:
        end = end[-3 * room :]
    elif len(tokens) > room:
        async with session.post(f"{root}/detokenize", json={"model": "base", "tokens": tokens[-room:]}) as response:
            end = (await response.json())["prompt"]
    return f"This is the log of the failed build {log.id}:\n\n{end}\n\n{question}"


def _end(path: Path, most: int) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - most))
        return file.read().decode("utf-8", "replace")
