"""Starts broker, model server, Jira double and daemon, sends recorded failing builds, shows what becomes of them.

    python -m tools.demo [--check] [--keep]        ENGINE=vllm|llamacpp, KAFKA_BOOTSTRAP=host:port

Ends by itself; writes `.demo/summary.json` and `.demo/tickets.html`. Set up by `make demo`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from aiokafka import AIOKafkaProducer

from processor.home import Homes
from tools import bootstrap
from tools.demo import check, page, plan, show
from tools.demo.watch import Outcome, Place, Watch
from tools.servers import broker, jira, model, process

FOLDER = bootstrap.CHECKOUT / ".demo"
PIPELINE = "ci_failure"
TOPIC = "ci.builds.failed"
PATIENCE_S = 600
"""How long nothing may come before the demo ends with what it has: twice what the daemon gives an answer."""
AT_ONCE = {"llamacpp": 1, "vllm": 8}
"""Requests at once: on two cores llama.cpp gains nothing from more, and the first answer would come later."""


def main() -> int:
    """Runs the demo. Exit code 1 where something did not start or did not end, or is not as promised (--check)."""
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail unless everything is as promised")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)  # ended from outside, it stops its servers all the same
    outcome = Outcome(began=float(os.environ.get("DEMO_BEGAN") or time.time()))
    view = show.View(outcome)
    try:
        with contextlib.ExitStack() as servers:
            figures = _demo(view, outcome, servers)
            broken = check.faults(figures)
            for fault in broken:
                view.say(f"not as promised: {fault}", "bold red")
            if options.keep:
                view.say(f"all stays up (KEEP=1), Jira's page too: {view.jira}/demo/; Ctrl-C ends it", "bold")
                threading.Event().wait()
    except (bootstrap.SetupError, process.ServerError, RuntimeError) as error:
        view.say(str(error), "bold red")
        return 1
    except KeyboardInterrupt:
        view.say("stopped")
        return 130
    return 1 if outcome.done < figures["events"] or (options.check and broken) else 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _demo(view: show.View, outcome: Outcome, servers: contextlib.ExitStack) -> dict[str, Any]:
    engine = bootstrap.default_engine()
    logs = FOLDER / "logs"
    kafka = servers.enter_context(broker.broker(logs=logs))
    tracker = servers.enter_context(jira.jira(logs=logs))
    view.jira = tracker.address
    view.say(f"broker on {kafka.address}, Jira's page on {tracker.address}/demo/")
    port = process.free_port()
    serving = Serving(engine, port, logs)
    servers.callback(serving.stop)
    prefix = f"demo{int(outcome.began)}"
    serves = f"http://{process.LOOPBACK}:{port}/v1"
    settings = _settings(kafka.address, tracker.address, serves, prefix, AT_ONCE[engine])
    daemon = servers.enter_context(_daemon(settings, logs))
    view.say(f"daemon runs ({', '.join(_ran(settings))}), its log is {daemon.log.relative_to(bootstrap.CHECKOUT)}")
    lane = _offline()
    builds = plan.choose(plan.recorded(lane.by_rule))
    return asyncio.run(_send_and_watch(view, outcome, builds, kafka.address, prefix, serving, daemon, lane.valid))


async def _send_and_watch(
    view: show.View,
    outcome: Outcome,
    builds: list[plan.Build],
    bootstrap_servers: str,
    prefix: str,
    serving: Serving,
    daemon: process.Server,
    valid: Callable[[dict[str, Any]], bool],
) -> dict[str, Any]:
    sent = await _send(builds, bootstrap_servers)
    view.say(f"sent {len(sent)} failed builds to {TOPIC}")

    def broken() -> str | None:
        if daemon.pid is None:
            return f"the daemon ended; its log is {daemon.log}"
        return serving.failure

    def silent() -> bool:
        return serving.ready_s is not None and outcome.seconds() - outcome.last_s > PATIENCE_S

    told = Ticker(view, outcome, len(sent), serving)
    watch = Watch(bootstrap_servers, prefix, PIPELINE, outcome, told.told)
    await watch.run(lambda: told.tick() or outcome.done >= len(sent) or silent(), broken)
    if outcome.done < len(sent):
        said = f"{outcome.done} of {len(sent)} builds are done, and nothing has come for {PATIENCE_S / 60:g} min"
        view.say(f"{said}; what there is follows, logs are in {FOLDER.name}/logs", "bold red")
    tickets = check.jira_tickets(view.jira)
    rows = [
        (build, finding, tickets.get(finding["data"]["fingerprint"], "") if finding else "")
        for place, build in sent.items()
        for finding in [outcome.findings.get(place)]
    ]
    view.console.print(show.table(rows, {sent[place].id for place in outcome.dead}))
    figures = check.summary(sent, outcome, tickets, valid, serving.engine)
    keys = sorted({key for joined in tickets.values() for key in joined.split()}, key=lambda key: (len(key), key))
    (FOLDER / "tickets.html").write_text(page.page(page.issues(view.jira, keys)), encoding="utf-8")
    (FOLDER / "summary.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    _tell(view, figures)
    return figures


def _tell(view: show.View, figures: dict[str, Any]) -> None:
    decided, total = figures["decided_by"], figures["findings"]
    view.say(
        f"{figures['events']} failed builds, {total} findings, {figures['tickets']} tickets for "
        f"{figures['expected_tickets']} faults, {figures['duplicate_tickets']} duplicates",
        "bold",
    )
    view.say(
        f"decided by rules {decided['rules']}, by the model {decided['model']} ({figures['engine']}; "
        f"{figures['answers_reused']} by what it had answered before); "
        f"category right {figures['correct_category']}/{total}, dependency {figures['correct_dependency']}/{total}"
    )
    share, by_model = figures["cached_token_share"], figures["seconds_to_first_model_ticket"]
    view.say(
        f"first ticket after {figures['seconds_to_first_ticket']} s, "
        f"{'none by the model' if by_model is None else f'first by the model after {by_model} s'}; "
        f"{figures['prompt_tokens']:,} prompt tokens, "
        f"{'unknown how many' if share is None else f'{share:.0%}'} from the cache"
    )
    view.say(f"tickets: .demo/tickets.html, in Jira {view.jira}/demo/ (KEEP=1 leaves that up)", "bold")
    view.say("figures: .demo/summary.json", "bold")


async def _send(builds: list[plan.Build], bootstrap_servers: str) -> dict[Place, plan.Build]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, max_request_size=20_000_000)
    await producer.start()
    try:
        sent: dict[Place, plan.Build] = {}
        for number, build in enumerate(builds):
            key = build.truth["repo"].encode()
            at = await producer.send_and_wait(TOPIC, build.log, key=key, headers=build.headers(number))
            sent[at.topic, at.partition, at.offset] = build
        return sent
    finally:
        await producer.stop()


class Serving:
    """The model server, set up and started in a thread of its own while everything else begins."""

    def __init__(self, engine: str, port: int, logs: Path) -> None:
        self.engine = engine
        self.failure: str | None = None
        self.ready_s: float | None = None
        self._port = port
        self._logs = logs
        self._server: process.Server | None = None
        self._thread = threading.Thread(target=self._start, name="model server", daemon=True)
        self._thread.start()

    def _start(self) -> None:
        try:
            self._server = model.model(self.engine, self._port, self._logs)
            self._server.start()
            self.ready_s = self._server.seconds_to_ready
        except (bootstrap.SetupError, process.ServerError) as error:
            self.failure = str(error)

    def stop(self) -> None:
        """Stops the server."""
        if self._server is not None:
            self._server.stop()


class Ticker:
    """Says now and then how far things are."""

    def __init__(self, view: show.View, outcome: Outcome, events: int, serving: Serving) -> None:
        self._view, self._outcome, self._events, self._serving = view, outcome, events, serving
        self._said_at = outcome.seconds()
        self._said_ready = False

    def told(self, what: str, **more: Any) -> None:
        """Passes on what happened."""
        self._view.told(what, **more)
        self._said_at = self._outcome.seconds()

    def tick(self) -> bool:
        """Says that the model is up, once, and every 15 silent seconds what is waited for."""
        if self._serving.ready_s is not None and not self._said_ready:
            self._said_ready = True
            self._outcome.last_s = self._outcome.seconds()
            self._view.say(
                f"model server is up ({self._serving.engine}), {self._serving.ready_s:.0f} s after its start"
            )
        if self._outcome.seconds() - self._said_at > 15:
            self._said_at = self._outcome.seconds()
            left = self._outcome.left(self._events)
            what = f"the model reads{left}" if self._said_ready else "the model is being set up"
            self._view.say(f"{self._outcome.done} of {self._events} builds done; {what}", "dim")
        return False


class _offline:  # noqa: N801
    """The pipeline's deterministic stages and its schema, to choose builds by and to check findings with."""

    def __init__(self) -> None:
        from processor.logs.redact import redactor
        from processor.logs.reduce import reduce
        from processor.pipeline import Pipeline

        homes = Homes.of()
        self._pipeline = Pipeline.load(homes.pipelines()[PIPELINE], homes)
        self._redactor, self._reduce = redactor(), reduce

    def by_rule(self, log: bytes) -> bool:
        """Whether a rule decides a log."""
        excerpt = self._reduce(self._redactor.redact(log), self._pipeline.reduce.budget_tokens)
        match = self._pipeline.rules.match(excerpt) if self._pipeline.rules else None
        return match is not None and match.decides

    def valid(self, finding: dict[str, Any]) -> bool:
        """Whether a finding's result fits its schema."""
        try:
            self._pipeline.schema.validate(finding["data"]["result"])
        except ValueError:
            return False
        return True


