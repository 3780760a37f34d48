"""One lane: grants, beams and time."""

from __future__ import annotations

import pytest

from gated.core.effects import Record, RecordKind, ReleaseLane, SecureLane, StoreMove
from gated.core.events import ContactChanged
from gated.core.lane import LaneState
from gated.core.model import LaneMode
from gated.core.reasons import Reason
from tests.core.sites import (
    ENTRY,
    EXIT,
    FAR,
    FIRST,
    Bench,
    card,
    of,
    plan,
    reason,
    records,
    relays,
    signals,
    with_lane,
)

RELEASE_IN = ReleaseLane("lane-1", frozenset({ENTRY}))
RELEASE_OUT = ReleaseLane("lane-1", frozenset({EXIT}))
SECURE = SecureLane("lane-1")


def test_a_person_enters() -> None:
    bench = Bench()
    effects = bench.present(card())
    assert [type(effect).__name__ for effect in effects] == ["Record", "ReleaseLane", "SignalUser"]
    assert relays(effects) == [RELEASE_IN]
    assert bench.state() is LaneState.RELEASED
    assert bench.beams("F+") == []
    assert bench.state() is LaneState.PASSING
    effects = bench.beams("X+ F- X-")
    assert [type(effect).__name__ for effect in effects] == ["Record", "StoreMove", "SecureLane"]
    assert records(effects) == ["completed"]
    (move,) = of(effects, StoreMove)
    assert (move.entry.identifier, move.entry.area, move.entry.uses) == (b"card", "joined", 1)
    assert bench.state() is LaneState.SECURED
    assert bench.site.occupancy() == {"joined": 1}


def test_a_person_leaves() -> None:
    bench = Bench()
    bench.enter()
    effects = bench.leave()
    assert relays(effects) == [RELEASE_OUT, SECURE]
    assert of(effects, StoreMove)[0].entry.area == "outside"
    assert bench.site.occupancy() == {"joined": 0}


def test_a_short_person_disappears_between_the_beams() -> None:
    bench = Bench()
    bench.present(card())
    assert records(bench.beams("F+ F- X+ X-")) == ["completed"]


def test_granted_but_not_passed_is_cancelled_and_presence_unchanged() -> None:
    bench = Bench()
    bench.present(card())
    assert relays(bench.wait(4.9)) == []
    effects = bench.wait(0.2)
    assert records(effects) == ["cancelled"]
    assert relays(effects) == [SECURE]
    assert not of(effects, StoreMove)
    assert bench.site.roll_call() == []
    assert bench.state() is LaneState.SECURED


def test_backing_out_keeps_the_grant_until_its_deadline() -> None:
    bench = Bench()
    bench.present(card())
    bench.wait(2)
    assert records(bench.beams("F+ F-")) == []
    assert bench.state() is LaneState.RELEASED
    assert records(bench.beams("F+ X+ F- X-")) == ["completed"]
    bench.present(card(b"other"))
    bench.wait(2)
    bench.beams("F+")
    bench.wait(4)  # the deadline passes while the person stands there
    assert bench.state() is LaneState.PASSING
    effects = bench.beams("F-")
    assert records(effects) == ["cancelled"]
    assert relays(effects) == [SECURE]


def test_turning_round_at_the_far_beam_is_no_passage() -> None:
    bench = Bench()
    bench.present(card())
    assert records(bench.beams("F+ X+ X- F-")) == []
    assert bench.state() is LaneState.RELEASED


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ("F+ X+ F- F+ X- F- X+ X-", ["tailgate", "completed", "cleared", "tailgate", "cleared"]),
        ("F+ X+ F- F+ X- X+ F- X-", ["tailgate", "completed", "cleared"]),
        ("F+ F- F+ X+ X-", ["tailgate", "completed"]),
        ("F+ F- F+ F- X+ X- X+ X-", ["completed", "tailgate", "cleared"]),
        ("F+ X+ F- X- F+ X+ F- X-", ["completed", "tailgate", "cleared"]),
    ],
)
def test_a_second_person_on_one_grant_is_tailgating(steps: str, codes: list[str]) -> None:
    bench = Bench()
    bench.present(card())
    assert records(bench.beams(steps)) == codes
    assert relays(bench.log) == [RELEASE_IN, SECURE]


def test_an_unseen_second_person_who_walks_out_on_an_exit_grant_is_noticed() -> None:
    bench = Bench()
    bench.present(card())
    bench.beams("F+ F- F+ F- X+ X-")  # one passed, another may be between the beams
    bench.present(card(b"leaver"), "exit-1")
    assert records(bench.beams("X+ X-")) == ["tailgate"]  # looks like a step back


def test_that_suspicion_ends() -> None:
    bench = Bench()
    bench.present(card())
    bench.beams("F+ F- F+ F- X+ X-")
    bench.wait(30)
    bench.present(card(b"leaver"), "exit-1")
    assert records(bench.beams("X+ X-")) == []


@pytest.mark.parametrize("beam", ["F", "X"])
def test_a_beam_without_a_grant_is_forced(beam: str) -> None:
    bench = Bench()
    effects = bench.beams(f"{beam}+")
    assert records(effects, RecordKind.ALARM) == ["forced"]
    assert bench.state() is LaneState.FORCED
    assert reason(bench.present(card())) is Reason.DENIED_LANE_BUSY
    assert records(bench.beams(f"{beam}-")) == ["cleared"]
    assert bench.state() is LaneState.SECURED
    assert relays(bench.log) == []


