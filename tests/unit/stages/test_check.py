"""check: what becomes of a model's answer."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.contract import Candidate, Confidence, Evidence, Excerpt, ExcerptLine, Reading, RuleMatch
from processor.errors import ConfigError, Rejected
from processor.lang.fields import Field, ResultSchema, ground_field
from processor.models.calibration import Calibration, Measured, Platt
from processor.models.chat import Completion, PlainToken
from processor.models.form import Slot, compile_form
from processor.models.question import Prompt, Question, questions
from processor.stages.check import Check, Invalid, ranked

SCHEMA = ResultSchema(
    "ci",
    {
        "category": Field("category", enum={"test": "", "compile": "", "network_infra": ""}),
        "dependency": ground_field(Field("dependency", nullable=True), "candidates.packages"),
        "failing_tests": ground_field(Field("failing_tests", "list", max_items=2), "candidates.tests"),
        "evidence": ground_field(Field("evidence", "list", max_items=3), "excerpt.lines"),
        "summary": Field("summary", max_length=30),
    },
)
LINES = tuple(ExcerptLine(number, f"line {number}") for number in range(1, 6))
READING = Reading(Excerpt(LINES, 5, ranked=(4, 2)))
LEFT_PAD = Candidate("package", "left-pad", "^1.0", "npm")
ASKED = questions(SCHEMA, ["category"])
PROMPT = Prompt(
    (),
    compile_form("ci", (Slot("category", "choice", ("k1", "k2")),)),
    {
        "category": {"k1": "compile", "k2": "test"},
        "dependency": {"c1": LEFT_PAD},
        "failing_tests": {"t1": Candidate("test", "test_a"), "t2": Candidate("test", "test_b")},
        "evidence": {"L1": LINES[1], "L2": LINES[3]},
        "summary": {},
    },
)
GOOD = {"category": "k2", "dependency": "c1", "failing_tests": ["t2"], "evidence": ["L2", "L1"], "summary": "It broke."}
CHECK = Check(SCHEMA, ASKED)


def answer(changes: dict[str, object] | None = None, **more: object) -> Completion:
    """A completion that says GOOD with changes."""
    return Completion(orjson.dumps(GOOD | (changes or {}) | more).decode(), "stop")


def test_codes_become_what_they_stand_for() -> None:
    """The result in full, with the evidence beside it, in the log's order."""
    made = CHECK(PROMPT, answer(), READING)
    assert made.result == {
        "category": "test",
        "dependency": {"name": "left-pad", "version": "^1.0", "ecosystem": "npm"},
        "failing_tests": ["test_b"],
        "summary": "It broke.",
    }
    assert made.evidence == (Evidence(2, "line 2"), Evidence(4, "line 4"))
    assert made.confidence == Confidence(None, calibrated=False)


def test_where_a_chosen_test_stands_is_evidence() -> None:
    """The line that tells the place of a test that was chosen is shown; that of another one is not."""
    offered = {
        "t1": Candidate("test", "test_a", lines=(3, 1), place="a.py:12"),
        "t2": Candidate("test", "test_b", lines=(2, 5), place="b.py:7"),
    }
    prompt = replace(PROMPT, codes={**PROMPT.codes, "failing_tests": offered})
    made = CHECK(prompt, answer(failing_tests=["t2"]), READING)
    assert [one.line for one in made.evidence] == [2, 4, 5]


def test_none_of_them_is_null() -> None:
    """A nullable choice may be none."""
    assert CHECK(PROMPT, answer(dependency="none"), READING).result["dependency"] is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"category": "k3"}, "category must be one of k1, k2"),
        ({"category": "test"}, "category must be one of k1, k2"),
        ({"category": None}, "category must be one of"),
        ({"category": ["k1"]}, "category must be one of"),
        ({"dependency": "c2"}, "dependency must be one of c1, none"),
        ({"dependency": "left-pad"}, "dependency must be one of c1, none"),
        ({"failing_tests": "t1"}, "failing_tests is no list of codes"),
        ({"evidence": [1]}, "evidence is no list of codes"),
        ({"summary": "x" * 31}, "summary: 31 characters"),
        ({"summary": 3}, "summary: 3 is not text"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, object], says: str) -> None:
    """Each fault is named in words that a model can act on."""
    with pytest.raises(Invalid, match=says) as caught:
        CHECK(PROMPT, answer(changes), READING)
    assert caught.value.rejected().reason == "invalid_output"


