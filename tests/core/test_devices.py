"""Lost devices and unknown inputs."""

from __future__ import annotations

import pytest

from gated.core.effects import ReleaseLane, SecureLane, StoreMove
from gated.core.events import DeviceFaulted, DeviceRestored
from gated.core.lane import LaneState
from gated.core.model import AntiPassback, Direction
from gated.core.reasons import Reason
from tests.core.sites import (
    Bench,
    card,
    of,
    plan,
    reason,
    records,
    relays,
)

OPEN = ReleaseLane("lane-1", frozenset(Direction))
SECURE = SecureLane("lane-1")


def lose(bench: Bench, device: str = "board-1") -> list[str]:
    return records(bench.do(DeviceFaulted(device, "cable")))


def mend(bench: Bench, device: str = "board-1") -> list[str]:
    return records(bench.do(DeviceRestored(device)))


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
    assert relays(bench.emergency("lane-1", unseen=("lane-1",))) == [OPEN]
    assert bench.site.lanes["lane-1"].reason == "fire; board-1: cable"
    effects = bench.emergency()
    assert (relays(effects), bench.state()) == ([SECURE], LaneState.OUT_OF_SERVICE)


def test_a_board_that_comes_back_in_an_emergency_is_told_to_open_if_it_was() -> None:
    bench = Bench()
    bench.emergency("lane-1")
    lose(bench)
    assert relays(bench.do(DeviceRestored("board-1"))) == []
    bench.emergency("lane-1", unseen=("lane-1",))
    assert lose(bench) == ["device_lost", "out_of_service"]
    effects = bench.do(DeviceRestored("board-1"))
    assert relays(effects) == [OPEN]
    bench.emergency()
    assert bench.state() is LaneState.SECURED
