"""A pipeline whose schema or query is refused is parked, and no other; it goes on when the server is mended."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from processor import fitness
from processor.cli import doctor
from processor.databases.sqlite import Sqlite
from processor.fitness import Fitness
from processor.home import Homes
from processor.models import needs
from processor.models.client import ModelClient
from processor.pipeline import Pipeline
from processor.pipeline.chain import AskConfig
from processor.pipeline.document import Escalate
from processor.settings import ModelSettings, Settings
from processor.stages.park import Ward
from processor.testing.model import FakeModelServer, Fault, StubModel
from tests.unit.chain.test_example import EXAMPLE, FOLDER, PIPELINE
from tests.unit.engine.conftest import eventually
from tests.unit.test_line import CI_FAILURE, line, record

LOG = b"$ make all\nerror: the frobnicator is out of tune\nmake: *** [all] Error 1\n"
OTHER = replace(CI_FAILURE, name="other", schema_file="schemas/other.yaml")


def named(body: dict[str, Any]) -> str:
    """The pipeline whose form is asked for."""
    return str(body.get("response_format", {}).get("json_schema", {}).get("name"))


@pytest.fixture
async def server() -> AsyncIterator[FakeModelServer]:
    """One that can't hold the schema of `other`."""
    async with FakeModelServer(poison=lambda body: "grammar" if named(body) == "other" else None) as fake:
        yield fake


@pytest.fixture
async def client(server: FakeModelServer) -> AsyncIterator[ModelClient]:
    """A client of it."""
    async with ModelClient(ModelSettings(urls=[server.url])) as client:
        yield client


def well(_: dict[str, Any]) -> Fault | None:
    """It takes all."""
    return None


def wards(*pipelines: Pipeline) -> dict[str, Ward]:
    """Wards that know of nothing."""
    return {each.name: Ward(each.name) for each in pipelines}


async def test_a_schema_that_is_refused_parks_its_pipeline_alone(server: FakeModelServer, client: ModelClient) -> None:
    """The reason names pipeline, file and keys, and is told once; when the server is mended the pipeline goes on."""
    watched = wards(CI_FAILURE, OTHER)
    fit = Fitness([CI_FAILURE, OTHER], {"lite": client}, {}, watched)
    with capture_logs() as told:
        await fit.look()
        before = sum(named(each.body) == "ci_failure" for each in server.asked)
        await fit.look()
        assert sum(named(each.body) == "ci_failure" for each in server.asked) == before, "what is taken is let be"
        why = watched["other"].unfit
        assert why is not None
        assert why.startswith("pipeline other: schemas/other.yaml: ")
        assert "category (type, enum)" in why
        assert (watched["ci_failure"].stopped, watched["other"].stopped) == (None, why)
        server.poison = well
        await fit.look()
        asked = len(server.asked)
        await fit.look()
    assert watched["other"].stopped is None
    assert len(server.asked) == asked, "what is taken is not asked again"
    assert [each["event"] for each in told if each["action"] == "park"] == [
        "pipeline can't work: parks",
        "pipeline works again",
    ]


async def test_events_of_a_refused_pipeline_go_aside_while_others_go_on() -> None:
    """None of them is tried, and none becomes a dead letter; afterwards they are answered."""
    worker = line(StubModel(), CI_FAILURE, replace(OTHER, rules=None))
    worker.wards["other"].unfit = "pipeline other: schemas/other.yaml: refused"
    topics = [out.topic for out in await worker.handle(record(LOG))]
    assert "t.parked.other" in topics
    assert "t.findings.ci_failure" in topics
    assert "t.dead-letters" not in topics
    worker.wards["other"].unfit = None
    assert "t.findings.other" in [out.topic for out in await worker.handle(record(LOG, offset=8))]


async def test_a_larger_tier_that_refuses_a_schema_is_done_without(client: ModelClient) -> None:
    """The pipeline works: what is unsure is flagged. The log says why, once."""
    up = OTHER.model.model_copy(update={"tier": "first", "escalate": Escalate(when="confidence < 0.7", to="lite")})
    pipeline = replace(OTHER, model=up)
    watched = wards(pipeline)
    fit = Fitness([pipeline], {"lite": client}, {}, watched)
    with capture_logs() as told:
        await fit.look()
        await fit.look()
    assert watched["other"].stopped is None
    assert [each["event"] for each in told if each["log_level"] == "error"] == ["the larger model can't be asked"]


