"""Fills in the forms of Jira: with what is known of its screens, and with what its refusals mean."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, Final

from processor.tickets.document import Document, of
from processor.tickets.jira.dialects import Dialect
from processor.tickets.jira.errors import Refused, Unavailable
from processor.tickets.jira.forms import KEYS, People, UnfitError, Wish, fits, key_of, problems, the_field
from processor.tickets.jira.screens import Field, Screens

AGAIN_S: Final = 60.0
"""Seconds for which what a refusal was explained by is not asked for again."""

Get = Callable[[str, Mapping[str, str]], Awaitable[Any]]


class Forms:
    """Makes the fields of create requests from those of tickets."""

    def __init__(self, get: Get) -> None:
        self._screens = Screens(get)
        self._people = People(get)
        self._explained: dict[tuple[str, ...], tuple[float, list[str]]] = {}

    async def wrong(self, wish: Wish) -> list[str]:
        """What Jira will not take of what a pipeline fills in. Raises Unavailable, or Refused for lack of rights."""
        try:
            screen = await self._screens.of(wish.project, wish.type)
        except Refused as error:
            if not error.fields:
                raise
            return [f"{key_of(name)}: {said}" for name, said in error.fields.items()]
        return problems(screen, wish) if screen is not None else []

    async def strangers(self, dialect: Dialect, wish: Wish) -> list[str]:
        """Whom a pipeline names that Jira does not know, or knows several of; each names the key.

        Raises Unavailable, or Refused for lack of rights. To be asked once nothing else is wrong.
        """
        screen = await self._screens.of(wish.project, wish.type)
        said: list[str] = []
        for name, values in wish.given.items():
            rule = the_field(screen, name) if screen is not None else None
            if name != "assignee" and (rule is None or "user" not in {rule.type, rule.items}):
                continue
            for each in (one for value in values for one in (value if isinstance(value, list) else [value])):
                try:
                    await self._people.find(dialect, wish.project, str(each))
                except Refused as error:
                    if not error.fields:
                        raise
                    said.append(f"{key_of(name)}: {error}")
        return said

    async def filled(self, dialect: Dialect, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a create request. Raises Refused that blames what does not fit, and Unavailable."""
        project, kind = str(fields["project"]["key"]), str(fields["issuetype"]["name"])
        made: dict[str, Any] = {}
        for name, value in fields.items():
            if isinstance(value, Document):
                made[name] = dialect.written(value)
            elif name == "assignee":
                made[name] = await self._people.find(dialect, project, str(value["name"]))
            elif name in KEYS:
                made[name] = value
            else:
                identity, converted = await self._own(dialect, project, kind, name, value)
                made[identity] = converted
        return made

    async def _own(self, dialect: Dialect, project: str, kind: str, name: str, value: Any) -> tuple[str, Any]:
        """A field of `ticket.fields`: its id, and the value as it takes it."""
        screen = await self._screens.of(project, kind)
        try:
            rule = the_field(screen, name) if screen is not None else None
            if rule is None:
                return name, value
            return rule.id, await self._shaped(dialect, project, rule, fits(rule, value))
        except UnfitError as error:
            raise Refused(str(error), fields={name: str(error)}) from None

    async def _shaped(self, dialect: Dialect, project: str, rule: Field, value: Any) -> Any:
        """Values that the two Jiras write differently: long texts, people."""
        if rule.custom.endswith(":textarea") and isinstance(value, str):
            return dialect.written(of(value))
        if rule.type == "user" and isinstance(value, str):
            return await self._people.find(dialect, project, value)
        if rule.type == "array" and rule.items == "user":
            return [await self._people.find(dialect, project, each) for each in value if isinstance(each, str)]
        return value

    async def explained(self, error: Refused, fields: Mapping[str, Any]) -> Refused:
        """A refusal with what is wrong by now: a field may have become required, an issue type may have gone."""
        wish = Wish("", str(fields["project"]["key"]), str(fields["issuetype"]["name"]), dict.fromkeys(fields, ()))
        about, now = (wish.project, wish.type, *sorted(fields)), monotonic()
        at, wrong = self._explained.get(about, (0.0, []))
        if not at or now - at >= AGAIN_S:  # in a storm of refusals once
            self._screens.forget(wish.project)
            try:
                wrong = await self.wrong(wish)
            except (Refused, Unavailable):
                return error
            self._explained[about] = now, wrong
        if not wrong:
            return error
        return Refused(f"{error}; {'; '.join(wrong)}", status=error.status, fields=error.fields)
