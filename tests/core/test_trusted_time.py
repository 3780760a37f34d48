"""The time floor against wrong clocks."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.trusted_time import TimeState, TimeVerdict, TrustedTime
from tests.core.sites import NOON

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FLOOR = NOON - DAY


def test_a_clock_above_the_floor_is_trusted() -> None:
    verdict = TrustedTime(FLOOR).judge(NOON, 10.0, False)
    assert (verdict.state, verdict.now.utc_trusted, verdict.now.utc) == (TimeState.RUNNING, True, NOON)
    assert verdict.now.monotonic == 10.0
    assert verdict.floor == FLOOR  # nobody vouches for the clock: it raises nothing


@pytest.mark.parametrize("synchronised", [False, True])
def test_a_clock_below_the_floor_is_not(synchronised: bool) -> None:
    time = TrustedTime(FLOOR)
    verdict = time.judge(FLOOR - DAY, 10.0, synchronised)
    assert (verdict.state, verdict.now.utc_trusted) == (TimeState.BELOW_FLOOR, False)
    assert verdict.now.utc == FLOOR
    later = time.judge(FLOOR - DAY, 70.0, synchronised)
    assert later.now.utc == later.floor == FLOOR + timedelta(minutes=1)


def test_it_recovers_when_the_clock_is_set_right() -> None:
    time = TrustedTime(FLOOR)
    time.judge(FLOOR - DAY, 10.0, False)
    assert time.judge(NOON, 20.0, False).now.utc_trusted


def test_a_service_raises_the_floor() -> None:
    time = TrustedTime(FLOOR)
    verdict = time.judge(NOON, 10.0, True)
    assert (verdict.state, verdict.floor) == (TimeState.SYNCHRONISED, NOON)
    assert not time.judge(NOON - HOUR, 11.0, False).now.utc_trusted


def test_a_small_step_back_is_bridged_by_the_floor() -> None:
    time = TrustedTime(FLOOR)
    time.judge(NOON, 10.0, True)
    verdict = time.judge(NOON - timedelta(seconds=5), 10.0, True)
    assert verdict.now.utc_trusted
    assert verdict.now.utc == NOON


def test_a_jump_ahead_is_not_believed_until_a_service_vouches_for_it() -> None:
    time = TrustedTime(FLOOR)
    time.judge(NOON, 10.0, False)
    jumped = NOON + HOUR + timedelta(seconds=2)
    verdict = time.judge(jumped, 11.0, False)
    assert (verdict.state, verdict.now.utc_trusted) == (TimeState.JUMPED, False)
    assert verdict.now.utc == NOON + timedelta(seconds=1)  # as the clock ran before
    assert verdict.floor == FLOOR + timedelta(seconds=1)
    assert time.judge(jumped, 12.0, True).now.utc_trusted
    assert time.judge(jumped + HOUR, 12.0 + 3600, False).now.utc_trusted


def test_small_jumps_do_not_add_up_unnoticed() -> None:
    time = TrustedTime(FLOOR)
    time.judge(NOON, 10.0, False)
    assert time.judge(NOON + timedelta(minutes=50), 11.0, False).now.utc_trusted
    assert not time.judge(NOON + timedelta(minutes=100), 12.0, False).now.utc_trusted


def test_a_jump_taken_back_is_trusted_again() -> None:
    time = TrustedTime(FLOOR)
    time.judge(NOON, 10.0, False)
    time.judge(NOON + 50 * 365 * DAY, 11.0, False)
    assert time.judge(NOON + timedelta(seconds=2), 12.0, False).now.utc_trusted


def test_a_wrong_clock_at_boot_does_not_drag_the_floor_along() -> None:
    time = TrustedTime(FLOOR)
    assert time.judge(NOON + 50 * 365 * DAY, 10.0, False).floor == FLOOR
    after_reboot = TrustedTime(FLOOR)
    assert after_reboot.judge(NOON, 5.0, False).now.utc_trusted


clocks = st.lists(
    st.tuples(st.floats(0, 86400), st.timedeltas(-50 * 365 * DAY, 50 * 365 * DAY), st.booleans()),
    min_size=1,
    max_size=20,
)


@given(clocks)
def test_whatever_the_clock_does(readings: list[tuple[float, timedelta, bool]]) -> None:
    """No time below the floor is ever used, and the floor falls never."""
    time, monotonic = TrustedTime(FLOOR), 100.0
    floor: datetime = FLOOR
    for elapsed, error, synchronised in readings:
        monotonic += elapsed
        verdict: TimeVerdict = time.judge(NOON + error, monotonic, synchronised)
        assert verdict.floor >= floor
        assert verdict.now.utc >= verdict.floor
        assert verdict.now.utc_trusted is verdict.state.trusted
        if not synchronised:
            assert verdict.floor - floor <= timedelta(seconds=elapsed, microseconds=1)
        floor = verdict.floor
