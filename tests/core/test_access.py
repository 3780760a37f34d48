"""Credentials at a site: redemption, passage rules across lanes, exits."""

from __future__ import annotations

import pytest

from gated.core.claims import LATE_LIMIT
from gated.core.effects import Record, RecordKind, RedeemPass, StoreMove
from gated.core.events import DeviceFaulted, PlanChanged, PresenceEntry, PresenceRestored
from gated.core.lane import LaneState
from gated.core.model import AccessRights, AntiPassback, CredentialKind, LaneMode
from gated.core.reasons import Reason
from tests.core.sites import (
    EXIT,
    NOON,
    Bench,
    card,
    of,
    plan,
    reason,
    records,
    relays,
    signals,
    visitor,
    without_lane,
)


def test_a_pass_is_redeemed_before_the_lane_moves() -> None:
    bench = Bench()
    effects = bench.present(visitor())
    assert effects[0] == RedeemPass(1, b"pass", "entry-1")
    assert signals(effects) == ["wait"]
    assert relays(effects) == []
    effects = bench.answer("won")
    assert [type(effect).__name__ for effect in effects] == ["Record", "ReleaseLane", "SignalUser"]
    assert reason(effects) is Reason.GRANTED
    assert signals(effects) == ["grant"]
    assert records(bench.beams("F+ X+ F- X-")) == ["completed"]


@pytest.mark.parametrize(
    ("outcome", "code"), [("used", "denied_already_used"), ("unknown", "denied_redemption_unknown")]
)
def test_a_pass_that_was_not_won_is_refused(outcome: str, code: str) -> None:
    bench = Bench()
    bench.present(visitor())
    effects = bench.answer(outcome)
    assert records(effects) == [code]
    assert signals(effects) == ["deny"]
    assert relays(bench.log) == []
    assert reason(bench.present(card())) is Reason.GRANTED  # the lane is free again


def test_no_answer_in_time_is_a_refusal_and_a_late_win_is_recorded() -> None:
    bench = Bench()
    bench.present(visitor())
    effects = bench.wait(2.0)
    assert reason(effects) is Reason.DENIED_REDEMPTION_UNKNOWN
    effects = bench.answer("won")
    (record,) = of(effects, Record)
    assert (record.kind, record.code, record.identifier) == (RecordKind.AUDIT, "redeemed_not_passed", b"pass")
    assert relays(bench.log) == []
    assert records(bench.answer("won")) == ["no_such_claim"]


def test_late_losses_need_no_record_and_late_claims_are_forgotten_at_last() -> None:
    bench = Bench()
    for _ in range(LATE_LIMIT + 1):
        bench.present(visitor())
        bench.wait(3)
    assert records(bench.answer("used", claim=2)) == []
    assert records(bench.answer("won", claim=1)) == ["no_such_claim"]


def test_the_lane_is_busy_while_a_pass_is_redeemed() -> None:
    bench = Bench()
    bench.present(visitor())
    assert reason(bench.present(card(), "exit-1")) is Reason.DENIED_LANE_BUSY
    assert reason(bench.assist()) is Reason.DENIED_LANE_BUSY
    assert reason(bench.present(card(), "entry-2")) is Reason.GRANTED


def test_a_visitor_may_step_in_while_waiting() -> None:
    bench = Bench()
    bench.present(visitor())
    assert records(bench.beams("F+")) == []
    bench.answer("won")
    assert bench.state() is LaneState.PASSING
    assert records(bench.beams("X+ F- X-")) == ["completed"]


def test_a_visitor_who_stepped_in_and_was_refused_is_in_the_lane_without_a_grant() -> None:
    bench = Bench()
    bench.present(visitor())
    bench.beams("F+")
    assert records(bench.answer("used")) == ["denied_already_used", "forced"]


def test_somebody_opposite_during_redemption_is_an_alarm_but_costs_no_pass() -> None:
    bench = Bench()
    bench.present(visitor())
    assert records(bench.beams("X+")) == ["forced"]
    assert reason(bench.answer("won")) is Reason.GRANTED
    assert records(bench.beams("X- F+ X+ F- X-")) == ["completed"]


def test_a_free_exit_waits_for_the_answer_too() -> None:
    bench = Bench(plan(lane={"mode": LaneMode.FREE_EXIT}))
    bench.present(visitor())
    assert bench.beams("X+") == []
    assert records(bench.answer("unknown")) == ["denied_redemption_unknown", "granted_free_exit"]


