"""The nouns, events and effects of the emergency release. Seconds are monotonic, instants aware UTC.

Named tuples, not dataclasses: making a class of these takes a tenth of the time, and this module is on
the way to arming. Two of different kinds compare equal when their fields do, so ask for the kind too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Cause(StrEnum):
    """Why a lane is held open."""

    FIRE = "fire"
    EARTHQUAKE = "earthquake"
    MANUAL = "manual"  # a button or key switch
    REMOTE = "remote"  # "open all" from elsewhere
    POWER = "power"  # the battery of the power supply is low
    DRILL = "drill"  # lanes really open, on somebody's order, to practise or to test an output
    FAULT = "fault"  # an input that cannot be read, where its policy is to open


class Phase(StrEnum):
    """The state of the whole release."""

    STARTING = "starting"
    NORMAL = "normal"
    ALARM = "alarm"
    RELOCK_PENDING = "relock_pending"


class Command(StrEnum):
    """What a lane's outputs are told; NONE: nothing since this process started."""

    NONE = "none"
    OPEN = "open"
    MAY_SHUT = "may_shut"


class Now(NamedTuple):
    """Time as data: `monotonic` drives every timer, `utc` is only written down."""

    monotonic: float
    utc: datetime


# The plan


class InputPlan(NamedTuple):
    """An alarm input: what it means, which lanes it opens, and whether losing it opens them too."""

    cause: Cause
    lanes: frozenset[str]
    open_on_fault: bool


class LanePlan(NamedTuple):
    """What can be seen of a lane: `has_feedback` an open contact, `has_clear` a sensor of persons in it."""

    has_feedback: bool = False
    has_clear: bool = False


class Times(NamedTuple):
    """The times of the release, seconds."""

    relock_warning_s: float = 10.0  # from a reset to the first lane
    relock_interval_s: float = 5.0  # between lanes
    confirm_s: float = 3.0  # commanded open, not confirmed -> open by hand
    fault_after_s: float = 1.0  # an input unread for so long is a fault
    start_within_s: float = 3.0  # the same for an input never read since start
    inspect_max_s: float = 4 * 3600.0  # the longest inspection of an input


class Plan(NamedTuple):
    """Everything the machine knows of the site; lanes are relocked in their order here."""

    inputs: Mapping[str, InputPlan]
    lanes: Mapping[str, LanePlan]
    reset_by: tuple[str, ...]
    times: Times = Times()


# The state


class Source(NamedTuple):
    """What latched: an input and the cause it latched with."""

    input: str
    cause: Cause


BY_COMMAND = Source("gatectl", Cause.MANUAL)  # what a person opened by command
BY_DRILL = Source("drill", Cause.DRILL)
LATCH_LOST = Source("latch-file", Cause.FAULT)  # stands for a latch that could not be read


class Latched(NamedTuple):
    """A latched cause: since when (UTC, ISO 8601) and the lanes it still holds open."""

    at: str
    lanes: frozenset[str]


class InputState(NamedTuple):
    """`active` None: cannot be read, since `since`, because of `fault`. `seen`: was read once.

    `faulted`: unread for too long. `fault`: "cut", "short", "undefined", or empty where nobody can tell.
    """

    active: bool | None = None
    seen: bool = False
    since: float = 0.0
    faulted: bool = False
    fault: str = ""


class LaneState(NamedTuple):
    """`driven`: the command was written to every output of the lane. `is_open`, `clear`: None is unknown.

    `unconfirmed_since`: commanded open at that time (or no longer seen open since then) and not confirmed.
    `opened_s`: seconds from the command to open until that was confirmed; None: not commanded, or not yet.
    """

    command: Command = Command.NONE
    driven: bool = False
    is_open: bool | None = None
    clear: bool | None = None
    unconfirmed_since: float | None = None
    by_hand: bool = False
    opened_s: float | None = None


class Inspection(NamedTuple):
    """An input that may open nothing until `until` (monotonic; in UTC `until_utc`, ISO 8601)."""

    by: str
    why: str
    until: float
    until_utc: str


class Reset(NamedTuple):
    """A reset being carried out; `next_at` is when the next lane may be relocked."""

    by: str
    why: str
    next_at: float


# Events


class InputSeen(NamedTuple):
    """An input was read; None: it cannot be read any more, and `fault` says why, where that is known."""

    input: str
    active: bool | None
    fault: str = ""


class FeedbackSeen(NamedTuple):
    """A lane's open contact was read; None: unknown."""

    lane: str
    is_open: bool | None


class ClearSeen(NamedTuple):
    """A lane's sensor of persons was read; None: unknown."""

    lane: str
    clear: bool | None


class OutputDriven(NamedTuple):
    """The lane's command was written to all its outputs, or could not be."""

    lane: str
    driven: bool


class ResetRequested(NamedTuple):
    """A person asks to end the alarm; `via` says which user of the box asked for them."""

    by: str
    why: str
    via: str = ""


class OpenRequested(NamedTuple):
    """A person opens these lanes by command (none named: all): latched as `manual` of "gatectl"."""

    by: str
    why: str
    lanes: frozenset[str] = frozenset()
    via: str = ""


class DrillRequested(NamedTuple):
    """A person has these lanes opened to practise (none named: all): latched as `drill` of "drill"."""

    by: str
    why: str
    lanes: frozenset[str] = frozenset()
    via: str = ""


class InspectRequested(NamedTuple):
    """A person inhibits one input for `for_s` seconds, while its source is being inspected."""

    input: str
    by: str
    why: str
    for_s: float
    via: str = ""


class InspectEnded(NamedTuple):
    """A person ends an inspection before its time."""

    input: str
    by: str
    via: str = ""


class LatchRestored(NamedTuple):
    """What was latched when the process last ran."""

    latched: tuple[tuple[Source, Latched], ...]


class LatchUnreadable(NamedTuple):
    """The latch on disk says nothing that can be believed."""

    detail: str


class Tick(NamedTuple):
    """`next_deadline` was reached."""


Request = ResetRequested | OpenRequested | DrillRequested | InspectRequested | InspectEnded
Event = InputSeen | FeedbackSeen | ClearSeen | OutputDriven | Request | LatchRestored | LatchUnreadable | Tick

# Effects


class Open(NamedTuple):
    """Hold the lane open, both directions."""

    lane: str


class Secure(NamedTuple):
    """Allow the lane to be shut."""

    lane: str


class Warn(NamedTuple):
    """These lanes will be shut, one after the other."""

    lanes: frozenset[str]


class WriteLatch(NamedTuple):
    """Write what is latched to disk; after the outputs."""


class Refused(NamedTuple):
    """What a person asked for was refused, for each of these reasons."""

    reasons: tuple[str, ...]


class Alarmed(NamedTuple):
    """A cause was latched and opens these lanes: a record whose words are left for after the outputs."""

    source: Source
    lanes: frozenset[str]


class Audit(NamedTuple):
    """One record: a stable code, a sentence, a syslog priority (1 alert to 6 information), plain details."""

    code: str
    text: str
    priority: int = 6
    detail: Mapping[str, str] = MappingProxyType({})


Effect = Open | Secure | Warn | WriteLatch | Refused | Alarmed | Audit
