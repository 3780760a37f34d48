"""Who is let through: credentials, the answers to claims of single-use passes, and the guard's assist.

A single-use pass takes two steps: when the ladder grants it, the lane is reserved and the arbiter is
asked; only the answer "won" releases the lane. A pass that was won is used up even when its holder
does not pass: the record names it ("redeemed_not_passed", or the cancelled passage) for reception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gated.core.claims import Claim
from gated.core.decision import REFUSALS, AccessDecision, Attempt, decide, lane_refusal
from gated.core.effects import Record, RecordKind, RedeemPass
from gated.core.events import (
    AssistCommanded,
    CredentialPresented,
    RedemptionAnswered,
    RedemptionOutcome,
)
from gated.core.grant import Grant
from gated.core.lane import LaneState, allows
from gated.core.model import Direction
from gated.core.moment import Moment
from gated.core.reasons import Reason
from gated.core.turnstile import Turnstile

if TYPE_CHECKING:
    from gated.core.site import Site

_ANSWERS = {
    RedemptionOutcome.WON: None,
    RedemptionOutcome.USED: Reason.DENIED_ALREADY_USED,
    RedemptionOutcome.UNKNOWN: Reason.DENIED_REDEMPTION_UNKNOWN,
}


def presented(site: Site, event: CredentialPresented, m: Moment) -> None:
    """Judge a credential; grant, refuse, or ask for its redemption first."""
    point = site.plan.access_points.get(event.access_point)
    lane = site.turnstiles.get(point.lane) if point is not None else None
    if point is None or lane is None:
        return m.audit("unknown_access_point", access_point=event.access_point)
    if event.refusal is not None and event.refusal not in REFUSALS:
        return m.audit("illegal_refusal", access_point=point.id, refusal=str(event.refusal))
    attempt = _attempt(site, lane, point.direction, m)
    attempt.identifier, attempt.refusal = event.identifier, event.refusal
    attempt.credential = credential = event.credential
    decision = decide(attempt)
    direction = point.direction
    grant = Grant(direction, decision.reason, _towards(lane, direction), point.id, event.identifier)
    if decision.reason.granted and credential is not None:
        grant.single_use = credential.single_use and direction is Direction.ENTRY
    if grant.single_use:
        return _redeem(site, lane, grant, m)
    _record_decision(lane, grant, decision, m, attempt)
    if decision.reason.granted:
        lane.start(grant, m)
    elif decision.reason is not Reason.EMERGENCY_OPEN:
        lane.refuse(m)


def answered(site: Site, event: RedemptionAnswered, m: Moment) -> None:
    """Let the holder of a pass that was won through, if the lane still can."""
    if event.outcome not in _ANSWERS:
        return m.audit("illegal_outcome", claim=str(event.claim), outcome=event.outcome)
    claim, in_time = site.claims.answered(event.claim)
    if claim is None:
        return m.audit("no_such_claim", claim=str(event.claim))
    lane = site.turnstiles.get(claim.lane)
    won = event.outcome == RedemptionOutcome.WON
    if not in_time or lane is None:
        if won:
            _record_not_passed(claim, "answered too late" if lane is not None else "the lane is gone", m)
        return
    lane.reserved = None
    refusal = _ANSWERS[event.outcome]
    if refusal is None:
        refusal = lane_refusal(_attempt(site, lane, claim.grant.direction, m, promised=True))
    if refusal is None:
        _record_decision(lane, claim.grant, AccessDecision(claim.grant.reason), m)
        return lane.start(claim.grant, m)
    _refuse(lane, claim, refusal, m)
    if won:
        _record_not_passed(claim, refusal.value, m)


def refuse_overdue(site: Site, m: Moment) -> None:
    """Refuse the passes whose claim was not answered in time."""
    for claim in site.claims.overdue(m.time):
        lane = site.turnstiles.get(claim.lane)
        if lane is not None:
            lane.reserved = None
            _refuse(lane, claim, Reason.DENIED_REDEMPTION_UNKNOWN, m)


def assisted(site: Site, event: AssistCommanded, m: Moment) -> None:
    """Let one person through at the guard's word, also in a closed lane or when they stand in it already."""
    lane = site.turnstiles.get(event.lane)
    if lane is None:
        return m.audit("unknown_lane", lane=event.lane, event="AssistCommanded")
    detail = {"by": event.by, "why": event.why}
    m.emit(Record(RecordKind.COMMAND, "assist", lane.plan.id, "", event.direction, b"", detail))
    reason = lane_refusal(_attempt(site, lane, event.direction, m, promised=True)) or Reason.GRANTED_ASSIST
    grant = Grant(event.direction, reason, _towards(lane, event.direction))
    _record_decision(lane, grant, AccessDecision(reason), m)
    if reason.granted:
        lane.start(grant, m)


def _attempt(
    site: Site, lane: Turnstile, direction: Direction, m: Moment, *, promised: bool = False
) -> Attempt:
    """An attempt at a lane; `promised`: closing the lane or standing in it is no reason against it."""
    inner = lane.plan.inner
    heading_in = [
        grant.identifier
        for other in site.turnstiles.values()
        if (grant := other.grant or other.reserved) is not None and _leads_into(grant, inner)
    ]
    return Attempt(
        m,
        direction,
        area=site.plan.areas.get(inner),
        heading_in=heading_in,
        emergency=lane.state is LaneState.EMERGENCY,
        out_of_service=lane.state is LaneState.OUT_OF_SERVICE,
        closed=not promised and not allows(lane.mode, direction),
        busy=lane.busy(with_person=not promised),
    )


def _leads_into(grant: Grant, area: str) -> bool:
    return grant.direction is Direction.ENTRY and grant.area == area


def _towards(lane: Turnstile, direction: Direction) -> str:
    return lane.plan.inner if direction is Direction.ENTRY else lane.plan.outer


def _redeem(site: Site, lane: Turnstile, grant: Grant, m: Moment) -> None:
    claim = site.claims.ask(lane.plan.id, grant, m.time + site.plan.redemption_timeout_s)
    m.emit(RedeemPass(claim.number, grant.identifier, grant.access_point))
    lane.reserve(grant, m)


def _record_decision(
    lane: Turnstile, grant: Grant, decision: AccessDecision, m: Moment, attempt: Attempt | None = None
) -> None:
    detail = {}
    if attempt is not None and attempt.credential is not None:
        detail["credential"] = attempt.credential.kind.value
    if decision.noted is not None:
        detail["noted"] = decision.noted.value
    m.emit(
        Record(
            RecordKind.DECISION,
            decision.reason,
            lane.plan.id,
            grant.access_point,
            grant.direction,
            grant.identifier,
            detail,
        )
    )


def _refuse(lane: Turnstile, claim: Claim, reason: Reason, m: Moment) -> None:
    _record_decision(lane, claim.grant, AccessDecision(reason), m)
    lane.give_up_reservation(m)


def _record_not_passed(claim: Claim, why: str, m: Moment) -> None:
    grant = claim.grant
    m.emit(
        Record(
            RecordKind.AUDIT,
            "redeemed_not_passed",
            claim.lane,
            grant.access_point,
            grant.direction,
            grant.identifier,
            {"why": why},
        )
    )