def test_a_list_that_repeats_itself_is_told_so() -> None:
    """Where two that differ are needed, "1 item" would not tell a model that wrote two what is wrong with them."""
    kinds = Field("kinds", "list", item=Field("", enum={"disk": "", "net": ""}), min_items=2, max_items=3)
    check = Check(ResultSchema("kinds", {"kinds": kinds}), questions(ResultSchema("kinds", {"kinds": kinds})))
    prompt = replace(PROMPT, codes={"kinds": {"disk": "disk", "net": "net"}})

    def read(*chosen: str) -> object:
        return check(prompt, Completion(orjson.dumps({"kinds": chosen}).decode(), "stop"), READING).result["kinds"]

    assert read("disk", "net", "disk") == ["disk", "net"]
    with pytest.raises(Invalid, match="kinds repeats itself; it needs 2 that differ"):
        read("disk", "disk")
    with pytest.raises(Invalid, match="1 items, at least 2"):
        read("disk")


@pytest.mark.parametrize("text", ["", "no", "{", "[1]", "null", '{"category":"k1"', '{"category":"k1"}'])
def test_what_is_no_whole_object_is_invalid(text: str) -> None:
    """Garbage, halves and missing keys."""
    with pytest.raises(Invalid):
        CHECK(PROMPT, Completion(text, "stop"), READING)


def test_a_cut_off_answer_is_no_answer() -> None:
    """Even one that happens to parse."""
    with pytest.raises(Invalid) as caught:
        CHECK(PROMPT, replace(answer(), finish_reason="length"), READING)
    assert caught.value.reason == "cut_off", "the repair asks for shorter texts, and metrics tell it apart"
    assert caught.value.rejected().reason == "invalid_output"


LONGER = ResultSchema("ci", {**SCHEMA.fields, "summary": Field("summary", max_length=100)})
PROSE = questions(LONGER, ["category"])
SAID = 'line 4 broke since the file \\"a b\\" in C:\\\\tmp is gone \\u00e4nd so is the r\\u00e4st of it'


@pytest.mark.parametrize("end", range(1, len(SAID)))
def test_an_answer_that_was_cut_off_in_its_last_sentence_counts(end: int) -> None:
    """Wherever the sentence ends, in the midst of an escape too: what was chosen before it is whole."""
    whole = answer(summary="@").text.replace('"@"', f'"{SAID}"')
    assert orjson.loads(whole)["category"] == "k2"
    said = orjson.loads(f'"{SAID}"')
    reading = replace(READING, excerpt=Excerpt((*LINES[:3], ExcerptLine(4, f"error: {said}")), 4, ranked=(4, 2)))
    made = Check(LONGER, PROSE)(PROMPT, Completion(whole[: whole.index(SAID) + end], "length"), reading)
    assert made.result["category"] == "test"
    assert made.result["failing_tests"] == ["test_b"]
    summary = made.result["summary"]
    # What says nothing yet gives way to the log's own line, as any other sentence does.
    assert summary == f"error: {said}" or (summary.endswith("…") and said.startswith(summary[:-1]))
    assert end < 30 or len(orjson.dumps(summary)) > end - 20


