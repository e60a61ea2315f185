"""What tickets say: cause first, certainty in words, within Jira's limits, with a plain text where a template fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from processor.errors import Rejected
from processor.home import Homes
from processor.lang.template import Template
from processor.pipeline import Pipeline
from processor.tickets import adf, fit, markdown, parts, wiki
from processor.tickets.document import SUMMARY_LIMIT, TEXT_LIMIT, Document, plain, units
from processor.tickets.jira.dialects import DataCenter
from processor.tickets.links import commit_url, compare_url
from processor.tickets.messages import Command
from processor.tickets.parts import certainty, changes, seen
from processor.tickets.plans import plans
from processor.tickets.text import Plan, Texts
from tests.unit.tickets.hostile import FEW, documents
from tests.unit.tickets.world import command

FINDING: dict[str, Any] = {
    "id": "1",
    "pipeline": "ci_failure",
    "fingerprint": "f1",
    "result": {
        "category": "dependency_resolution",
        "summary": "npm can't install @angular/material ^12.2.0 beside Angular 13",
        "severity": "major",
        "faulty_dependency": {"name": "@angular/material", "version": "^12.2.0", "ecosystem": "npm"},
        "failing_tests": [],
    },
    "evidence": [
        {"line": 9, "text": "npm ERR! code ERESOLVE"},
        {"line": 1204, "text": "npm ERR! peer {noformat} [~x]"},
    ],
    "confidence": {"value": None, "calibrated": False},
    "decided": {"by": "model", "rule": None, "model": "m", "adapter": None},
    "build": {
        "repo": "acme/web",
        "job": "build",
        "run_id": "7712",
        "branch": "main",
        "commit": "abcdef0123456789",
        "url": "https://ci.example.com/7712",
    },
    "time": "2026-11-22T04:01:00Z",
}


def of(**changes: Any) -> Command:
    """The command of the finding with other fields."""
    return replace(command(), finding={**FINDING, **changes})


def described(fields: Mapping[str, Any]) -> str:
    """The description of a create request, as Jira Data Center gets it."""
    return DataCenter().written(fields["description"])


@pytest.fixture(scope="module")
def ci_failure() -> Plan:
    """The plan of the bundled pipeline."""
    checkout = Path(__file__).parents[3]
    return plans([Pipeline.load(checkout / "pipelines" / "ci_failure", Homes((checkout,)))])["ci_failure"]


def test_ticket_of_the_bundled_pipeline_reads_as_a_whole(ci_failure: Plan) -> None:
    """The whole text, as people get it."""
    fields = Texts({"ci_failure": ci_failure}).draft(of()).fields
    assert fields["summary"] == "acme/web: npm can't install @angular/material ^12.2.0 beside Angular 13"
    assert fields["labels"] == ["fs-f1", "ci", "dependency_resolution"]
    assert fields["priority"] == {"name": "High"}
    assert fields["project"] == {"key": "BUILD"}
    assert described(fields) == (
        "npm can't install @angular/material ^12.2.0 beside Angular 13\n"
        "\n"
        "*Dependency:* {{@angular/material}} version {{^12.2.0}} (npm)\n"
        "\n"
        "h3. What the log says\n"
        "{noformat}\n"
        "   9  npm ERR! code ERESOLVE\n"
        "1204  npm ERR! peer { noformat} [~x]\n"
        "{noformat}\n"
        "\n"
        "*Build:* [acme/web / build #7712|https://ci.example.com/7712]\n"
        "*Commit:* {{abcdef012345}} on {{main}}\n"
        "\n"
        "Seen once, on 22 Nov 2026 04:01 UTC.\n"
        "\n"
        "*Kind:* dependency can't be resolved (major)\n"
        "*How sure:* Not known. A language model chose this, and how often it is right has not been measured. "
        "Check it against the log.\n"
        "*Wrong?* Add the label {{faultstream-wrong}}, and say in a comment what it was.\n"
        "\n"
        "----\n"
        "\n"
        "Filed by Faultstream. Repeats of this fault are added here as long as the label {{fs-f1}} stays."
    )


def test_what_a_template_prints_is_text() -> None:
    """Also through filters and concatenation; only what stands in the template itself is markup."""
    template = Template("**{{ finding.result.summary | upper }}** {{ '*' ~ seen.count ~ '*' }}", finalize=markdown.hide)
    texts = Texts({"ci_failure": Plan("ci_failure", "BUILD", description=template)})
    drafted = texts.draft(of(result={"summary": "[~admin] {code} x"}))
    assert described(drafted.fields) == "*\\[\u200b~ADMIN\\] \\{CODE\\} X* \\*1\\*"


class Breaks:
    """A template that fails."""

    def render(self, /, **_context: Any) -> str:
        """Fails."""
        raise Rejected("template_failed", "x.j2: 'dict object' has no attribute 'nope'")


def test_failing_templates_file_a_plain_ticket() -> None:
    """A template that fails at run time costs its looks, not the ticket."""
    plan = Plan("ci_failure", "BUILD", summary=Breaks(), description=Breaks(), labels=(Breaks(),))
    fields = Texts({"ci_failure": plan}).draft(of()).fields
    assert fields["summary"] == "acme/web: npm can't install @angular/material ^12.2.0 beside Angular 13"
    assert described(fields).startswith("npm can't install")
    assert "npm ERR! code ERESOLVE" in described(fields)
    assert fields["labels"] == ["fs-f1"]


@pytest.mark.parametrize("plain", [True, False])
def test_evidence_goes_before_the_cause_does(ci_failure: Plan, plain: bool) -> None:
    """Too much evidence for Jira: some of it is left out, the cause and the rest stay."""
    plan = Plan("ci_failure", "BUILD") if plain else ci_failure
    lines = [{"line": n, "text": f"line {n} " + "x" * 1500} for n in range(1, 101)]
    text = described(Texts({"ci_failure": plan}).draft(of(evidence=lines)).fields)
    assert units(text) <= TEXT_LIMIT
    assert text.startswith("npm can't install")
    assert "line 1 xxx" in text
    assert "line 100 " not in text
    assert text.count("{noformat}") == 2
    assert text.endswith("stays.")


def test_huge_summary_is_cut_to_the_limits(ci_failure: Plan) -> None:
    """A summary of 100 KB with emoji and direction overrides: 255 and 32,767 units, on one line."""
    result = {**FINDING["result"], "summary": "💥\u202e broke\n" * 12_000}
    fields = Texts({"ci_failure": ci_failure}).draft(of(result=result)).fields
    assert units(fields["summary"]) <= SUMMARY_LIMIT
    assert "\n" not in fields["summary"]
    assert "\u202e" not in fields["summary"] + described(fields)
    assert units(described(fields)) <= TEXT_LIMIT


def test_secrets_are_taken_out_of_every_text(ci_failure: Plan) -> None:
    """The redactor goes over summary, description and comment last."""
    texts = Texts({"ci_failure": ci_failure}, lambda text: text.replace("hunter2", "[redacted]"))
    made = of(result={**FINDING["result"], "summary": "login with hunter2 failed"})
    fields = texts.draft(made).fields
    assert "hunter2" not in str(fields) + plain(texts.comment(made))
    assert "[redacted]" in fields["summary"]


def test_unknown_pipeline_has_no_ticket() -> None:
    """A command of a pipeline that is not here is rejected."""
    with pytest.raises(Rejected, match="files no tickets here"):
        Texts({}).draft(of())


@pytest.mark.parametrize(
    ("confidence", "decided", "review", "words"),
    [
        ({"value": 0.97, "calibrated": True}, {"by": "model"}, False, "Very likely right (97 %"),
        ({"value": 0.8, "calibrated": True}, {"by": "model"}, False, "Probably right (80 %"),
        ({"value": 0.55, "calibrated": True}, {"by": "model"}, False, "Perhaps right (55 %"),
        ({"value": 0.2, "calibrated": True}, {"by": "model"}, False, "A guess (20 %"),
        ({"value": 0.99, "calibrated": False}, {"by": "model"}, False, "Not known"),
        ({"value": None, "calibrated": False}, {"by": "model"}, True, "It was unsure here"),
        (
            {"value": 0.98, "calibrated": True},
            {"by": "rule", "rule": "npm-eresolve"},
            False,
            "been right in 98 % of known",
        ),
        ({"value": None, "calibrated": False}, {"by": "rule", "rule": "npm-eresolve"}, False, "A known failure"),
    ],
)
def test_certainty_is_said_in_words(
    confidence: dict[str, Any], decided: dict[str, Any], review: bool, words: str
) -> None:
    """A figure only where it was measured; no calibration is said plainly."""
    text = certainty({"confidence": confidence, "decided": decided, "review": review})
    assert words in text
    assert ("99 %" in text) is False


def test_seen_says_how_often_and_when() -> None:
    """Once, and several times."""
    assert seen(1, "2026-11-22T04:01:00Z", "2026-11-22T04:01:00Z") == "Seen once, on 22 Nov 2026 04:01 UTC."
    assert seen(3, "2026-11-22T04:01:00Z", "2026-11-23T11:00:00+01:00") == (
        "Seen 3 times, first on 22 Nov 2026 04:01 UTC, last on 23 Nov 2026 10:00 UTC."
    )


def test_comment_names_the_build_and_what_the_log_said() -> None:
    """A recurrence: how often by now, which build, the first evidence."""
    text = wiki.wiki(Texts({}).comment(replace(of(), count=2, last_seen="2026-11-22T05:00:00Z")))
    assert text.startswith("The same fault again.")
    assert "Seen 2 times" in text
    assert "[acme/web / build #7712|https://ci.example.com/7712]" in text
    assert "npm ERR! code ERESOLVE" in text


def test_a_ticket_without_a_template_says_all_that_is_known() -> None:
    """Any schema: the cause, the fields, the log, the build, how sure."""
    text = plain(markdown.document(parts.whole(of())))
    assert text.startswith(
        "npm can't install @angular/material ^12.2.0 beside Angular 13\n\nCategory: dependency resolution"
    )
    order = [
        "Faulty dependency: @angular/material version ^12.2.0 (npm)",
        "1204",
        "#7712",
        "Seen once",
        "How sure",
        "Wrong?",
    ]
    assert sorted(order, key=text.index) == order


GITHUB = {
    "repo": "acme/web",
    "commit": "abcdef0123456789",
    "url": "https://github.example.com/acme/web/actions/runs/77/job/1",
}
GITLAB = {"repo": "acme/web", "commit": "abcdef0123456789", "url": "https://git.example.com/acme/sub/web/-/jobs/7"}


@pytest.mark.parametrize(
    ("build", "commit", "compare"),
    [
        (GITHUB, "/acme/web/commit/abcdef0123456789", "/acme/web/compare/1234567...abcdef0123456789"),
        (GITLAB, "/acme/sub/web/-/commit/abcdef0123456789", "/acme/sub/web/-/compare/1234567...abcdef0123456789"),
        ({**GITHUB, "repo": "acme/other"}, "", ""),
        ({**GITHUB, "commit": "abc def|x"}, "", ""),
        ({**GITHUB, "url": "https://jenkins.example.com/job/acme/7/"}, "", ""),
        ({**GITHUB, "url": "javascript:x/acme/web/actions/"}, "", ""),
        ({"commit": "abcdef0123456789"}, "", ""),
    ],
)
def test_commits_are_linked_where_their_pages_are_known(build: dict[str, str], commit: str, compare: str) -> None:
    """GitHub and GitLab, on any host; nowhere else, and never to another repository."""
    host = "/".join(build.get("url", "").split("/")[:3])
    assert commit_url(build) == (f"{host}{commit}" if commit else "")
    assert compare_url(build, "1234567") == (f"{host}{compare}" if compare else "")


def test_what_has_changed_since_the_last_build_that_passed() -> None:
    """A link to the comparison where it is known; the same commit says that the code is not to blame."""
    passed = {"commit": "1234567890ab", "url": "https://ci.example.com/6", "time": "2026-11-21T10:00:00Z"}
    said = plain(markdown.document(changes(GITHUB, passed)))
    assert said == "Passed last: 1234567890ab, on 21 Nov 2026 10:00 UTC (what has changed since)"
    same = plain(markdown.document(changes(GITHUB, {"commit": GITHUB["commit"]})))
    assert same == "Passed before: the same commit, so nothing in the code has changed"
    assert changes(GITHUB, None) == ""


@FEW
@given(documents())
def test_any_document_fits_in_both_formats(document: Document) -> None:
    """However little room there is: within the limit, the same each time, and the first words stay longest."""
    for size in (wiki.size, adf.size):
        for limit in (80, 600, TEXT_LIMIT):
            made = fit.fitted(document, size, limit)
            assert size(made) <= limit
            assert made == fit.fitted(document, size, limit)


def test_a_build_with_much_to_say_keeps_its_cause_in_both_formats(ci_failure: Plan) -> None:
    """100 KB in every field: the cause stands first, and all of it fits."""
    huge = {
        "category": "test",
        "severity": "major",
        "summary": "It broke. " * 12_000,
        "failing_tests": ["t" * 5000] * 9,
    }
    lines = [{"line": n, "text": "x" * 9000} for n in range(1, 200)]
    made = markdown.document(
        parts.whole(of(result=huge, evidence=lines, build={"repo": "r" * 100_000, "job": "é" * 100_000}))
    )
    for size in (wiki.size, adf.size):
        fitted = fit.fitted(made, size)
        assert size(fitted) <= TEXT_LIMIT
        assert plain(fitted).startswith("It broke. It broke.")
        assert "do not fit in here" in plain(fitted)
    drafted = Texts({"ci_failure": ci_failure}).draft(of(result=huge, evidence=lines))
    assert described(drafted.fields).startswith("It broke.")


def test_the_lines_beside_the_evidence_are_shown_and_told_apart() -> None:
    """In the order of the log, tabs and common indents gone, what decided pointed at."""
    lines = [{"line": 101, "text": "\tE: no package x"}]
    beside = [{"line": 99, "text": "\t  apt-get install x"}, {"line": 103, "text": "\tfailed"}]
    shown = parts.evidence(lines, beside)
    assert plain(markdown.document(shown)) == "   99    apt-get install x\n> 101  E: no package x\n  103  failed"


def test_a_template_that_fails_is_told_of(ci_failure: Plan) -> None:
    """The event of a ticket says which of its texts is a plain one."""
    drafted = Texts({"ci_failure": replace(ci_failure, description=Breaks())}).draft(of())
    (note,) = drafted.notes
    assert note == "a plain text, since ticket.description fails: x.j2: 'dict object' has no attribute 'nope'"
    assert Texts({"ci_failure": ci_failure}).draft(of()).notes == ()


def test_own_fields_and_versions_are_templates_without_what_comes_out_empty() -> None:
    """Numbers stay numbers, lists stay lists; secrets are taken out of texts."""
    plan = Plan(
        "ci_failure",
        "BUILD",
        fix_versions=(Template("{{ finding.build.branch }}", "v"), Template("{{ '' }}", "v")),
        fields={
            "Team": Template("{{ finding.build.repo }}", "f"),
            "Cost": 3,
            "Tags": [Template("{{ finding.result.category }}", "f"), Template("hunter2", "f")],
            "Nothing": Template("{{ '' }}", "f"),
        },
    )
    texts = Texts({"ci_failure": plan}, lambda text: text.replace("hunter2", "[redacted]"))
    fields = texts.draft(of()).fields
    assert fields["fixVersions"] == [{"name": "main"}]
    assert fields["Team"] == "acme/web"
    assert fields["Cost"] == 3
    assert fields["Tags"] == ["dependency_resolution", "[redacted]"]
    assert not {"Nothing", "versions"} & set(fields)
