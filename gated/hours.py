"""The words of a weekly schedule: "mon-fri 07:00-20:00" to spans of local time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import time

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FORM = 'write days and hours like "mon-fri 07:00-20:00" or "sat,sun 09:00-12:00"'
MIDNIGHT = time(0, 0)

Span = tuple[time, time]
"""Half open; an end of 00:00 is midnight at the end of the day, an end before the start is the next day's."""


def weekly(lines: Iterable[str]) -> dict[int, tuple[Span, ...]]:
    """The spans of each weekday (Monday 0), in order of the lines. Raises ValueError with a sentence."""
    week: dict[int, tuple[Span, ...]] = {}
    for line in lines:
        for day in _days(line):
            week[day] = (*week.get(day, ()), hours(line.split()[1]))
    return week


def check_line(line: str) -> str:
    """The line itself when it is a weekly span. Raises ValueError with a sentence."""
    weekly([line])
    return line


def check_hours(line: str) -> str:
    """The line itself when it is "HH:MM-HH:MM". Raises ValueError with a sentence."""
    hours(line)
    return line


def hours(text: str) -> Span:
    """ "09:00-17:30" to its two times; 24:00 ends at midnight. Raises ValueError with a sentence."""
    found = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", text)
    if found is None:
        raise ValueError("hours are written like 09:00-17:30")
    minutes = [int(h) * 60 + int(m) for h, m in (found.groups()[:2], found.groups()[2:])]
    if any(int(m) > 59 for m in (found[2], found[4])) or max(minutes) > 24 * 60 or minutes[0] == 24 * 60:
        raise ValueError("hours run from 00:00 to 24:00")
    start, end = minutes
    if start == end:
        raise ValueError("hours must not end when they start; a whole day is 00:00-24:00")
    return time(start // 60, start % 60), time(end // 60 % 24, end % 60)


def _days(line: str) -> list[int]:
    words = line.split()
    if len(words) != 2:
        raise ValueError(FORM)
    days: list[int] = []
    for part in words[0].lower().split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"{part!r} is not a day or a range of days ({', '.join(DAYS)}); {FORM}")
        start, end = DAYS.index(first), DAYS.index(last or first)
        days += [(start + n) % 7 for n in range((end - start) % 7 + 1)]
    if len(days) != len(set(days)):
        raise ValueError("a day is named twice")
    return days
