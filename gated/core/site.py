"""The site: events in, effects out.

`Site.handle` is a function of the state, the event and the time it is given; the same events give the
same effects. An event that cannot be (an unknown lane, an answer to no question) changes nothing and
yields an audit record. Every handling first runs the timers that are due by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Any

from gated.core import access, emergency, events, operation
from gated.core.claims import Claims
from gated.core.effects import Effect, Record, RecordKind
from gated.core.model import Now, Plan
from gated.core.moment import Moment
from gated.core.outages import Outages
from gated.core.presence import Presence
from gated.core.turnstile import LaneView, Turnstile


@dataclass
class Site:
    """A site at work under a plan. Two sites compare by everything they remember.

    Outside the core use only handle, next_deadline, lanes, occupancy and roll_call.
    """

    plan: Plan
    turnstiles: dict[str, Turnstile] = field(init=False, default_factory=dict)
    presence: Presence = field(init=False, default_factory=Presence)
    claims: Claims = field(init=False, default_factory=Claims)
    lost: dict[str, str] = field(init=False, default_factory=dict)  # device -> what is wrong with it
    open_lanes: frozenset[str] = field(init=False, default=frozenset())  # by the emergency release
    unconfirmed: frozenset[str] = field(init=False, default=frozenset())  # of those, not seen to open
    causes: tuple[str, ...] = field(init=False, default=())
    left_open: dict[str, bool] = field(init=False, default_factory=dict)  # see operation.plan_changed
    link_lost: bool = field(init=False, default=False)  # to the emergency release
    frozen: emergency.Frozen | None = field(init=False, default=None)  # the roll call of this emergency
    unseen_open: datetime | None = field(init=False, default=None)  # forgiven for it; see emergency.reported
    outages: Outages = field(init=False, default_factory=Outages)
    modes_due: float = field(init=False, default=inf)

    def __post_init__(self) -> None:
        """Lanes start secured, without any effect on a relay."""
        for lane in self.plan.lanes.values():
            self.turnstiles[lane.id] = Turnstile(lane, lane.mode)
            if lane.mode_schedule:
                self.modes_due = 0.0

    @property
    def next_deadline(self) -> float | None:
        """Monotonic seconds at which DeadlinePassed is due; None while no timer runs."""
        due = self._due()
        return None if due == inf else due

    @property
    def lanes(self) -> Mapping[str, LaneView]:
        """Every lane as shown to people, by id."""
        return {name: lane.view for name, lane in self.turnstiles.items()}

    def occupancy(self) -> Mapping[str, int]:
        """People known to be in each area of the plan."""
        return {area: self.presence.occupancy(area) for area in self.plan.areas}

    def roll_call(self, area: str | None = None) -> list[events.PresenceEntry]:
        """Who may be inside (in `area`), longest first: an estimate, its doubts marked uncertain."""
        return self.presence.roll_call(area)

    def handle(self, event: events.Event, now: Now) -> list[Effect]:
        """What to do about `event` at `now`, in order."""
        m = Moment(now, self.plan, self.presence)
        if self._due() <= now.monotonic:
            self._advance(m)
        handler = _HANDLERS.get(type(event))
        if handler is None:
            m.emit(Record(RecordKind.AUDIT, "unknown_event", detail={"event": type(event).__name__}))
        else:
            handler(self, event, m)
        return m.effects

    def _due(self) -> float:
        due = min(self.modes_due, self.claims.due)
        for lane in self.turnstiles.values():
            due = min(due, lane.due)
        return due

    def _advance(self, m: Moment) -> None:
        access.refuse_overdue(self, m)
        for lane in self.turnstiles.values():
            lane.advance(m)
        if self.modes_due <= m.time:
            operation.follow_schedules(self, m)


def _time_passed(site: Site, event: events.DeadlinePassed, m: Moment) -> None:
    """The timers have run already."""


_HANDLERS: dict[type, Callable[[Site, Any, Moment], None]] = {
    events.CredentialPresented: access.presented,
    events.RedemptionAnswered: access.answered,
    events.AssistCommanded: access.assisted,
    events.ContactChanged: operation.contact_changed,
    events.DeviceFaulted: operation.device_faulted,
    events.DeviceRestored: operation.device_restored,
    events.EmergencyReported: emergency.reported,
    events.EmergencyLinkLost: emergency.link_lost,
    events.LaneModeCommanded: operation.mode_commanded,
    events.PlanChanged: operation.plan_changed,
    events.PresenceRestored: operation.presence_restored,
    events.Resumed: emergency.resumed,
    events.DeadlinePassed: _time_passed,
}
