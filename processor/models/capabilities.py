"""What a model server can do, as its probe found it, and how that is told to people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Engine = Literal["vllm", "llama.cpp", "ollama", "mlx", "other"]

Guidance = Literal["json_schema", "grammar", "json_object", "none"]
"""How an answer is kept to a form: by JSON Schema, by a GBNF grammar, to JSON of any shape, or not at all."""

AdapterKind = Literal["named", "files", "none"]
"""How a request chooses an adapter: by the model's name, or among the files that the server was started with."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server can do. `models` are the names it lists.

    alternatives: how many likeliest tokens come with each token at most, 0 where there are no log-probabilities that
    spell the answer. masked: those are taken after the grammar's mask, so that they are among what is allowed. files:
    ids of adapters by name, where they are files. context_tokens: of prompt and answer, None where it is not told;
    cuts: a prompt beyond it is cut without a word. tokenizer: there is a route that counts tokens.
    """

    engine: Engine = "other"
    models: tuple[str, ...] = ()
    guidance: Guidance = "none"
    alternatives: int = 0
    masked: bool = False
    adapters: AdapterKind = "none"
    files: Mapping[str, int] = field(default_factory=dict)
    cached_tokens: bool = False
    context_tokens: int | None = None
    cuts: bool = False
    tokenizer: bool = False

    @property
    def schema(self) -> bool:
        """Whether an answer can't but be of the form that is asked for."""
        return self.guidance in ("json_schema", "grammar")

    @property
    def logprobs(self) -> bool:
        """Whether there are log-probabilities."""
        return self.alternatives > 0

    @property
    def chooses(self) -> bool:
        """Whether a request can choose an adapter."""
        return self.adapters != "none"

    def told(self) -> dict[str, str]:
        """Each of them in words."""
        logprobs = {True: "after the mask", False: "before the mask"}[self.masked] if self.logprobs else "no"
        adapters = {
            "named": "by model name",
            "files": f"{len(self.files)} files: {', '.join(sorted(self.files))}",
            "none": "no",
        }[self.adapters]
        return {
            "engine": self.engine,
            "guidance": {"json_schema": "JSON Schema", "grammar": "GBNF", "json_object": "JSON alone"}.get(
                self.guidance, "no"
            ),
            "logprobs": logprobs,
            "adapters": adapters,
            "cached_tokens": "counted" if self.cached_tokens else "not told",
            "context": f"{self.context_tokens} tokens" if self.context_tokens else "not told",
            "tokenizer": "yes" if self.tokenizer else "no",
        }


FEATURES: Final = {
    "chooses": "adapters that a request can choose",
    "cached_tokens": "counts of cached prompt tokens (vLLM: --enable-prompt-tokens-details)",
}
"""Features in words, with what to do for them."""
