"""Issue passes at reception: N codes for a group that comes on one day."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gated.errors import InputError
from gated.passes import base45, cose
from gated.passes.claims import GROUP_ID_BYTES, MAX_COUNT, PASS_ID_BYTES, Pass, PassClass, pack
from gated.passes.keys import kid_for

LAST_DAY = date(2105, 12, 31)  # a code counts its seconds in 32 bits
MAX_CHARACTERS = 224  # what a QR code of version 7 (45 modules), level L, holds in alphanumeric mode


@dataclass(frozen=True, slots=True)
class Issued:
    """A pass and the text of its code; the text lets its holder in, so it is not shown in a repr."""

    claims: Pass
    code: str = field(repr=False)


def day_of(day: date, timezone: tzinfo) -> tuple[datetime, datetime]:
    """The first moment of a local day and of the next, in UTC (23, 24 or 25 hours apart)."""
    start = datetime.combine(day, time(), timezone)
    end = datetime.combine(day + timedelta(days=1), time(), timezone)
    return start.astimezone(UTC), end.astimezone(UTC)


def issue(
    key: Ed25519PrivateKey,
    *,
    count: int,
    zones: Collection[str],
    day: date,
    timezone: tzinfo,
    pass_class: PassClass = PassClass.SINGLE_ENTRY,
) -> list[Issued]:
    """Sign `count` (1 to 250) passes for the zones, valid on that day of the site.

    Raises InputError when the count or the day is out of range, or the zones make the code larger than 45
    modules.
    """
    if not date(1970, 1, 2) <= day <= LAST_DAY:
        raise InputError([f"{day}: no pass can be issued for a day after {LAST_DAY}"])
    if not 1 <= count <= MAX_COUNT:
        raise InputError([f"a group has 1 to {MAX_COUNT} passes, not {count}"])
    start, end = day_of(day, timezone)
    kid = kid_for(key.public_key())
    group = secrets.token_bytes(GROUP_ID_BYTES)
    issued = []
    for i in range(1, count + 1):
        pass_id = secrets.token_bytes(PASS_ID_BYTES)
        claims = Pass(pass_id, group, i, count, frozenset(zones), start, end, pass_class)
        try:
            code = base45.encode(cose.sign(pack(claims), kid, key))
        except ValueError:
            code = ""
        if not 0 < len(code) <= MAX_CHARACTERS:
            raise InputError(
                ["these zones do not fit into a code that a camera reads easily; name fewer zones"]
            )
        issued.append(Issued(claims, code))
    return issued


def registration(issued: Issued, purpose: str) -> dict[str, Any]:
    """What the gate is told of a pass: all but the code itself."""
    p = issued.claims
    return {
        "pass": p.id.hex(),
        "group": p.group.hex(),
        "i": p.i,
        "n": p.n,
        "class": int(p.pass_class),
        "zones": sorted(p.zones),
        "not_before": int(p.not_before.timestamp()),
        "expires": int(p.expires.timestamp()),
        "purpose": purpose,
    }
