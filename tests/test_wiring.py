"""Polarity has one home: the same command means the opposite coil where the wire says so."""

from __future__ import annotations

from gated.core.model import Direction, LaneContact, Signal
from gated.wiring import Coil, Input, Lamp, LaneWiring, Wiring

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT

LANE = LaneWiring(
    release={ENTRY: Coil("board", 1, True), EXIT: Coil("other", 7, False)},
    lamps={Lamp.GRANT: Coil("board", 3, True), Lamp.DENY: Coil("board", 4, False)},
    contacts={
        LaneContact.BEAM_ENTRY: Input("inputs", 0, True),
        LaneContact.BEAM_EXIT: Input("inputs", 1, False),
    },
)
WIRING = Wiring({"lane": LANE})


def test_release_and_secure_by_polarity() -> None:
    assert WIRING.release("lane", [ENTRY]) == {"board": {1: True}, "other": {7: True}}
    assert WIRING.release("lane", [ENTRY, EXIT]) == {"board": {1: True}, "other": {7: False}}
    assert WIRING.release("lane", []) == {"board": {1: False}, "other": {7: True}}


def test_signals() -> None:
    shown = {signal: WIRING.signal("lane", signal)["board"] for signal in Signal}
    assert shown == {
        Signal.GRANT: {3: True, 4: True},
        Signal.DENY: {3: False, 4: False},
        Signal.WAIT: {3: True, 4: False},
        Signal.EMERGENCY: {3: True, 4: True},
        Signal.OFF: {3: False, 4: True},
    }


def test_contacts_by_polarity_and_unknown_stays_unknown() -> None:
    assert WIRING.contact("inputs", 0, True) == ("lane", LaneContact.BEAM_ENTRY, True)
    assert WIRING.contact("inputs", 1, True) == ("lane", LaneContact.BEAM_EXIT, False)
    assert WIRING.contact("inputs", 1, None) == ("lane", LaneContact.BEAM_EXIT, None)
    assert WIRING.contact("inputs", 9, True) is None


def test_an_unknown_lane_moves_nothing() -> None:
    assert WIRING.release("nowhere", [ENTRY]) == {}
    assert WIRING.signal("nowhere", Signal.GRANT) == {}


def test_what_another_wiring_leaves_behind_is_secured_unless_held_open() -> None:
    other = Wiring({"lane": LaneWiring(release={ENTRY: Coil("board", 1, True)})})
    assert WIRING.abandoned(other, frozenset()) == {"other": {7: True}, "board": {3: False, 4: True}}
    assert WIRING.abandoned(other, {"lane"}) == {}


def test_which_lanes_open_without_power() -> None:
    assert LANE.open_without_power
    assert not LaneWiring(release={ENTRY: Coil("board", 1, True)}).open_without_power
