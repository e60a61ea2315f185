"""The daemon's settings: `config/faultstream.yaml` of the homes, over it the environment (FAULTSTREAM_…).

A nested key is written with two underscores in the environment: FAULTSTREAM_KAFKA__BOOTSTRAP. A secret may be
given as a file instead (`token_file`), as Kubernetes mounts it; the file is read at start.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from processor.errors import ConfigError
from processor.settings.costs import CostSettings
from processor.settings.databases import DatabaseSettings
from processor.settings.fetch import FetchSettings
from processor.settings.jira import JiraSettings as JiraSettings
from processor.settings.kafka import KafkaSettings
from processor.settings.models import ModelSettings as ModelSettings
from processor.settings.section import Section
from processor.settings.tickets import TicketSettings


class TopicSettings(Section):
    """Names of topics."""

    prefix: str = Field(
        "faultstream", pattern=r"^[a-zA-Z0-9._-]+$", description="Begins every topic, group and id of a deployment."
    )
    retention_h: float = Field(
        168,
        gt=0,
        description="Hours that topics of ours keep their records, at least, but for those that follow the source "
        "topics (dead letters, retries) and those that are compacted.",
    )


class Limits(Section):
    """Bounds on what one daemon holds."""

    in_flight: int = Field(256, ge=1, description="Most events being worked on at once.")
    in_flight_bytes: int = Field(256_000_000, ge=1, description="Most bytes of records being worked on at once.")
    assemble_bytes: int = Field(
        128_000_000,
        ge=1,
        description="Most bytes of logs that are being put together of lines (`source.assemble`). Beyond, the one that "
        "has been silent longest is closed, and its finding says so.",
    )
    questions: int = Field(
        64,
        ge=1,
        description="Most questions of one pipeline open at once; models.<tier>.concurrency bounds too.",
    )
    answers_bytes: int = Field(
        16_000_000,
        ge=0,
        description="Most bytes of models' answers that are remembered, so that questions that come again are not "
        "asked again (`model.reuse`); 0: none are.",
    )
    answers_s: float = Field(3600, gt=0, description="How long an answer is remembered, in seconds.")
    shadows: int = Field(4, ge=1, description="Most answers asked for a second time, for comparison, at once.")
    record_bytes: int = Field(
        50_000_000, ge=1, description="Largest record that is written; dead letters hold whole events."
    )
    drain_s: float = Field(20, gt=0, description="How long a stop waits for what is in flight.")


class HttpSettings(Section):
    """The port with /metrics, /healthz and /readyz."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(9464, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")


class LogSettings(Section):
    """The daemon's own log."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is written.")
    format: Literal["json", "console"] = Field("json", description="JSON lines, or text for a terminal.")


class Environment(EnvSettingsSource):
    """The environment: lists as JSON or separated by commas, all else that is no text as JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """The value of a variable; what is neither a list nor JSON stays text, which is an error of that key."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            listed = not value.lstrip().startswith(("[", "{"))
            return [part.strip() for part in value.split(",") if part.strip()] if listed else value


class Settings(BaseSettings):
    """All settings of a daemon."""

    model_config = SettingsConfigDict(
        env_prefix="FAULTSTREAM_",
        env_nested_delimiter="__",
        env_ignore_empty=True,  # a compose file can't leave a variable out
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    kafka: KafkaSettings = Field(default_factory=KafkaSettings, description="The Kafka cluster.")
    topics: TopicSettings = Field(default_factory=TopicSettings, description="Names of topics.")
    delivery: Literal["auto", "exactly_once", "at_least_once"] = Field(
        "auto",
        description="What is promised on Kafka. exactly_once: findings and offsets in one transaction, for readers of "
        "committed records; at_least_once: a crash repeats findings, with the ids that they had; auto: exactly_once "
        "where the brokers have transactions.",
    )
    pipelines: list[str] | None = Field(None, description="Pipelines to run, by name; by default all that are found.")
    limits: Limits = Field(default_factory=Limits, description="Bounds on what one daemon holds.")
    models: dict[str, ModelSettings] = Field(
        default_factory=lambda: {"lite": ModelSettings(urls=["http://127.0.0.1:8000/v1"])},
        description="Model servers by tier: lite, and pro where there is one.",
    )
    databases: dict[str, DatabaseSettings] = Field(
        default_factory=dict, description="Databases that the chains of pipelines query, by name; they are only read."
    )
    costs: CostSettings = Field(default_factory=CostSettings, description="What is made of the models' prices.")
    jira: JiraSettings | None = Field(None, description="Jira; without it findings are emitted and no ticket is filed.")
    tickets: TicketSettings = Field(default_factory=TicketSettings, description="The ticket role, apart from Jira.")
    fetch: FetchSettings = Field(default_factory=FetchSettings, description="Which references to logs are followed.")
    http: HttpSettings = Field(default_factory=HttpSettings, description="Metrics and health.")
    log: LogSettings = Field(default_factory=LogSettings, description="The daemon's own log.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, which comes in as the arguments."""
        return Environment(settings_cls), init_settings

    @model_validator(mode="after")
    def _lite(self) -> Self:
        if "lite" not in self.models:
            raise ValueError("models: the tier `lite` is missing; add models.lite.urls")
        return self

    @property
    def group(self) -> str:
        """Consumer group of the line."""
        return self.kafka.group or f"{self.topics.prefix}.line"


def load(file: Path | None = None) -> Settings:
    """Reads the settings from `file` (YAML), if given; the environment wins over it.

    Raises ConfigError that names the file, the key and what is wrong with it, all faults at once.
    """
    values = _read(file) if file else {}
    try:
        return Settings(**values)
    except ValidationError as error:
        lines = [_told(file, fault["type"], fault["loc"], fault["msg"]) for fault in error.errors(include_input=False)]
        raise ConfigError("\n".join(lines)) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        raise ConfigError(f"{place}: no YAML: {getattr(error, 'problem', None) or error}") from error
    if not isinstance(values or {}, dict):
        raise ConfigError(f"{file}: a mapping of settings is expected")
    return values or {}


def _told(file: Path | None, kind: str, location: tuple[int | str, ...], message: str) -> str:
    key = ".".join(str(part) for part in location)
    variable = "FAULTSTREAM_" + "__".join(str(part) for part in location).upper()
    origin = f"${variable}" if variable in os.environ else str(file or "settings")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _names(location[:-1]), n=1)
        message = "unknown setting" + (f"; did you mean {near[0]}?" if near else "")
    return f"{origin}: {key}: {message.removeprefix('Value error, ')}" if key else f"{origin}: {message}"


def _names(location: tuple[int | str, ...]) -> list[str]:
    """The valid keys of the section at `location`."""
    model: Any = Settings
    for part in location:
        info = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        if info is None:  # a name under models or databases
            model = DatabaseSettings if location[0] == "databases" else ModelSettings
            continue
        inner = [a for a in get_args(info.annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = inner[0] if inner else info.annotation
    return list(getattr(model, "model_fields", {}))
