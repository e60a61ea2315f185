"""The pieces that tickets are made of, as Markdown: `parts` of a template, and the whole of a ticket without one.

A piece that there is nothing to say for is empty. The cause comes first, the fine print last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import dedent
from typing import Any, Final

from processor.tickets.document import clean, cut, one_line
from processor.tickets.links import commit_url, compare_url
from processor.tickets.markdown import Markdown, hide, join, link, log, mono, strong
from processor.tickets.messages import LABEL, Command, moment

WRONG: Final = "faultstream-wrong"
"""Label by which people say that a diagnosis is wrong."""

CAUSE_LIMIT: Final = 500
"""Most UTF-16 units of the cause: it is one line."""

LINE_LIMIT: Final = 2000
"""Most UTF-16 units of one evidence line."""

_SURE: Final = ((0.9, "Very likely right"), (0.75, "Probably right"), (0.5, "Perhaps right"), (0.0, "A guess"))


def parts(command: Command) -> dict[str, Markdown]:
    """All pieces of a command's ticket, by name."""
    finding = command.finding
    build = finding.get("build") or {}
    result = finding.get("result") or {}
    return {
        "cause": hide(cause(command)),
        "dependency": dependency(result.get("faulty_dependency")),
        "facts": facts(result),
        "evidence": evidence(finding.get("evidence") or (), finding.get("context") or ()),
        "build": run(build),
        "commit": commit(build),
        "seen": Markdown(hide(seen(command.count, command.first_seen, command.last_seen))),
        "changes": changes(build, finding.get("passed")),
        "certainty": certainty(finding),
        "wrong": wrong(),
        "shrunk": shrunk(finding),
        "footer": footer(command.fingerprint),
    }


def whole(command: Command) -> Markdown:
    """A description without a template, for any schema."""
    made = parts(command)
    said = Markdown(f"### What the log says\n{made['evidence']}") if made["evidence"] else Markdown("")
    build = join((made["build"], made["commit"], made["changes"]), "\n")
    doubt = join((made["certainty"], made["shrunk"], made["wrong"]), "\n")
    return join((made["cause"], made["facts"], said, build, made["seen"], doubt, made["footer"]), "\n\n")


def comment(command: Command) -> Markdown:
    """What a recurrence says: how often by now, in which build, and what the log said this time."""
    made = parts(command)
    again = Markdown(f"The same fault again. {made['seen']}")
    build = join((made["build"], made["commit"], made["changes"]), "\n")
    lines = evidence((command.finding.get("evidence") or [])[:5])
    return join((again, build, lines), "\n\n")


def passed(command: Command) -> Markdown:
    """What is said when builds pass again: that the fault is gone, or flaky, and which build tells."""
    said = (
        "Flaky: the same job has passed on the same commit."
        if command.action == "flaky"
        else "Gone: every job and branch on which this fault was seen has passed since."
    )
    return join((Markdown(said), join((run(command.build), commit(command.build)), "\n")), "\n\n")


def cause(command: Command) -> str:
    """What broke, in one line: the result's summary, else the first evidence line, else the subject."""
    finding = command.finding
    summary = (finding.get("result") or {}).get("summary")
    lines = finding.get("evidence") or [{}]
    text = one_line(summary or "") or one_line(lines[0].get("text") or "") or one_line(finding.get("subject") or "")
    return cut(text, CAUSE_LIMIT) or "A build failed"


def dependency(value: Mapping[str, Any] | None) -> Markdown:
    """The package at fault: name, version, ecosystem."""
    named = package(value)
    return Markdown(f"**Dependency:** {named}") if named else named


def package(value: Mapping[str, Any] | None) -> Markdown:
    """A package: name and version in fixed width, and its ecosystem."""
    if not value or not value.get("name"):
        return Markdown("")
    version = f" version {mono(value['version'])}" if value.get("version") else ""
    ecosystem = f" ({hide(value['ecosystem'])})" if value.get("ecosystem") else ""
    return Markdown(f"{mono(value['name'])}{version}{ecosystem}")


def facts(result: Mapping[str, Any]) -> Markdown:
    """The fields of a result but its summary, one a line; those that name nothing are left out."""
    rows = [
        f"{strong(one_line(name).replace('_', ' ').capitalize() + ':')} {_fact(value)}"
        for name, value in result.items()
        if name not in {"summary", "evidence"} and value not in (None, "", [], {})
    ]
    return join(rows, "\n")


def _fact(value: Any) -> Markdown:
    if isinstance(value, Mapping):
        return package(value) or hide(one_line(dict(value)))
    if isinstance(value, list):
        return join(map(_fact, value), ", ")
    text = one_line(value)
    return hide(text.replace("_", " ") if text.replace("_", "").isalpha() and text.islower() else text)


