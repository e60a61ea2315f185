"""An adapter's folder as it lies in a home: manifest, adapter_config.json and weights, checked against each other.

What a file says is told at its place, with the remedy. Servers check again when they load; what they would refuse
is refused here already, where a person sees it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from processor.lang import yaml
from processor.lang.problem import Problem, line_and_column
from processor.models.adapters import manifest as manifests
from processor.models.adapters.manifest import Manifest
from processor.models.adapters.weights import FILE as WEIGHTS
from processor.models.adapters.weights import BadWeightsError, Lora, read_header
from processor.settings import ModelSettings

CONFIG: Final = "adapter_config.json"
SERVED: Final = (CONFIG, WEIGHTS)
"""What the server reads, and what a version is the digest of."""

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MOST_CONFIG: Final = 1_000_000
_CHUNK: Final = 1 << 20

_UNSUPPORTED: Final[Mapping[str, str]] = {
    "use_dora": "DoRA",
    "lora_bias": "LoRA with a bias",
    "modules_to_save": "whole modules beside LoRA (modules_to_save)",
    "alora_invocation_tokens": "activated LoRA",
    "layer_replication": "replicated layers",
    "use_bdlora": "block-diagonal LoRA",
    "use_qalora": "QALoRA",
}
"""Keys of PEFT's configuration that change what an adapter means, and that vLLM refuses."""

_PLAIN_STARTS: Final = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})
"""Ways to initialise weights that leave the base model as it is."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a tier's servers take. `base_model` may end in `@revision`; None says nothing. Sizes in bytes."""

    tier: str = "lite"
    base_model: str | None = None
    max_rank: int | None = None
    max_bytes: int = 1_000_000_000

    @classmethod
    def of(cls, settings: ModelSettings, tier: str) -> Expected:
        """What the servers of a tier take, as its settings say."""
        if settings.adapters is None:
            return cls(tier, settings.base_model)
        return cls(tier, settings.base_model, settings.adapters.max_rank, settings.adapters.max_bytes)


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's folder without problems: its rank and the modules that it changes."""

    name: str
    folder: Path
    manifest: Manifest
    rank: int
    modules: tuple[str, ...]


@dataclass(slots=True)
class _Look:
    """A folder that is looked at, and what was found wrong."""

    folder: Path
    expected: Expected
    problems: list[Problem] = field(default_factory=list)

    def say(self, file: str, message: str, hint: str = "", text: str = "", key: str = "") -> None:
        """Notes a problem of a file, at the key of its text where there is one."""
        found = re.search(rf'"{re.escape(key)}"\s*:', text) if key else None
        line, column = line_and_column(text, found.start()) if found else (1, 1)
        self.problems.append(Problem(self.folder / file, line, column, message, hint))


def inspect(
    folder: Path, expected: Expected, *, verify: bool = True, whole: bool = True
) -> tuple[Adapter | None, list[Problem]]:
    """The adapter in `folder`, or all that is wrong with it.

    `verify` reads the weights to hold them against the manifest's digest; else their header alone is read. Unless
    `whole`, a manifest without the rest will do (and is no Adapter): the versions come from elsewhere.
    """
    look = _Look(folder, expected)
    manifest, document, look.problems = manifests.read(folder)
    if manifest is not None:
        _base(look, manifest, document)
    if manifest is None or not any((folder / name).exists() for name in SERVED):
        if whole and not look.problems:
            hint = "put the weights there, or publish a version from where they are"
            look.say(WEIGHTS, f"no {CONFIG} and no {WEIGHTS} in the adapter's folder", hint)
        return None, look.problems
    config, text = _config(look)
    pairs = _weights(look)
    if config and pairs:
        _together(look, config, text, pairs)
        _promised(look, manifest, document, config, pairs)
    if manifest.digest is not None and verify and not look.problems:
        _digest(look, manifest.digest, document)
    if look.problems:
        return None, look.problems
    names = sorted({pair.module.rpartition(".")[2] for pair in pairs})
    return Adapter(folder.name, folder, manifest, max(pair.rank for pair in pairs), tuple(names)), []


def digest(folder: Path) -> str:
    """Sixty-four hexadecimal digits (SHA-256) over the names, lengths and bytes of what the server reads."""
    total = hashlib.sha256()
    for name in SERVED:
        file = folder / name
        total.update(f"{name}\n{file.stat().st_size}\n".encode())
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                total.update(chunk)
    return total.hexdigest()


