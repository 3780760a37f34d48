"""Lane modes by hand and by schedule; a new plan under a running site."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time

import pytest

from gated.core.effects import Record, ReleaseLane, SecureLane
from gated.core.events import DeviceFaulted, DeviceRestored, PlanChanged
from gated.core.lane import LaneState
from gated.core.model import Direction, Lane, LaneMode, Schedule
from gated.core.reasons import Reason
from tests.core.sites import (
    Bench,
    card,
    of,
    plan,
    reason,
    records,
    relays,
    with_lane,
    without_lane,
)

OPEN = ReleaseLane("lane-1", frozenset(Direction))
SECURE = SecureLane("lane-1")


def mode(bench: Bench) -> LaneMode:
    return bench.site.lanes["lane-1"].mode


def lose(bench: Bench, device: str = "board-1") -> list[str]:
    return records(bench.do(DeviceFaulted(device, "cable")))


@pytest.mark.parametrize(
    ("wanted", "refused"),
    [
        (LaneMode.ENTRY, ["exit-1"]),
        (LaneMode.EXIT, ["entry-1"]),
        (LaneMode.BOTH, []),
        (LaneMode.FREE_EXIT, []),
        (LaneMode.CLOSED, ["entry-1", "exit-1"]),
    ],
)
def test_a_mode_set_by_hand(wanted: LaneMode, refused: list[str]) -> None:
    bench = Bench()
    effects = bench.mode(wanted)
    assert of(effects, Record)[0].detail == {"mode": wanted.value, "by": "guard", "why": "test"}
    for point in ("entry-1", "exit-1"):
        expected = Reason.DENIED_LANE_CLOSED if point in refused else Reason.GRANTED
        assert reason(bench.present(card(), point)) is expected
        bench.wait(10)
    bench.mode(None)
    assert mode(bench) is LaneMode.BOTH


def test_closing_a_lane_takes_no_grant_back() -> None:
    bench = Bench()
    bench.present(card())
    bench.mode(LaneMode.CLOSED)
    assert records(bench.beams("F+ X+ F- X-")) == ["completed"]


SCHEDULES = {
    "morning": Schedule("morning", {day: ((time(7), time(10)),) for day in range(7)}),
    "night": Schedule("night", {day: ((time(21), time(7)),) for day in range(7)}),
}
BY_HOURS = plan(
    lane={"mode_schedule": (("morning", LaneMode.ENTRY), ("night", LaneMode.CLOSED))}, schedules=SCHEDULES
)


def tokyo(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 24, hour - 9, minute, tzinfo=UTC)


def test_modes_follow_their_schedules() -> None:
    bench = Bench(BY_HOURS, tokyo(9, 59))
    assert mode(bench) is LaneMode.ENTRY
    assert records(bench.wait(60)) == ["lane_mode"]
    assert mode(bench) is LaneMode.BOTH
    bench.at(tokyo(20, 59))
    bench.mode(LaneMode.EXIT)
    assert records(bench.wait(60)) == []
    assert mode(bench) is LaneMode.EXIT  # by hand, until given back
    bench.mode(None)
    assert mode(bench) is LaneMode.CLOSED


def test_modes_stay_as_they_are_while_the_time_is_not_trusted() -> None:
    bench = Bench(BY_HOURS, tokyo(9, 59))
    bench.trusted = False
    bench.wait(3600)
    assert mode(bench) is LaneMode.ENTRY
    bench.trusted = True
    bench.wait(60)
    assert mode(bench) is LaneMode.BOTH


def test_a_new_plan_keeps_the_state_of_its_lanes() -> None:
    bench = Bench()
    bench.present(card())
    bench.do(DeviceFaulted("board-2", "cable"))
    before = bench.site.lanes
    assert bench.do(PlanChanged(plan())) == []
    assert bench.site.lanes == before
    assert records(bench.beams("F+ X+ F- X-")) == ["completed"]


def test_a_new_lane_starts_secured_without_an_effect() -> None:
    bench = Bench(without_lane(plan(), "lane-2"))
    assert bench.do(PlanChanged(plan())) == []
    assert bench.state("lane-2") is LaneState.SECURED


def test_a_removed_lane_is_recorded_and_left_as_it_is() -> None:
    bench = Bench()
    effects = bench.do(PlanChanged(without_lane(plan(), "lane-1")))
    assert records(effects) == ["lane_removed"]
    assert relays(effects) == []
    assert set(bench.site.lanes) == {"lane-2"}
    assert records(bench.present(card())) == ["unknown_access_point"]


def test_a_lane_removed_while_released_is_not_left_open() -> None:
    bench = Bench()
    bench.present(card())
    effects = bench.do(PlanChanged(without_lane(plan(), "lane-1")))
    assert records(effects) == ["lane_removed", "cancelled"]
    assert relays(effects) == [SECURE]


def test_a_lane_removed_in_an_emergency_stays_open_and_so_it_returns() -> None:
    bench = Bench()
    bench.emergency("lane-1", unseen=("lane-1",))
    assert relays(bench.do(PlanChanged(without_lane(plan(), "lane-1")))) == []
    effects = bench.do(PlanChanged(plan()))
    assert relays(effects) == [OPEN]
    assert bench.state() is LaneState.EMERGENCY


def test_a_lane_that_we_left_open_is_held_open_by_us_when_it_returns_seen_open() -> None:
    bench = Bench()
    bench.emergency("lane-1", unseen=("lane-1",))
    bench.do(PlanChanged(without_lane(plan(), "lane-1")))
    bench.emergency("lane-1")  # seen open by now, through our relays
    assert relays(bench.do(PlanChanged(plan()))) == [OPEN]
    bench.do(DeviceFaulted("board-1", "cable"))
    assert relays(bench.do(DeviceRestored("board-1"))) == [OPEN]
    assert relays(bench.emergency()) == [SECURE]


def test_a_lane_removed_in_an_emergency_is_secured_if_it_returns_after_it() -> None:
    bench = Bench()
    bench.emergency("lane-1")
    bench.do(PlanChanged(without_lane(plan(), "lane-1")))
    assert relays(bench.emergency()) == []
    assert relays(bench.do(PlanChanged(plan()))) == [SECURE]
    assert relays(bench.do(PlanChanged(plan()))) == []


def test_a_new_plan_may_need_a_device_that_is_lost() -> None:
    bench = Bench()
    lose(bench, "board-9")
    effects = bench.do(PlanChanged(with_lane(plan(), "lane-1", essential=frozenset({"board-9"}))))
    assert records(effects) == ["out_of_service"]
    assert records(bench.do(PlanChanged(plan()))) == ["in_service"]


def test_beams_taken_out_of_the_plan_while_somebody_passes() -> None:
    bench = Bench()
    bench.present(card())
    bench.beams("F+")
    effects = bench.do(PlanChanged(with_lane(plan(), "lane-1", has_beams=False)))
    assert "unconfirmed" in records(effects)
    assert relays(effects) == [SECURE]
    assert bench.state() is LaneState.SECURED


def test_a_plan_with_other_modes_applies_at_once() -> None:
    bench = Bench()
    assert records(bench.do(PlanChanged(with_lane(plan(), "lane-1", mode=LaneMode.CLOSED)))) == ["lane_mode"]
    assert reason(bench.present(card(), "exit-1")) is Reason.DENIED_LANE_CLOSED


def test_a_lane_between_two_areas_moves_people_between_them() -> None:
    the_plan = plan()
    vault = replace(the_plan.areas["joined"], id="vault")
    lanes = {**the_plan.lanes, "lane-1": Lane("lane-1", inner="vault", outer="joined")}
    bench = Bench(replace(the_plan, lanes=lanes, areas={**the_plan.areas, "vault": vault}))
    bench.enter(lane=2)
    bench.enter(lane=1)
    assert bench.site.occupancy() == {"joined": 0, "vault": 1}
    bench.leave(lane=1)
    assert bench.site.occupancy() == {"joined": 1, "vault": 0}
