"""The words of tickets that tell of many faults at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from processor.tickets.markdown import Markdown, hide, join, link
from processor.tickets.messages import LABEL


def headline(digest: Mapping[str, Any]) -> str:
    """What a summary is about, in one line."""
    if digest.get("kind") == "group":
        return f"{digest.get('name')}: {digest.get('faults')} faults in {digest.get('repositories')} repositories"
    faults, hits = digest.get("faults", 0), digest.get("hits", 0)
    what = f"{faults} fault{'s' if faults != 1 else ''} in {hits} failed build{'s' if hits != 1 else ''}"
    return f"{what} not filed: more than {digest.get('most')} new tickets in {digest.get('project')} within an interval"


def again(digest: Mapping[str, Any]) -> Markdown:
    """The comment on a summary that is opened again."""
    return Markdown(f"It goes on: {hide(headline(digest))}.")


def body(digest: Mapping[str, Any], fingerprint: str) -> Markdown:
    """A summary's description."""
    if digest.get("kind") == "group":
        return _group(digest, fingerprint)
    said = (
        f"Since {hide(digest.get('since'))} more faults were new in {hide(digest.get('project'))} than `ticket.cap` "
        f"allows tickets for ({digest.get('most')} per {hide(digest.get('per'))}). **{digest.get('faults')} faults in "
        f"{digest.get('hits')} failed builds** have no ticket of their own. So many at once often have one cause: "
        "a base image, a registry, a network."
    )
    listed = digest.get("listed") or []
    rows = [_row(each) for each in listed]
    more = int(digest.get("faults") or 0) - len(listed)
    rest = Markdown(f"and {more} more; all are on the topic of ticket events") if more > 0 else Markdown("")
    after = "A fault that comes again after the interval gets a ticket then. This text is kept up to date: write below."
    mark = Markdown(f"---\nFiled by Faultstream, label `{LABEL}{fingerprint}`.")
    return join((Markdown(said), Markdown("\n".join(rows)), rest, Markdown(after), mark), "\n\n")


def _group(digest: Mapping[str, Any], fingerprint: str) -> Markdown:
    said = (
        f"**{hide(digest.get('name'))}** is what {digest.get('faults')} faults in {digest.get('repositories')} "
        f"repositories share; {digest.get('hits')} builds failed of it since that is known."
    )
    listed = digest.get("listed") or []
    more = int(digest.get("faults") or 0) - len(listed)
    rest = Markdown(f"and {more} more; all are on the topic of ticket events") if more > 0 else Markdown("")
    after = "Faults that are not marked have no ticket of their own. This text is kept up to date: write below."
    mark = Markdown(f"---\nFiled by Faultstream, label `{LABEL}{fingerprint}`.")
    return join((Markdown(said), Markdown("\n".join(map(_row, listed))), rest, Markdown(after), mark), "\n\n")


def _row(entry: Mapping[str, Any]) -> Markdown:
    where = " / ".join(str(entry[name]) for name in ("repo", "job") if entry.get(name)) or "a build"
    cause = hide(" ".join(str(entry.get("cause") or "").split()))
    own = f" (own ticket: label `{LABEL}{hide(entry.get('fingerprint'))}`)" if entry.get("filed") else ""
    return Markdown(f"- {link(entry.get('url'), where)}{': ' + cause if cause else ''}{own}")
