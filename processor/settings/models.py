"""How the model servers of a tier are reached and used."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from processor.settings.section import Address, Section, from_file


class AdapterSettings(Section):
    """How a tier's LoRA adapters come to its servers."""

    store: Path = Field(description="Folder of adapters' versions, shared by all daemons and read by the servers.")
    server_path: str | None = Field(
        None, description="Where the servers see that folder; by default under the same path."
    )
    max_rank: int | None = Field(
        None,
        ge=1,
        description="Largest rank that the servers take (vLLM: --max-lora-rank); checked before they are asked.",
    )
    max_bytes: int = Field(1_000_000_000, ge=1, description="Largest file of weights that is taken.")
    watch_s: float = Field(
        1.0, ge=0, description="How often folders of adapters are looked at for a new version; 0: only at start."
    )
    grace_s: float = Field(300, ge=0, description="How long a version stays on the servers without traffic.")


class ModelSettings(Section):
    """The model servers of one tier."""

    urls: list[Address] = Field(description="Base addresses of the replicas, each ending in /v1.", min_length=1)
    model: str = Field("base", description="Name under which the servers serve the base model.")
    base_model: str | None = Field(
        None, description="Which model that is, as adapters name theirs; an adapter made for another is refused."
    )
    adapters: AdapterSettings | None = Field(
        None,
        description="Has the daemon load adapters, as immutable versions; without it servers are started with them.",
    )
    api_key: SecretStr | None = Field(None, description="Bearer key, if the servers ask for one.")
    api_key_file: Path | None = Field(None, description="File that holds the key.")
    context_tokens: int = Field(8192, ge=256, description="Context length that the servers serve.")
    tokenizer: Path | None = Field(
        None,
        description="The model's tokenizer.json, to count tokens by (needs the extra faultstream[tokenizer]); "
        "without it they are estimated, safely for Qwen 2 to 3, Llama 3 and GPT-4.",
    )
    concurrency: int = Field(16, ge=1, description="Most requests in flight per replica.")
    connect_timeout_s: float = Field(5, gt=0, description="Bound on connecting.")
    timeout_s: float = Field(120, gt=0, description="Bound on one whole request.")
    attempts: int = Field(3, ge=1, description="Tries of one request before the event goes back to wait.")
    give_up_after: int = Field(
        5,
        ge=1,
        description="So many times in a row an event may go back to wait while the server, asked right after, answers "
        "another one of the same pipeline; then it is a dead letter (`model_failed`). While the server fails on "
        "others too, nothing is counted.",
    )
    usd_per_million_prompt: float | None = Field(None, ge=0, description="Price of a million prompt tokens.")
    usd_per_million_cached: float | None = Field(None, ge=0, description="Price of a million cached prompt tokens.")
    usd_per_million_completion: float | None = Field(None, ge=0, description="Price of a million written tokens.")
    usd_per_replica_hour: float | None = Field(
        None,
        ge=0,
        description="Price of a replica for an hour, instead of prices of tokens; it is shared out by tokens, hour "
        "by hour.",
    )
    paid_replicas: int | None = Field(
        None, ge=1, description="How many replicas are paid for; by default as many as there are addresses."
    )

    @model_validator(mode="before")
    @classmethod
    def _secret(cls, values: Any) -> Any:
        return from_file(values, "api_key")

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if self.usd_per_replica_hour is not None and self.usd_per_million_prompt is not None:
            raise ValueError("a tier is paid by usd_per_replica_hour or by usd_per_million_prompt, not by both")
        if self.usd_per_million_prompt is None and (self.usd_per_million_cached or self.usd_per_million_completion):
            raise ValueError("usd_per_million_prompt is missing; the other two prices count beside it")
        return self
