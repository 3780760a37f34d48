"""The turnstile lane as a table: (state, input) -> (state, actions).

All changes of a lane's state are here and nowhere else. An input that is not in the table for a state
is illegal there: it changes nothing and is recorded. `python -m gated.core.lane` prints the table.

Inputs speak of the lane as the beams see it: the *first* beam is the one that a person walking in the
granted direction meets first, the *far* beam the other. An action that needs a grant (complete, cancel,
unconfirmed, keep) does nothing where there is none; `secure` does nothing where nothing is released.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from gated.core.model import Direction, LaneMode


class LaneState(StrEnum):
    """The states of a lane."""

    SECURED = "secured"
    RELEASED = "released"  # granted, nobody in the lane yet (or stepped back)
    PASSING = "passing"  # the person is between the beams
    HELD = "held"  # somebody has been standing in the lane for held_s
    FORCED = "forced"  # somebody is in the lane without a grant, or the flap stays open
    OBSTRUCTED = "obstructed"  # and for obstructed_s
    EMERGENCY = "emergency"  # held open by the emergency release
    OUT_OF_SERVICE = "out_of_service"  # an essential device is lost; secured


class LaneInput(StrEnum):
    """What happens to a lane."""

    GRANTED = "granted"
    ENTERED = "entered"  # the person reached the first beam
    BACKED_OUT = "backed out"  # all clear again, the far beam not passed
    PASSED = "passed"  # all clear, the far beam last; or assumed, in a lane without beams
    PASSED_AHEAD = "passed ahead"  # the person left by the far side, another is in the first beam
    FOLLOWED = "followed"  # a second person on one grant
    INTRUDED = "intruded"  # a beam that no grant explains
    FLAP_STAYED_OPEN = "flap stayed open"
    CLEARED = "cleared"  # nobody in the lane any more, no grant
    PULSE_OVER = "pulse over"
    PASSAGE_TIME_OVER = "passage time over"
    HELD_TIME_OVER = "held time over"
    OBSTRUCTED_TIME_OVER = "obstructed time over"
    FAULTED = "faulted"  # an essential device or beam is lost
    RESTORED = "restored"  # all of them work again
    RESUMED = "resumed"  # and the person granted before is still in the lane
    GRACE_OVER = "grace over"  # the person who was in the lane when it faulted had passage_s to leave
    ALARMED = "alarmed"  # the emergency release holds the lane open
    NOT_SEEN_OPEN = "not seen open"  # in the emergency: our relays are the second path
    ALL_CLEAR = "all clear"  # it no longer does
    ALL_CLEAR_FAULTED = "all clear, faulted"


class LaneAction(StrEnum):
    """What a lane does about it, in the order given."""

    RELEASE = "release"  # in the direction of the grant
    SECURE = "secure"
    SECURE_AGAIN = "secure again"  # also if nothing is released: a board may have missed it
    OPEN = "open both ways"
    OPEN_AGAIN = "open both ways again"  # if it was: a board may have missed it
    COMPLETE = "complete"  # record the passage, move presence, end the grant
    CANCEL = "cancel"  # record that nobody passed, end the grant
    UNCONFIRMED = "unconfirmed"  # record that nobody knows, forgive the presence, end the grant
    KEEP = "keep"  # hold what is released for passage_s, for the person in the lane
    ALARM_FORCED = "alarm forced"
    ALARM_TAILGATE = "alarm tailgate"
    ALARM_HELD = "alarm held"
    ALARM_OBSTRUCTED = "alarm obstructed"
    ALARM_EMERGENCY = "alarm emergency"
    ALARM_NOT_SEEN_OPEN = "alarm not seen open"
    REPORT_CLEARED = "report cleared"
    REPORT_EMERGENCY_OVER = "report emergency over"
    REPORT_OUT = "report out of service"
    REPORT_BACK = "report in service"


class Transition(NamedTuple):
    """Where an input leads, and what is done on the way."""

    state: LaneState
    actions: tuple[LaneAction, ...] = ()


S, N, A = LaneState, LaneInput, LaneAction
_IN_THE_LANE = (S.PASSING, S.HELD, S.OBSTRUCTED)
_BLOCKED = (S.FORCED, S.HELD, S.OBSTRUCTED)
_STAY = None

_ROWS: tuple[tuple[tuple[LaneState, ...], LaneInput, LaneState | None, tuple[LaneAction, ...]], ...] = (
    # a grant, from a secured lane; by the guard or an answered claim also to a person already in the lane
    ((S.SECURED, *_BLOCKED), N.GRANTED, S.RELEASED, (A.RELEASE,)),
    ((S.RELEASED,), N.ENTERED, S.PASSING, ()),
    ((S.RELEASED, *_IN_THE_LANE), N.PULSE_OVER, _STAY, (A.SECURE,)),
    ((S.RELEASED,), N.PASSAGE_TIME_OVER, S.SECURED, (A.CANCEL, A.SECURE)),
    ((S.RELEASED, *_IN_THE_LANE), N.PASSED, S.SECURED, (A.COMPLETE, A.SECURE)),
    (_IN_THE_LANE, N.BACKED_OUT, S.RELEASED, ()),
    # a second person
    (_IN_THE_LANE, N.FOLLOWED, _STAY, (A.ALARM_TAILGATE,)),
    (_IN_THE_LANE, N.PASSED_AHEAD, S.FORCED, (A.COMPLETE, A.SECURE)),
    ((S.SECURED,), N.FOLLOWED, S.FORCED, (A.ALARM_TAILGATE,)),
    # nobody was granted
    ((S.SECURED,), N.INTRUDED, S.FORCED, (A.ALARM_FORCED,)),
    ((S.SECURED,), N.FLAP_STAYED_OPEN, S.FORCED, (A.ALARM_FORCED,)),
    ((S.RELEASED,), N.INTRUDED, _STAY, (A.ALARM_FORCED,)),
    (_BLOCKED, N.CLEARED, S.SECURED, (A.REPORT_CLEARED,)),
    # somebody stands in the lane
    ((S.PASSING, S.FORCED), N.HELD_TIME_OVER, S.HELD, (A.ALARM_HELD,)),
    ((S.HELD,), N.OBSTRUCTED_TIME_OVER, S.OBSTRUCTED, (A.ALARM_OBSTRUCTED,)),
    # an essential device or beam is lost: secured, but never onto a person who was let in
    ((S.SECURED, S.FORCED), N.FAULTED, S.OUT_OF_SERVICE, (A.REPORT_OUT,)),
    ((S.RELEASED,), N.FAULTED, S.OUT_OF_SERVICE, (A.REPORT_OUT, A.CANCEL, A.SECURE)),
    (_IN_THE_LANE, N.FAULTED, S.OUT_OF_SERVICE, (A.REPORT_OUT, A.KEEP)),
    ((S.OUT_OF_SERVICE,), N.GRACE_OVER, _STAY, (A.UNCONFIRMED, A.SECURE)),
    ((S.OUT_OF_SERVICE,), N.RESUMED, S.PASSING, (A.REPORT_BACK, A.RELEASE)),
    ((S.OUT_OF_SERVICE,), N.RESTORED, S.SECURED, (A.UNCONFIRMED, A.REPORT_BACK, A.SECURE_AGAIN)),
    # the emergency release outranks everything. It opens by outputs of its own; ours, which a dead gated
    # would leave as they are, join in only where the lane was not seen to open
    ((S.SECURED, S.FORCED), N.ALARMED, S.EMERGENCY, (A.ALARM_EMERGENCY,)),
    ((S.RELEASED,), N.ALARMED, S.EMERGENCY, (A.CANCEL, A.ALARM_EMERGENCY)),
    ((*_IN_THE_LANE, S.OUT_OF_SERVICE), N.ALARMED, S.EMERGENCY, (A.UNCONFIRMED, A.ALARM_EMERGENCY)),
    ((S.EMERGENCY,), N.NOT_SEEN_OPEN, _STAY, (A.ALARM_NOT_SEEN_OPEN, A.OPEN)),
    ((S.EMERGENCY,), N.FAULTED, _STAY, (A.REPORT_OUT,)),
    ((S.EMERGENCY,), N.RESTORED, _STAY, (A.REPORT_BACK, A.OPEN_AGAIN)),
    ((S.EMERGENCY,), N.ALL_CLEAR, S.SECURED, (A.REPORT_EMERGENCY_OVER, A.SECURE_AGAIN)),
    ((S.EMERGENCY,), N.ALL_CLEAR_FAULTED, S.OUT_OF_SERVICE, (A.REPORT_EMERGENCY_OVER, A.SECURE_AGAIN)),
)

TRANSITIONS: dict[tuple[LaneState, LaneInput], Transition] = {
    (state, happening): Transition(state if to is _STAY else to, actions)
    for states, happening, to, actions in _ROWS
    for state in states
}
"""The whole behaviour of a lane."""


def allows(mode: LaneMode, direction: Direction) -> bool:
    """Whether a lane in `mode` serves credentials in `direction`."""
    if mode in (LaneMode.BOTH, LaneMode.FREE_EXIT):
        return True
    return mode.value == direction.value


def describe() -> str:
    """The table as text, by state."""
    lines = [f"{'state':<16}{'input':<22}{'-> state':<16}actions"]
    for state in LaneState:
        for (at, happening), to in TRANSITIONS.items():
            if at is state:
                actions = ", ".join(action.value for action in to.actions) or "-"
                lines.append(f"{at.value:<16}{happening.value:<22}{to.state.value:<16}{actions}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(describe())
