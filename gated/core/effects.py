"""What the shell shall do, in the imperative, in the order given: a Record precedes the relay it explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gated.core.events import PresenceEntry
from gated.core.model import Direction, Signal


@dataclass(frozen=True, slots=True)
class ReleaseLane:
    """Let the lane open in these directions (both in an emergency) and hold that command."""

    lane: str
    directions: frozenset[Direction]


@dataclass(frozen=True, slots=True)
class SecureLane:
    """Take every release command of the lane back (also the end of a pulse)."""

    lane: str


@dataclass(frozen=True, slots=True)
class SignalUser:
    """Show the person at the lane a signal; the core sends Signal.OFF when its time is over."""

    lane: str
    signal: Signal


@dataclass(frozen=True, slots=True)
class RedeemPass:
    """Ask the arbiter to claim a single-use pass; answer with RedemptionAnswered(claim, ...)."""

    claim: int
    identifier: bytes
    access_point: str


@dataclass(frozen=True, slots=True)
class StoreMove:
    """Remember a presence entry beyond this process."""

    entry: PresenceEntry


@dataclass(frozen=True, slots=True)
class Outage:
    """Something that sees people, or emergencies, and did not for `seconds` of the last day."""

    what: str
    seconds: float
    still: bool  # it does not now either


@dataclass(frozen=True, slots=True)
class FreezeRollCall:
    """Keep who may be inside at the moment of alarm: beyond this process, soon, and off the decision path.

    `entries` are as they stood before the alarm put them in doubt. `alarm_at` is when the release latched
    it, None where it did not say. `after_drill`: a drill had opened the gates before.
    """

    entries: tuple[PresenceEntry, ...]
    at: datetime
    alarm_at: datetime | None
    causes: tuple[str, ...]
    drill: bool
    after_drill: bool
    outages: tuple[Outage, ...]
    time_trusted: bool
    assumed: tuple[str, ...]  # lanes without beams, where passage is assumed


@dataclass(frozen=True, slots=True)
class EmergencyEnded:
    """No lane is held open any more: the next alarm has a roll call of its own. None is closed by this."""

    at: datetime


class RecordKind(StrEnum):
    """The kinds of journal records the core writes."""

    DECISION = "decision"
    PASSAGE = "passage"  # completed, cancelled
    ALARM = "alarm"  # forced, tailgate, held, obstructed, emergency
    FAULT = "fault"  # device lost or back, lane out of service or back
    COMMAND = "command"
    AUDIT = "audit"  # an illegal or ignored event


@dataclass(frozen=True, slots=True)
class Record:
    """One journal record. `code` is stable (a Reason for decisions); `identifier` keyed, or b"".

    `detail` holds short plain strings for people and reports, never personal data.
    """

    kind: RecordKind
    code: str
    lane: str = ""
    access_point: str = ""
    direction: Direction | None = None
    identifier: bytes = b""
    detail: Mapping[str, str] = field(default_factory=dict)


Effect = (
    ReleaseLane | SecureLane | SignalUser | RedeemPass | StoreMove | FreezeRollCall | EmergencyEnded | Record
)
