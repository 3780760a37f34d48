"""What happened, in the past tense. The shell turns devices, sockets and stores into these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gated.core.model import Credential, Direction, LaneContact, LaneMode, Plan
from gated.core.reasons import Reason


@dataclass(frozen=True, slots=True)
class CredentialPresented:
    """A credential was held up at an access point.

    `identifier` is the keyed hash or pass id (b"" when the bytes were unreadable). `credential` is
    None when the site does not know it. `refusal` is set when the bytes never became a credential.
    """

    access_point: str
    identifier: bytes
    credential: Credential | None
    refusal: Reason | None = None


class RedemptionOutcome:
    """Answers of the arbiter of single use (fleet port `claim`)."""

    WON = "won"
    USED = "used"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RedemptionAnswered:
    """The arbiter answered the claim `claim` that a RedeemPass effect asked for."""

    claim: int
    outcome: str  # one of RedemptionOutcome


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """A lane's input changed (or was first seen); `active` None means unknown."""

    lane: str
    contact: LaneContact
    active: bool | None


@dataclass(frozen=True, slots=True)
class DeviceFaulted:
    """A device is lost; `detail` is for people."""

    device: str
    detail: str


@dataclass(frozen=True, slots=True)
class DeviceRestored:
    """A device works again (also sent once when it first opens)."""

    device: str


@dataclass(frozen=True, slots=True)
class EmergencyReported:
    """The state of the emergency release, whole: `open_lanes` are held open by it now.

    `unconfirmed` are those of them that were not seen to open; our own relays are their second path.
    `drill`: everything that holds them open was ordered as a drill. `since` is when the oldest cause was
    latched (of those that are no drill, if there are any). `last_open_at` is when a lane was last held open,
    where the release says so: that may have been while nobody here listened.
    """

    open_lanes: frozenset[str]
    causes: tuple[str, ...]
    unconfirmed: frozenset[str] = frozenset()
    drill: bool = False
    since: datetime | None = None
    last_open_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EmergencyLinkLost:
    """The release process does not answer; its last word stands, and the silence is a fault."""

    detail: str


@dataclass(frozen=True, slots=True)
class LaneModeCommanded:
    """A person set a lane's mode; None returns it to plan and schedule."""

    lane: str
    mode: LaneMode | None
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class AssistCommanded:
    """The guard lets one person through by hand (H8)."""

    lane: str
    direction: Direction
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """A valid new configuration was applied."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class PresenceEntry:
    """Where a credential was last seen to go, and how often it entered on `day` (ISO date, local).

    `certain` False: it may have gone there or not. An entry whose identifier is b"" is no person: its
    `since` is the instant of the last emergency, up to which everyone's whereabouts are forgiven.
    """

    identifier: bytes
    area: str
    since: datetime
    day: str = ""
    uses: int = 0
    certain: bool = True


@dataclass(frozen=True, slots=True)
class PresenceRestored:
    """What the store remembered at start."""

    entries: tuple[PresenceEntry, ...]


@dataclass(frozen=True, slots=True)
class Resumed:
    """gated runs again. `last_alive` is when it was last known to run, None if it never was.

    `frozen` is the time of the roll call of an emergency that was not seen to end, None where there is
    none; `drill`: it was made for a drill.
    """

    last_alive: datetime | None
    frozen: datetime | None = None
    drill: bool = False


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """Nothing happened, and that is news: `Site.next_deadline` was reached."""


Event = (
    CredentialPresented
    | RedemptionAnswered
    | ContactChanged
    | DeviceFaulted
    | DeviceRestored
    | EmergencyReported
    | EmergencyLinkLost
    | LaneModeCommanded
    | AssistCommanded
    | PlanChanged
    | PresenceRestored
    | Resumed
    | DeadlinePassed
)
