"""Times in which nothing is filed: maintenance windows, by the clock of a place or once."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from processor.lang.validate import Part

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one such as Europe/Berlin or UTC") from None
    return name


def _clock(value: object) -> time:
    try:
        read = time.fromisoformat(str(value) if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f'{value!r} is no time of day; write one such as "22:00", in quotes') from None
    if read.tzinfo is not None:
        raise ValueError(f'{value!r} has a time zone of its own; write "{read:%H:%M}", and the place as zone')
    return read


def _moment(value: object) -> datetime:
    try:
        read = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise ValueError(f"{str(value)!r}: write a time with its zone, such as 2026-12-24T00:00:00Z")
    return read


Zone = Annotated[str, AfterValidator(_zone)]
Clock = Annotated[time, BeforeValidator(_clock), WithJsonSchema({"type": "string"})]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string"})]


class Weekly(Part):
    """A part of the day, every week."""

    days: list[Day] = Field(
        default_factory=lambda: list(DAYS),
        min_length=1,
        description="Days on which it begins; every day where none is named.",
        examples=[["sat", "sun"]],
    )
    begins: Clock = Field(time(0), description="When, in quotes.", examples=["22:00"])
    ends: Clock = Field(
        time(0), description="Until when, on the next day if that is not later; from 00:00 to 00:00 is the whole day.",
        examples=["06:00"],
    )  # fmt: skip
    zone: Zone = Field("UTC", description="Time zone of the clock.", examples=["Europe/Berlin"])

    @model_validator(mode="after")
    def _ends_some_time(self) -> Self:
        if self.begins == self.ends and set(self.days) == set(DAYS):
            raise ValueError("it covers the whole week: nothing would be filed; name days or times, or use dry_run")
        return self

    def covers(self, at: datetime) -> bool:
        """Whether it is on at a time."""
        here = at.astimezone(ZoneInfo(self.zone))
        return any(self._began(here - timedelta(days=back), here) for back in (0, 1))

    def _began(self, day: datetime, here: datetime) -> bool:
        """Whether it began on this day and is still on. By the clock on the wall, which days of change bend."""
        begins = datetime.combine(day.date(), self.begins)
        ends = datetime.combine(day.date(), self.ends)
        ends += timedelta(days=self.ends <= self.begins)
        return DAYS[day.weekday()] in self.days and begins <= here.replace(tzinfo=None) < ends


class Once(Part):
    """A span of time."""

    since: Moment = Field(description="From when on, with its zone.", examples=["2026-12-24T00:00:00Z"])
    until: Moment = Field(description="Until when.", examples=["2026-12-27T00:00:00Z"])

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until <= self.since:
            said = f"until {self.until.isoformat()} is not after since {self.since.isoformat()}"
            raise ValueError(f"{said}: the window is empty; write the later time as until")
        return self

    def covers(self, at: datetime) -> bool:
        """Whether it is on at a time."""
        return self.since <= at < self.until


class Quiet(Part):
    """When nothing is filed."""

    weekly: list[Weekly] = Field(
        default_factory=list,
        description="Every week.",
        examples=[[{"days": ["sat"], "begins": "22:00", "ends": "06:00", "zone": "Europe/Berlin"}]],
    )
    once: list[Once] = Field(
        default_factory=list,
        description="Spans of time.",
        examples=[[{"since": "2026-12-24T00:00:00Z", "until": "2026-12-27T00:00:00Z"}]],
    )

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if not self.weekly and not self.once:
            raise ValueError("no window is named; write weekly or once, or leave quiet out")
        return self

    def covers(self, at: datetime) -> bool:
        """Whether one of them is on at a time."""
        return any(each.covers(at) for each in self.weekly) or any(each.covers(at) for each in self.once)
