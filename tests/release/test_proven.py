"""Dates of proof and hourly reminders: true sentences at any clock, from any file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gated.release.proven import Proven, last
from gated.release.reminders import AGAIN_S, Reminders

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def proven() -> Proven:
    return Proven(["panel"], ["lane-1"], link_test_days=180, output_test_days=30)


def test_what_was_never_seen_was_never_tested() -> None:
    assert proven().warnings(NOW) == [
        "input panel: never tested; its line is due for a test",
        "lane lane-1: never tested; its outputs are due for a test",
    ]


def test_a_test_is_due_after_its_days_and_not_before() -> None:
    dates = proven()
    assert dates.seen(dates.inputs, {"panel": NOW}) and dates.seen(dates.lanes, {"lane-1": NOW})
    assert dates.warnings(NOW + 30 * DAY) == []
    (lane,) = dates.warnings(NOW + 31 * DAY)
    assert lane.startswith("lane lane-1: last tested 2026-11-23, 31 days ago;")
    assert len(dates.warnings(NOW + 181 * DAY)) == 2


def test_a_clock_before_the_date_counts_no_days() -> None:
    dates = proven()
    dates.seen(dates.inputs, {"panel": NOW})
    dates.seen(dates.lanes, {"lane-1": NOW})
    assert dates.warnings(NOW - timedelta(hours=1)) == []
    for text in dates.warnings(datetime(1970, 1, 1, tzinfo=UTC)):
        assert "is dated 2026-11-23, which is yet to come by the clock of this computer" in text


def test_the_dates_outlive_the_process_and_the_later_one_counts() -> None:
    old, new = proven(), proven()
    old.seen(old.inputs, {"panel": NOW})
    old.seen(old.lanes, {"lane-1": NOW})
    new.seen(new.inputs, {"panel": NOW + DAY})
    new.restore(old.encode())
    assert last(new.inputs, "panel") == "2026-11-24T09:00:00+00:00"
    assert last(new.lanes, "lane-1") == "2026-11-23T09:00:00+00:00"


def test_when_a_lane_was_last_open_outlives_the_process_and_what_it_saw_itself_counts() -> None:
    old, new = proven(), proven()
    old.opened_at = "2030-01-01T00:00:00.123456+00:00"  # by a clock that was wrong
    new.restore(old.encode())
    assert new.opened_at == old.opened_at
    new.opened_at = NOW.isoformat()
    new.restore(old.encode())
    assert new.opened_at == NOW.isoformat()
    new.restore(b'{"opened_at": "yesterday"}')
    assert new.opened_at == NOW.isoformat()


def test_a_name_that_the_configuration_dropped_keeps_its_date() -> None:
    other = Proven(["gone"], [], 1, 1)
    other.seen(other.inputs, {"gone": NOW})
    dates = proven()
    dates.restore(other.encode())
    assert json.loads(dates.encode())["inputs"] == {"gone": "2026-11-23T09:00:00+00:00"}


def test_a_contact_that_bounces_is_not_written_down_each_time() -> None:
    dates = proven()
    assert dates.seen(dates.inputs, {"panel": NOW})
    assert not dates.seen(dates.inputs, {"panel": NOW + timedelta(seconds=1)})
    assert dates.seen(dates.inputs, {"panel": NOW + timedelta(minutes=2)})


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=30) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(
    st.binary(max_size=60)
    | JSON.map(lambda value: json.dumps({"inputs": {"panel": value}, "opened_at": value}).encode())
)
def test_no_file_makes_it_fail(data: bytes) -> None:
    dates = proven()
    dates.restore(data)
    dates.warnings(NOW)
    json.loads(dates.encode())


def test_what_stands_is_said_again_every_hour_and_what_went_is_forgotten() -> None:
    reminders = Reminders()
    assert reminders.due(["a"], 0) == []
    assert reminders.due(["a", "b"], AGAIN_S - 1) == []
    assert reminders.due(["a", "b"], AGAIN_S) == ["a"]
    assert reminders.due(["a", "b"], 2 * AGAIN_S - 1) == ["b"]
    assert reminders.due(["b"], 2 * AGAIN_S) == []
    assert reminders.due(["a"], 2 * AGAIN_S) == []
