"""infer: how the model is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from processor.errors import Rejected
from processor.models.chat import ChatRequest, Completion, Message, Shown
from processor.models.form import Slot, compile_form
from processor.models.question import Prompt
from processor.stages.infer import Infer
from processor.testing.model import StubModel, first_answer

FORM = compile_form("t", (Slot("category", "choice", ("k1", "k2")), Slot("summary", "text", length=8)))
PROMPT = Prompt((Message("system", "S"), Message("user", "long")), FORM, {})


class Narrow:
    """A model that takes short messages only."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def complete(self, request: ChatRequest) -> Completion:
        self.asked.append(request.messages[-1].content)
        if request.messages[-1].content == "long":
            raise Rejected("prompt_too_long")
        return Completion("{}", "stop")


async def test_the_adapter_and_the_limit_go_with_the_request() -> None:
    """What the pipeline says is what is asked."""
    model = StubModel()
    completion = await Infer(model, "lite", "ci@1", 99)(PROMPT)
    assert completion.text == first_answer(FORM) == '{"category":"k1","summary":"the buil"}'
    assert model.last == ChatRequest(PROMPT.messages, FORM, "ci@1", 99)


async def test_too_long_is_asked_again_with_less() -> None:
    """The excerpt shrinks, the system part stays."""
    model = Narrow()
    short = replace(PROMPT, messages=(Message("system", "S"), Message("user", "short")), shown=Shown(3, 9))
    half = replace(PROMPT, smaller=lambda: short, shown=Shown(5, 9))
    completion = await Infer(model)(replace(PROMPT, smaller=lambda: half))
    assert (completion.text, completion.shown) == ("{}", Shown(3, 9))
    assert model.asked == ["long", "long", "short"]


async def test_too_long_with_nothing_to_leave_out_is_rejected() -> None:
    """A prompt that can't shrink, or not any further, is the event's end."""
    for prompt in (PROMPT, replace(PROMPT, smaller=lambda: None), replace(PROMPT, smaller=lambda: PROMPT)):
        with pytest.raises(Rejected) as caught:
            await Infer(Narrow())(prompt)
        assert caught.value.reason == "prompt_too_long"


async def test_nothing_else_is_asked_again_with_less() -> None:
    """A schema that is refused is refused for a short prompt as well."""

    class Refusing:
        async def complete(self, request: ChatRequest) -> Completion:
            raise Rejected("schema_refused")

    with pytest.raises(Rejected) as caught:
        await Infer(Refusing())(replace(PROMPT, smaller=lambda: pytest.fail("it was made smaller")))
    assert caught.value.reason == "schema_refused"


async def test_the_version_that_answers_is_chosen_by_the_event() -> None:
    """Each event asks the version that it is given, also when asked again with less; the answer says which."""
    model = Narrow()
    asked: list[str | None] = []

    async def complete(request: ChatRequest) -> Completion:
        asked.append(request.model)
        return await model.complete(request)

    infer = Infer(StubModel(), "lite", "ci", served=lambda adapter, event: f"{adapter}@{event}")
    infer._model.complete = complete  # type: ignore[method-assign]
    short = replace(PROMPT, messages=(Message("user", "short"),), event="e1")
    prompt = replace(PROMPT, smaller=lambda: short, event="e1")
    assert (await infer(prompt)).adapter == "ci@e1"
    assert asked == ["ci@e1", "ci@e1"]


async def test_the_base_model_has_no_version() -> None:
    """A pipeline without an adapter asks nobody for one."""
    asked: list[str] = []
    infer = Infer(StubModel(), served=lambda adapter, event: asked.append(event) or adapter)  # type: ignore[func-returns-value]
    assert (await infer(PROMPT)).adapter is None
    assert not asked
