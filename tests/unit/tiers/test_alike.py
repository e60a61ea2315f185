"""Which questions are the same, which are alike, and that none of another fault is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.contract import Excerpt, ExcerptLine, Reading
from processor.models.chat import Message
from processor.models.form import Slot, compile_form
from processor.models.question import Prompt
from processor.tiers.alike import alike, gist_of, same, shares, steady
from tests.unit.test_line import CI_FAILURE
from tools.answers import EVENT
from tools.labelled import corpus, dev, samples
from tools.repeats import Question, questions, repeats

FORM = compile_form("ci", (Slot("category", "choice", ("k1", "k2")), Slot("summary", "text", length=200)))
READING = Reading(Excerpt((ExcerptLine(1, "error"),), 1), anchor="line:error")


def prompt(user: str, form_name: str = "ci", gist: str | None = None) -> Prompt:
    """A question with that user part, all of which is compared unless `gist` is."""
    form = replace(FORM, name=form_name)
    said = user if gist is None else gist
    return Prompt((Message("system", "say what broke"), Message("user", user)), form, {}, gist=lambda: said)


TEXT = st.text(alphabet="ab1:. \n", max_size=12)


@given(st.tuples(TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT))
def test_different_questions_never_have_one_key(first: tuple[str, str, str], second: tuple[str, str, str]) -> None:
    """Who is asked, by which pipeline, and every byte of the text: what moves from one to the other, too."""
    keys = [same((who, "1"), prompt(user, name)) for who, name, user in (first, second)]
    assert (keys[0] == keys[1]) == (first == second)


@given(st.tuples(TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT))
def test_what_is_alike_has_the_same_model_scope_anchor_and_gist(
    first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    """All but what `steady` leaves out."""

    def key(who: str, anchor: str, user: str) -> bytes:
        asked = prompt("x", gist=user)
        return alike((who,), asked, gist_of(asked), ("repo",), EVENT, replace(READING, anchor=anchor))

    equal = first[:2] == second[:2] and gist_of(prompt(first[2])) == gist_of(prompt(second[2]))
    assert (key(*first) == key(*second)) == equal


VARIES = (
    ("finished in 12.5s", "finished in 3s"),
    ("2026-11-22T05:13:48.465Z connect", "2026-11-23T06:00:00.1Z connect"),
    ("see /cache/_logs/2026-11-22T05_13_48_465Z-debug-0.log", "see /cache/_logs/2026-11-22T05_15_11_863Z-debug-0.log"),
    ("src/lib.rs:38:5: mismatch", "src/lib.rs:40:5: mismatch"),
    ("src/delivery.ts(12,5): error", "src/delivery.ts(14,5): error"),
    ("Dunning.java:[6,29] incompatible", "Dunning.java:[7,29] incompatible"),
    ("plan.sh: line 4: pulumi", "plan.sh: line 5: pulumi"),
    ("HEAD is now at a97606c", "HEAD is now at 0453b56"),
    ("goroutine 17 [running]", "goroutine 5 [running]"),
    ("dial 10.0.3.17:443: refused", "dial 10.0.3.99:8443: refused"),
    ("can't read /tmp/tmpx1/setup.py", "can't read /tmp/tmpz9/setup.py"),
    ("[ 76%] Building", "[ 79%] Building"),
    ("101.3 MB/s", "115.6 MB/s"),
)
TELLS = (
    ("exit code 137", "exit code 1"),
    ("returned error: 502", "returned error: 503"),
    ("react-table@7.7.0", "react-table@7.8.0"),
    ("FROM node:20", "FROM node:22"),
    ("com.acme:core:12", "com.acme:core:13"),
    ("expected 3 to be 4", "expected 3 to be 5"),
    ("1 failed, 57 passed", "2 failed, 57 passed"),
    ("needs 4 GB", "needs 8 GB"),
    ("python 3.11", "python 3.12"),
    ("error TS2322", "error TS2339"),
    ("acme.jar:1.2.3", "acme.jar:1.2.4"),
)


@pytest.mark.parametrize(("first", "second"), VARIES)
def test_what_varies_between_two_runs_is_left_out(first: str, second: str) -> None:
    """Times, places, hashes, addresses, processes."""
    assert steady(first) == steady(second)


@pytest.mark.parametrize(("first", "second"), TELLS)
def test_what_tells_faults_apart_is_not(first: str, second: str) -> None:
    """Codes, versions, counts, values."""
    assert steady(first) != steady(second)


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ("react-table@7.7.0 needs react 17", True),
        ("the frobnicator is out of tune", True),
        ("the frobnicator failed after 300 ms", False),
        ("lib.rs:38 is wrong", False),
        ("exited with 3", False),  # 137 has a 3 in it
        ("exited with 137.", True),
        ("E0308 somewhere", False),
    ],
)
def test_an_answer_that_several_share_names_only_what_they_have_in_common(said: str, fits: bool) -> None:
    """Figures and names stand in what is equal, as a whole."""
    gist = steady("react-table@7.7.0 needs react 17 but the frobnicator at lib.rs:38 took 300 ms, exit code 137")
    assert shares(f'{{"category": "k1", "summary": "{said}"}}', FORM, gist) is fits


def test_questions_for_numbers_are_never_alike() -> None:
    """How long a step took may be what is asked for."""
    form = compile_form("ci", (*FORM.slots, Slot("seconds", "integer")))
    assert gist_of(prompt("took 3 s")) != ""
    assert gist_of(replace(prompt("took 3 s"), form=form)) == ""


@cache
def recorded() -> tuple[Question, ...]:
    """The questions about the recorded samples, rules or not."""
    return tuple(questions(samples(), CI_FAILURE))


def test_repeats_of_a_recorded_fault_are_known_and_no_other_fault_is() -> None:
    """At least a third of the repeats, no question of one fault for another one's; docs/serving.md has the figures."""
    kept: dict[bytes, str] = {}
    for each in recorded():
        assert kept.setdefault(each.alike, each.fault) == each.fault, each.log.id
        assert kept.setdefault(each.same, each.fault) == each.fault, each.log.id
    found = repeats([each for each in recorded() if not each.rule], "alike")
    assert not found.wrong
    assert found.again >= 0.3 * found.repeats


@pytest.mark.skipif(corpus() is None, reason="the dev corpus is not here")
def test_no_log_of_the_dev_corpus_is_answered_wrongly_from_memory() -> None:
    """As if they all were one repository's, so that nothing but the question tells them apart."""
    asked = [*recorded(), *questions(dev(), CI_FAILURE)]
    assert repeats(asked, "alike").wrong == repeats(asked, "same").wrong == ()