def _base(look: _Look, manifest: Manifest, document: yaml.Document) -> None:
    """The base model that the adapter was made for is the one that the tier serves."""
    served, _, revision = (look.expected.base_model or "").partition("@")
    setting = f"models.{look.expected.tier}.base_model"
    if served and served != manifest.base_model:
        message = f"the adapter was made for {manifest.base_model}, {setting} is {served}"
        look.problems.append(document.problem(("base_model",), message, "train it anew on that model, or correct one"))
    elif revision and manifest.revision and revision != manifest.revision:
        message = f"the adapter was made for revision {manifest.revision}, {setting} names {revision}"
        look.problems.append(document.problem(("revision",), message))


def _config(look: _Look) -> tuple[dict[str, Any], str]:
    """PEFT's configuration and its text; empty where it can't be read."""
    file = look.folder / CONFIG
    try:
        if file.stat().st_size > _MOST_CONFIG:
            look.say(CONFIG, f"over {_MOST_CONFIG:,} bytes: no configuration of PEFT")
            return {}, ""
        text = file.read_text(encoding="utf-8")
        config = json.loads(text)
    except json.JSONDecodeError as error:
        look.problems.append(Problem(file, error.lineno, error.colno, f"no JSON: {error.msg}"))
        return {}, ""
    except (UnicodeDecodeError, RecursionError):
        look.say(CONFIG, "no configuration of PEFT: no text in UTF-8, or nested without end")
        return {}, ""
    except OSError as error:
        look.say(CONFIG, f"can't be read: {error.strerror}", "PEFT's save_pretrained writes it")
        return {}, ""
    if not isinstance(config, dict):
        look.say(CONFIG, "must be an object, as PEFT's save_pretrained writes it")
        return {}, ""
    before = len(look.problems)
    _supported(look, config, text)
    return (config, text) if len(look.problems) == before else ({}, text)


def _supported(look: _Look, config: Mapping[str, Any], text: str) -> None:
    """The configuration is that of a LoRA that vLLM serves."""

    def say(key: str, message: str, hint: str = "") -> None:
        look.say(CONFIG, message, hint, text, key)

    if config.get("peft_type", "LORA") != "LORA":
        say("peft_type", f"peft_type is {config['peft_type']!r}; only LORA is served")
    rank, alpha, targets = config.get("r"), config.get("lora_alpha"), config.get("target_modules")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        say("r", f"r must be the rank, a whole number of at least 1, not {rank!r}")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool):
        say("lora_alpha", f"lora_alpha must be a number, not {alpha!r}")
    if not isinstance(targets, str) and not (isinstance(targets, list) and all(isinstance(x, str) for x in targets)):
        say("target_modules", "target_modules must be a list of names or a regular expression")
    patterns = config.get("rank_pattern") or {}
    if not isinstance(patterns, dict) or any(not isinstance(x, int) or x < 1 for x in patterns.values()):
        say("rank_pattern", "rank_pattern must give a rank of at least 1 for each pattern")
    for key, what in _UNSUPPORTED.items():
        if config.get(key):
            say(key, f"vLLM does not serve {what}", "train it as plain LoRA")
    if config.get("bias", "none") != "none":
        say("bias", f"bias is {config['bias']!r}; vLLM serves adapters without", "train it with bias none")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower() not in _PLAIN_STARTS:
        hint = "convert it with PEFT's path_initial_model_for_weight_conversion"
        say("init_lora_weights", f"init_lora_weights {start!r} changes the base model's weights, too", hint)


def _weights(look: _Look) -> list[Lora]:
    file = look.folder / WEIGHTS
    try:
        return read_header(file, look.expected.max_bytes)
    except BadWeightsError as error:
        over = "over the limit" in str(error)
        hint = f"models.{look.expected.tier}.adapters.max_bytes is the limit" if over else "copy the file again"
        look.say(WEIGHTS, str(error), "" if "git lfs" in str(error) else hint)
    except OSError as error:
        pickled = [name for name in ("adapter_model.bin", "adapter_model.pt") if (look.folder / name).exists()]
        hint = f"save {pickled[0]} as safetensors: a pickle can run code" if pickled else ""
        look.say(WEIGHTS, f"can't be read: {error.strerror}", hint)
    return []


