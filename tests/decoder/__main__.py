"""`make fuzz-decoder`: hard schemas and hostile logs through the line, with a real model server.

    python -m tests.decoder [--engine llamacpp|vllm | --url URL] [--schemas 240] [--logs 520] [--seed 0]
                            [--layers 2] [--smaller] [--at-once 4] [--grammars]

Each log goes once, each schema in turn: every answer must be valid or explicitly refused, none may hang. With
`--grammars` the server only compiles each schema's grammar, which takes minutes instead of an hour. With `--layers`
only so many of the model's layers are served: that is faster by far, and what it would write is next to random.
Results are added to `.cache/decoder/<seed>.jsonl`, and what is there is not asked again.
"""

# ruff: noqa: T201  (a program)

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from processor.errors import FaultstreamError
from processor.models.client import ModelClient
from processor.pipeline.load import PipelineError
from processor.settings import ModelSettings
from tests.decoder.logs import COUNT as LOGS
from tests.decoder.logs import logs
from tests.decoder.run import Outcome, pipeline_of, question_of, run
from tests.decoder.schemas import COUNT as SCHEMAS
from tests.decoder.schemas import Schema, schemas
from tests.decoder.shallow import cut
from tools import weights
from tools.bootstrap import CHECKOUT, default_engine
from tools.servers import model
from tools.servers.process import Server

CACHE = CHECKOUT / ".cache" / "decoder"
PATIENCE_S = 600
"""A case that takes longer hangs; a machine without a GPU reads a prompt for half a minute."""


async def compile_all(home: Path, client: ModelClient, given: list[tuple[str, Schema]]) -> Iterator[Outcome]:
    """Has the server compile the grammar of each schema that lint accepts."""
    found = []
    for name, schema in given:
        try:
            question = question_of(pipeline_of(home, name, schema))
            async with asyncio.timeout(PATIENCE_S):
                await client.complete(question)
        except PipelineError as error:
            found.append(Outcome(name, "", "lint", error.problems[0].message))
        except TimeoutError:
            found.append(Outcome(name, "", "hung"))
        except FaultstreamError as error:
            found.append(Outcome(name, "", "failed", str(error)))
        else:
            found.append(Outcome(name, "", "valid"))
    return iter(found)


async def answer_all(home: Path, client: ModelClient, options: argparse.Namespace) -> Iterator[Outcome]:
    """Each log through the line of a schema, those aside that were asked before."""
    of = ["smaller"] if options.smaller else []
    of += [f"{options.layers}-layers"] if options.layers else []
    of += [options.engine] if options.engine else []
    kept = CACHE / f"{'-'.join([str(options.seed), *of])}.jsonl"
    kept.parent.mkdir(parents=True, exist_ok=True)
    found = [Outcome(**json.loads(line)) for line in kept.read_text().splitlines()] if kept.exists() else []
    have = {(each.schema, each.log) for each in found}
    some = schemas(options.seed, options.schemas)
    asked = zip(itertools.cycle(some), logs(options.seed, options.logs), strict=False)
    left = [(schema, log) for schema, log in asked if (schema[0], log[0]) not in have]

    async def ask_in_turn() -> None:
        while left:
            outcome = await run(home, *left.pop(0), client, PATIENCE_S)
            found.append(outcome)
            with kept.open("a", encoding="utf-8") as out:
                out.write(json.dumps(asdict(outcome)) + "\n")
            told = f"{outcome.kind:8} {outcome.schema} {outcome.log} {outcome.seconds:.0f} s {outcome.text[:90]}"
            print(told, flush=True)

    await asyncio.gather(*(ask_in_turn() for _ in range(options.at_once)))
    return iter(found)


async def look(url: str, options: argparse.Namespace) -> int:
    """0 if all is valid or refused."""
    settings = ModelSettings(urls=[url], timeout_s=PATIENCE_S)
    with tempfile.TemporaryDirectory() as folder:
        async with ModelClient(settings) as client:
            if options.grammars:
                found = list(await compile_all(Path(folder), client, schemas(options.seed, options.schemas)))
            else:
                found = list(await answer_all(Path(folder), client, options))
    for each in found:
        if not each.fine:
            print(f"{each.kind}: {each.schema} {each.log}: {each.text}")
    print(", ".join(f"{count} {kind}" for kind, count in Counter(each.kind for each in found).items()))
    return int(any(not each.fine for each in found))


def main() -> int:
    """Starts a server where none is named, and looks."""
    parser = argparse.ArgumentParser(prog="python -m tests.decoder", description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=("llamacpp", "vllm"))
    parser.add_argument("--url", help="a running server's base address, ending in /v1")
    parser.add_argument("--schemas", type=int, default=SCHEMAS)
    parser.add_argument("--logs", type=int, default=LOGS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", type=int, default=0, help="of the model; all by default")
    parser.add_argument("--smaller", action="store_true", help="the smaller one of the two models, on llama.cpp")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--grammars", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        url = options.url or stack.enter_context(_server(options, stack)).address
        return asyncio.run(look(url, options))


def _server(options: argparse.Namespace, stack: ExitStack) -> Server:
    engine = options.engine or default_engine()
    if not options.layers and not options.smaller:
        return model.model(engine)
    if engine == "vllm":
        layers = json.dumps({"num_hidden_layers": options.layers})
        return model.vllm(more=["--load-format", "dummy", "--hf-overrides", layers])
    what = weights.SMALLER if options.smaller else weights.DEMO
    gguf = what.ensure()
    if options.layers:
        gguf = cut(gguf, Path(stack.enter_context(tempfile.TemporaryDirectory()), gguf.name), options.layers)
    return model.llamacpp(gguf=gguf)


if __name__ == "__main__":
    sys.exit(main())
