"""How a list lies on disk: one immutable SQLite file, replaced whole, never written in place.

A row is a keyed identifier, a number of a profile (zones, schedule, per-day limit: few, shared by many),
its window in whole seconds of UTC, and whether it is a deny entry.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from gated.core.model import AccessRights

FORMAT = 1  # PRAGMA user_version

SCHEMA = """
CREATE TABLE entry (
    id BLOB PRIMARY KEY, profile INTEGER NOT NULL, valid_from INTEGER, valid_until INTEGER,
    denied INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE profile (id INTEGER PRIMARY KEY, zones TEXT NOT NULL, schedule TEXT, per_day_limit INTEGER);
CREATE TABLE about (rows INTEGER NOT NULL, key_id BLOB NOT NULL);
"""


class Profile(NamedTuple):
    """What many credentials share; `zones` are sorted names with a space between."""

    zones: str
    schedule: str | None
    per_day_limit: int | None


class Terms(NamedTuple):
    """Everything of a row but who it is; the window in whole seconds of UTC."""

    profile: Profile
    valid_from: int | None
    valid_until: int | None
    denied: bool


def terms_of(rights: AccessRights, denied: bool) -> Terms:
    """The rights as stored; fractions of a second are cut off."""
    return Terms(
        Profile(" ".join(sorted(rights.zones)), rights.schedule, rights.per_day_limit),
        None if rights.valid_from is None else int(rights.valid_from.timestamp()),
        None if rights.valid_until is None else int(rights.valid_until.timestamp()),
        denied,
    )


def rights_of(profile: Profile, valid_from: int | None, valid_until: int | None) -> AccessRights:
    """The stored rights as the core knows them."""
    return AccessRights(
        frozenset(profile.zones.split()),
        profile.schedule,
        None if valid_from is None else datetime.fromtimestamp(valid_from, UTC),
        None if valid_until is None else datetime.fromtimestamp(valid_until, UTC),
        profile.per_day_limit,
    )