def evidence(lines: Iterable[Mapping[str, Any]], beside: Iterable[Mapping[str, Any]] = ()) -> Markdown:
    """Log lines with their numbers in the original log; those that decided are pointed at among those beside them."""
    shown = {int(line.get("line") or 0): ("  ", line) for line in beside}
    mark = "> " if shown else ""
    shown |= {int(line.get("line") or 0): (mark, line) for line in lines}
    width = len(str(max(shown, default=0)))
    rows = [clean(line.get("text", "")).expandtabs(4).rstrip() for _, (_, line) in sorted(shown.items())]
    texts = dedent("\n".join(row.replace("\n", " ") for row in rows)).split("\n")
    said = zip(sorted(shown), texts, strict=bool(shown))  # of no lines, the text is one empty line
    return log(cut(f"{shown[number][0]}{number:>{width}}  {text}".rstrip(), LINE_LIMIT) for number, text in said)


def run(build: Mapping[str, Any]) -> Markdown:
    """Which build: repository, job and run, with a link."""
    said = {name: one_line(build.get(name) or "") for name in ("repo", "job", "run_id", "url")}
    name = " / ".join(said[part] for part in ("repo", "job") if said[part])
    if said["run_id"]:
        name = f"{name} #{said['run_id']}".strip()
    name = name or said["url"]
    return Markdown(f"**Build:** {link(said['url'], name)}") if name else Markdown("")


def commit(build: Mapping[str, Any]) -> Markdown:
    """Which commit, with a link where its page is known, and on which branch."""
    hash_, branch = one_line(build.get("commit") or ""), one_line(build.get("branch") or "")
    if not hash_:
        return Markdown(f"**Branch:** {mono(branch)}") if branch else Markdown("")
    url = commit_url(build)
    shown = link(url, hash_[:12]) if url else mono(hash_[:12])
    return Markdown(f"**Commit:** {shown}" + (f" on {mono(branch)}" if branch else ""))


def changes(build: Mapping[str, Any], passed: Mapping[str, Any] | None) -> Markdown:
    """The last build that passed, where it is known, and what has changed since then."""
    if not passed:
        return Markdown("")
    hash_ = one_line(passed.get("commit") or "")
    shown = link(passed.get("url"), hash_[:12] or "this build")
    on = f", on {_when(str(passed['time']))}" if passed.get("time") else ""
    if hash_ and hash_ == build.get("commit"):
        return Markdown(f"**Passed before:** the same commit{on}, so nothing in the code has changed")
    compare = compare_url(build, hash_)
    since = f" ({link(compare, 'what has changed since')})" if compare else ""
    return Markdown(f"**Passed last:** {shown}{on}{since}")


def seen(count: int, first: str, last: str) -> str:
    """How often and when, as in: Seen 3 times, first on 22 Nov 2026 04:10 UTC, last on 23 Nov 2026 11:00 UTC."""
    if count <= 1:
        return f"Seen once, on {_when(last)}."
    return f"Seen {count} times, first on {_when(first)}, last on {_when(last)}."


def _when(text: str) -> str:
    read = moment(text)
    return f"{read.day} {read:%b %Y %H:%M} UTC" if read else "an unknown date"


def certainty(finding: Mapping[str, Any]) -> Markdown:
    """How sure the diagnosis is, in words. A figure is given only where it was measured."""
    decided, confidence = finding.get("decided") or {}, finding.get("confidence") or {}
    value = confidence.get("value") if confidence.get("calibrated") else None
    if decided.get("by") == "rule":
        rule = f" by the rule {mono(decided['rule'])}" if decided.get("rule") else ""
        right = f"; it has been right in {100 * value:.0f} % of known cases" if value is not None else ""
        return Markdown(f"**How sure:** A known failure, recognised{rule}{right}.")
    if value is not None:
        words = next(words for least, words in _SURE if value >= least)
        return Markdown(f"**How sure:** {words} ({100 * value:.0f} %, measured on labelled failures).")
    doubt = " It was unsure here." if finding.get("review") else ""
    return Markdown(
        "**How sure:** Not known. A language model chose this, and how often it is right has not been measured."
        f"{doubt} Check it against the log."
    )


def wrong() -> Markdown:
    """How people say that the diagnosis is wrong."""
    return Markdown(f"**Wrong?** Add the label {mono(WRONG)}, and say in a comment what it was.")


def shrunk(finding: Mapping[str, Any]) -> Markdown:
    """That the model was shown less of the log than was picked for it."""
    said = (finding.get("decided") or {}).get("shrunk") or {}
    lines, of = said.get("lines"), said.get("of")
    if not lines or not of:
        return Markdown("")
    return Markdown(
        f"The model saw {hide(lines)} of the {hide(of)} lines picked from the log: it had room for no more."
    )


def footer(fingerprint: str) -> Markdown:
    """Who wrote this, and what keeps repeats on this ticket."""
    return Markdown(
        "----\nFiled by Faultstream. Repeats of this fault are added here as long as the label "
        f"{mono(LABEL + fingerprint)} stays."
    )


def summary(command: Command) -> str:
    """A summary without a template: the repository and the cause."""
    repo = one_line((command.finding.get("build") or {}).get("repo") or "")
    return ": ".join(part for part in (repo, cause(command)) if part)
