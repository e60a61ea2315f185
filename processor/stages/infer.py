"""infer: messages → completion. Asks the pipeline's model, by its adapter if it has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

from processor.errors import Rejected
from processor.models.chat import ChatRequest, Completion, Model
from processor.models.question import Prompt

Served = Callable[[str, str], str]
"""The served name of an adapter for an event's id. Raises Retryable (not shared) where no version can be served."""


def as_named(adapter: str, event: str) -> str:  # noqa: ARG001  the signature is Served's
    """The adapter's own name: it is the servers' business to have it."""
    return adapter


@runtime_checkable
class Restarting(Protocol):
    """A model whose servers may restart, and may then be another model by the same name."""

    @property
    def restarts(self) -> int:
        """How many have come or restarted so far."""
        ...


class Infer:
    """Asks one tier. `adapter` is the pipeline's adapter, None for the base model; `served` says which version.

    `step` names the question where the pipeline `home` asks several of one event, which one replica answers.
    """

    def __init__(
        self,
        model: Model,
        tier: str = "lite",
        adapter: str | None = None,
        max_tokens: int = 192,
        served: Served = as_named,
        *,
        step: str = "",
        home: str = "",
    ) -> None:
        self._model = model
        self.tier = tier
        self.adapter = adapter
        self._max_tokens = max_tokens
        self._served = served
        self.step, self.home = step, home

    def who(self, prompt: Prompt) -> tuple[tuple[str, ...], str | None]:
        """Who would answer now, and how, all that an answer depends on beside the question; and the adapter.

        Raises as `Served`.
        """
        adapter = self._served(self.adapter, prompt.event) if self.adapter else None
        restarts = self._model.restarts if isinstance(self._model, Restarting) else 0
        return (self.tier, adapter or "", self.step, str(self._max_tokens), str(restarts)), adapter

    async def __call__(self, prompt: Prompt) -> Completion:
        """The completion; a prompt that the server finds too long is asked again with half of the excerpt, and so on.

        Raises as `ModelClient.complete` and `Served`.
        """
        adapter = self._served(self.adapter, prompt.event) if self.adapter else None
        while True:
            request = ChatRequest(
                prompt.messages,
                prompt.form,
                adapter,
                self._max_tokens,
                step=self.step,
                home=self.home,
                near=prompt.replica,
                bound=prompt.bound,
            )
            try:
                completion = await self._model.complete(request)
            except Rejected as error:
                smaller = prompt.smaller() if error.reason == "prompt_too_long" and prompt.smaller is not None else None
                if smaller is None:
                    raise
                prompt = smaller
            else:
                return replace(completion, adapter=None if completion.base else adapter, shown=prompt.shown)
