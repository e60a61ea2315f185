"""How the model servers of a tier are reached and used."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

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


class KubernetesService(Section):
    """A service of a Kubernetes cluster; its endpoints are read as the pod's own service account."""

    service: str = Field(description="Name of the service.", min_length=1)
    namespace: str | None = Field(None, description="Its namespace; by default the pod's own.")
    port: int | str | None = Field(None, description="The port, by number or name; by default the first.")
    scheme: Literal["http", "https"] = Field("http", description="How the servers are spoken to.")
    path: str = Field("/v1", description="What follows host and port in the base address.")
    api: Address | None = Field(None, description="Address of the API server; by default what the pod is told.")


class ModelSettings(Section):
    """The model servers of one tier."""

    urls: list[Address] = Field(
        default_factory=list,
        description="Base addresses of the replicas, each ending in /v1; or else dns or kubernetes.",
    )
    dns: Address | None = Field(
        None,
        description="Base address, ending in /v1, whose name has an address for each replica (a headless service).",
    )
    resolve_s: float = Field(10, gt=0, description="How often that name is looked up.")
    kubernetes: KubernetesService | None = Field(
        None, description="The Kubernetes service whose ready endpoints are the replicas."
    )
    router: bool | None = Field(
        None,
        description="Whether the one address is a router of others (vLLM production-stack, llm-d), which chooses the "
        "replica itself. By default found out by asking, as far as it can be.",
    )
    server: Literal["vllm", "llama.cpp", "ollama", "mlx", "other"] | None = Field(
        None,
        description="What the servers are, where a proxy hides it; by default found out by asking. What they "
        "can do is found out in any case.",
    )
    model: str = Field("base", description="Name under which the servers serve the base model.")
    base_model: str | None = Field(
        None,
        description="Which model that is, as adapters and calibrations name theirs; an adapter made for another is "
        "refused, and without it no calibration of a base model holds.",
    )
    adapters: AdapterSettings | None = Field(
        None,
        description="Has the daemon load adapters, as immutable versions; without it servers are started with them.",
    )
    adapters_optional: bool = Field(
        False,
        description="Whether the base model answers pipelines that name an adapter where the servers have no adapters; "
        "else that is an error at the start.",
    )
    api_key: SecretStr | None = Field(None, description="Bearer key, if the servers ask for one.")
    api_key_file: Path | None = Field(None, description="File that holds the key.")
    context_tokens: int = Field(8192, ge=256, description="Context length that the servers serve.")
    tokenizer: Path | None = Field(
        None,
        description="The model's tokenizer.json, to count tokens by (needs the extra faultstream[tokenizer]); "
        "without it they are estimated, safely for Qwen 2 to 3, Llama 3 and GPT-4.",
    )
    concurrency: int = Field(
        64, ge=1, description="Most requests in flight per replica; how many it is given depends on how it keeps up."
    )
    concurrency_min: int = Field(4, ge=1, description="Requests that a replica is given however slow it is.")
    load_bound: float = Field(
        1.25,
        ge=1,
        description="How many times its share of requests a replica may be given so that they find their prefix there.",
    )
    warm_replicas: int = Field(
        3,
        ge=0,
        description="On how many replicas each pipeline's system prompt is computed before events come: the first that "
        "its events would go to.",
    )
    probe_s: float = Field(
        5, gt=0, description="How often each replica is looked at: whether it is there, how long its queue is."
    )
    connect_timeout_s: float = Field(5, gt=0, description="Bound on connecting.")
    timeout_s: float = Field(120, gt=0, description="Bound on one whole request.")
    attempts: int = Field(3, ge=1, description="Tries of one request before the event goes back to wait.")
    retry_share: float = Field(
        0.1,
        ge=0,
        description="How many tries may be repeated, as a share of all requests; beyond it and what one replica holds, "
        "events go back to wait instead.",
    )
    hedge: float | None = Field(
        None,
        ge=0.001,
        le=0.1,
        description="Share of requests, the slowest for their size, for which a second replica is asked; the first "
        "answer wins. By default none. What the slower one had computed is lost, and paid for.",
    )
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
        None, ge=1, description="How many replicas are paid for; by default as many as there are in urls."
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

    @model_validator(mode="after")
    def _paid(self) -> Self:
        if self.usd_per_replica_hour is not None and self.paid_replicas is None and not self.urls:
            raise ValueError("paid_replicas is missing: how many replicas dns or kubernetes finds changes all the time")
        return self

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        given = [name for name in ("urls", "dns", "kubernetes") if getattr(self, name)]
        if len(given) != 1:
            told = " and ".join(given) or "none of them"
            raise ValueError(f"one of urls, dns and kubernetes says where the servers are; here it is {told}")
        if self.router and len(self.urls) != 1:
            raise ValueError("router: a router is one address in urls")
        if self.router and self.adapters is not None:
            raise ValueError(
                "router: what is loaded through it reaches one of its servers; load adapters by its own means, and "
                "leave adapters out"
            )
        return self
