"""Who is where, as far as the lanes have seen: for anti-passback, occupancy and the roll call.

Known only by completed passages. An emergency opens the lanes and people walk unseen, so from then on
every older entry is in doubt: it is forgiven (no anti-passback, not counted in an area) but stays on
the roll call, marked uncertain, until the person is seen again. The instant of forgiveness is
remembered as an entry without identifier, so that one effect forgives a whole site durably.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from gated.core.events import PresenceEntry
from gated.core.model import OUTSIDE

FORGIVENESS = b""
"""The identifier of the entry whose `since` is the instant up to which everyone is forgiven."""


@dataclass(slots=True)
class Presence:
    """The presence entries of a site, by identifier, and the people counted in each area."""

    entries: dict[bytes, PresenceEntry] = field(default_factory=dict)
    forgiven_at: datetime | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def certain(self, identifier: bytes) -> PresenceEntry | None:
        """The entry of `identifier` if it is known and not in doubt."""
        entry = self.entries.get(identifier)
        return entry if entry is not None and self._is_certain(entry) else None

    def uses(self, identifier: bytes, day: str) -> int:
        """Entries of `identifier` on the local `day` (ISO date)."""
        entry = self.entries.get(identifier)
        return entry.uses if entry is not None and entry.day == day else 0

    def move(self, identifier: bytes, area: str, at: datetime, entry_day: str | None) -> PresenceEntry:
        """`identifier` went into `area`; `entry_day` is the local day if that was an entry, and counts it."""
        old = self.entries.get(identifier)
        day, uses = (old.day, old.uses) if old else ("", 0)
        if entry_day is not None:
            day, uses = entry_day, uses + 1 if day == entry_day else 1
        return self._put(PresenceEntry(identifier, area, at, day, uses))

    def doubt(self, identifier: bytes, area: str, at: datetime, entry_day: str | None) -> PresenceEntry:
        """`identifier` may have gone into `area` or not: counts the use, forgives the whereabouts."""
        return self._put(replace(self.move(identifier, area, at, entry_day), certain=False))

    def forgive(self, at: datetime) -> PresenceEntry:
        """Nobody is known to be where they were last seen; returns the entry to remember it by."""
        self.forgiven_at = at if self.forgiven_at is None else max(at, self.forgiven_at)
        self._count()
        return PresenceEntry(FORGIVENESS, "", self.forgiven_at)

    def restore(self, entries: Iterable[PresenceEntry], day: str) -> None:
        """Take in what a store remembers; what has been seen since is newer and stays.

        People who are outside and were not here on the local `day` are left out: they say nothing any more.
        """
        for entry in entries:
            if entry.identifier == FORGIVENESS:
                self.forgive(entry.since)
            elif entry.area != OUTSIDE or entry.day == day:
                known = self.entries.get(entry.identifier)
                if known is None or known.since < entry.since:
                    self.entries[entry.identifier] = entry
        self._count()

    def occupancy(self, area: str) -> int:
        """People known to be in `area`."""
        return self.counts.get(area, 0)

    def roll_call(self, area: str | None = None) -> list[PresenceEntry]:
        """Who may be inside (in `area`), longest first; an estimate, its doubts marked."""
        found = [
            entry if entry.certain == self._is_certain(entry) else replace(entry, certain=False)
            for entry in self.entries.values()
            if entry.area != OUTSIDE and (area is None or entry.area == area)
        ]
        return sorted(found, key=lambda entry: (entry.since, entry.identifier))

    def _is_certain(self, entry: PresenceEntry) -> bool:
        return entry.certain and (self.forgiven_at is None or entry.since > self.forgiven_at)

    def _put(self, entry: PresenceEntry) -> PresenceEntry:
        old = self.certain(entry.identifier)
        if old is not None and old.area != OUTSIDE:
            self.counts[old.area] -= 1
        self.entries[entry.identifier] = entry
        if entry.area != OUTSIDE and self._is_certain(entry):
            self.counts[entry.area] = self.counts.get(entry.area, 0) + 1
        return entry

    def _count(self) -> None:
        self.counts.clear()
        for entry in self.entries.values():
            if entry.area != OUTSIDE and self._is_certain(entry):
                self.counts[entry.area] = self.counts.get(entry.area, 0) + 1