def test_someone_who_stands_in_the_lane_is_held_then_obstructed_then_recovers() -> None:
    bench = Bench()
    bench.beams("F+")
    assert records(bench.wait(10)) == ["held"]
    assert bench.state() is LaneState.HELD
    assert records(bench.wait(20)) == ["obstructed"]
    assert bench.state() is LaneState.OBSTRUCTED
    assert bench.wait(3600) == []
    assert records(bench.beams("F-")) == ["cleared"]
    assert bench.state() is LaneState.SECURED


def test_a_slow_person_with_a_grant_still_completes_it() -> None:
    bench = Bench()
    bench.present(card())
    bench.beams("F+ X+")
    assert records(bench.wait(35)) == ["held", "obstructed"]
    assert relays(bench.log) == [RELEASE_IN]  # never onto a person
    assert records(bench.beams("F- X-")) == ["completed"]
    assert bench.state() is LaneState.SECURED


def test_opposing_directions_are_arbitrated() -> None:
    bench = Bench()
    bench.present(card())
    effects = bench.present(card(b"leaver"), "exit-1")
    assert reason(effects) is Reason.DENIED_LANE_BUSY
    assert relays(effects) == []
    assert signals(effects) == []  # the lamp belongs to the person who was granted
    assert reason(bench.present(card(b"leaver"), "exit-2")) is Reason.GRANTED


def test_a_person_from_the_other_side_is_an_alarm_and_takes_no_grant_away() -> None:
    bench = Bench()
    bench.present(card())
    assert records(bench.beams("X+")) == ["forced"]
    assert bench.state() is LaneState.RELEASED
    assert records(bench.beams("X-")) == []
    assert records(bench.beams("F+ X+ F- X-")) == ["completed"]


def test_pulse_mode_secures_by_time_and_waits_for_the_person() -> None:
    bench = Bench(plan(lane={"times": {"pulse_s": 0.5}}))
    bench.present(card())
    assert relays(bench.wait(0.5)) == [SECURE]
    assert bench.state() is LaneState.RELEASED
    effects = bench.beams("F+ X+ F- X-")
    assert records(effects) == ["completed"]
    assert relays(effects) == []


def test_the_guard_assists_a_person_who_stands_in_the_lane() -> None:
    bench = Bench()
    bench.beams("F+")
    effects = bench.assist()
    assert records(effects) == ["assist", "granted_assist"]
    assert of(effects, Record)[0].detail == {"by": "guard", "why": "wheelchair"}
    assert relays(effects) == [RELEASE_IN]
    assert bench.state() is LaneState.PASSING
    assert records(bench.beams("X+ F- X-")) == ["completed"]
    assert bench.site.roll_call() == []  # nobody knows who it was


def test_the_guard_assists_in_a_closed_lane_but_not_against_a_grant() -> None:
    bench = Bench()
    bench.mode(LaneMode.CLOSED)
    assert reason(bench.assist(EXIT)) is Reason.GRANTED_ASSIST
    assert reason(bench.assist()) is Reason.DENIED_LANE_BUSY
    assert records(bench.beams("X+ F+ X- F-")) == ["completed"]


def test_an_assisted_person_deep_in_the_lane_completes_at_the_far_beam() -> None:
    bench = Bench()
    bench.beams("F+ X+ F-")
    bench.assist()
    assert records(bench.beams("X-")) == ["completed"]


def test_a_lane_without_beams_assumes_the_passage() -> None:
    bench = Bench(plan(lane={"has_beams": False, "times": {"pulse_s": 1.0}}))
    bench.present(card())
    effects = bench.wait(1.0)
    assert records(effects) == ["completed"]
    assert relays(effects) == [SECURE]
    assert bench.site.occupancy() == {"joined": 1}
    bench = Bench(plan(lane={"has_beams": False}))
    bench.present(card())
    assert records(bench.wait(5.0)) == ["completed"]


def test_a_beam_of_a_lane_without_beams_is_illegal() -> None:
    bench = Bench(plan(lane={"has_beams": False}))
    assert records(bench.beams("F+")) == ["unknown_contact"]


def test_a_flap_that_stays_open_is_forced() -> None:
    bench = Bench()
    bench.beams("O-")
    bench.present(card())
    bench.beams("O+ F+ X+ F- X-")
    assert records(bench.wait(2.9)) == []
    bench.beams("O-")
    assert records(bench.wait(60)) == []
    bench.beams("O+")
    assert records(bench.wait(3)) == ["forced"]
    assert records(bench.wait(30)) == ["held", "obstructed"]  # jammed
    assert records(bench.beams("O-")) == ["cleared"]


def test_a_flap_may_be_open_while_released() -> None:
    bench = Bench()
    bench.present(card())
    bench.beams("O+ F+")
    assert records(bench.wait(9)) == []


def test_lamps_go_out_by_themselves() -> None:
    bench = Bench()
    assert signals(bench.present(card())) == ["grant"]
    assert signals(bench.wait(2.0)) == ["off"]
    bench.beams("F+ X+ F- X-")
    assert signals(bench.present(None)) == ["deny"]
    assert signals(bench.wait(2.0)) == ["off"]


def test_repeated_and_first_clear_contacts_say_nothing() -> None:
    bench = Bench()
    assert bench.beams("F- X- F- N- O0") == []
    bench.beams("F+")
    assert bench.do(ContactChanged("lane-1", FIRST, True)) == []


def test_lanes_do_not_touch_each_other() -> None:
    bench = Bench(with_lane(plan(), "lane-2", mode=LaneMode.FREE_EXIT))
    bench.present(card())
    bench.do(ContactChanged("lane-2", FAR, True))
    assert bench.state("lane-2") is LaneState.PASSING
    assert bench.state("lane-1") is LaneState.RELEASED
