"""Schedules by the wall clock, holidays, and the two days a year that are not 24 hours long."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.model import AccessRights, Schedule
from gated.core.reasons import Reason
from gated.core.schedule import JST, is_open, local_time
from tests.core.sites import Bench, card, plan, reason

NEW_YORK, BERLIN, TOKYO = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo")
SPAN = tuple[time, time]


def daily(*spans: SPAN, holidays: tuple[SPAN, ...] | None = ()) -> Schedule:
    return Schedule("s", dict.fromkeys(range(7), spans), holidays)


def wall(schedule: Schedule, *at: int, holidays: frozenset[date] = frozenset()) -> bool:
    return is_open(schedule, datetime(*at, tzinfo=JST), holidays)  # type: ignore[misc,arg-type]


def test_spans_are_half_open() -> None:
    office = daily((time(7), time(21)))
    assert not wall(office, 2026, 11, 24, 6, 59, 59)
    assert wall(office, 2026, 11, 24, 7)
    assert wall(office, 2026, 11, 24, 20, 59, 59)
    assert not wall(office, 2026, 11, 24, 21)


def test_days_of_the_week_count_from_monday() -> None:
    monday = Schedule("s", {0: ((time(9), time(17)),)})
    assert wall(monday, 2026, 11, 23, 12)
    assert not wall(monday, 2026, 11, 24, 12)


def test_an_end_of_midnight_is_the_end_of_the_day() -> None:
    assert wall(daily((time(18), time(0))), 2026, 11, 24, 23, 59, 59)
    assert not wall(daily((time(18), time(0))), 2026, 11, 25, 0, 0)
    assert wall(daily((time(0), time(0))), 2026, 11, 24, 0, 0)


def test_a_night_shift_runs_on_into_the_next_day() -> None:
    friday = Schedule("s", {4: ((time(22), time(6)),)})
    assert wall(friday, 2026, 11, 27, 23)
    assert wall(friday, 2026, 11, 28, 5, 59)
    assert not wall(friday, 2026, 11, 28, 6)
    assert not wall(friday, 2026, 11, 27, 5)


def test_holidays_replace_the_day() -> None:
    day = frozenset({date(2026, 11, 23)})
    office = (time(7), time(21))
    assert not wall(daily(office), 2026, 11, 23, 12, holidays=day)
    assert wall(daily(office, holidays=None), 2026, 11, 23, 12, holidays=day)
    short = daily(office, holidays=((time(10), time(12)),))
    assert wall(short, 2026, 11, 23, 11, holidays=day)
    assert not wall(short, 2026, 11, 23, 12, holidays=day)
    night = daily((time(22), time(6)))
    assert wall(night, 2026, 11, 23, 5, holidays=day)  # the shift that began the evening before
    assert not wall(night, 2026, 11, 24, 5, holidays=day)


def test_tokyo_is_the_default() -> None:
    utc = datetime(2026, 11, 23, 15, tzinfo=UTC)
    assert local_time(utc, None).replace(tzinfo=None) == datetime(2026, 11, 24)  # noqa: DTZ001
    assert local_time(utc, None) == local_time(utc, TOKYO)


@given(st.datetimes(datetime(1952, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_default_agrees_with_the_time_zone_database(utc: datetime) -> None:
    assert local_time(utc, None).replace(tzinfo=None) == local_time(utc, TOKYO).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("zone", "utc", "opens_after"),
    [
        # clocks go forward: 02:30 never comes, a span from it opens when the clock reads 03:00
        (NEW_YORK, datetime(2026, 3, 8, 5, 0, tzinfo=UTC), timedelta(hours=2)),
        (BERLIN, datetime(2026, 3, 28, 23, 0, tzinfo=UTC), timedelta(hours=2)),
        # an ordinary day
        (NEW_YORK, datetime(2026, 3, 7, 5, 0, tzinfo=UTC), timedelta(hours=2.5)),
        # clocks go back: 02:30 is three and a half hours after midnight
        (NEW_YORK, datetime(2026, 11, 1, 4, 0, tzinfo=UTC), timedelta(hours=3.5)),
        (BERLIN, datetime(2026, 10, 24, 22, 0, tzinfo=UTC), timedelta(hours=2.5)),
    ],
)
def test_a_span_opens_by_the_wall_clock(zone: ZoneInfo, utc: datetime, opens_after: timedelta) -> None:
    assert local_time(utc, zone).time() == time(0)
    span = daily((time(2, 30), time(9)))
    minutes = [utc + timedelta(minutes=n) for n in range(9 * 60)]
    opened = next(minute for minute in minutes if is_open(span, local_time(minute, zone), ()))
    assert opened - utc == opens_after


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [(NEW_YORK, date(2026, 11, 1), 3.0), (BERLIN, date(2026, 10, 25), 2.0), (BERLIN, date(2026, 3, 29), 2.0)],
)
def test_the_repeated_hour_is_open_twice(zone: ZoneInfo, day: date, hours: float) -> None:
    span = daily((time(0), time(2)))
    start = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    day_long = [local_time(start + timedelta(minutes=n), zone) for n in range(23 * 60)]
    assert sum(is_open(span, local, ()) for local in day_long) == hours * 60


@pytest.mark.parametrize(
    ("zone", "midnight", "length"),
    [
        (BERLIN, datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
        (BERLIN, datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        (NEW_YORK, datetime(2026, 11, 1, 4, tzinfo=UTC), 25),
        (NEW_YORK, datetime(2026, 3, 8, 5, tzinfo=UTC), 23),
        (None, datetime(2026, 3, 8, 15, tzinfo=UTC), 24),
    ],
)
def test_the_daily_limit_counts_by_the_local_day(
    zone: ZoneInfo | None, midnight: datetime, length: int
) -> None:
    bench = Bench(plan(timezone=zone), midnight - timedelta(minutes=1))
    once = card(rights=AccessRights(frozenset({"*"}), per_day_limit=1))
    bench.enter(once)
    assert reason(bench.present(once)) is Reason.DENIED_PER_DAY_LIMIT
    bench.at(midnight)
    assert reason(bench.enter(once)[:1]) is Reason.GRANTED
    bench.at(midnight + timedelta(hours=length, seconds=-1))
    assert reason(bench.present(once)) is Reason.DENIED_PER_DAY_LIMIT
    bench.at(midnight + timedelta(hours=length))
    assert reason(bench.present(once)) is Reason.GRANTED
