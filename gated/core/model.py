"""The nouns of a site, frozen. Times are seconds, instants are aware UTC datetimes unless said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, tzinfo
from enum import StrEnum

OUTSIDE = "outside"
"""The area nobody is counted in."""


@dataclass(frozen=True, slots=True)
class Now:
    """Time as data. `monotonic` drives timers; `utc` (aware) drives validity; `utc_trusted` says whether
    the clock may be believed (DESIGN: the time is a state with a name)."""

    monotonic: float
    utc: datetime
    utc_trusted: bool = True


class Direction(StrEnum):
    """Which way through a lane: ENTRY leads into the lane's area, EXIT out of it."""

    ENTRY = "entry"
    EXIT = "exit"


class LaneMode(StrEnum):
    """What a lane is for, by schedule or by hand (H8)."""

    ENTRY = "entry"
    EXIT = "exit"
    BOTH = "both"
    FREE_EXIT = "free_exit"  # entry by credential, exit on approach
    CLOSED = "closed"


class LaneContact(StrEnum):
    """The inputs of a lane, by meaning. Active means: beam interrupted, flap open, lane not ready."""

    BEAM_ENTRY = "beam_entry"  # the beam on the side an entering person meets first
    BEAM_EXIT = "beam_exit"
    FLAP_OPEN = "flap_open"
    NOT_READY = "not_ready"


class Signal(StrEnum):
    """What the person at the lane is told (H6)."""

    GRANT = "grant"
    DENY = "deny"
    WAIT = "wait"
    EMERGENCY = "emergency"
    OFF = "off"


class AntiPassback(StrEnum):
    """HARD refuses, SOFT grants and records, OFF does not look."""

    HARD = "hard"
    SOFT = "soft"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Schedule:
    """When access is allowed, in the site's local time.

    `weekly[weekday]` (Monday 0) holds half-open [start, end) spans; an end of 00:00 means midnight at
    the end of the day, and a span that ends before it starts runs on into the next day. `holidays`
    replaces the day's spans on a date of the calendar; None: no change.
    """

    id: str
    weekly: Mapping[int, tuple[tuple[time, time], ...]]
    holidays: tuple[tuple[time, time], ...] | None = ()


@dataclass(frozen=True, slots=True)
class AccessRights:
    """Where and when a credential is good.

    `zones` are names of areas or of buildings (an area lists the zones it covers; "*" is every zone).
    `schedule` None means at any hour. The window is half open: valid_from <= t < valid_until.
    """

    zones: frozenset[str] = frozenset()
    schedule: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    per_day_limit: int | None = None


class CredentialKind(StrEnum):
    """What the identifier came from; policy may differ by kind."""

    CARD = "card"
    VISITOR_PASS = "visitor_pass"
    STAFF_DAY_PASS = "staff_day_pass"


@dataclass(frozen=True, slots=True)
class Credential:
    """What the site knows of a presented identifier.

    `id` is the keyed hash of a card or the pass id: never a clear card number. `denied` is a deny
    entry and beats any right. `single_use` passes are redeemed (durably) before the relay moves.
    `activated` is False for a pass that reception has not activated yet.
    """

    id: bytes
    kind: CredentialKind = CredentialKind.CARD
    rights: AccessRights = AccessRights()
    denied: bool = False
    activated: bool = True
    single_use: bool = False
    used: bool = False


@dataclass(frozen=True, slots=True)
class Area:
    """A set of buildings one can walk through without another gate.

    `zones` names what it covers (its own id is always one). `anti_passback_timeout_s` 0 means
    without end. `occupancy_limit` 0 means none.
    """

    id: str
    zones: frozenset[str] = frozenset()
    anti_passback: AntiPassback = AntiPassback.OFF
    anti_passback_timeout_s: float = 0.0
    occupancy_limit: int = 0


@dataclass(frozen=True, slots=True)
class LaneTimes:
    """The times of a lane, seconds. `pulse_s` None holds the level until passage or cancellation."""

    passage_s: float = 5.0  # grant without passage -> cancelled
    held_s: float = 10.0  # a person standing in the lane -> held
    obstructed_s: float = 30.0  # -> obstructed
    pulse_s: float | None = None
    signal_s: float = 2.0  # how long a lamp stays on
    flap_s: float = 3.0  # a flap still open this long after securing -> forced


@dataclass(frozen=True, slots=True)
class Lane:
    """One turnstile lane between `outer` and `inner`: ENTRY walks outer -> inner.

    `manual` devices: `essential` names the devices without which the lane is out of service.
    """

    id: str
    inner: str
    outer: str = OUTSIDE
    mode: LaneMode = LaneMode.BOTH
    mode_schedule: tuple[tuple[str, LaneMode], ...] = ()  # (schedule id, mode): the first that is open wins
    times: LaneTimes = LaneTimes()
    essential: frozenset[str] = frozenset()
    has_beams: bool = True  # without beams passage is assumed at the end of the pulse


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """A place at a lane where a credential is presented for one direction; its id names the reader."""

    id: str
    lane: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the core knows of a site's layout and rules. Replaced whole on reload."""

    areas: Mapping[str, Area]
    lanes: Mapping[str, Lane]
    access_points: Mapping[str, AccessPoint]
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    holidays: frozenset[date] = frozenset()
    timezone: tzinfo | None = None  # gated always sets it
    activation_required: bool = True  # C5: may be turned off per site
    staff_while_time_untrusted: bool = True  # C12: cards keep passing; passes never do
    redemption_timeout_s: float = 2.0
