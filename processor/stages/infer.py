"""infer: messages → completion. Asks the pipeline's model, by its adapter if it has one."""

from __future__ import annotations

from dataclasses import replace

from processor.errors import Rejected
from processor.models.chat import ChatRequest, Completion, Model
from processor.models.question import Prompt


class Infer:
    """Asks one tier. `adapter` is the served name of the pipeline's adapter, None for the base model."""

    def __init__(self, model: Model, tier: str = "lite", adapter: str | None = None, max_tokens: int = 192) -> None:
        self._model = model
        self.tier = tier
        self.adapter = adapter
        self._max_tokens = max_tokens

    async def __call__(self, prompt: Prompt) -> Completion:
        """The completion; a prompt that the server finds too long is asked again with half of the excerpt.

        Raises as `ModelClient.complete`.
        """
        request = ChatRequest(prompt.messages, prompt.form, self.adapter, self._max_tokens)
        try:
            return await self._model.complete(request)
        except Rejected as error:
            if error.reason != "prompt_too_long" or prompt.smaller is None:
                raise
            shorter = prompt.smaller()
        return await self._model.complete(replace(request, messages=shorter))
