"""What is asked of a model server and what comes back, apart from how it gets there.

Stages speak these types and the `Model` protocol; `client.ModelClient` is the one that speaks HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from processor.bound import Bound
from processor.contract import Usage
from processor.models.capabilities import Engine
from processor.models.form import Form


class Shown(NamedTuple):
    """How many lines of an excerpt of how many a prompt has, where the context has no room for all."""

    lines: int
    of: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One question to a model. `model` None is the tier's base model, else the served name of an adapter.

    `form` is what the answer must look like; the client turns it into what the server at hand enforces best.
    `alternatives` is how many next tokens come with each token's log-probability; 0 asks for none. `pipeline` is who
    asks; a form has its name.

    Where a pipeline asks several questions of one event, `step` tells them apart, `home` is what a replica is chosen
    by instead of the key, the same for all of them, and `near` is the replica that answered the event's last one: it
    answers this one too, unless it is gone. `bound` is the time that the event has for all of them.
    """

    messages: tuple[Message, ...]
    form: Form | None = None
    model: str | None = None
    max_tokens: int = 192
    temperature: float = 0.0
    seed: int = 0
    alternatives: int = 8
    pipeline: str = ""
    step: str = ""
    home: str = ""
    near: str = ""
    bound: Bound | None = field(default=None, compare=False)

    @property
    def asker(self) -> str:
        """The pipeline that asks."""
        return self.pipeline or (self.form.name if self.form is not None else "")

    @property
    def key(self) -> str:
        """What the beginning of its prompt and the cache of it depend on: pipeline, step and adapter."""
        return f"{self.asker}{'/' if self.step else ''}{self.step}\n{self.model or ''}"

    @property
    def place(self) -> str:
        """What its replica is chosen by."""
        return self.home or self.key


class Token(Protocol):
    """A token as it was written, its log-probability, and the likeliest tokens at its place with theirs."""

    @property
    def text(self) -> str:
        """What was written."""
        ...

    @property
    def logprob(self) -> float:
        """Natural logarithm of its probability."""
        ...

    @property
    def top(self) -> tuple[tuple[str, float], ...]:
        """The likeliest tokens at its place; the one that was taken may be among them."""
        ...


@dataclass(frozen=True, slots=True)
class PlainToken:
    """A token that no server has sent."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer. `masked` says that log-probabilities were taken after the grammar's mask (vLLM), not before.

    `adapter` is the served name of the adapter that was asked, None for the base model; `base` says that the base model
    answered in its place, since the server has no adapters and they are optional. `model` is what the server calls it,
    `base_model` which base model that is, as the settings say, None where they don't. `milliseconds` is the time of the
    request that succeeded; `waited_ms` what passed before it was sent. `first_token_ms` is the server's own time until
    it had the first token, None where it does not say. `shown` is the prompt's.
    """

    text: str
    finish_reason: str
    tokens: tuple[Token, ...] = ()
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    masked: bool = False
    replica: str = ""
    milliseconds: float = 0.0
    waited_ms: float = 0.0
    first_token_ms: float | None = None
    adapter: str | None = None
    engine: Engine = "other"
    shown: Shown | None = None
    base: bool = False
    base_model: str | None = None

    @property
    def cut_off(self) -> bool:
        """Whether the answer ended at max_tokens and not by itself."""
        return self.finish_reason == "length"


class Model(Protocol):
    """Something that answers: the HTTP client of a tier, or a stub."""

    async def complete(self, request: ChatRequest) -> Completion:
        """Answers `request`; raises Retryable, Rejected (prompt_too_long, request_refused) or Fatal."""
        ...
