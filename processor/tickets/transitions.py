"""Which transition closes a ticket, and what its screen wants. Pure.

Names are in the language of the account and workflows are people's own: where a transition leads tells by the
category of its status, which is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

FIXED: Final = ("fixed", "done", "resolved", "complete", "completed")
"""What a resolution is called that says that the fault is gone, likeliest first; in English, as Jira comes."""

CLOSING: Final = ("done", "resolve issue", "resolved", "close issue", "closed", "close")
"""What a transition, or the status that it leads to, is called that says no more than that it is over."""


@dataclass(frozen=True, slots=True)
class Way:
    """A transition by its id, with the fields to send along."""

    id: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def closing(
    ways: Iterable[Mapping[str, Any]],
    transition: str | None = None,
    resolution: str | None = None,
    never: Collection[str] = (),
) -> Way | None:
    """The way that closes a ticket as fixed; None where there is none for us, or none that takes what is asked for.

    `transition` and `resolution` are names from the pipeline; a resolution of `never` is not taken by itself. Where
    every screen is said to want more than that, it is Jira's to insist: some servers say so and do without.
    """
    doors = [way for way in ways if _category(way) == "done"]
    if transition is not None:
        doors = [way for way in doors if transition.casefold() in _names(way)]
    known = [(way, fields) for way in doors if (fields := _fields(way, resolution, never)) is not None]
    fitting = [each for each in known if _needed(each[0]) <= {"resolution"}] or known
    if not fitting:
        return None
    way, fields = min(fitting, key=lambda each: _rank(each[0]))
    return Way(str(way["id"]), fields)


def _needed(way: Mapping[str, Any]) -> set[str]:
    """The fields that its screen insists on, as it says."""
    screen = way.get("fields") or {}
    return {name for name, each in screen.items() if each.get("required") and not each.get("hasDefaultValue")}


def _fields(way: Mapping[str, Any], resolution: str | None, never: Collection[str]) -> dict[str, Any] | None:
    """The resolution, as its screen wants it; None where that can't be given."""
    screen, needed = way.get("fields") or {}, _needed(way)
    if "resolution" not in screen:
        return {}
    offered: Sequence[Mapping[str, Any]] = screen["resolution"].get("allowedValues") or []
    wanted = (resolution.casefold(),) if resolution is not None else FIXED
    by_name = {str(each.get("name", "")).casefold(): each for each in offered}
    chosen = next((by_name[name] for name in wanted if name in by_name), None)
    if chosen is None and resolution is None and "resolution" in needed:
        out = {name.casefold() for name in never}
        chosen = next((each for name, each in by_name.items() if name not in out), None)
    if chosen is None:
        return None if "resolution" in needed or resolution is not None else {}
    return {"resolution": {"id": str(chosen["id"])} if chosen.get("id") else {"name": chosen.get("name")}}


def _rank(way: Mapping[str, Any]) -> int:
    """Ways that say that it is done go before those that may say more, such as that it is nobody's business."""
    return min((CLOSING.index(name) for name in _names(way) if name in CLOSING), default=len(CLOSING))


def _names(way: Mapping[str, Any]) -> set[str]:
    return {str(name).casefold() for name in (way.get("name"), (way.get("to") or {}).get("name")) if name}


def _category(way: Mapping[str, Any]) -> str:
    return str((((way.get("to") or {}).get("statusCategory")) or {}).get("key") or "")
