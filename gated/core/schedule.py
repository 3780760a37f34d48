"""Schedules and holidays in the site's local time.

A schedule speaks of the wall clock: in the hour a DST change repeats, a span that covers it is open
both times; a wall-clock time that a change skips never happens. A span that ends before it starts
(22:00-06:00) runs on into the next day and belongs to the day on which it starts.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import date, datetime, time, timedelta, timezone, tzinfo

from gated.core.model import Schedule

JST = timezone(timedelta(hours=9), "Asia/Tokyo")
"""Asia/Tokyo, where a plan names no time zone; Japan has had one offset and no DST since 1951."""

_MIDNIGHT = time(0)
_DAY = timedelta(days=1)


def local_time(utc: datetime, zone: tzinfo | None) -> datetime:
    """`utc` on the wall clock of `zone` (default Asia/Tokyo)."""
    return utc.astimezone(zone or JST)


def spans_on(schedule: Schedule, day: date, holidays: Container[date]) -> tuple[tuple[time, time], ...]:
    """The spans that start on `day`: the holiday's, where it is one and the schedule minds it."""
    if schedule.holidays is not None and day in holidays:
        return schedule.holidays
    return schedule.weekly.get(day.weekday(), ())


def is_open(schedule: Schedule, local: datetime, holidays: Container[date]) -> bool:
    """Whether `schedule` allows access at the local time `local`. Spans are half open."""
    day, clock = local.date(), local.time()
    for start, end in spans_on(schedule, day, holidays):
        if start <= clock and (clock < end or end == _MIDNIGHT or end < start):
            return True
    return any(
        clock < end < start for start, end in spans_on(schedule, day - _DAY, holidays) if end != _MIDNIGHT
    )
