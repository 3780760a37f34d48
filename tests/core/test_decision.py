"""Every rung of the ladder, and the order between each two."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import time, timedelta
from itertools import combinations

import pytest

from gated.core.decision import LADDER, Attempt, decide, describe
from gated.core.events import PresenceEntry
from gated.core.model import (
    AccessRights,
    AntiPassback,
    Area,
    Credential,
    CredentialKind,
    Now,
    Plan,
    Schedule,
)
from gated.core.moment import Moment
from gated.core.presence import Presence
from gated.core.reasons import Reason
from tests.core.sites import ENTRY, EXIT, NOON, card, plan

HOUR = timedelta(hours=1)
R = Reason


def attempt(the_plan: Plan | None = None) -> Attempt:
    """An attempt that nothing speaks against."""
    moment = Moment(Now(1.0, NOON), the_plan or plan(schedules=SCHEDULES), Presence())
    return Attempt(moment, ENTRY, b"card", card(), area=moment.plan.areas["joined"])


SCHEDULES = {
    "night": Schedule("night", {day: ((time(0), time(1)),) for day in range(7)}),
    "day": Schedule("day", {day: ((time(7), time(21)),) for day in range(7)}),
}


def credential(a: Attempt, **over: object) -> None:
    assert a.credential is not None
    a.credential = dataclasses.replace(a.credential, **over)  # type: ignore[arg-type]


def rights(a: Attempt, **over: object) -> None:
    assert a.credential is not None
    credential(a, rights=dataclasses.replace(a.credential.rights, **over))  # type: ignore[arg-type]


def area(a: Attempt, **over: object) -> None:
    assert a.area is not None
    a.area = dataclasses.replace(a.area, **over)  # type: ignore[arg-type]


def untrust(a: Attempt) -> None:
    a.moment.now = dataclasses.replace(a.moment.now, utc_trusted=False)
    credential(a, kind=CredentialKind.VISITOR_PASS)


def be_inside(a: Attempt) -> None:
    area(a, anti_passback=AntiPassback.HARD)
    a.moment.presence.restore([PresenceEntry(b"card", "joined", NOON - HOUR)], "")


def use_up_the_day(a: Attempt) -> None:
    rights(a, per_day_limit=2)
    a.heading_in = [*a.heading_in, b"card", b"card"]


def fill(a: Attempt) -> None:
    area(a, occupancy_limit=1)
    a.heading_in = [*a.heading_in, b"somebody"]


# What makes each rung apply, on top of whatever else applies.
CAUSES: dict[Reason, Callable[[Attempt], None]] = {
    R.EMERGENCY_OPEN: lambda a: setattr(a, "emergency", True),
    R.DENIED_LANE_OUT_OF_SERVICE: lambda a: setattr(a, "out_of_service", True),
    R.DENIED_LANE_CLOSED: lambda a: setattr(a, "closed", True),
    R.DENIED_LANE_BUSY: lambda a: setattr(a, "busy", True),
    R.DENIED_UNREADABLE: lambda a: setattr(a, "refusal", R.DENIED_UNREADABLE),
    R.DENIED_BAD_SIGNATURE: lambda a: setattr(a, "refusal", R.DENIED_BAD_SIGNATURE),
    R.DENIED_UNKNOWN_CREDENTIAL: lambda a: setattr(a, "credential", None),
    R.DENIED_REVOKED: lambda a: credential(a, denied=True),
    R.DENIED_NOT_ACTIVATED: lambda a: credential(a, activated=False),
    R.DENIED_TIME_UNTRUSTED: untrust,
    R.DENIED_NOT_YET_VALID: lambda a: rights(a, valid_from=NOON + HOUR),
    R.DENIED_EXPIRED: lambda a: rights(a, valid_until=NOON),
    R.DENIED_AREA: lambda a: rights(a, zones=frozenset({"east"})),
    R.DENIED_SCHEDULE: lambda a: rights(a, schedule="night"),
    R.DENIED_ALREADY_USED: lambda a: credential(a, single_use=True, used=True),
    R.DENIED_PER_DAY_LIMIT: use_up_the_day,
    R.DENIED_ANTI_PASSBACK: be_inside,
    R.DENIED_AREA_FULL: fill,
}
NO_CREDENTIAL = {R.DENIED_UNREADABLE, R.DENIED_BAD_SIGNATURE, R.DENIED_UNKNOWN_CREDENTIAL}


def test_the_ladder_is_the_order_of_the_reasons() -> None:
    reasons = [rung.reason for rung in LADDER]
    expected = [r for r in Reason if not r.granted and r is not R.DENIED_REDEMPTION_UNKNOWN]
    assert reasons == expected == list(CAUSES)


@pytest.mark.parametrize("wanted", CAUSES)
def test_each_rung_is_reached(wanted: Reason) -> None:
    a = attempt()
    assert decide(a).reason is R.GRANTED
    CAUSES[wanted](a)
    assert decide(a).reason is wanted


ONE_REFUSAL = (R.DENIED_UNREADABLE, R.DENIED_BAD_SIGNATURE)  # a presentation has only one
PAIRS = [pair for pair in combinations(CAUSES, 2) if pair != ONE_REFUSAL]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_rungs_the_earlier_decides(first: Reason, second: Reason) -> None:
    a = attempt()
    for cause in sorted([second, first], key=lambda reason: reason in NO_CREDENTIAL):
        CAUSES[cause](a)  # what takes the credential away comes after what changes it
    assert decide(a).reason is first


@pytest.mark.parametrize("refusal", [R.DENIED_EXPIRED, R.DENIED_REVOKED, R.DENIED_ALREADY_USED])
def test_a_refusal_of_the_verifier_stands_at_its_own_rung(refusal: Reason) -> None:
    a = attempt()
    a.credential, a.refusal = None, refusal
    assert decide(a).reason is refusal
    a.busy = True
    assert decide(a).reason is R.DENIED_LANE_BUSY
    a.busy, a.credential = False, card(denied=True)
    assert decide(a).reason is R.DENIED_REVOKED


def test_the_window_is_half_open() -> None:
    a = attempt()
    rights(a, valid_from=NOON, valid_until=NOON + HOUR)
    assert decide(a).reason is R.GRANTED
    a.moment.now = Now(1.0, NOON + HOUR - timedelta(microseconds=1))
    assert decide(a).reason is R.GRANTED
    a.moment.now = Now(1.0, NOON + HOUR)
    assert decide(a).reason is R.DENIED_EXPIRED
    a.moment.now = Now(1.0, NOON - timedelta(microseconds=1))
    assert decide(a).reason is R.DENIED_NOT_YET_VALID


@pytest.mark.parametrize("zones", [{"*"}, {"joined"}, {"new"}, {"west", "east"}])
def test_a_zone_of_the_area_is_enough(zones: set[str]) -> None:
    a = attempt()
    rights(a, zones=frozenset(zones))
    assert decide(a).reason is R.GRANTED


def test_what_the_plan_does_not_have_refuses() -> None:
    a = attempt()
    a.area = None
    assert decide(a).reason is R.DENIED_AREA
    a = attempt()
    rights(a, schedule="never heard of")
    assert decide(a).reason is R.DENIED_SCHEDULE


def test_activation_can_be_turned_off() -> None:
    a = attempt(plan(activation_required=False))
    credential(a, activated=False)
    assert decide(a).reason is R.GRANTED


@pytest.mark.parametrize("kind", [CredentialKind.VISITOR_PASS, CredentialKind.STAFF_DAY_PASS])
def test_no_pass_is_good_while_the_time_is_not_trusted(kind: CredentialKind) -> None:
    a = attempt()
    untrust(a)
    credential(a, kind=kind)
    assert decide(a).reason is R.DENIED_TIME_UNTRUSTED


def test_cards_are_judged_by_what_is_certain_while_the_time_is_not_trusted() -> None:
    a = attempt(plan(schedules=SCHEDULES))
    untrust(a)
    credential(a, kind=CredentialKind.CARD)
    rights(a, valid_from=NOON + HOUR, schedule="night", per_day_limit=0)
    assert decide(a).reason is R.GRANTED
    rights(a, valid_until=NOON)
    assert decide(a).reason is R.DENIED_EXPIRED
    a.moment.plan = plan(staff_while_time_untrusted=False)
    assert decide(a).reason is R.DENIED_TIME_UNTRUSTED


def test_anti_passback_soft_grants_and_says_so() -> None:
    a = attempt()
    be_inside(a)
    area(a, anti_passback=AntiPassback.SOFT)
    assert decide(a).reason is R.GRANTED_ANTI_PASSBACK_SOFT
    area(a, anti_passback=AntiPassback.OFF)
    assert decide(a).reason is R.GRANTED


def test_anti_passback_times_out() -> None:
    a = attempt()
    be_inside(a)
    area(a, anti_passback_timeout_s=3600.0)
    assert decide(a).reason is R.GRANTED
    area(a, anti_passback_timeout_s=3600.1)
    assert decide(a).reason is R.DENIED_ANTI_PASSBACK


def test_a_card_handed_back_before_its_first_passage_ends_is_passed_back() -> None:
    a = attempt()
    area(a, anti_passback=AntiPassback.HARD)
    a.heading_in = [b"card"]
    assert decide(a).reason is R.DENIED_ANTI_PASSBACK


def test_somebody_already_inside_does_not_fill_an_area() -> None:
    a = attempt()
    be_inside(a)
    area(a, anti_passback=AntiPassback.OFF, occupancy_limit=1)
    assert decide(a).reason is R.GRANTED


LEAVING_REFUSED = {r for r in CAUSES if list(CAUSES).index(r) <= list(CAUSES).index(R.DENIED_REVOKED)}


@pytest.mark.parametrize("cause", CAUSES)
def test_leaving_is_refused_only_by_the_lane_an_unknown_or_a_denied_credential(cause: Reason) -> None:
    a = attempt()
    a.direction = EXIT
    CAUSES[cause](a)
    decision = decide(a)
    if cause in LEAVING_REFUSED:
        assert decision.reason is cause
        return
    assert decision.reason is R.GRANTED
    by_use = {R.DENIED_ALREADY_USED, R.DENIED_PER_DAY_LIMIT, R.DENIED_ANTI_PASSBACK, R.DENIED_AREA_FULL}
    assert decision.noted is (None if cause in by_use else cause)


def test_leaving_where_one_is_not_is_granted_and_recorded() -> None:
    a = attempt()
    a.direction = EXIT
    area(a, anti_passback=AntiPassback.HARD)
    assert decide(a).reason is R.GRANTED  # never seen: nothing is known
    a.moment.presence.restore([PresenceEntry(b"card", "east", NOON)], "")
    assert decide(a).reason is R.GRANTED_ANTI_PASSBACK_SOFT


def test_a_plain_credential_has_no_rights() -> None:
    a = attempt()
    a.credential = Credential(b"card", rights=AccessRights())
    a.area = Area("joined")
    assert decide(a).reason is R.DENIED_AREA


def test_the_ladder_prints() -> None:
    lines = describe().splitlines()
    assert len(lines) == len(LADDER) + 1
    assert lines[8].split()[:2] == ["8", "denied_revoked"]
