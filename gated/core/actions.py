"""What the actions of the lane table do: effects, and the end of a grant."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gated.core.effects import Record, RecordKind, ReleaseLane, SecureLane, StoreMove
from gated.core.grant import Grant
from gated.core.lane import LaneAction, LaneState
from gated.core.model import OUTSIDE, Direction, LaneContact, Signal
from gated.core.moment import Moment

if TYPE_CHECKING:
    from gated.core.turnstile import Turnstile

_ONE_WAY = {direction: frozenset({direction}) for direction in Direction}
_BOTH_WAYS = frozenset(Direction)
_WHY = {LaneState.EMERGENCY: "emergency", LaneState.OUT_OF_SERVICE: "out of service"}


def perform(action: LaneAction, lane: Turnstile, m: Moment) -> None:
    """Do what the table asks; the lane is in its new state already."""
    _ACTIONS[action](lane, m)


def _release(lane: Turnstile, m: Moment) -> None:
    if lane.grant is not None:
        pulse = lane.plan.times.pulse_s
        lane.grant.pulse_until = None if pulse is None else m.time + pulse
        lane.released = True
        m.emit(ReleaseLane(lane.plan.id, _ONE_WAY[lane.grant.direction]))


def _open(lane: Turnstile, m: Moment) -> None:
    lane.released = lane.opened = True
    m.emit(ReleaseLane(lane.plan.id, _BOTH_WAYS))


def _open_again(lane: Turnstile, m: Moment) -> None:
    if lane.released:
        _open(lane, m)


def _secure(lane: Turnstile, m: Moment) -> None:
    if lane.released:
        _secure_again(lane, m)


def _secure_again(lane: Turnstile, m: Moment) -> None:
    lane.released = lane.opened = False
    m.emit(SecureLane(lane.plan.id))


def _complete(lane: Turnstile, m: Moment) -> None:
    grant = lane.grant
    if grant is None:
        return
    detail = {"area": grant.area}
    if not lane.plan.has_beams:
        detail["assumed"] = "the lane has no beams"
    _end_grant("completed", detail, lane, grant, m)
    lane.last_direction, lane.last_passage = grant.direction, m.time
    if grant.steps_in > 1:
        lane.suspect(grant.direction, m)
    if grant.unseen:
        lane.suspect_intruder(grant, m)
    if grant.identifier:
        day = m.day if grant.direction is Direction.ENTRY else None
        m.emit(StoreMove(m.presence.move(grant.identifier, grant.area, m.now.utc, day)))


def _cancel(lane: Turnstile, m: Moment) -> None:
    grant = lane.grant
    if grant is not None and not lane.plan.has_beams:  # where nothing sees them, they may have gone through
        _unconfirmed(lane, m)
    elif grant is not None:
        _end_grant("cancelled", _ending(lane, grant), lane, grant, m)
        if grant.steps_in:
            lane.suspect(grant.direction, m)


def _unconfirmed(lane: Turnstile, m: Moment) -> None:
    grant = lane.grant
    if grant is None:
        return
    _end_grant("unconfirmed", _ending(lane, grant), lane, grant, m)
    if grant.identifier:
        day = m.day if grant.direction is Direction.ENTRY else None
        # Perhaps outside is perhaps still inside: who was not seen to leave stays on the roll call.
        area = lane.plan.inner if grant.area == OUTSIDE else grant.area
        m.emit(StoreMove(m.presence.doubt(grant.identifier, area, m.now.utc, day)))


def _keep(lane: Turnstile, m: Moment) -> None:
    if lane.grant is not None:
        lane.grant.pulse_until = None
        lane.grant.deadline = m.time + lane.plan.times.passage_s


def _end_grant(code: str, detail: dict[str, str], lane: Turnstile, grant: Grant, m: Moment) -> None:
    lane.grant = None
    m.emit(
        Record(
            RecordKind.PASSAGE,
            code,
            lane.plan.id,
            grant.access_point,
            grant.direction,
            grant.identifier,
            detail,
        )
    )


def _ending(lane: Turnstile, grant: Grant) -> dict[str, str]:
    detail = {}
    if lane.state in _WHY:
        detail["why"] = _WHY[lane.state]
    if grant.single_use:
        detail["pass"] = "redeemed, stays used"
    return detail


def _alarm(code: str) -> Callable[[Turnstile, Moment], None]:
    def alarm(lane: Turnstile, m: Moment) -> None:
        grant = lane.grant
        seen = [contact.value for contact in LaneContact if lane.contacts[contact]]
        m.emit(
            Record(
                RecordKind.ALARM,
                code,
                lane.plan.id,
                grant.access_point if grant else "",
                grant.direction if grant else None,
                grant.identifier if grant else b"",
                {"active": " ".join(seen)},
            )
        )

    return alarm


def _alarm_emergency(lane: Turnstile, m: Moment) -> None:
    m.emit(Record(RecordKind.ALARM, "emergency", lane.plan.id, detail={"causes": ", ".join(lane.causes)}))
    lane.show(Signal.EMERGENCY, m)


def _alarm_not_seen_open(lane: Turnstile, m: Moment) -> None:
    m.emit(
        Record(RecordKind.ALARM, "not_seen_open", lane.plan.id, detail={"now": "opened by our relays too"})
    )


def _report_cleared(lane: Turnstile, m: Moment) -> None:
    m.emit(Record(RecordKind.ALARM, "cleared", lane.plan.id))


def _report_emergency_over(lane: Turnstile, m: Moment) -> None:
    m.emit(Record(RecordKind.ALARM, "emergency_over", lane.plan.id))
    lane.show(Signal.OFF, m)


def _report_out(lane: Turnstile, m: Moment) -> None:
    what = "; ".join(lane.troubles.values())
    m.emit(Record(RecordKind.FAULT, "out_of_service", lane.plan.id, detail={"what": what}))


def _report_back(lane: Turnstile, m: Moment) -> None:
    m.emit(Record(RecordKind.FAULT, "in_service", lane.plan.id))


_ACTIONS: dict[LaneAction, Callable[[Turnstile, Moment], None]] = {
    LaneAction.RELEASE: _release,
    LaneAction.SECURE: _secure,
    LaneAction.SECURE_AGAIN: _secure_again,
    LaneAction.OPEN: _open,
    LaneAction.OPEN_AGAIN: _open_again,
    LaneAction.COMPLETE: _complete,
    LaneAction.CANCEL: _cancel,
    LaneAction.UNCONFIRMED: _unconfirmed,
    LaneAction.KEEP: _keep,
    LaneAction.ALARM_FORCED: _alarm("forced"),
    LaneAction.ALARM_TAILGATE: _alarm("tailgate"),
    LaneAction.ALARM_HELD: _alarm("held"),
    LaneAction.ALARM_OBSTRUCTED: _alarm("obstructed"),
    LaneAction.ALARM_EMERGENCY: _alarm_emergency,
    LaneAction.ALARM_NOT_SEEN_OPEN: _alarm_not_seen_open,
    LaneAction.REPORT_CLEARED: _report_cleared,
    LaneAction.REPORT_EMERGENCY_OVER: _report_emergency_over,
    LaneAction.REPORT_OUT: _report_out,
    LaneAction.REPORT_BACK: _report_back,
}
