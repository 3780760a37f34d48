"""Properties one can read off the printed table."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gated.core.lane import TRANSITIONS, LaneAction, LaneInput, LaneState, allows
from gated.core.model import Direction, LaneMode

SECURING = {LaneAction.SECURE, LaneAction.SECURE_AGAIN}
ENDS = {LaneInput.ALL_CLEAR, LaneInput.ALL_CLEAR_FAULTED}


def test_every_state_is_reached_and_left() -> None:
    assert {to.state for to in TRANSITIONS.values()} == set(LaneState)
    assert {at for at, _ in TRANSITIONS} == set(LaneState)
    assert {happening for _, happening in TRANSITIONS} == set(LaneInput)
    assert {action for to in TRANSITIONS.values() for action in to.actions} == set(LaneAction)


@pytest.mark.parametrize("state", set(LaneState) - {LaneState.EMERGENCY})
def test_an_emergency_ends_every_state_and_secures_none(state: LaneState) -> None:
    to = TRANSITIONS[state, LaneInput.ALARMED]
    assert to.state is LaneState.EMERGENCY
    assert not SECURING & set(to.actions)


def test_a_lane_not_seen_open_in_an_emergency_is_opened_by_our_relays_too() -> None:
    to = TRANSITIONS[LaneState.EMERGENCY, LaneInput.NOT_SEEN_OPEN]
    assert to.state is LaneState.EMERGENCY
    assert to.actions[-1] is LaneAction.OPEN


def test_nothing_but_the_end_of_the_emergency_secures_or_leaves_it() -> None:
    for (at, happening), to in TRANSITIONS.items():
        if at is LaneState.EMERGENCY and happening not in ENDS:
            assert to.state is LaneState.EMERGENCY
            assert not SECURING & set(to.actions)


def test_a_lane_is_released_only_by_a_grant_or_its_resumption() -> None:
    for (_, happening), to in TRANSITIONS.items():
        if LaneAction.RELEASE in to.actions:
            assert happening in (LaneInput.GRANTED, LaneInput.RESUMED)
        if {LaneAction.OPEN, LaneAction.OPEN_AGAIN} & set(to.actions):
            assert to.state is LaneState.EMERGENCY


def test_records_come_before_the_relay() -> None:
    relay = {LaneAction.RELEASE, LaneAction.OPEN, LaneAction.OPEN_AGAIN, *SECURING}
    for to in TRANSITIONS.values():
        moved = False
        for action in to.actions:
            assert not (moved and action not in relay)
            moved = moved or action in relay


@pytest.mark.parametrize(
    ("mode", "directions"),
    [
        (LaneMode.ENTRY, {Direction.ENTRY}),
        (LaneMode.EXIT, {Direction.EXIT}),
        (LaneMode.BOTH, set(Direction)),
        (LaneMode.FREE_EXIT, set(Direction)),
        (LaneMode.CLOSED, set()),
    ],
)
def test_modes_serve_directions(mode: LaneMode, directions: set[Direction]) -> None:
    assert {direction for direction in Direction if allows(mode, direction)} == directions


@pytest.mark.parametrize("module", ["gated.core.lane", "gated.core.decision"])
def test_the_tables_print(module: str) -> None:
    shown = subprocess.run([sys.executable, "-m", module], capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    assert len(shown.stdout.splitlines()) == (1 + len(TRANSITIONS) if "lane" in module else 19)
