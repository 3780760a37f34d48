"""The decision ladder: the order in which a presented credential is judged.

The rungs stand in the order of gated.core.reasons; the first that applies decides, so a deny entry
beats any grant. `python -m gated.core.decision` prints the ladder.

Leaving is judged by fewer rungs, since nobody is to be kept inside by a date or a place: only the lane
itself, an unreadable or unknown credential and a deny entry refuse the way out (a lost or revoked card
is refused everywhere; its bearer leaves by the guard, and in an emergency the gate is open anyway).
Whatever would have refused an entry is granted and noted in the record.

While the time is not trusted (C12) no pass is good. Cards are, where the plan says so: they are then
judged by what is certain. `Now.utc` is a time that has certainly passed, so an expired card stays
expired; whether it is valid already, in schedule or within its day's limit cannot be known and is not
asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gated.core.model import AntiPassback, Area, Credential, CredentialKind, Direction
from gated.core.moment import Moment
from gated.core.reasons import Reason

EVERY_ZONE = "*"


@dataclass(slots=True)
class Attempt:
    """A credential at an access point, and all that the ladder needs to judge it.

    `heading_in` holds the identifiers of entries into the same area that were granted and have not
    passed yet, at any lane: a card handed back over the gate must not work twice.
    """

    moment: Moment
    direction: Direction
    identifier: bytes = b""
    credential: Credential | None = None
    refusal: Reason | None = None
    area: Area | None = None  # the lane's inner area; None when the plan does not have it
    heading_in: Sequence[bytes] = ()
    emergency: bool = False
    out_of_service: bool = False
    closed: bool = False
    busy: bool = False


class AccessDecision(NamedTuple):
    """The reason, and for an exit the first one that would have refused an entry."""

    reason: Reason
    noted: Reason | None = None


class Rung(NamedTuple):
    """A reason to refuse; `applies` may assume a known credential where `known` is set."""

    reason: Reason
    applies: Callable[[Attempt, Credential], bool]
    why: str
    known: bool = True
    refuses_exit: bool = False


def _unknown(a: Attempt, _: Credential) -> bool:
    return a.credential is None and a.refusal is None


def _inactive(a: Attempt, c: Credential) -> bool:
    return not c.activated and a.moment.plan.activation_required


def _time_untrusted(a: Attempt, c: Credential) -> bool:
    if a.moment.now.utc_trusted:
        return False
    return c.kind is not CredentialKind.CARD or not a.moment.plan.staff_while_time_untrusted


def _not_yet_valid(a: Attempt, c: Credential) -> bool:
    start = c.rights.valid_from
    return start is not None and a.moment.now.utc < start and a.moment.now.utc_trusted


def _expired(a: Attempt, c: Credential) -> bool:
    end = c.rights.valid_until
    return end is not None and a.moment.now.utc >= end


def _wrong_area(a: Attempt, c: Credential) -> bool:
    if a.area is None:
        return True
    zones = c.rights.zones
    return not (a.area.id in zones or EVERY_ZONE in zones or not zones.isdisjoint(a.area.zones))


def _out_of_schedule(a: Attempt, c: Credential) -> bool:
    schedule = c.rights.schedule
    return schedule is not None and a.moment.now.utc_trusted and not a.moment.is_open(schedule)


def _already_used(a: Attempt, c: Credential) -> bool:
    return c.single_use and c.used and a.direction is Direction.ENTRY


def _over_day_limit(a: Attempt, c: Credential) -> bool:
    limit = c.rights.per_day_limit
    if limit is None or a.direction is Direction.EXIT or not a.moment.now.utc_trusted:
        return False
    uses = a.moment.presence.uses(a.identifier, a.moment.day)
    return uses + a.heading_in.count(a.identifier) >= limit


def passes_back(a: Attempt) -> bool:
    """Whether the credential goes where it already is, or leaves where it is not (as far as is known)."""
    area = a.area
    if area is None or area.anti_passback is AntiPassback.OFF:
        return False
    entry = a.moment.presence.certain(a.identifier)
    if a.direction is Direction.EXIT:
        return entry is not None and entry.area != area.id
    if a.identifier in a.heading_in:
        return True
    if entry is None or entry.area != area.id:
        return False
    timeout = area.anti_passback_timeout_s
    return not timeout or (a.moment.now.utc - entry.since).total_seconds() < timeout


def _hard_passback(a: Attempt, _: Credential) -> bool:
    hard = a.area is not None and a.area.anti_passback is AntiPassback.HARD
    return hard and a.direction is Direction.ENTRY and passes_back(a)


def _area_full(a: Attempt, _: Credential) -> bool:
    area = a.area
    if area is None or not area.occupancy_limit or a.direction is Direction.EXIT:
        return False
    entry = a.moment.presence.certain(a.identifier)
    if entry is not None and entry.area == area.id:
        return False  # counted already
    return a.moment.presence.occupancy(area.id) + len(a.heading_in) >= area.occupancy_limit


R = Reason
LADDER: tuple[Rung, ...] = (
    Rung(R.EMERGENCY_OPEN, lambda a, _: a.emergency, "the gate is held open", False, True),
    Rung(R.DENIED_LANE_OUT_OF_SERVICE, lambda a, _: a.out_of_service, "a device is lost", False, True),
    Rung(R.DENIED_LANE_CLOSED, lambda a, _: a.closed, "mode closed, or the other way", False, True),
    Rung(R.DENIED_LANE_BUSY, lambda a, _: a.busy, "someone is passing or was granted", False, True),
    Rung(R.DENIED_UNREADABLE, lambda a, _: False, "no code of ours, or mangled", False, True),
    Rung(R.DENIED_BAD_SIGNATURE, lambda a, _: False, "not signed by a key we know", False, True),
    Rung(R.DENIED_UNKNOWN_CREDENTIAL, _unknown, "nobody we know", False, True),
    Rung(R.DENIED_REVOKED, lambda _, c: c.denied, "a deny entry", True, True),
    Rung(R.DENIED_NOT_ACTIVATED, _inactive, "reception has yet to activate the pass"),
    Rung(R.DENIED_TIME_UNTRUSTED, _time_untrusted, "the clock cannot be believed"),
    Rung(R.DENIED_NOT_YET_VALID, _not_yet_valid, "before valid_from"),
    Rung(R.DENIED_EXPIRED, _expired, "at or after valid_until"),
    Rung(R.DENIED_AREA, _wrong_area, "no right to a zone of the area"),
    Rung(R.DENIED_SCHEDULE, _out_of_schedule, "outside its hours, or a holiday"),
    Rung(R.DENIED_ALREADY_USED, _already_used, "a single-use pass that was used"),
    Rung(R.DENIED_PER_DAY_LIMIT, _over_day_limit, "its entries of the local day are used up"),
    Rung(R.DENIED_ANTI_PASSBACK, _hard_passback, "already inside, where that is hard"),
    Rung(R.DENIED_AREA_FULL, _area_full, "the area's occupancy limit"),
)
"""Every rung in order. An attempt's own `refusal` (bytes that never became a credential) applies at the
rung of that name."""

REFUSALS = frozenset(rung.reason for rung in LADDER[4:])
"""What CredentialPresented.refusal may say."""


_NOBODY = Credential(b"")
_LANE_RUNGS = LADDER[:4]


def lane_refusal(attempt: Attempt) -> Reason | None:
    """The rungs about the lane alone: why nobody could be let through now, or None."""
    for rung in _LANE_RUNGS:
        if rung.applies(attempt, _NOBODY):
            return rung.reason
    return None


def decide(attempt: Attempt) -> AccessDecision:
    """Climb the ladder. A single-use pass that is GRANTED here has yet to be redeemed."""
    credential, refusal = attempt.credential, attempt.refusal
    subject = credential or _NOBODY
    leaving = attempt.direction is Direction.EXIT
    noted: Reason | None = None
    for reason, applies, _, known, refuses_exit in LADDER:
        if reason is not refusal:
            if known and credential is None:
                continue
            if not applies(attempt, subject):
                continue
        elif credential is None:
            return AccessDecision(reason, noted)
        if not leaving or refuses_exit:
            return AccessDecision(reason, noted)
        noted = noted or reason
    if passes_back(attempt):
        return AccessDecision(R.GRANTED_ANTI_PASSBACK_SOFT, noted)
    return AccessDecision(R.GRANTED, noted)


def describe() -> str:
    """The ladder as text."""
    lines = [f"{'rung':<4}{'reason':<32}{'refuses':<12}when"]
    for number, rung in enumerate(LADDER, 1):
        refuses = "both ways" if rung.refuses_exit else "entry"
        lines.append(f"{number:<4}{rung.reason.value:<32}{refuses:<12}{rung.why}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(describe())
