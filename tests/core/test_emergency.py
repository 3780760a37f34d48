"""Emergencies: open, forgive, and the way back."""

from __future__ import annotations

import pytest

from gated.core.effects import Record, ReleaseLane, SecureLane, StoreMove
from gated.core.events import EmergencyLinkLost
from gated.core.lane import LaneState
from gated.core.model import AntiPassback, Direction, LaneMode
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
)

OPEN = ReleaseLane("lane-1", frozenset(Direction))
SECURE = SecureLane("lane-1")


def test_an_emergency_is_shown_and_the_release_alone_opens() -> None:
    bench = Bench()
    effects = bench.emergency("lane-1")
    assert relays(effects) == []
    assert signals(effects) == ["emergency"]
    assert of(effects, Record)[0].detail == {"causes": "fire"}
    assert bench.site.lanes["lane-1"].reason == "fire"
    assert (bench.state(), bench.state("lane-2")) == (LaneState.EMERGENCY, LaneState.SECURED)
    assert bench.emergency("lane-1") == []  # heartbeats change nothing


def test_a_lane_not_seen_to_open_is_opened_both_ways_by_our_relays_until_the_end() -> None:
    bench = Bench()
    bench.emergency("lane-1")
    effects = bench.emergency("lane-1", unseen=("lane-1",))
    assert relays(effects) == [OPEN]
    assert records(effects) == ["not_seen_open"]
    assert bench.emergency("lane-1", unseen=("lane-1",)) == []
    assert bench.emergency("lane-1") == []  # seen open at last: both paths hold
    assert relays(bench.emergency()) == [SECURE]
    assert relays(bench.emergency("lane-1", unseen=("lane-1",))) == [OPEN]


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
    assert relays(effects) == []  # what is released for the person stays so
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
    effects = bench.emergency("lane-1", "lane-9", unseen=("lane-1", "lane-9"))
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
