"""Free exit: leaving on approach, and what it must not let in."""

from __future__ import annotations

from gated.core.effects import ReleaseLane, SecureLane, StoreMove
from gated.core.lane import LaneState
from gated.core.model import LaneMode
from gated.core.reasons import Reason
from tests.core.sites import (
    EXIT,
    Bench,
    card,
    of,
    plan,
    reason,
    records,
    relays,
)

RELEASE_OUT = ReleaseLane("lane-1", frozenset({EXIT}))
SECURE = SecureLane("lane-1")


def test_free_exit_releases_on_approach() -> None:
    bench = Bench(plan(lane={"mode": LaneMode.FREE_EXIT}))
    effects = bench.beams("X+")
    assert reason(effects) is Reason.GRANTED_FREE_EXIT
    assert relays(effects) == [RELEASE_OUT]
    assert bench.state() is LaneState.PASSING
    effects = bench.beams("F+ X- F-")
    assert records(effects) == ["completed"]
    assert not of(effects, StoreMove)


def test_free_exit_waits_while_somebody_enters() -> None:
    bench = Bench(plan(lane={"mode": LaneMode.FREE_EXIT}))
    bench.present(card())
    assert records(bench.beams("X+")) == []  # may come up there
    assert records(bench.beams("X- F+ X+ F- X-")) == ["completed"]
    bench.present(card(b"other"))
    bench.beams("X+")
    effects = bench.wait(5)
    assert records(effects) == ["cancelled", "granted_free_exit"]  # nobody came in: now the exit
    assert relays(effects) == [SECURE, RELEASE_OUT]


def test_people_leave_one_after_the_other_without_an_alarm() -> None:
    bench = Bench(plan(lane={"mode": LaneMode.FREE_EXIT}))
    for _ in range(4):  # each disappears between the beams for a moment
        assert records(bench.beams("X+ X- F+ F-")) == ["granted_free_exit", "completed"]
        bench.wait(4)


def test_an_intruder_who_slips_in_behind_a_leaver_is_noticed() -> None:
    bench = Bench(plan(lane={"mode": LaneMode.FREE_EXIT}))
    bench.beams("X+ X- F+ F-")
    assert records(bench.beams("X+ X-")) == ["granted_free_exit"]  # out of the lane, into the building
    assert records(bench.wait(5)) == ["cancelled", "tailgate", "cleared"]


def test_an_intruder_is_noticed_though_somebody_leaves_on_the_same_release() -> None:
    bench = Bench(plan(lane={"mode": LaneMode.FREE_EXIT}))
    bench.beams("X+ X- F+ F-")
    bench.beams("X+ X-")
    assert records(bench.beams("X+ X- F+ F-")) == ["tailgate", "completed"]


def test_entry_beam_is_no_free_exit() -> None:
    bench = Bench(plan(lane={"mode": LaneMode.FREE_EXIT}))
    assert records(bench.beams("F+ X+ F- X-")) == ["forced", "cleared"]