def test_a_lane_lost_meanwhile_is_recorded_honestly() -> None:
    bench = Bench()
    bench.present(visitor())
    bench.do(DeviceFaulted("board-1", "cable"))
    effects = bench.answer("won")
    assert records(effects) == ["denied_lane_out_of_service", "redeemed_not_passed"]
    assert relays(effects) == []


def test_a_lane_closed_meanwhile_keeps_its_promise() -> None:
    bench = Bench()
    bench.present(visitor())
    bench.mode(LaneMode.CLOSED)
    assert reason(bench.answer("won")) is Reason.GRANTED


def test_a_lane_removed_meanwhile_is_recorded_honestly() -> None:
    bench = Bench()
    bench.present(visitor())
    bench.do(PlanChanged(without_lane(plan(), "lane-1")))
    (record,) = of(bench.answer("won"), Record)
    assert (record.code, record.detail) == ("redeemed_not_passed", {"why": "the lane is gone"})


def test_a_redeemed_pass_that_did_not_pass_stays_used_and_is_named() -> None:
    bench = Bench()
    bench.present(visitor())
    bench.answer("won")
    (record,) = [r for r in of(bench.wait(5), Record) if r.code == "cancelled"]
    assert record.identifier == b"pass"
    assert record.detail == {"pass": "redeemed, stays used"}


def test_a_pass_leaves_without_redemption() -> None:
    bench = Bench()
    effects = bench.present(visitor(used=True), "exit-1")
    assert reason(effects) is Reason.GRANTED
    assert not of(effects, RedeemPass)


def test_leaving_on_an_expired_pass_is_noted() -> None:
    bench = Bench()
    expired = visitor(rights=AccessRights(frozenset({"*"}), valid_until=NOON))
    effects = bench.present(expired, "exit-1")
    assert of(effects, Record)[0].detail == {"credential": "visitor_pass", "noted": "denied_expired"}


def test_hard_anti_passback_over_the_day() -> None:
    bench = Bench(plan(area={"anti_passback": AntiPassback.HARD}))
    bench.enter()
    assert reason(bench.present(card(), "entry-2")) is Reason.DENIED_ANTI_PASSBACK
    bench.leave()
    assert reason(bench.present(card())) is Reason.GRANTED
    bench.wait(10)  # cancelled: presence unchanged
    assert reason(bench.present(card())) is Reason.GRANTED
    assert reason(bench.present(card(), "entry-2")) is Reason.DENIED_ANTI_PASSBACK  # still on the way in


def test_an_area_is_full_with_those_on_their_way() -> None:
    bench = Bench(plan(area={"occupancy_limit": 2}))
    bench.enter(card(b"a"))
    assert reason(bench.present(card(b"b"))) is Reason.GRANTED
    assert reason(bench.present(card(b"c"), "entry-2")) is Reason.DENIED_AREA_FULL
    bench.wait(5)
    assert reason(bench.present(card(b"c"), "entry-2")) is Reason.GRANTED


def test_a_cancelled_grant_gives_its_use_back() -> None:
    bench = Bench()
    once = card(rights=AccessRights(frozenset({"*"}), per_day_limit=1))
    bench.present(once)
    assert reason(bench.present(once, "entry-2")) is Reason.DENIED_PER_DAY_LIMIT
    bench.wait(5)
    assert reason(bench.present(once)) is Reason.GRANTED


def test_presence_is_restored() -> None:
    bench = Bench(plan(area={"anti_passback": AntiPassback.HARD}))
    bench.do(PresenceRestored((PresenceEntry(b"card", "joined", NOON),)))
    assert bench.site.occupancy() == {"joined": 1}
    assert reason(bench.present(card())) is Reason.DENIED_ANTI_PASSBACK


def test_the_record_of_a_decision_says_where_and_who() -> None:
    bench = Bench()
    record = of(bench.present(card(b"day", kind=CredentialKind.STAFF_DAY_PASS), "exit-2"), Record)[0]
    assert (record.lane, record.access_point, record.direction) == ("lane-2", "exit-2", EXIT)
    assert (record.identifier, record.detail) == (b"day", {"credential": "staff_day_pass"})


def test_presence_moves_at_the_passage_not_at_the_grant() -> None:
    bench = Bench()
    assert not of(bench.present(card()), StoreMove)
    assert bench.site.roll_call() == []
    bench.beams("F+ X+ F- X-")
    assert [entry.identifier for entry in bench.site.roll_call("joined")] == [b"card"]