@pytest.mark.parametrize("missing", [0, 1])
def test_an_answer_that_was_cut_off_behind_its_last_sentence_counts_as_it_is(missing: int) -> None:
    """With or without its brace, that sentence is whole; before its quotation mark, it is not."""
    whole = answer(summary="line 4 has an end.").text
    reading = replace(
        READING, excerpt=Excerpt((*LINES[:3], ExcerptLine(4, "error: line 4 has an end.")), 4, ranked=(4,))
    )

    def summary(end: int) -> object:
        return Check(LONGER, PROSE)(PROMPT, Completion(whole[:end], "length"), reading).result["summary"]

    assert (
        summary(len(whole) - missing)
        == Check(LONGER, PROSE)(PROMPT, Completion(whole, "stop"), reading).result["summary"]
    )
    assert summary(len(whole) - missing) != summary(len(whole) - 2)


def test_an_answer_that_was_cut_off_before_its_last_sentence_is_none() -> None:
    """In a key, in a list, in a text that another field follows: it is asked again."""
    whole = answer().text
    asked = (*PROSE[-1:], *PROSE[:-1])
    for check, ends in (
        (Check(LONGER, PROSE), [1, 14, whole.index('["t2'), whole.index("summary") + 4]),
        (Check(LONGER, asked), [whole.index("It broke.") + 4]),
    ):
        for end in ends:
            with pytest.raises(Invalid, match="cut off") as caught:
                check(PROMPT, Completion(whole[:end], "length"), READING)
            assert caught.value.reason == "cut_off"


def test_a_fence_around_the_answer_is_forgiven() -> None:
    """Servers without guided decoding let models write one."""
    fenced = replace(answer(), text=f"```json\n{answer().text}\n```")
    assert CHECK(PROMPT, fenced, READING).result["category"] == "test"


def test_codes_beyond_what_was_on_offer_are_left_out_of_lists() -> None:
    """A size class has more codes than there are lines."""
    made = CHECK(PROMPT, answer(evidence=["L2", "L8", "L2"], failing_tests=["t8"]), READING)
    assert made.evidence == (Evidence(4, "line 4"),)
    assert made.result["failing_tests"] == []


def test_without_chosen_lines_the_likeliest_is_the_evidence() -> None:
    """A finding always shows a line."""
    assert CHECK(PROMPT, answer(evidence=[]), READING).evidence == (Evidence(4, "line 4"),)


def test_what_was_not_asked_is_empty() -> None:
    """Without candidates the keys are missing from the form and from the answer."""
    codes = dict(PROMPT.codes) | {"dependency": {}, "failing_tests": {}}
    text = orjson.dumps({"category": "k1", "evidence": [], "summary": "s"}).decode()
    made = CHECK(replace(PROMPT, codes=codes), Completion(text, "stop"), READING)
    assert (made.result["dependency"], made.result["failing_tests"]) == (None, [])


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("The tests failed with exit code 2.", False),
        ("web/cart::total broke on 3.11.2.", True),
        ("Something in the build went wrong.", False),
        ("cart::total is what broke, it seems", True),
        ("ERESOLVE: left-pad needs another version.", False),
        ("left-pad@7.7.0 needs peer react.", False),
        ("The build failed with exit code 77.", False),
        ("src/other.py does not compile.", False),
    ],
)
def test_prose_says_nothing_specific_that_the_log_does_not(said: str, kept: bool) -> None:
    """A model that repeats a worked example is quoted the likeliest line instead."""
    schema = replace(SCHEMA, fields=dict(SCHEMA.fields) | {"summary": Field("summary", max_length=90)})
    texts = ["web/cart::total FAILED", "Python 3.11.2", "exit code 2", "make: stopped"]
    lines = tuple(ExcerptLine(number, text) for number, text in enumerate(texts, 1))
    made = Check(schema, questions(schema, ["category"]))(
        PROMPT, answer(evidence=[], summary=said), Reading(Excerpt(lines, 4, ranked=(1, 3)))
    )
    assert made.result["summary"] == (said if kept else "web/cart::total FAILED")