def _together(look: _Look, config: Mapping[str, Any], text: str, pairs: Sequence[Lora]) -> None:
    """Configuration and weights fit each other and the servers."""
    ranks: Mapping[str, int] = config.get("rank_pattern") or {}
    wrong = [pair for pair in pairs if pair.rank != _rank(pair.module, config["r"], ranks)]
    if wrong:
        one = wrong[0]
        message = f"r is {_rank(one.module, config['r'], ranks)}, but {WEIGHTS} has rank {one.rank} at {one.module}"
        look.say(CONFIG, message + _more(wrong), "both files must be of one training", text, "r")
    strange = [pair for pair in pairs if not _targeted(pair.module, config["target_modules"])]
    if strange:
        message = f"{WEIGHTS} changes {strange[0].module}, which target_modules does not name"
        look.say(CONFIG, message + _more(strange), "both files must be of one training", text, "target_modules")
    most = look.expected.max_rank
    largest = max(pairs, key=lambda pair: pair.rank)
    if most is not None and largest.rank > most:
        setting = f"models.{look.expected.tier}.adapters.max_rank"
        message = f"rank {largest.rank} is over the servers' {most} ({setting})"
        look.say(CONFIG, message, "start vLLM with a larger --max-lora-rank and set it here", text, "r")


def _promised(
    look: _Look, manifest: Manifest, document: yaml.Document, config: Mapping[str, Any], pairs: Sequence[Lora]
) -> None:
    """What the manifest says of the files is so."""
    for path, message in _broken(manifest, config, pairs):
        look.problems.append(document.problem((path,), message, "both must speak of one adapter"))


def _digest(look: _Look, promised: str, document: yaml.Document) -> None:
    found = f"sha256:{digest(look.folder)}"
    if promised != found:
        message = f"digest: the files' is {found}"
        hint = "copy the files again, or write the manifest anew: faultstream adapters manifest"
        look.problems.append(document.problem(("digest",), message, hint))


def _broken(manifest: Manifest, config: Mapping[str, Any], pairs: Sequence[Lora]) -> Iterator[tuple[str, str]]:
    named = config.get("base_model_name_or_path")
    if isinstance(named, str) and not _same_model(named, manifest.base_model):
        yield "base_model", f"base_model is {manifest.base_model}, {CONFIG} says {named}"
    revision = config.get("revision")
    if manifest.revision and isinstance(revision, str) and revision not in ("main", manifest.revision):
        yield "revision", f"revision is {manifest.revision}, {CONFIG} says {revision}"
    rank = max(pair.rank for pair in pairs)
    if manifest.rank is not None and manifest.rank != rank:
        yield "rank", f"rank is {manifest.rank}, that of the weights {rank}"
    if manifest.target_modules is not None:
        strange = [pair.module for pair in pairs if not _targeted(pair.module, manifest.target_modules)]
        unused = [one for one in manifest.target_modules if not any(_targeted(pair.module, [one]) for pair in pairs)]
        if strange or unused:
            names = ", ".join(sorted({pair.module.rpartition(".")[2] for pair in pairs}))
            yield "target_modules", f"target_modules differ from what the weights change: {names}"


def _same_model(named: str, model: str) -> bool:
    """Whether PEFT's name of the base model can mean `model`; a path on the trainer's disk can mean any."""
    if not named or named.startswith(("/", ".", "~")) or "\\" in named:
        return True
    return named == model or ("/" not in named and named == model.rpartition("/")[2])


def _rank(module: str, rank: int, patterns: Mapping[str, int]) -> int:
    """The rank that PEFT gives a module: the first pattern that fits the end of its name, else the common one."""
    return next((each for key, each in patterns.items() if _ends(key, module)), rank)


def _ends(pattern: str, module: str) -> bool:
    try:
        return re.fullmatch(rf"(.*\.)?({pattern})", module) is not None
    except re.error:
        return module == pattern


def _targeted(module: str, targets: str | Sequence[str]) -> bool:
    """Whether PEFT's target_modules mean a module: its name or the end of it, or a regular expression for all of it."""
    if isinstance(targets, str):
        return targets == "all-linear" or _ends(targets, module)
    return any(module == each or module.endswith(f".{each}") for each in targets)


def _more(found: Sequence[object]) -> str:
    return f" and {len(found) - 1} more" if len(found) > 1 else ""
