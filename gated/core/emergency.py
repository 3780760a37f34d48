"""An emergency as the site sees it: lanes held open, presence forgiven, the roll call of its moment.

Whoever walks through a lane that is held open walks unseen. So an emergency never takes anybody off the
roll call; it puts everybody in doubt, when it begins, when a lane is added or let go, and at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gated.core.effects import EmergencyEnded, FreezeRollCall, Record, RecordKind, StoreMove
from gated.core.events import EmergencyLinkLost, EmergencyReported, Resumed
from gated.core.lane import LaneState
from gated.core.moment import Moment

if TYPE_CHECKING:
    from gated.core.site import Site

GATED = "gated itself"
LINK = "the link to the emergency release"


@dataclass(frozen=True, slots=True)
class Frozen:
    """The emergency that lasts has its roll call. `before_restart` is when that was made, if by a process
    before this one: it is not known yet whether the emergency is still the same."""

    drill: bool
    before_restart: datetime | None = None


def reported(site: Site, event: EmergencyReported, m: Moment) -> None:
    """Follow the emergency release: hold its lanes open, freeze the roll call, forgive presence.

    Where nothing is open now but was after everyone was last forgiven (we were not running, or did not
    hear), everyone is forgiven as well, once for each such emergency, whatever the clocks say.
    """
    if site.link_lost:
        site.link_lost = False
        site.outages.end(LINK, m.now.utc)
        m.emit(Record(RecordKind.FAULT, "emergency_link_back"))
    before, causes = site.open_lanes, site.causes
    site.open_lanes, site.causes, site.unconfirmed = event.open_lanes, event.causes, event.unconfirmed
    # One that lasted when a process before us ended: whatever became of it, people walked unseen.
    changed = site.frozen is not None and site.frozen.before_restart is not None
    for lane in site.turnstiles.values():
        held_open = lane.plan.id in event.open_lanes
        changed = changed or held_open is not (lane.state is LaneState.EMERGENCY)
        lane.emergency(held_open, event.causes, lane.plan.id not in event.unconfirmed, m)
    _roll_call(site, event, m)
    if _was_open_unseen(site, event):
        site.unseen_open = event.last_open_at
        m.audit("emergency_unseen", until=f"{event.last_open_at:%Y-%m-%d %H:%M:%S} UTC")
        changed = True
    if changed:
        m.emit(StoreMove(m.presence.forgive(m.now.utc)))
    elif causes != event.causes:
        m.emit(Record(RecordKind.ALARM, "emergency_causes", detail={"causes": ", ".join(event.causes)}))
    for name in sorted(event.open_lanes - before - site.turnstiles.keys()):
        m.audit("unknown_lane", lane=name, event="EmergencyReported")


def link_lost(site: Site, event: EmergencyLinkLost, m: Moment) -> None:
    """The emergency release is silent: its last word stands."""
    if not site.link_lost:
        site.link_lost = True
        site.outages.begin(LINK, m.now.utc)
        m.emit(Record(RecordKind.FAULT, "emergency_link_lost", detail={"what": event.detail}))


def resumed(site: Site, event: Resumed, m: Moment) -> None:
    """The process starts; what one before it knew of an emergency."""
    if event.frozen is not None:
        site.frozen = Frozen(event.drill, max(event.frozen, event.last_alive or event.frozen))
    if event.last_alive is not None and event.last_alive < m.now.utc:
        site.outages.begin(GATED, event.last_alive)
        site.outages.end(GATED, m.now.utc)


def _was_open_unseen(site: Site, event: EmergencyReported) -> bool:
    last, forgiven = event.last_open_at, site.presence.forgiven_at
    if last is None or event.open_lanes or last == site.unseen_open:
        return False
    return forgiven is None or forgiven < last


def _roll_call(site: Site, event: EmergencyReported, m: Moment) -> None:
    """One for each emergency, and one more when a drill becomes a real one."""
    frozen = site.frozen
    if frozen is not None and frozen.before_restart is not None and event.open_lanes:
        # Causes that all came up while nobody ran here: the emergency before may have ended, this is another.
        same = event.since is None or event.since <= frozen.before_restart
        site.frozen = Frozen(frozen.drill) if same else None
        if not same:
            m.emit(EmergencyEnded(m.now.utc))
        frozen = site.frozen
    if not event.open_lanes:
        if frozen is not None:
            site.frozen = None
            m.emit(EmergencyEnded(m.now.utc))
        return
    if frozen is not None and (event.drill or not frozen.drill):
        return
    site.frozen = Frozen(event.drill)
    m.emit(
        FreezeRollCall(
            entries=tuple(m.presence.roll_call()),
            at=m.now.utc,
            alarm_at=event.since,
            causes=event.causes,
            drill=event.drill,
            after_drill=frozen is not None,
            outages=site.outages.told(m.now.utc),
            time_trusted=m.now.utc_trusted,
            assumed=tuple(lane.id for lane in site.plan.lanes.values() if not lane.has_beams),
        )
    )
