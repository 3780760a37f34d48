"""The words of a weekly schedule."""

from __future__ import annotations

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated import hours


def test_days_and_hours() -> None:
    week = hours.weekly(["mon-fri 07:00-20:00", "sat,sun 09:00-12:00", "fri 21:00-24:00"])
    day = (time(7), time(20))
    assert week == {
        0: (day,),
        1: (day,),
        2: (day,),
        3: (day,),
        4: (day, (time(21), time(0))),
        5: ((time(9), time(12)),),
        6: ((time(9), time(12)),),
    }


def test_a_range_may_wrap_around_the_week() -> None:
    assert sorted(hours.weekly(["sat-mon 00:00-24:00"])) == [0, 5, 6]


def test_a_night_runs_on_into_the_next_day() -> None:
    assert hours.hours("22:00-06:00") == (time(22), time(6))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("mon-fry 07:00-20:00", "'mon-fry' is not a day"),
        ("mon 7:00-20:00", "hours are written like"),
        ("mon 07:00-25:00", "from 00:00 to 24:00"),
        ("mon 07:60-08:00", "from 00:00 to 24:00"),
        ("mon 24:00-06:00", "from 00:00 to 24:00"),
        ("mon 07:00-07:00", "must not end when they start"),
        ("mon,mon 07:00-08:00", "named twice"),
        ("07:00-20:00", "write days and hours like"),
        ("", "write days and hours like"),
    ],
)
def test_a_wrong_line_is_told_what_is_right(line: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        hours.check_line(line)


@given(st.text(max_size=40))
def test_any_text_is_a_line_or_a_sentence(line: str) -> None:
    try:
        assert hours.check_line(line) == line
    except ValueError as error:
        assert str(error)