def _settings(kafka: str, tracker: str, serving: str, prefix: str, at_once: int) -> Path:
    values = {
        "kafka": {"bootstrap": kafka, "create_topics": True, "partitions": 2},
        "topics": {"prefix": prefix},
        "pipelines": [PIPELINE],
        "models": {"lite": {"urls": [serving], "model": "base", "concurrency": at_once, "timeout_s": 300}},
        "jira": {"url": tracker, "token": "demo", "search_lag_s": 0},
        "http": {"port": process.free_port()},
    }
    file = FOLDER / "faultstream.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return file


def _ran(settings: Path) -> list[str]:
    return ["faultstream", "run", "--config", str(settings.relative_to(bootstrap.CHECKOUT))]


def _daemon(settings: Path, logs: Path) -> process.Server:
    port = yaml.safe_load(settings.read_text(encoding="utf-8"))["http"]["port"]
    address = f"http://{process.LOOPBACK}:{port}"
    command = [sys.executable, "-m", "processor", "run", "--config", settings]
    return process.Server("daemon", command, address=address, ready=lambda: _consumes(address), logs=logs, stop_s=40)


def _consumes(address: str) -> bool:
    """Whether line and ticket role are connected; the model may still be loading."""
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=2) as answer:  # noqa: S310  our own, on loopback
            problems = json.load(answer)["problems"]
    except urllib.error.HTTPError as error:
        problems = json.load(error)["problems"]
    except OSError:
        return False
    return not any(name in problems for name in ("line", "decide", "write"))


if __name__ == "__main__":
    sys.exit(main())
