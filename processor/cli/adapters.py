"""`faultstream adapters …`: which versions there are, which are served, and how that is changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from processor.cli import options
from processor.errors import ConfigError
from processor.home import Homes
from processor.models.adapters import Expected, Pointer, Store, served_name
from processor.models.adapters.convert import convert as convert_to_gguf
from processor.models.adapters.folder import digest
from processor.models.adapters.manifest import FILE as MANIFEST
from processor.models.adapters.publish import KEPT, KEPT_S, checked
from processor.models.adapters.store import DIGITS
from processor.models.adapters.weights import FILE as WEIGHTS
from processor.models.adapters.weights import BadWeightsError, read_header
from processor.settings import Settings

group = typer.Typer(
    name="adapters",
    help="Publish, try, promote and roll back versions of LoRA adapters.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The adapter: its folder's name under adapters/.")]
Tier = Annotated[
    str | None, typer.Option(help="Tier of model servers; needed where several load adapters (models.<tier>.adapters).")
]


@group.command("list")
def list_(
    json: options.Json = False,
    text: options.PlainText = False,
    tier: Tier = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Show each adapter of the store: what is served, what is tried on how much of the traffic, what is kept."""
    _, store, _ = _open(home, config, tier)
    pointers = [store.pointer(name) for name in store.names()]
    if options.machine_readable(json, text):
        options.print_json([_as_json(each, store) for each in pointers])
        return
    table = Table(box=None, pad_edge=False)
    for title in ("adapter", "served", "tried", "before", "kept", "last change"):
        table.add_column(title)
    for each in pointers:
        tried = f"{each.candidate} ({each.share:.0%})" if each.candidate else ""
        last = each.history[-1] if each.history else None
        told = f"{last.action} {last.version}" if last else ""
        kept = str(len(store.versions(each.name)))
        table.add_row(each.name, Text(each.version or "", style="bold"), tried, each.before or "", kept, told)
    Console(highlight=False).print(table)


@group.command()
def publish(
    name: Name,
    share: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Only try it: on this share of the events (0 to 1).")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="The folder to publish; by default adapters/NAME of the homes.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="A version that the store has already, instead of a folder.")
    ] = None,
    tier: Tier = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Check a folder, keep it as a version, and have all traffic move there (or a share of it, with --share)."""
    if source is not None and version is not None:
        raise ConfigError("--from and --version exclude each other")
    homes, store, expected = _open(home, config, tier)
    if version is None:
        version = store.add(checked(homes, name, expected, source))
    _tell(store.publish(name, version, share))
    store.prune(name, KEPT, KEPT_S)


@group.command()
def promote(name: Name, tier: Tier = None, home: options.Home = None, config: options.Config = None) -> None:
    """Have the candidate get all traffic."""
    _tell(_open(home, config, tier)[1].promote(name))


@group.command()
def rollback(
    name: Name,
    to: Annotated[str | None, typer.Option(help="The version to go back to; by default the one before.")] = None,
    tier: Tier = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Take a candidate back; where there is none, go back to the version that was served before."""
    _tell(_open(home, config, tier)[1].rollback(name, to))


@group.command()
def convert(
    name: Name,
    base: Annotated[Path, typer.Option(help="The base model's GGUF file, as llama.cpp serves it.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="The folder to convert; by default adapters/NAME of the homes.")
    ] = None,
    to: Annotated[Path, typer.Option(help="The folder to write to.")] = Path(),
    tier: Tier = None,
    home: options.Home = None,
    config: options.Config = None,
) -> None:
    """Make an adapter's GGUF file for llama.cpp (--lora). Its name is what requests choose it by: don't change it."""
    homes, settings = options.load(home, config)
    chosen = tier or _only(settings)
    if chosen not in settings.models:
        raise ConfigError(f"--tier: no tier {chosen} in the settings; there are {', '.join(settings.models)}")
    adapter = checked(homes, name, Expected.of(settings.models[chosen], chosen), source)
    versions = settings.models[chosen].adapters is not None
    target = to / f"{served_name(name, digest(adapter.folder)[:DIGITS]) if versions else name}.gguf"
    try:
        count = convert_to_gguf(adapter.folder, base, target)
    except OSError as error:
        raise ConfigError(f"{error.filename or target}: {error.strerror}") from error
    print(f"{target}: {count} matrices; start llama-server with --lora {target} --lora-init-without-apply")


@group.command()
def manifest(
    folder: Annotated[Path, typer.Argument(help="An adapter's folder, as PEFT's save_pretrained wrote it.")],
    base_model: Annotated[str, typer.Option(help="The model that it was made for, as models.<tier>.base_model says.")],
    revision: Annotated[str | None, typer.Option(help="That model's revision.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write manifest.yaml, keeping what else it says.")] = False,
) -> None:
    """Make an adapter's manifest out of its files, with rank, modules and digest; print it, or write it."""
    file = folder / MANIFEST
    try:
        known = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
        pairs = read_header(folder / WEIGHTS, sys.maxsize)
        found = digest(folder)
    except (BadWeightsError, yaml.YAMLError) as error:
        raise ConfigError(f"{folder}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{error.filename}: can't be read: {error.strerror}") from error
    if not isinstance(known, dict):
        raise ConfigError(f"{file}: a mapping is expected")
    told = {
        "base_model": base_model,
        "revision": revision,
        "rank": max(pair.rank for pair in pairs),
        "target_modules": sorted({pair.module.rpartition(".")[2] for pair in pairs}),
        "digest": f"sha256:{found}",
    }
    text = yaml.safe_dump({key: each for key, each in {**known, **told}.items() if each is not None}, sort_keys=False)
    if write:
        file.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


def _open(home: list[Path] | None, config: Path | None, tier: str | None) -> tuple[Homes, Store, Expected]:
    """The homes, the store of the tier and what its servers take. Raises ConfigError."""
    homes, settings = options.load(home, config)
    name = tier or _only(settings)
    if name not in settings.models:
        raise ConfigError(f"--tier: no tier {name} in the settings; there are {', '.join(settings.models)}")
    adapters = settings.models[name].adapters
    if adapters is None:
        raise ConfigError(
            f"models.{name}.adapters.store is not set: it names the folder that keeps the versions of adapters, which "
            "daemons and model servers share"
        )
    return homes, Store(adapters.store), Expected.of(settings.models[name], name)


def _only(settings: Settings) -> str:
    having = [tier for tier, each in settings.models.items() if each.adapters is not None]
    if len(having) > 1:
        raise ConfigError(f"--tier: {', '.join(having)} load adapters; name one")
    return having[0] if having else "lite"


def _tell(pointer: Pointer) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{served_name(pointer.name, pointer.version or '')} is served")
    if pointer.candidate:
        console.print(f"{served_name(pointer.name, pointer.candidate)} is tried on {pointer.share:.1%} of the events")


def _as_json(pointer: Pointer, store: Store) -> dict[str, object]:
    return {
        "name": pointer.name,
        "version": pointer.version,
        "candidate": pointer.candidate,
        "share": pointer.share,
        "before": pointer.before,
        "kept": store.versions(pointer.name),
        "history": pointer.history,
    }
