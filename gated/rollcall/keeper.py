"""gated's side of the roll calls: made at the alarm, off the decision path, and kept until they are closed.

While the disk refuses, a roll call lies beside the control socket, in memory, and the disk is tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from gated.core.effects import FreezeRollCall
from gated.core.events import PresenceEntry
from gated.durable import fsync
from gated.errors import GatedError, RequestRefused
from gated.passes.claims import PASS_ID_BYTES, PassClass
from gated.passes.store import Holder
from gated.rollcall.sheet import PASS, STAFF, SUFFIX, VISITOR, Person, Sheet, read_all, references, write

RETRY_S = 2.0
LOOK_UP_S = 0.5  # the longest that a roll call waits for the store to say whose pass is of which group


LookUp = Callable[[Iterable[bytes]], Awaitable[Mapping[bytes, Holder]]]


@dataclass(frozen=True, slots=True)
class Place:
    """What a roll call says of the site."""

    name: str
    timezone: tzinfo
    titles: Mapping[str, str]


class RollCalls:
    """The roll calls of a site. Its methods belong to the loop; the disk is waited for in threads."""

    def __init__(self, directory: Path, spare: Path, look_up: LookUp, keep_days: int) -> None:
        """`directory` is on the disk, `spare` need not be; `keep_days` counts from the closing."""
        self.directories = (directory, spare)
        self.keep_days = keep_days
        self.fault: str | None = None
        """Why roll calls are not on the disk, or cannot be believed; None while all is well."""
        self._look_up = look_up
        self._sheets: dict[str, Sheet] = {}
        self._unkept: set[str] = set()
        self._damaged: list[str] = []
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Read what is there."""
        try:
            sheets, self._damaged = await asyncio.to_thread(read_all, self.directories)
            spare, _ = await asyncio.to_thread(read_all, self.directories[1:])
        except OSError as error:
            self.fault = f"{self.directories[0]}: cannot be read: {error.strerror}"
            return
        self._sheets = {sheet.id: sheet for sheet in sheets}
        self._unkept = {sheet.id for sheet in spare}
        self.fault = "; ".join(self._damaged) or None

    @property
    def open(self) -> list[Sheet]:
        """Those that nobody has closed, oldest first."""
        return [sheet for sheet in self._sheets.values() if not sheet.closed_at]

    @property
    def lasting(self) -> Sheet | None:
        """The one of an emergency that was not seen to end."""
        found = [sheet for sheet in self._sheets.values() if not sheet.over_at]
        return found[-1] if found else None

    def find(self, id: str) -> Sheet:  # noqa: A002 - the word of gatectl
        """The roll call of this id. Raises RequestRefused."""
        if id not in self._sheets:
            raise RequestRefused(f"there is no roll call {id!r}; see: gatectl rollcall --list")
        return self._sheets[id]

    async def freeze(self, effect: FreezeRollCall, place: Place, journal_seq: int) -> tuple[Sheet, float]:
        """Make the roll call and bring it to the disk; also the seconds that took."""
        began = time.monotonic()
        async with self._lock:
            holders: Mapping[bytes, Holder] = {}
            unknown = ""
            try:
                async with asyncio.timeout(LOOK_UP_S):
                    holders = await self._look_up([e.identifier for e in effect.entries])
            except (GatedError, TimeoutError):
                unknown = "the store of passes did not answer: which pass is of which group is not known"
            name = self._free_id(effect, place)
            sheet = await asyncio.to_thread(_sheet, effect, place, journal_seq, name, holders)
            if unknown:
                sheet = replace(sheet, doubts=(*sheet.doubts, unknown))
            await self._put(sheet)
        return sheet, time.monotonic() - began

    async def emergency_over(self, at: datetime) -> None:
        """The gates are let go; the roll calls stay open."""
        async with self._lock:
            for sheet in [sheet for sheet in self._sheets.values() if not sheet.over_at]:
                await self._put(replace(sheet, over_at=_instant(at)))

    async def close(self, id: str, by: str, why: str, at: datetime) -> Sheet:  # noqa: A002
        """Everybody was accounted for, somebody says. Raises RequestRefused."""
        async with self._lock:
            sheet = self.find(id)
            if sheet.closed_at:
                raise RequestRefused(f"roll call {id} was closed already, by {sheet.closed_by}")
            sheet = replace(sheet, closed_at=_instant(at), closed_by=by, closed_why=why)
            await self._put(sheet)
            return sheet

    async def purge(self, now: datetime) -> list[str]:
        """Remove those closed for longer than `keep_days`; return their ids. Only while time is trusted."""
        limit = _instant(now - timedelta(days=self.keep_days))
        gone = []
        async with self._lock:
            for sheet in list(self._sheets.values()):
                if sheet.closed_at and sheet.closed_at < limit and sheet.over_at:
                    try:
                        await asyncio.to_thread(_remove, self.directories, sheet.id)
                    except OSError as error:
                        self.fault = f"{sheet.id}{SUFFIX}: cannot be removed: {error.strerror}"
                        continue
                    del self._sheets[sheet.id]
                    self._unkept.discard(sheet.id)
                    gone.append(sheet.id)
        return gone

    async def retry_forever(self) -> None:
        """Bring to the disk what it refused."""
        while True:
            await asyncio.sleep(RETRY_S)
            async with self._lock:
                for name in sorted(self._unkept):
                    await self._put(self._sheets[name])

    async def _put(self, sheet: Sheet) -> None:
        """Keep it: on the disk, or beside the socket until the disk takes it."""
        directory, spare = self.directories
        self._sheets[sheet.id] = sheet
        try:
            await asyncio.to_thread(write, directory, sheet)
        except OSError as error:
            self._unkept.add(sheet.id)
            self.fault = f"{directory}: the roll call {sheet.id} cannot be written: {error.strerror}"
            try:
                await asyncio.to_thread(write, spare, sheet)
            except OSError as second:
                self.fault += f"; nor in {spare}: {second.strerror}"
            return
        if sheet.id in self._unkept:
            await asyncio.to_thread(_remove, (spare,), sheet.id)
            self._unkept.discard(sheet.id)
        if not self._unkept:
            self.fault = "; ".join(self._damaged) or None

    def _free_id(self, effect: FreezeRollCall, place: Place) -> str:
        base = effect.at.astimezone(place.timezone).strftime("%Y%m%d-%H%M%S")
        taken = [path.stem for d in self.directories for path in d.glob(f"{base}*")]
        ids = (base, *(f"{base}-{number}" for number in range(2, 10_000)))
        return next(one for one in ids if one not in self._sheets and one not in taken)