def test_certainty_is_kept_apart_from_confidence() -> None:
    """Raw probabilities are no calibrated confidence."""
    text = '{"category":"k2","dependency":"none","failing_tests":[],"evidence":[],"summary":""}'
    tokens = (PlainToken('{"category":"', 0.0), PlainToken("k2", -0.5), PlainToken(text[15:], 0.0))
    made = CHECK(PROMPT, Completion(text, "stop", tokens, masked=True), READING)
    assert made.certainty == pytest.approx(0.6065, abs=1e-3)
    assert made.confidence.value is None


def test_a_rule_answers_with_its_precision() -> None:
    """Fields that it leaves out are empty, its lines are the evidence."""
    fields = {"category": "network_infra", "summary": "No route to db1."}
    rule = RuleMatch("no-route", fields, {"host": "db1"}, (3,), precision=0.99)
    made = CHECK.decided(READING, rule)
    summary = "No route to db1."
    assert made.result == {"category": "network_infra", "dependency": None, "failing_tests": [], "summary": summary}
    assert made.evidence == (Evidence(3, "line 3"),)
    assert made.confidence == Confidence(0.99, calibrated=True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ci/notes.sh: line 6: syntax error", "A syntax error: ci/notes.sh: line 6: syntax error"),
        ("syntax error", "A syntax error."),  # nothing of this fault's own
    ],
)
def test_a_rule_that_says_the_same_of_all_faults_is_given_the_line(line: str, told: str) -> None:
    """Who reads a list of tickets sees one line of each; without captures all would read alike."""
    schema = replace(SCHEMA, fields=dict(SCHEMA.fields) | {"summary": Field("summary", max_length=90)})
    rule = RuleMatch("shell-syntax", {"category": "compile", "summary": "A syntax error."}, {}, (1,))
    reading = Reading(Excerpt((ExcerptLine(1, line, 5.0),), 1, ranked=(1,)), rule=rule)
    assert Check(schema, questions(schema, ["category"])).decided(reading, rule).result["summary"] == told


def test_the_line_that_a_rules_sentence_quotes_is_evidence() -> None:
    """What the ticket's first line says can be found in the log: the rule hit a count below it."""
    schema = replace(SCHEMA, fields=dict(SCHEMA.fields) | {"summary": Field("summary", max_length=120)})
    lines = (ExcerptLine(7, "src/api.py:3:1: F401 'os' imported but unused", 9.0), ExcerptLine(8, "1 finding.", 3.0))
    rule = RuleMatch("findings", {"category": "compile", "summary": "A linter complains."}, {}, (8,))
    reading = Reading(Excerpt(lines, 9, ranked=(7, 8)), rule=rule)
    made = Check(schema, questions(schema, ["category"])).decided(reading, rule)
    assert "imported but unused" in made.result["summary"]
    assert [each.line for each in made.evidence] == [7, 8]


def test_that_a_test_failed_is_no_summary() -> None:
    """Which test it was stands in another field: the sentence has to say why."""
    schema = replace(SCHEMA, fields=dict(SCHEMA.fields) | {"summary": Field("summary", max_length=90)})
    lines = (ExcerptLine(1, "--- FAIL: TestPost (0.00s)", 9.0), ExcerptLine(2, "panic: nil map", 8.0))
    test = Candidate("test", "TestPost", lines=(1,), score=0.95)
    reading = Reading(Excerpt(lines, 2, ranked=(1, 2)), {"tests": (test,)})
    check = Check(schema, questions(schema, ["category"]))
    made = check(PROMPT, answer(summary="The test TestPost failed."), reading)
    assert made.result["summary"] == "TestPost: panic: nil map"
    assert Evidence(2, "panic: nil map") in made.evidence
    kept = check(PROMPT, answer(summary="TestPost writes to a nil map."), reading)
    assert kept.result["summary"] == "TestPost writes to a nil map."


def test_a_rule_that_breaks_the_schema_is_a_defect_not_a_crash() -> None:
    """Lint finds it beforehand; a dead letter says which rule all the same."""
    with pytest.raises(Rejected, match="rule bad:") as caught:
        CHECK.decided(READING, RuleMatch("bad", {"category": "weather"}, {}, ()))
    assert caught.value.reason == "internal"


