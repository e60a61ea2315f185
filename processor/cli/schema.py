"""`faultstream schema`: the JSON Schema of a pipeline's findings, or the AsyncAPI document of all topics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from processor.cli import lint, options
from processor.errors import ConfigError


def command(
    pipeline: Annotated[Path | None, typer.Argument(help="A pipeline's name or folder.")] = None,
    home: options.Home = None,
    config: options.Config = None,
    finding: Annotated[bool, typer.Option("--finding", help="Of the whole finding, not of its result alone.")] = False,
    asyncapi: Annotated[
        bool, typer.Option("--asyncapi", help="The AsyncAPI 3 document of all topics and their records instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of what PIPELINE finds, or the document of all topics."""
    if asyncapi == (pipeline is not None):
        raise ConfigError("name either a pipeline or --asyncapi")
    schema = _schema(pipeline, home, config, finding) if pipeline else _document(home, config)
    print(orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode())


def _schema(pipeline: Path, home: options.Home, config: options.Config, finding: bool) -> dict[str, Any]:
    from processor.pipeline import Pipeline
    from processor.pipeline.finding_schema import finding_schema

    homes, _ = options.load(home, config)
    homes, folders = lint.chosen(homes, pipeline)
    made = Pipeline.load(folders[0], homes)
    return finding_schema(made) if finding else made.schema.json_schema()


def _document(home: options.Home, config: options.Config) -> dict[str, Any]:
    from processor import app
    from processor.asyncapi import document

    homes, settings = options.load(home, config)
    return document(settings, app.load(settings, homes))