def _sheet(
    effect: FreezeRollCall, place: Place, journal_seq: int, name: str, holders: Mapping[bytes, Holder]
) -> Sheet:
    refs = references(entry.identifier for entry in effect.entries)
    people = tuple(
        _person(entry, refs[entry.identifier], holders.get(entry.identifier)) for entry in effect.entries
    )
    late = None if effect.alarm_at is None else max(0.0, (effect.at - effect.alarm_at).total_seconds())
    return Sheet(
        id=name,
        site=place.name,
        drill=effect.drill,
        alarm_at=_instant(effect.alarm_at) if effect.alarm_at else "",
        frozen_at=_instant(effect.at),
        late_s=None if late is None else round(late, 3),
        causes=effect.causes,
        doubts=tuple(_doubts(effect, late)),
        journal_seq=journal_seq,
        titles={area: title for area, title in place.titles.items() if title},
        people=people,
    )


def _person(entry: PresenceEntry, ref: str, known: Holder | None) -> Person:
    """Kind and group: a pass by its row, or by the length of its id where it has none."""
    kind, group, i, n = STAFF, "", 0, 0
    if known is not None and known.group is not None:
        kind = STAFF if known.pass_class == PassClass.STAFF_DAY else VISITOR
        group, i, n = known.group.hex(), known.i or 0, known.n or 0
    elif known is not None or len(entry.identifier) == PASS_ID_BYTES:
        kind = PASS
    return Person(ref, kind, entry.area, _instant(entry.since), entry.certain, group, i, n)


def _doubts(effect: FreezeRollCall, late_s: float | None) -> Iterable[str]:
    """What makes it an estimate, a sentence each; the first always holds."""
    yield "known by passages alone: who followed another, or climbed, was not seen"
    doubtful = sum(not entry.certain for entry in effect.entries)
    if doubtful:
        yield f"{doubtful} of {len(effect.entries)} entries were in doubt before the alarm"
    if late_s is None:
        yield "the release did not say when the alarm was"
    elif late_s > 2.0:
        yield f"made {late_s:.0f} s after the alarm: people may have walked through open gates before"
    if effect.after_drill:
        yield "a drill had opened the gates before: everybody was in doubt already"
    for outage in effect.outages:
        state = ", and still is" if outage.still else ""
        yield f"{outage.what} was out for {outage.seconds:.0f} s of the last day{state}"
    if effect.assumed:
        yield f"passage is assumed, not seen, at {', '.join(effect.assumed)}"
    if not effect.time_trusted:
        yield "the clock is not trusted: its times may be wrong"


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _remove(directories: Iterable[Path], name: str) -> None:
    for directory in directories:
        path = directory / f"{name}{SUFFIX}"
        if path.exists():
            path.unlink()
            fsync(directory)
