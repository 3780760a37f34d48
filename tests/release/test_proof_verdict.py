"""A row is green for nothing less than all of its marks; the page says what was measured."""

from __future__ import annotations

import pytest

from gated_simulators.bench.release import Trials
from gated_simulators.proof import report
from gated_simulators.proof.verdict import HUNG, KILLED, LATENCY, NO_PRIORITY, Result


def row(
    kind: str = LATENCY, ours: float = 0.2, floor: float = 0.15, last: float = 0.2, **changes: object
) -> Result:
    found = Result("row", "a row", kind, 10_000, evidence="it held", realtime=True)
    found.trials = Trials([ours] * 9989 + [last] * 11)
    found.floor = Trials([floor] * 2000)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def test_a_row_within_its_marks_is_green() -> None:
    assert row().faults() == []
    assert row(NO_PRIORITY, ours=30.0, last=900.0, realtime=False).faults() == []
    assert row(KILLED, ours=20.0).faults() == []
    assert row(HUNG, ours=1900.0, last=1999.0).faults() == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (row(ours=0.51, floor=0.5), "p99 is"),
        (row(last=2.1), "p99.9 is"),
        (row(trials=Trials([0.2] * 9999 + [50.1])), "the longest is"),
        (row(ours=0.4), "times the floor's"),
        (row(trials=Trials([0.2] * 10_000, missed=1)), "1 alarms missed"),
        (row(NO_PRIORITY, realtime=False, trials=Trials([0.2] * 10_000, missed=1)), "1 alarms missed"),
        (row(trials=Trials([0.2] * 10)), "only 10 of 10000"),
        (row(trials=Trials([0.2] * 10, stuck="not shut again")), "not shut again"),
        (row(evidence=""), "condition did not hold"),
        (row(realtime=False), "priority was not granted"),
        (row(KILLED, last=51.0), "the longest is"),
        (row(HUNG, last=2001.0), "the longest is"),
        (row(failure="no board"), "no board"),
        (row(skipped="needs root"), "needs root"),
    ],
)
def test_what_is_missing_makes_a_row_red(wrong: Result, says: str) -> None:
    assert any(says in fault for fault in wrong.faults()), wrong.faults()
    assert wrong.to_json()["verdict"] == "red"
    assert says in report.line(wrong) and "red" in report.line(wrong)


def test_without_marks_late_is_late_only_beyond_what_holds_on_any_machine() -> None:
    assert row(ours=5.0, last=49.0).faults(marks=False) == []
    assert row(last=51.0).faults(marks=False) != []
    assert row(last=51.0, realtime=False).faults(marks=False) == []
    assert row(trials=Trials([0.2] * 999, missed=1), realtime=False).faults(marks=False)


def test_few_trials_make_no_row_green_and_none_red_for_its_percentiles() -> None:
    few = row(asked=999, trials=Trials([40.0] * 999))
    assert few.faults() == [] and few.verdict == "few"
    more = row(asked=9999, trials=Trials([0.2] * 9900 + [3.0] * 99))
    assert more.faults() == [] and more.verdict == "few"
    assert row().verdict == "green"
    assert row(asked=3, trials=Trials([0.2, 0.2, 51.0])).verdict == "red"


def test_the_page_says_what_is_red_and_why() -> None:
    page = report.page([row(), row(title="another", last=51.0)], ["12 states"], {"commit": "abc"})
    assert "Red: another." in page and "the longest is 51.00 ms" in page
    assert "12 states" in page and "- commit: abc" in page and "| a row | 10000 | 0.200 |" in page


def test_the_time_on_the_wire_is_the_sum_of_its_frames() -> None:
    slow = report.on_the_wire(9600, 0.02)
    assert slow["write"] == pytest.approx((10 + 3.5) * 10 / 9.6)
    assert slow["polling"] == slow["look"] == pytest.approx((8 + 6 + 7) * 10 / 9.6)
    assert report.on_the_wire(115200, 0.02)["polling"] == 20.0
    assert "9600 baud" in report.on_top()
