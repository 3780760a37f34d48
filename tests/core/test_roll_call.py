"""The roll call at the moment of alarm: one for each emergency, of whoever was not seen to leave."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.core.effects import Effect, EmergencyEnded, FreezeRollCall, Outage, ReleaseLane, StoreMove
from gated.core.events import DeviceFaulted, DeviceRestored, EmergencyLinkLost, EmergencyReported, Resumed
from gated.core.model import AntiPassback
from gated.core.outages import KEEP, MOST, Outages
from gated.core.reasons import Reason
from tests.core.sites import NOON, Bench, card, of, plan, reason, records

SECOND = timedelta(seconds=1)


def alarm(bench: Bench, *lanes: str, drill: bool = False, since: datetime | None = None) -> list[Effect]:
    causes = (("drill",) if drill else ("fire",)) if lanes else ()
    return bench.do(EmergencyReported(frozenset(lanes), causes, drill=drill, since=since))


def frozen(effects: list[Effect]) -> FreezeRollCall:
    (effect,) = of(effects, FreezeRollCall)
    return effect


def test_the_first_open_lane_freezes_and_nothing_more_of_the_same_emergency_does() -> None:
    bench = Bench()
    bench.enter()
    bench.wait(1)
    effects = alarm(bench, "lane-1", since=bench.utc - SECOND)
    call = frozen(effects)
    assert [(entry.identifier, entry.certain) for entry in call.entries] == [(b"card", True)]
    assert (call.at, call.alarm_at) == (bench.utc, bench.utc - SECOND)
    assert (call.causes, call.drill, call.after_drill) == (("fire",), False, False)
    later = alarm(bench, "lane-1")
    later += bench.emergency("lane-1", causes=("fire", "earthquake"))
    later += alarm(bench, "lane-1", "lane-2")
    later += alarm(bench, "lane-2")
    assert of(later, FreezeRollCall) == []
    assert of(alarm(bench), EmergencyEnded) == [EmergencyEnded(bench.utc)]
    assert of(alarm(bench), EmergencyEnded) == []
    assert frozen(alarm(bench, "lane-2")).entries[0].certain is False


def test_gates_come_first_and_forgiveness_last() -> None:
    bench = Bench()
    bench.enter()
    effects = bench.emergency("lane-1", unseen=("lane-1",))
    order = [type(e) for e in effects if isinstance(e, ReleaseLane | FreezeRollCall | StoreMove)]
    assert order == [ReleaseLane, FreezeRollCall, StoreMove]


def test_a_real_alarm_in_a_drill_has_a_roll_call_of_its_own_and_a_drill_in_a_real_one_has_none() -> None:
    bench = Bench()
    bench.enter()
    bench.wait(1)
    assert frozen(alarm(bench, "lane-1", drill=True)).drill
    assert of(alarm(bench, "lane-1", "lane-2", drill=True), FreezeRollCall) == []
    real = frozen(alarm(bench, "lane-1"))
    assert (real.drill, real.after_drill) == (False, True)
    assert [entry.certain for entry in real.entries] == [False]  # the drill had opened the gates
    assert of(alarm(bench, "lane-1", drill=True), FreezeRollCall) == []


@pytest.mark.parametrize("steps", ["X+", "X+ F+"])
def test_who_is_in_the_lane_at_the_alarm_is_not_out(steps: str) -> None:
    bench = Bench()
    bench.enter()
    bench.wait(1)
    bench.present(card(), "exit-1")
    bench.beams(steps)
    (entry,) = frozen(alarm(bench, "lane-1")).entries
    assert (entry.identifier, entry.area, entry.certain) == (b"card", "joined", False)
    alarm(bench)
    assert [e.identifier for e in bench.site.roll_call()] == [b"card"]


def test_who_is_in_the_lane_on_the_way_in_may_be_inside() -> None:
    bench = Bench()
    bench.present(card())
    bench.beams("F+")
    (entry,) = frozen(alarm(bench, "lane-1")).entries
    assert (entry.area, entry.certain) == ("joined", False)


def test_where_nothing_sees_them_who_was_granted_may_have_passed() -> None:
    bench = Bench(plan(lane={"has_beams": False, "times": {"pulse_s": 1.0}}))
    bench.present(card())
    bench.wait(0.2)
    effects = alarm(bench, "lane-1")
    assert records(effects)[0] == "unconfirmed"
    assert [(e.area, e.certain) for e in frozen(effects).entries] == [("joined", False)]
    assert frozen(effects).assumed == ("lane-1",)


def test_a_card_at_an_open_lane_takes_nobody_off_and_puts_nobody_on() -> None:
    bench = Bench()
    bench.enter()
    bench.wait(1)
    alarm(bench, "lane-1")
    before = bench.site.roll_call()
    for point in ("exit-1", "entry-1"):
        for who in (card(), card(b"other")):
            assert reason(bench.present(who, point)) is Reason.EMERGENCY_OPEN
            bench.beams("X+ F+ X- F-" if point == "exit-1" else "F+ X+ F- X-")
    assert bench.site.roll_call() == before
    alarm(bench)
    assert bench.site.roll_call() == before


def test_a_restart_in_an_emergency_freezes_no_second_time() -> None:
    bench = Bench()
    bench.do(Resumed(NOON - SECOND, NOON - 60 * SECOND))
    effects = alarm(bench, "lane-1", since=NOON - 61 * SECOND)
    assert not [e for e in effects if isinstance(e, FreezeRollCall | EmergencyEnded)]
    assert frozen(alarm(bench, "lane-1") + alarm(bench) + alarm(bench, "lane-1")).at == NOON


def test_a_restart_in_a_drill_that_became_real_meanwhile() -> None:
    bench = Bench()
    bench.do(Resumed(NOON - SECOND, NOON - 60 * SECOND, drill=True))
    assert frozen(alarm(bench, "lane-1", since=NOON)).drill is False


def test_another_emergency_after_a_restart_has_its_own() -> None:
    bench = Bench()
    bench.do(Resumed(NOON - 10 * SECOND, NOON - 60 * SECOND))
    effects = alarm(bench, "lane-1", since=NOON - 5 * SECOND)
    assert [type(e) for e in effects if isinstance(e, FreezeRollCall | EmergencyEnded)] == [
        EmergencyEnded,
        FreezeRollCall,
    ]
    assert frozen(effects).outages == (Outage("gated itself", 10.0, False),)


def test_an_emergency_that_ended_while_nobody_ran_here_forgives() -> None:
    bench = Bench(plan(area={"anti_passback": AntiPassback.HARD}))
    bench.do(Resumed(NOON - SECOND, NOON - 60 * SECOND))
    bench.enter()
    effects = bench.do(EmergencyReported(frozenset(), ()))
    assert [type(e) for e in effects] == [EmergencyEnded, StoreMove]
    assert reason(bench.present(card())) is Reason.GRANTED


def test_an_emergency_that_came_and_went_unheard_forgives_once() -> None:
    bench = Bench(plan(area={"anti_passback": AntiPassback.HARD}))
    bench.enter()
    assert reason(bench.present(card())) is Reason.DENIED_ANTI_PASSBACK
    bench.wait(60)
    unheard = EmergencyReported(frozenset(), (), last_open_at=bench.utc - SECOND)
    assert records(bench.do(unheard)) == ["emergency_unseen"]
    assert bench.do(unheard) == []
    assert reason(bench.present(card())) is Reason.GRANTED
    bench.wait(10)
    ahead = EmergencyReported(frozenset(), (), last_open_at=bench.utc + timedelta(days=9))
    assert len(of(bench.do(ahead), StoreMove)) == 1  # of a wrong clock: once, and not for nine days
    assert bench.do(ahead) == []
    bench.wait(1)
    bench.enter(card(b"new"))
    assert bench.site.presence.certain(b"new") is not None


def test_an_emergency_that_was_heard_forgives_nobody_again() -> None:
    bench = Bench()
    alarm(bench, "lane-1")
    bench.wait(60)
    told_at = bench.utc - timedelta(milliseconds=1)
    assert of(bench.do(EmergencyReported(frozenset(), (), last_open_at=told_at)), StoreMove) != []
    bench.wait(1)
    bench.enter()
    assert bench.do(EmergencyReported(frozenset(), (), last_open_at=told_at)) == []
    assert bench.site.presence.certain(b"card") is not None


def test_what_did_not_see_is_told_with_how_long() -> None:
    bench = Bench()
    bench.do(DeviceFaulted("board-1", "cable"))
    bench.wait(30)
    bench.do(DeviceRestored("board-1"))
    bench.do(EmergencyLinkLost("silent"))
    bench.do(DeviceFaulted("sensors", "cable"))
    bench.wait(12)
    assert frozen(alarm(bench, "lane-1")).outages == (
        Outage("device board-1", 30.0, False),
        Outage("device sensors", 12.0, True),
        Outage("the link to the emergency release", 12.0, False),
    )


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 90_000)), max_size=40))
def test_outages_are_never_longer_than_the_time_they_are_told_for(acts: list[tuple[str, bool, int]]) -> None:
    outages, at = Outages(), NOON
    for what, begins, later in acts:
        at += timedelta(seconds=later)
        (outages.begin if begins else outages.end)(what, at)
        for told in outages.told(at):
            assert 0 <= told.seconds <= KEEP.total_seconds()
            assert told.still is (told.what in outages.lasting)
        assert {o.what for o in outages.told(at)} >= outages.lasting.keys()
    assert len(outages.over) <= MOST
