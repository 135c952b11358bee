"""When schedules have something captured: the windows that `capture.schedules` open, in their time zone."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from kubeshark.errors import UsageError
from kubeshark.settings._model import Schedule

__all__ = ["Moment", "Windows", "check_schedule", "six_fields", "zone_of"]

MAX_CRON = 200
MAX_SCHEDULES = 100
MAX_EXPIRE_S = 3_000_000_000
"""As much as a segment can say."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is open at a time."""

    names: tuple[str, ...]  # of schedules
    filters: tuple[str, ...]  # their BPF expressions
    until: float  # seconds since 1970: it is so at least till then
    keep_s: int  # the longest expiry of those that have one, seconds; 0: none has
    as_store: bool  # one of them has none, and is kept as the store says
    uploads: bool  # what is captured goes to an archive, where there is one


class Windows:
    """Windows of schedules: each begins when its cron says and has its duration, whatever clocks are put to meanwhile.

    Raises UsageError for a schedule that is none, or never comes, and for a zone that is none; "" is UTC.
    """

    def __init__(self, schedules: Sequence[Schedule], timezone: str = "") -> None:
        self.zone = zone_of(timezone)
        self._schedules = [(each, six_fields(each.cron)) for each in schedules]
        self.asks_for_archive = any(each.upload for each in schedules)  # else an archive takes everything
        if len(schedules) > MAX_SCHEDULES:
            raise UsageError(f"{len(schedules)} schedules", hint=f"{MAX_SCHEDULES} are the most")
        for each, cron in self._schedules:
            check_schedule(each)
            try:
                self._due(cron, 0.0)
            except CroniterBadDateError:
                raise UsageError(f"schedule {each.name}: {each.cron!r} never comes") from None

    def at(self, now: float) -> Moment:
        """Return what is open at a time, in seconds since 1970."""
        opened, until = list[Schedule](), math.inf
        for each, cron in self._schedules:
            ends = self._began(cron, now) + each.duration.seconds
            if now < ends:
                opened.append(each)
            until = min(until, ends if now < ends else self._due(cron, now))
        expiries = [math.ceil(each.expire.seconds) for each in opened]
        return Moment(
            tuple(each.name for each in opened),
            tuple(each.filter for each in opened),
            until,
            keep_s=max(expiries, default=0),
            as_store=0 in expiries,
            uploads=not self.asks_for_archive or any(each.upload for each in opened),
        )

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


def check_schedule(schedule: Schedule) -> None:
    """Raise UsageError for a name that is none, no duration, what cannot be kept or never goes; not for its cron."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?", schedule.name):
        raise UsageError(f"{schedule.name[:60]!r} is no name of a schedule", hint="small letters, digits and dashes")
    if schedule.duration.seconds <= 0:
        raise UsageError(f"schedule {schedule.name}: its duration is 0")
    if schedule.expire.seconds > MAX_EXPIRE_S:
        hint = "0 keeps it as the store says, which is for ever where store.retention says nothing"
        raise UsageError(f"schedule {schedule.name}: expire: {schedule.expire} is more than 95 years", hint=hint)
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
