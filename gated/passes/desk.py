"""Reception's side of the running gate: what the control socket's pass verbs do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from gated.errors import RequestRefused
from gated.passes.claims import MAX_COUNT, Pass, PassClass, pack
from gated.passes.store import Registered, Store
from gated.settings_file import check

MIN_PREFIX = 6  # hex digits that a person has to give of an id
_PASS_DIGITS = 16

_Hex = Annotated[str, Field(pattern="^[0-9a-f]*$")]


class _Registration(BaseModel):
    """One pass as `gatectl pass issue` announces it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, strict=True)

    id: Annotated[_Hex, Field(alias="pass", min_length=16, max_length=16)]
    group: Annotated[_Hex, Field(min_length=12, max_length=12)]
    i: int
    n: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    pass_class: Annotated[int, Field(alias="class", ge=0, le=max(PassClass))]
    zones: list[str]
    not_before: Annotated[int, Field(ge=0, lt=1 << 32)]
    expires: Annotated[int, Field(ge=0, lt=1 << 32)]
    purpose: Annotated[str, Field(max_length=100)]

    def claims(self) -> Pass:
        return Pass(
            bytes.fromhex(self.id),
            bytes.fromhex(self.group),
            self.i,
            self.n,
            frozenset(self.zones),
            datetime.fromtimestamp(self.not_before, UTC),
            datetime.fromtimestamp(self.expires, UTC),
            PassClass(self.pass_class),
        )


class Desk:
    """Register, activate, revoke and show passes, by the id of a pass or of its group.

    An id may be shortened to 6 hex digits where that is clear. Every method raises RequestRefused with a
    sentence for the person who asked, or StoreError.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def register(self, passes: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Take in what reception issued; a second time changes nothing."""
        if not isinstance(passes, list) or not 1 <= len(passes) <= MAX_COUNT:
            raise RequestRefused(f"register takes a list of 1 to {MAX_COUNT} passes")
        taken: list[tuple[Pass, str]] = []
        for place, item in enumerate(passes, 1):
            found, problems = check(_Registration, item, f"pass {place}")
            if found is None:
                raise RequestRefused("; ".join(problems))
            try:
                pack(found.claims())
            except ValueError as error:
                raise RequestRefused(f"pass {place}: {error}") from error
            taken.append((found.claims(), found.purpose))
        return {"registered": await self._store.register(taken), "passes": len(taken)}

    async def activate(self, id: str) -> dict[str, Any]:  # noqa: A002 - the verb's argument
        """Reception hands the pass over: from now on it opens."""
        found = await self._find(id)
        if all(p.revoked_at is not None for p in found):
            raise RequestRefused(f"{id} is revoked and cannot be activated; issue a new pass")
        if all(p.registered_at is None for p in found):
            raise RequestRefused(f"{id} was never registered here; issue a new pass")
        changed = await self._store.activate([p.id for p in found])
        return {"changed": changed, **await self.show(id)}

    async def revoke(self, id: str, why: str = "") -> dict[str, Any]:  # noqa: A002
        """The pass opens no more; also one that this gate was never told of, by its whole id."""
        try:
            ids = [p.id for p in await self._find(id)]
        except RequestRefused:
            if not re.fullmatch(f"[0-9a-f]{{{_PASS_DIGITS}}}", _plain(id)):
                raise
            ids = [bytes.fromhex(_plain(id))]
        changed = await self._store.revoke(ids, why)
        return {"changed": changed, **await self.show(id)}

    async def show(self, id: str) -> dict[str, Any]:  # noqa: A002
        """What is known of a pass or of every pass of a group."""
        found = await self._find(id)
        group, purpose = found[0].group, found[0].purpose
        return {
            "group": group.hex() if group else "",
            "purpose": purpose or "",
            "passes": [_shown(p) for p in found],
        }

    async def _find(self, given: str) -> list[Registered]:
        prefix = _plain(given)
        if not re.fullmatch(f"[0-9a-f]{{{MIN_PREFIX},{_PASS_DIGITS}}}", prefix):
            raise RequestRefused(
                f"the id of a pass or a group is {MIN_PREFIX} to {_PASS_DIGITS} hexadecimal digits"
            )
        found = await self._store.find(prefix)
        if not found:
            raise RequestRefused(f"no pass and no group here has the id {prefix}")
        one_group = len({p.group for p in found}) == 1 and (found[0].group or b"").hex().startswith(prefix)
        if len(found) > 1 and not one_group:
            raise RequestRefused(f"{prefix} fits more than one pass; give more digits")
        return found


def _plain(given: str) -> str:
    return str(given).strip().lower().replace("-", "").replace(" ", "")


def _state(p: Registered) -> str:
    if p.revoked_at is not None:
        return "revoked"
    if p.used_at is not None:
        return "used"
    if p.activated_at is not None:
        return "activated"
    return "issued" if p.registered_at is not None else "unregistered"


def _shown(p: Registered) -> dict[str, Any]:
    def instant(seconds: int | None) -> str | None:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()

    return {
        "pass": p.id.hex(),
        "i": p.i,
        "n": p.n,
        "class": None if p.pass_class is None else PassClass(p.pass_class).name.lower(),
        "zones": (p.zones or "").split(),
        "state": _state(p),
        "not_before": instant(p.not_before),
        "expires": instant(p.expires),
        "registered_at": instant(p.registered_at),
        "activated_at": instant(p.activated_at),
        "revoked_at": instant(p.revoked_at),
        "revoked_why": p.revoked_why,
        "used_at": instant(p.used_at),
        "used_access_point": p.used_access_point,
    }
