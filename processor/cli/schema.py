"""`faultstream schema PIPELINE`: the JSON Schema of its findings' result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from processor.cli import lint, options


def command(
    pipeline: Annotated[Path, typer.Argument(help="A pipeline's name or folder.")],
    home: options.Home = None,
    config: options.Config = None,
    finding: Annotated[bool, typer.Option("--finding", help="Of the whole finding, not of its result alone.")] = False,
) -> None:
    """Print the JSON Schema of what PIPELINE finds."""
    from processor.pipeline import Pipeline
    from processor.pipeline.finding_schema import finding_schema

    homes, _ = options.load(home, config)
    homes, folders = lint.chosen(homes, pipeline)
    made = Pipeline.load(folders[0], homes)
    schema = finding_schema(made) if finding else made.schema.json_schema()
    print(orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode())
