"""The running of a site: contacts, devices, lane modes, a new plan."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from gated.core.actions import perform
from gated.core.effects import Record, RecordKind
from gated.core.events import (
    ContactChanged,
    DeviceFaulted,
    DeviceRestored,
    LaneModeCommanded,
    PlanChanged,
    PresenceRestored,
)
from gated.core.lane import LaneAction, LaneState
from gated.core.model import Lane, LaneContact, LaneMode, Plan
from gated.core.moment import Moment
from gated.core.turnstile import Turnstile

if TYPE_CHECKING:
    from gated.core.site import Site

_BEAMS = (LaneContact.BEAM_ENTRY, LaneContact.BEAM_EXIT)
_MODE_CHECK_S = 60.0


def contact_changed(site: Site, event: ContactChanged, m: Moment) -> None:
    """An input of a lane changed."""
    lane = site.turnstiles.get(event.lane)
    if lane is None:
        return m.audit("unknown_lane", lane=event.lane, event="ContactChanged")
    if event.contact in _BEAMS and not lane.plan.has_beams:
        return m.audit("unknown_contact", lane=event.lane, contact=event.contact.value)
    lane.contact(event.contact, event.active, m)


def device_faulted(site: Site, event: DeviceFaulted, m: Moment) -> None:
    """A device is lost; the lanes that cannot do without it go out of service."""
    if event.device in site.lost:
        return
    site.lost[event.device] = event.detail
    site.outages.begin(f"device {event.device}", m.now.utc)
    detail = {"device": event.device, "what": event.detail}
    m.emit(Record(RecordKind.FAULT, "device_lost", detail=detail))
    for lane in site.turnstiles.values():
        _mind_devices(site, lane, m)


def device_restored(site: Site, event: DeviceRestored, m: Moment) -> None:
    """A device works again, and so do the lanes that waited for it."""
    if site.lost.pop(event.device, None) is None:
        return
    site.outages.end(f"device {event.device}", m.now.utc)
    m.emit(Record(RecordKind.FAULT, "device_back", detail={"device": event.device}))
    for lane in site.turnstiles.values():
        _mind_devices(site, lane, m)


def _mind_devices(site: Site, lane: Turnstile, m: Moment) -> None:
    """Bring the lane's troubles in line with the devices lost."""
    lost = {
        f"device {name}": f"{name}: {site.lost[name]}"
        for name in sorted(lane.plan.essential & site.lost.keys())
    }
    for key, words in lost.items():
        lane.trouble(key, words, m)
    for key in [key for key in lane.troubles if key.startswith("device ") and key not in lost]:
        lane.trouble(key, None, m)


def mode_commanded(site: Site, event: LaneModeCommanded, m: Moment) -> None:
    """A person set a lane's mode, or gave it back to the plan. A grant under way is not taken back."""
    lane = site.turnstiles.get(event.lane)
    if lane is None:
        return m.audit("unknown_lane", lane=event.lane, event="LaneModeCommanded")
    lane.mode_by_hand = event.mode
    lane.mode = event.mode or _planned_mode(lane.plan, m) or lane.plan.mode
    shown = event.mode.value if event.mode else "plan"
    detail = {"mode": shown, "by": event.by, "why": event.why}
    m.emit(Record(RecordKind.COMMAND, "lane_mode", lane.plan.id, detail=detail))


def follow_schedules(site: Site, m: Moment) -> None:
    """Set the lanes' modes by their schedules; due again at the next full minute of the clock."""
    scheduled = False
    for lane in site.turnstiles.values():
        scheduled = scheduled or bool(lane.plan.mode_schedule)
        mode = _planned_mode(lane.plan, m)
        if lane.mode_by_hand is None and mode is not None and mode is not lane.mode:
            lane.mode = mode
            detail = {"mode": mode.value, "by": "schedule"}
            m.emit(Record(RecordKind.COMMAND, "lane_mode", lane.plan.id, detail=detail))
    utc = m.now.utc
    in_minute = utc.second + utc.microsecond / 1e6
    site.modes_due = m.time + _MODE_CHECK_S - in_minute if scheduled else inf


def _planned_mode(lane: Lane, m: Moment) -> LaneMode | None:
    """The mode by plan and schedule; None (leave it) where a schedule decides and the time is not trusted."""
    if lane.mode_schedule and not m.now.utc_trusted:
        return None
    for schedule, mode in lane.mode_schedule:
        if m.is_open(schedule):
            return mode
    return lane.mode


def plan_changed(site: Site, event: PlanChanged, m: Moment) -> None:
    """Apply a new plan: lanes that stay keep their state, and a new lane moves no relay.

    A lane that leaves the plan in an emergency is left open. `left_open` remembers it, and whether our own
    relays had released it, until it is in the plan again: then it is held open again, or secured.
    """
    plan = event.plan
    site.plan = m.plan = plan
    for name in [name for name in site.turnstiles if name not in plan.lanes]:
        _drop(site, site.turnstiles.pop(name), m)
    kept = {name: site.turnstiles.get(name) for name in plan.lanes}
    site.turnstiles = {}
    for name, turnstile in kept.items():
        lane = turnstile or Turnstile(plan.lanes[name], plan.lanes[name].mode)
        site.turnstiles[name] = lane
        _replan(lane, plan, m)
        _mind_devices(site, lane, m)
        if turnstile is None and name in site.open_lanes:
            lane.emergency(True, site.causes, name not in site.unconfirmed, m)
            if site.left_open.get(name) and not lane.opened:
                perform(LaneAction.OPEN, lane, m)
        elif turnstile is None and name in site.left_open:
            perform(LaneAction.SECURE_AGAIN, lane, m)
        site.left_open.pop(name, None)
    follow_schedules(site, m)


def _drop(site: Site, lane: Turnstile, m: Moment) -> None:
    """A lane that is held open stays open; a grant under way ends, since nobody would secure it later."""
    m.audit("lane_removed", lane=lane.plan.id, state=lane.state.value)
    if lane.state is LaneState.EMERGENCY:
        site.left_open[lane.plan.id] = lane.released
    else:
        perform(LaneAction.CANCEL, lane, m)
        perform(LaneAction.SECURE, lane, m)


def _replan(lane: Turnstile, plan: Plan, m: Moment) -> None:
    had_beams, lane.plan = lane.plan.has_beams, plan.lanes[lane.plan.id]
    if had_beams and not lane.plan.has_beams:
        for beam in _BEAMS:
            lane.contacts[beam] = False
            lane.trouble(beam.value, None, m)
        if lane.state in (LaneState.PASSING, LaneState.HELD, LaneState.OBSTRUCTED) and lane.grant is not None:
            # Nothing will tell any more that the person has passed.
            lane.trouble("plan", "the beams left the plan while somebody was passing", m)
            lane.trouble("plan", None, m)
        lane.settle(m)


def presence_restored(site: Site, event: PresenceRestored, m: Moment) -> None:
    """Take in what the store remembers."""
    site.presence.restore(event.entries, m.day)
