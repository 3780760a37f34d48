"""Emergencies, lost devices, modes and new plans."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time

import pytest

from gated.core.effects import Record, ReleaseLane, SecureLane, StoreMove
from gated.core.events import DeviceFaulted, DeviceRestored, EmergencyLinkLost, PlanChanged
from gated.core.lane import LaneState
from gated.core.model import AntiPassback, Direction, Lane, LaneMode, Schedule
from gated.core.reasons import Reason
from tests.core.sites import (
    Bench,
    card,
    of,
    plan,
    reason,
    records,
    relays,
    signals,
    visitor,
    with_lane,
    without_lane,
)

OPEN = ReleaseLane("lane-1", frozenset(Direction))
SECURE = SecureLane("lane-1")


def mode(bench: Bench) -> LaneMode:
    return bench.site.lanes["lane-1"].mode


def lose(bench: Bench, device: str = "board-1") -> list[str]:
    return records(bench.do(DeviceFaulted(device, "cable")))


def mend(bench: Bench, device: str = "board-1") -> list[str]:
    return records(bench.do(DeviceRestored(device)))


# the emergency release


def test_an_emergency_opens_both_ways_and_shows_it() -> None:
    bench = Bench()
    effects = bench.emergency("lane-1")
    assert relays(effects) == [OPEN]
    assert signals(effects) == ["emergency"]
    assert of(effects, Record)[0].detail == {"causes": "fire"}
    assert bench.site.lanes["lane-1"].reason == "fire"
    assert (bench.state(), bench.state("lane-2")) == (LaneState.EMERGENCY, LaneState.SECURED)
    assert bench.emergency("lane-1") == []  # heartbeats change nothing


def test_a_card_in_an_emergency_is_recorded_and_changes_nothing() -> None:
    bench = Bench()
    bench.emergency("lane-1")
    effects = bench.present(card())
    assert reason(effects) is Reason.EMERGENCY_OPEN
    assert len(effects) == 1
    assert bench.beams("F+ X+ F- X-") == []
    assert bench.wait(3600) == []
    assert bench.site.roll_call() == []


@pytest.mark.parametrize("beams", ["", "F+", "F+ X+"])
def test_an_emergency_ends_a_grant_under_way(beams: str) -> None:
    bench = Bench()
    bench.present(card())
    bench.beams(beams)
    effects = bench.emergency("lane-1")
    assert records(effects)[0] == ("unconfirmed" if beams else "cancelled")
    assert relays(effects) == [OPEN]
    assert signals(bench.wait(60)) == []  # no OFF for the emergency's lamp


def test_the_end_of_an_emergency_secures_lane_by_lane() -> None:
    bench = Bench()
    bench.emergency("lane-1", "lane-2")
    effects = bench.emergency("lane-2")
    assert relays(effects) == [SECURE]
    assert signals(effects) == ["off"]
    assert records(effects) == ["emergency_over"]
    assert reason(bench.present(card())) is Reason.GRANTED
    assert relays(bench.emergency()) == [SecureLane("lane-2")]


def test_everyone_is_forgiven_after_an_emergency() -> None:
    bench = Bench(plan(area={"anti_passback": AntiPassback.HARD, "occupancy_limit": 1}))
    bench.enter()
    bench.wait(1)
    assert len(of(bench.emergency("lane-2"), StoreMove)) == 1
    assert reason(bench.present(card())) is Reason.GRANTED  # neither passed back nor full
    bench.beams("F+ X+ F- X-")
    bench.wait(1)
    bench.emergency()
    assert reason(bench.present(card())) is Reason.GRANTED  # and once more at its end
    assert [entry.certain for entry in bench.site.roll_call()] == [False]


def test_a_claim_answered_in_an_emergency_changes_nothing() -> None:
    bench = Bench()
    bench.present(visitor())
    bench.emergency("lane-1")
    effects = bench.answer("won")
    assert records(effects) == ["emergency_open", "redeemed_not_passed"]
    assert len(effects) == 2


def test_a_claim_unanswered_in_an_emergency_runs_out_quietly() -> None:
    bench = Bench()
    bench.present(visitor())
    bench.emergency("lane-1")
    effects = bench.wait(2)
    assert records(effects) == ["denied_redemption_unknown"]
    assert len(effects) == 1


def test_somebody_in_the_lane_when_it_relocks_is_shown() -> None:
    bench = Bench()
    bench.emergency("lane-1")
    bench.beams("F+")
    assert records(bench.emergency()) == ["emergency_over", "forced"]


def test_a_new_cause_is_recorded() -> None:
    bench = Bench()
    bench.emergency("lane-1")
    effects = bench.emergency("lane-1", causes=("fire", "earthquake"))
    assert records(effects) == ["emergency_causes"]
    assert bench.site.lanes["lane-1"].reason == "fire; earthquake"


def test_an_unknown_lane_in_an_emergency_does_not_hinder_the_others() -> None:
    bench = Bench()
    effects = bench.emergency("lane-1", "lane-9")
    assert relays(effects) == [OPEN]
    assert records(effects)[-1] == "unknown_lane"
    assert bench.emergency("lane-1", "lane-9") == []


def test_silence_of_the_release_keeps_its_last_word() -> None:
    bench = Bench()
    bench.emergency("lane-1")
    assert records(bench.do(EmergencyLinkLost("no answer"))) == ["emergency_link_lost"]
    assert bench.do(EmergencyLinkLost("no answer")) == []
    assert bench.state() is LaneState.EMERGENCY
    assert records(bench.emergency("lane-1")) == ["emergency_link_back"]


def test_nobody_assists_in_an_emergency_and_a_mode_waits() -> None:
    bench = Bench()
    bench.emergency("lane-1")
    assert records(bench.assist()) == ["assist", "emergency_open"]
    assert relays(bench.mode(LaneMode.CLOSED)) == []
    bench.emergency()
    assert reason(bench.present(card())) is Reason.DENIED_LANE_CLOSED


# devices


def test_a_lane_without_its_device_is_out_of_service_and_comes_back() -> None:
    bench = Bench()
    assert lose(bench) == ["device_lost", "out_of_service"]
    assert lose(bench) == []
    assert bench.site.lanes["lane-1"].reason == "board-1: cable"
    assert bench.state("lane-2") is LaneState.SECURED
    assert reason(bench.present(card())) is Reason.DENIED_LANE_OUT_OF_SERVICE
    effects = bench.do(DeviceRestored("board-1"))
    assert records(effects) == ["device_back", "in_service"]
    assert relays(effects) == [SECURE]  # the board may have missed the last command
    assert bench.state() is LaneState.SECURED


def test_the_first_opening_of_a_device_moves_nothing() -> None:
    bench = Bench()
    assert bench.do(DeviceRestored("board-1")) == []


def test_a_device_no_lane_needs_is_recorded_only() -> None:
    bench = Bench()
    assert lose(bench, "camera-1") == ["device_lost"]
    assert mend(bench, "camera-1") == ["device_back"]


@pytest.mark.parametrize("contact", ["F", "X", "N"])
def test_an_unknown_beam_or_ready_line_is_a_fault(contact: str) -> None:
    bench = Bench()
    assert records(bench.beams(f"{contact}0")) == ["out_of_service"]
    assert "unknown" in bench.site.lanes["lane-1"].reason
    assert records(bench.beams(f"{contact}-")) == ["in_service"]
    assert bench.state() is LaneState.SECURED


def test_a_turnstile_that_is_not_ready_is_out_of_service() -> None:
    bench = Bench()
    assert records(bench.beams("N+")) == ["out_of_service"]
    assert bench.site.lanes["lane-1"].reason == "turnstile not ready"
    assert records(bench.beams("N-")) == ["in_service"]


def test_an_unknown_flap_is_only_not_watched() -> None:
    bench = Bench()
    bench.beams("O+ O0")
    assert bench.wait(60) == []
    assert bench.state() is LaneState.SECURED


def test_two_faults_need_two_repairs() -> None:
    bench = Bench()
    lose(bench)
    bench.beams("F0")
    assert mend(bench) == ["device_back"]
    assert records(bench.beams("F-")) == ["in_service"]


def test_a_beam_that_comes_back_interrupted_is_somebody() -> None:
    bench = Bench()
    bench.beams("F0")
    assert records(bench.beams("F+")) == ["in_service", "forced"]


def test_a_fault_before_the_person_walks_cancels_and_secures() -> None:
    bench = Bench()
    bench.present(card())
    effects = bench.do(DeviceFaulted("board-1", "cable"))
    assert records(effects) == ["device_lost", "out_of_service", "cancelled"]
    assert relays(effects) == [SECURE]


def test_a_fault_does_not_close_the_lane_on_a_person() -> None:
    bench = Bench(plan(area={"anti_passback": AntiPassback.HARD}))
    bench.present(card())
    bench.beams("F+")
    assert relays(bench.beams("F0")) == []
    assert relays(bench.wait(4.9)) == []
    effects = bench.wait(0.2)
    assert records(effects) == ["unconfirmed"]
    assert relays(effects) == [SECURE]
    (move,) = of(effects, StoreMove)
    assert (move.entry.certain, move.entry.uses) == (False, 1)
    bench.beams("F-")
    assert reason(bench.present(card())) is Reason.GRANTED  # nobody knows where they are: forgiven


def test_a_person_in_the_lane_goes_on_when_the_fault_is_short() -> None:
    bench = Bench()
    bench.present(card())
    bench.beams("F+ X+ F-")
    lose(bench)
    assert mend(bench) == ["device_back", "in_service"]
    assert bench.state() is LaneState.PASSING
    assert records(bench.beams("X-")) == ["completed"]


def test_a_person_who_left_during_a_short_fault_is_unconfirmed() -> None:
    bench = Bench()
    bench.present(card())
    bench.beams("F+")
    lose(bench)
    bench.beams("F-")
    effects = bench.do(DeviceRestored("board-1"))
    assert records(effects) == ["device_back", "unconfirmed", "in_service"]
    assert relays(effects) == [SECURE]


def test_the_emergency_outranks_a_fault_and_the_fault_outlives_it() -> None:
    bench = Bench()
    lose(bench)
    assert relays(bench.emergency("lane-1")) == [OPEN]
    assert bench.site.lanes["lane-1"].reason == "fire; board-1: cable"
    effects = bench.emergency()
    assert (relays(effects), bench.state()) == ([SECURE], LaneState.OUT_OF_SERVICE)


def test_a_board_that_comes_back_in_an_emergency_is_told_to_open() -> None:
    bench = Bench()
    bench.emergency("lane-1")
    assert lose(bench) == ["device_lost", "out_of_service"]
    effects = bench.do(DeviceRestored("board-1"))
    assert relays(effects) == [OPEN]
    bench.emergency()
    assert bench.state() is LaneState.SECURED


# modes


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


# plans


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
    bench.emergency("lane-1")
    assert relays(bench.do(PlanChanged(without_lane(plan(), "lane-1")))) == []
    effects = bench.do(PlanChanged(plan()))
    assert relays(effects) == [OPEN]
    assert bench.state() is LaneState.EMERGENCY


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