async def test_a_server_that_is_away_is_looked_at_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start does not wait for it; what it refuses then parks the pipeline before many of its events are lost."""
    monkeypatch.setattr(needs, "PATIENCE_S", 0.3)
    monkeypatch.setattr(fitness, "LOOK_S", 0.05)
    watched, stop = wards(CI_FAILURE, OTHER), asyncio.Event()
    server = FakeModelServer(poison=lambda body: "grammar" if named(body) == "other" else None)
    await server.start()
    port = int(server.url.split(":")[2].split("/")[0])
    await server.stop()
    async with ModelClient(ModelSettings(urls=[f"http://127.0.0.1:{port}/v1"], probe_s=0.1)) as client:
        fit = Fitness([CI_FAILURE, OTHER], {"lite": client}, {}, watched)
        await fit.look()
        assert watched["other"].stopped is None
        running = asyncio.create_task(fit.run(stop))
        await server.start(port)
        await eventually(lambda: watched["other"].unfit is not None, 60)
        server.poison = well
        await eventually(lambda: watched["other"].unfit is None, 60)
        stop.set()
        await asyncio.wait_for(running, 60)
    await server.stop()
    assert watched["ci_failure"].stopped is None


async def test_a_query_that_is_refused_parks_its_pipeline_alone(client: ModelClient, tmp_path: Path) -> None:
    """Named are the pipeline's file and line, the database and what it says; a table that comes ends it."""
    file = tmp_path / "catalogue.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE teams (name TEXT)")
    database = Sqlite("catalogue", file)
    watched = wards(PIPELINE, CI_FAILURE)
    fit = Fitness([PIPELINE, CI_FAILURE], {"lite": client}, {"catalogue": database}, watched)
    await fit.look()
    why = watched["deploy_owner"].unfit or ""
    assert why.startswith("deploy_owner/pipeline.yaml:16: the query is refused: no such table: services")
    assert why.endswith("(databases.catalogue)")
    assert watched["ci_failure"].stopped is None
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((EXAMPLE / "catalogue.sql").read_text(encoding="utf-8"))
    await fit.look()
    assert watched["deploy_owner"].stopped is None
    await database.close()


async def test_a_database_that_is_away_refuses_nothing(client: ModelClient, tmp_path: Path) -> None:
    """Its pipeline's events wait, as for a model that is away."""
    database = Sqlite("catalogue", tmp_path / "none.db")
    watched = wards(PIPELINE)
    fit = Fitness([PIPELINE], {"lite": client}, {"catalogue": database}, watched)
    await fit.look()
    assert watched["deploy_owner"].stopped is None
    await database.close()


def chained(tmp_path: Path) -> Pipeline:
    """The example's pipeline, the first step of which asks an adapter of its own."""
    home = tmp_path / "home"
    shutil.copytree(EXAMPLE, home)
    (home / "adapters" / "service").mkdir(parents=True)
    file = home / "pipelines" / FOLDER.name / "pipeline.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("      max_tokens: 24\n", "      max_tokens: 24\n      adapter: service\n", 1), "utf-8"
    )
    return Pipeline.load(file.parent, Homes((home,)))


async def test_doctor_looks_at_the_adapters_of_steps(tmp_path: Path) -> None:
    """A server that has none is as wrong for a step as for the pipeline's own question."""
    pipeline = chained(tmp_path)
    assert [each.adapter for each in pipeline.asks if isinstance(each, AskConfig)] == ["service", None]
    async with FakeModelServer(any_name=True) as server:
        settings = Settings(models={"lite": ModelSettings(urls=[server.url])})
        told = [each.text for each in await doctor._models(settings, "lite", [pipeline]) if not each.fine]
    assert len(told) == 1
    assert told[0].startswith("pipeline deploy_owner (model.adapter service) needs adapters that a request can choose")


async def test_doctor_says_what_a_server_refuses(server: FakeModelServer) -> None:
    """By pipeline, file and key."""
    settings = Settings(models={"lite": ModelSettings(urls=[server.url])})
    looked = await doctor._models(settings, "lite", [CI_FAILURE, OTHER])
    told = [each.text for each in looked if each.what == "schemas"]
    assert len(told) == 1
    assert told[0].startswith("pipeline other: schemas/other.yaml: ")
