"""When schedules have something captured: the windows that `capture.schedules` open, in their time zone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from kubeshark.errors import UsageError
from kubeshark.settings._model import Schedule

__all__ = ["Moment", "Windows", "refuse_kfl", "six_fields", "zone_of"]

MAX_CRON = 200


@dataclass(frozen=True, slots=True)
class Moment:
    """What is open at a time."""

    names: tuple[str, ...]  # of schedules
    filters: tuple[str, ...]  # their BPF expressions
    until: float  # seconds since 1970: it is so at least till then


class Windows:
    """Windows of schedules: each begins when its cron says and has its duration, whatever clocks are put to meanwhile.

    Raises UsageError for a schedule that is none, or never comes, and for a zone that is none; "" is UTC.
    """

    def __init__(self, schedules: Sequence[Schedule], timezone: str = "") -> None:
        self.zone = zone_of(timezone)
        self._schedules = [(each, six_fields(each.cron)) for each in schedules]
        for each, cron in self._schedules:
            refuse_kfl(each)
            if each.duration.seconds <= 0:
                raise UsageError(f"schedule {each.name}: its duration is 0")
            try:
                self._due(cron, 0.0)
            except CroniterBadDateError:
                raise UsageError(f"schedule {each.name}: {each.cron!r} never comes") from None

    def at(self, now: float) -> Moment:
        """Return what is open at a time, in seconds since 1970."""
        names, filters, until = [], [], math.inf
        for each, cron in self._schedules:
            ends = self._began(cron, now) + each.duration.seconds
            if now < ends:
                names.append(each.name)
                filters.append(each.filter)
            until = min(until, ends if now < ends else self._due(cron, now))
        return Moment(tuple(names), tuple(filters), until)

    def said(self, when: float) -> str:
        """Return a time as people read it, in the zone."""
        return f"{datetime.fromtimestamp(when, self.zone):%Y-%m-%d %H:%M:%S %Z}"

    def _due(self, cron: str, now: float) -> float:
        found: datetime = self._from(cron, math.floor(now)).get_next(datetime)
        return found.timestamp()

    def _began(self, cron: str, now: float) -> float:
        """Return when it was last due, at `now` at the latest; of overlapping windows the last one ends last."""
        try:
            found: datetime = self._from(cron, math.floor(now) + 1).get_prev(datetime)
        except CroniterBadDateError:
            return -math.inf
        return found.timestamp()

    def _from(self, cron: str, seconds: int) -> croniter:
        return croniter(cron, datetime.fromtimestamp(seconds, self.zone), second_at_beginning=True)


def refuse_kfl(schedule: Schedule) -> None:
    """Raise UsageError for a window that shall keep what a KFL matches: nobody could tell in time."""
    if schedule.kfl:
        raise UsageError(
            f"schedule {schedule.name}: kfl: which entry a packet belongs to is not known when it is captured, "
            "and nodes cannot read what they stored",
            hint="narrow its filter (BPF), and give the KFL when you look",
        )


def six_fields(cron: str) -> str:
    """Return a schedule with seconds: five fields get 0 for them. Raise UsageError for what is none."""
    fields = cron.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    text = " ".join(fields)
    if len(fields) != 6 or len(text) > MAX_CRON or not croniter.is_valid(text, second_at_beginning=True):
        hint = 'six fields, seconds first: "0 0 2 * * *" is every night at two'
        raise UsageError(f"{cron[:80]!r} is no schedule", hint=hint)
    return text


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by name, UTC for ""; raise UsageError."""
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise UsageError(f"{name[:80]!r} is no time zone", hint="write UTC or Europe/Berlin") from None