@given(st.text(max_size=30) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(GOOD)), inner, max_size=5),
    max_leaves=8,
).map(lambda value: orjson.dumps(value).decode()))  # fmt: skip
def test_no_answer_crashes_it(text: str) -> None:
    """Every text is an answer that the schema allows, or Invalid."""
    try:
        made = CHECK(PROMPT, Completion(text, "stop"), READING)
    except Invalid as fault:
        assert str(fault)  # noqa: PT017
    else:
        assert SCHEMA.validate(made.result) == made.result


def test_questions_of_every_kind_of_field() -> None:
    """What a schema's fields become."""
    schema = ResultSchema(
        "all",
        {
            "level": Field("level", enum={"a": "A"}),
            "code": ground_field(Field("code", "integer"), "candidates.exit_codes"),
            "tags": Field("tags", "list", item=Field("tags", max_length=9), max_items=2),
            "sure": Field("sure", "boolean"),
            "lines": ground_field(Field("lines", "list"), "excerpt.lines"),
        },
    )
    assert questions(schema) == (
        Question("level", "enum", {"a": "A"}),
        Question("code", "candidate", source="exit_codes", shape="integer"),
        Question("tags", "text", many=True, most=2, length=9),
        Question("sure", "flag"),
        Question("lines", "line", source="lines", many=True),
    )


def test_what_has_no_place_in_a_flat_form_is_an_error() -> None:
    """An object that nothing grounds can't be asked for."""
    with pytest.raises(ConfigError, match="nested"):
        questions(ResultSchema("bad", {"nested": Field("nested", "object", fields=(Field("x"),))}))


def test_a_bare_exit_status_is_no_evidence() -> None:
    """Where no other line was ranked, what was printed before the job ended is shown and quoted."""
    schema = replace(SCHEMA, fields=dict(SCHEMA.fields) | {"summary": Field("summary", max_length=90)})
    texts = ["$ docker manifest inspect web", "no basic auth credentials", "", "ERROR: Job failed: exit code 1"]
    lines = tuple(ExcerptLine(number, text) for number, text in enumerate(texts, 1))
    made = Check(schema, questions(schema, ["category"]))(
        PROMPT, answer(evidence=[], summary="ERROR: Job failed: exit code 1."), Reading(Excerpt(lines, 4, ranked=(4,)))
    )
    assert [evidence.text for evidence in made.evidence] == ["no basic auth credentials"]
    assert made.result["summary"] == "no basic auth credentials"


@pytest.mark.parametrize(
    "said", ["compile-failed: category compile", "apt: dependency_resolution: no set of versions fits."]
)
def test_a_repeated_hint_or_choice_is_no_summary(said: str) -> None:
    """What the prompt said is not what the log says: the likeliest line is quoted instead."""
    schema = replace(SCHEMA, fields=dict(SCHEMA.fields) | {"summary": Field("summary", max_length=90)})
    rule = RuleMatch("compile-failed", {"category": "compile"}, {}, (1,), decides=False)
    reading = Reading(Excerpt((ExcerptLine(1, "a.c:3: error: expected ;"),), 1, ranked=(1,)), rule=rule)
    asked = [
        replace(each, values={**each.values, "dependency_resolution": ""}) for each in questions(schema, ["category"])
    ]
    made = Check(schema, asked)(PROMPT, answer(evidence=[], summary=said), reading)
    assert made.result["summary"] == "a.c:3: error: expected ;"


WHOLE = {**GOOD, "summary": "a b"}


