"""What a pass says, and nothing else: CWT claims (RFC 8392), deterministic CBOR, nothing personal.

3 aud   zones, names with a space between        5 nbf   start, whole seconds
4 exp   end (exclusive), whole seconds           7 cti   pass id, 8 random bytes
-65537  (private use) [group id (6 random bytes), i, N, class]
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import cbor2

from gated.core.model import CredentialKind

PASS_ID_BYTES = 8
GROUP_ID_BYTES = 6
MAX_COUNT = 250
MAX_SPAN_S = 36 * 3600  # one day, also the longest one of a DST change, and some hours
_AUD, _EXP, _NBF, _CTI, _GROUP = 3, 4, 5, 7, -65537
# In the order of deterministic CBOR, so that a dict with these keys in this order encodes to it.
_KEYS = [_AUD, _EXP, _NBF, _CTI, _GROUP]
_MAX_TIME = 0xFFFF_FFFF


class PassClass(IntEnum):
    """What a pass is for; the number stands in the code."""

    SINGLE_ENTRY = 0  # a visitor, in once
    RE_ENTRY = 1  # a visitor, in and out as often as needed that day
    STAFF_DAY = 2  # a member of staff who forgot the card (C14)

    @property
    def kind(self) -> CredentialKind:
        """How the core calls it."""
        staff = self is PassClass.STAFF_DAY
        return CredentialKind.STAFF_DAY_PASS if staff else CredentialKind.VISITOR_PASS


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass: `i` of `n` of its group; good in `zones` while `not_before` <= t < `expires` (UTC)."""

    id: bytes
    group: bytes
    i: int
    n: int
    zones: frozenset[str]
    not_before: datetime
    expires: datetime
    pass_class: PassClass


def pack(p: Pass) -> bytes:
    """The claims as deterministic CBOR. Raises ValueError when they break the profile."""
    claims = {
        _AUD: " ".join(sorted(p.zones)),
        _EXP: int(p.expires.timestamp()),
        _NBF: int(p.not_before.timestamp()),
        _CTI: p.id,
        _GROUP: [p.group, p.i, p.n, int(p.pass_class)],
    }
    payload = cbor2.dumps(claims)
    if unpack(payload) != p:
        raise ValueError("a pass with such claims is not of this profile")
    return payload


def unpack(payload: bytes) -> Pass | None:
    """The pass, or None when the payload is not exactly what `pack` makes. Never raises."""
    try:
        claims = cbor2.loads(payload)
        # Exact types before the comparison: 1 == 1.0 == True.
        if not _is_profile(claims) or cbor2.dumps(claims) != payload:
            return None
        group, i, n, number = claims[_GROUP]
        return Pass(
            claims[_CTI],
            group,
            i,
            n,
            frozenset(claims[_AUD].split()),
            datetime.fromtimestamp(claims[_NBF], UTC),
            datetime.fromtimestamp(claims[_EXP], UTC),
            PassClass(number),
        )
    except Exception:  # whatever a decoder makes of bytes, the gate has one answer to it
        return None


def _is_profile(claims: Any) -> bool:
    if type(claims) is not dict or list(claims) != _KEYS or any(type(key) is not int for key in claims):
        return False
    zones, end, start, pass_id, rest = claims.values()
    if type(rest) is not list or len(rest) != 4 or any(type(number) is not int for number in rest[1:]):
        return False
    group, i, n, _ = rest
    return (
        type(zones) is str
        and zones.isprintable()
        and zones != ""
        and zones == " ".join(sorted(set(zones.split())))
        and type(end) is int
        and type(start) is int
        and 0 < start < end <= _MAX_TIME
        and end - start <= MAX_SPAN_S
        and type(pass_id) is bytes
        and len(pass_id) == PASS_ID_BYTES
        and type(group) is bytes
        and len(group) == GROUP_ID_BYTES
        and 1 <= i <= n <= MAX_COUNT
    )