@pytest.mark.parametrize(
    ("text", "reason", "says"),
    [
        (" " * 250_000, "stop", "250,000 characters"),
        ("\n" * 40, "stop", "it is empty"),
        ("", "stop", "it is empty"),
        ("{}", "stop", "category is missing"),
        ('{"category":"k1","dependency":"c1"}', "stop", "failing_tests is missing"),
        (orjson.dumps(WHOLE).decode(), "abort", r"the server ended it \(abort\)"),
        (orjson.dumps(WHOLE).decode(), "content_filter", "the server ended it"),
        (orjson.dumps(WHOLE).decode()[:-1] + ',"n":' + "9" * 5000, "stop", "no JSON object"),
        (orjson.dumps(WHOLE).decode()[:-1] + ',"n":1e999}', "stop", "no JSON object"),
        (orjson.dumps(WHOLE).decode()[:-1] + ',"n":' + "[" * 9000 + "]" * 9000 + "}", "stop", "no JSON object"),
    ],
)
def test_what_decoders_are_known_to_do_wrong_is_no_answer(text: str, reason: str, says: str) -> None:
    """Blanks without end, digits without end, empty objects, aborted answers; the text is kept for the dead letter."""
    with pytest.raises(Invalid, match=says) as caught:
        CHECK(PROMPT, Completion(text, reason), READING)
    rejected = caught.value.rejected()
    assert (rejected.reason, rejected.output) == ("invalid_output", text)


@pytest.mark.parametrize("written", ["a\tb", "a\x00b", "a\\u0000b", "a\x1b[0mb", "a\\ud800b", "a\x7fb"])
def test_control_characters_and_half_surrogates_do_not_get_into_a_result(written: str) -> None:
    """Xgrammar lets a model write them raw into a text with a maxLength; the rest of the answer is good."""
    text = orjson.dumps(WHOLE).decode().replace("a b", written)
    summary = CHECK(PROMPT, Completion(text, "stop"), READING).result["summary"]
    assert orjson.loads(orjson.dumps(summary)) == summary
    assert not any(letter < " " and letter != "\t" for letter in summary)
    assert summary.startswith("a")


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    """Whatever a server sends that is none of our answers is Invalid."""
    with pytest.raises(Invalid) as caught:
        CHECK(PROMPT, Completion(text, "stop"), READING)
    assert caught.value.output == text


def test_a_calibration_that_holds_gives_the_confidence() -> None:
    """Else it is null, and the raw certainty stays what it is; without log-probabilities nobody is asked."""
    text = orjson.dumps(WHOLE).decode()
    tokens = (PlainToken('{"category":"', 0.0), PlainToken("k2", -0.5), PlainToken(text[len('{"category":"k2') :], 0.0))
    said = Completion(text, "stop", tokens, masked=True)
    calibration = Calibration(
        pipeline="ci", tier="lite", engine="vllm", model="base", asked="a", fields=("category",),
        platt=Platt(constant=-1.0, logit=0.0),
        measured=Measured(
            n=998, groups=9, right=0.3, ece=0, raw_ece=0, brier=0, raw_brier=0, constant_brier=0, auroc=0.5
        ),
    )  # fmt: skip
    made = Check(SCHEMA, ASKED, lambda _: calibration)(PROMPT, said, READING)
    assert made.confidence == Confidence(0.2689, calibrated=True)
    assert made.certainty == pytest.approx(0.6065, abs=1e-4)
    assert CHECK(PROMPT, said, READING).confidence == Confidence(None)
    assert (
        Check(SCHEMA, ASKED, lambda _: calibration)(PROMPT, replace(said, tokens=()), READING).confidence.value is None
    )


def test_what_the_ranking_gives_the_answer_counts_where_the_calibration_says_so() -> None:
    """By the value that was chosen, not by the likeliest one; a value that the ranking did not offer has no share."""
    reading = replace(READING, narrowed={"category": (("dependency_install", 0.7), ("test", 0.1))})
    assert ranked(reading, {"category": "test", "severity": "major"}) == {"category": 0.1}
    assert ranked(reading, {"category": "build"}) == {"category": 0.0}
    assert ranked(READING, {"category": ["test"]}) == {}
