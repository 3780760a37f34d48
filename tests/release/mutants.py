"""Broken machines: each is a plausible mistake in one rule, and what the rules must catch.

A mutant names the plan in whose exploration it must be caught.
"""

# Over 300 lines: a list, to be read one by one.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gated.release.machine import Machine
from gated.release.words import (
    BY_COMMAND,
    BY_DRILL,
    Audit,
    Command,
    DrillRequested,
    Effect,
    Event,
    InputSeen,
    InputState,
    InspectRequested,
    LaneState,
    Latched,
    LatchUnreadable,
    Now,
    OpenRequested,
    Request,
    Reset,
    ResetRequested,
    Source,
    Tick,
)

Effects = list[Effect]


def mutant(**methods: Any) -> type[Machine]:
    """A machine with these methods replaced."""
    return type("Mutant", (Machine,), methods)


def allows(*reasons: str) -> type[Machine]:
    """A machine that does not refuse anything for these reasons."""

    def refusals(self: Machine, asked: Request) -> list[str]:
        return [r for r in Machine.refusals(self, asked) if not any(reason in r for reason in reasons)]

    return mutant(refusals=refusals)


def refuses(kind: type[Request], when: Callable[[Machine, Any], bool]) -> type[Machine]:
    """A machine that refuses more than it should."""

    def refusals(self: Machine, asked: Request) -> list[str]:
        more = ["no"] if isinstance(asked, kind) and when(self, asked) else []
        return Machine.refusals(self, asked) + more

    return mutant(refusals=refusals)


def silent(code: str) -> type[Machine]:
    """A machine that leaves these records out."""

    def handle(self: Machine, event: Event, now: Now) -> Effects:
        return [e for e in Machine.handle(self, event, now) if not (isinstance(e, Audit) and e.code == code)]

    return mutant(handle=handle)


# Alarms


def clears_when_quiet(
    self: Machine, name: str, active: bool | None, fault: str, now: Now, after: Effects
) -> None:
    Machine._input_seen(self, name, active, fault, now, after)
    if active is False:
        self.latched.pop(Source(name, self.plan.inputs[name].cause), None)


def clears_on_restart(self: Machine, latched: Any, after: Effects) -> None:
    self.latched.clear()


def takes_loss_for_clear(
    self: Machine, name: str, active: bool | None, fault: str, now: Now, after: Effects
) -> None:
    Machine._input_seen(self, name, bool(active), "", now, after)


def keeps_the_first_fault_word(
    self: Machine, name: str, active: bool | None, fault: str, now: Now, after: Effects
) -> None:
    Machine._input_seen(self, name, active, self.inputs[name].fault or fault, now, after)


def loss_begins_again(
    self: Machine, name: str, active: bool | None, fault: str, now: Now, after: Effects
) -> None:
    Machine._input_seen(self, name, active, fault, now, after)
    self.inputs[name] = self.inputs[name]._replace(since=now.monotonic)


def forgets_lanes_relocked(
    self: Machine, source: Source, lanes: frozenset[str], now: Now, after: Effects
) -> None:
    if source not in self.latched:
        Machine._latch(self, source, lanes, now, after)


def keeps_relocking(self: Machine, source: Source, lanes: frozenset[str], now: Now, after: Effects) -> None:
    reset = self.reset
    Machine._latch(self, source, lanes, now, after)
    self.reset = reset


def forgets_held_lanes(
    self: Machine, source: Source, lanes: frozenset[str], now: Now, after: Effects
) -> None:
    Machine._latch(self, source, lanes, now, after)
    self.latched[source] = Latched("", lanes)


def opens_all_for_anything(
    self: Machine, source: Source, lanes: frozenset[str], now: Now, after: Effects
) -> None:
    Machine._latch(self, source, frozenset(self.lanes), now, after)


def ignores_loss(self: Machine, name: str, state: InputState, after: Effects) -> None:
    self.inputs[name] = state._replace(active=False)


def opens_first_lane_only(self: Machine, now: Now, drive: Effects) -> None:
    said: Effects = []
    Machine._open_latched(self, now, said)
    drive += said[:1]


def opens_without_a_word(self: Machine, now: Now, drive: Effects) -> None:
    Machine._open_latched(self, now, [])


def shuts_everything_at_start(self: Machine, drive: Effects) -> None:
    for name in self.lanes:
        self.lanes[name] = self.lanes[name]._replace(command=Command.NONE)
    Machine._start(self, drive)


def says_first(self: Machine, event: Event, now: Now) -> Effects:
    return sorted(Machine.handle(self, event, now), key=lambda e: not isinstance(e, Audit))


def writes_no_latch(self: Machine, event: Event, now: Now) -> Effects:
    return [e for e in Machine.handle(self, event, now) if type(e).__name__ != "WriteLatch"]


def writes_no_alarm(self: Machine, event: Event, now: Now) -> Effects:
    return [e for e in Machine.handle(self, event, now) if type(e).__name__ != "Alarmed"]


def timer_ends_alarm(self: Machine, event: Event, now: Now) -> Effects:
    if isinstance(event, Tick) and self.latched:
        self.latched.popitem()
    return Machine.handle(self, event, now)


def ignores_a_lost_latch(self: Machine, event: Event, now: Now) -> Effects:
    return Machine.handle(self, Tick() if isinstance(event, LatchUnreadable) else event, now)


# Reset and relocking


def secures_all(self: Machine, now: Now, drive: Effects, after: Effects) -> None:
    for _ in self.plan.lanes:
        Machine._relock_one(self, now, drive, after)


def skips_warning(self: Machine, asked: ResetRequested, now: Now, after: Effects) -> None:
    Machine._reset(self, asked, now, after)
    if self.reset:
        self.reset = self.reset._replace(next_at=now.monotonic)
        Machine._relock_one(self, now, after, after)


def starts_relocking_alone(self: Machine, event: Event, now: Now) -> Effects:
    effects = Machine.handle(self, event, now)
    if self.latched and self.all_clear and self.reset is None:
        self.reset = Reset("nobody", "quiet", now.monotonic + 1)
    return effects


# Orders and drills


def opens_for_a_moment(
    self: Machine, asked: OpenRequested | DrillRequested, now: Now, after: Effects
) -> None:
    Machine._open(self, asked, now, after)
    self.latched.pop(BY_COMMAND, None)


def drills_on_paper(self: Machine, asked: OpenRequested | DrillRequested, now: Now, after: Effects) -> None:
    if isinstance(asked, DrillRequested):
        after.append(Audit("drill", f"DRILL: {asked.why}", 4, {"by": asked.by, "why": asked.why, "via": ""}))
    else:
        Machine._open(self, asked, now, after)


def opens_one_lane_less(
    self: Machine, asked: OpenRequested | DrillRequested, now: Now, after: Effects
) -> None:
    lanes = asked.lanes or frozenset(sorted(self.lanes)[1:])
    Machine._open(self, asked._replace(lanes=lanes), now, after)


def order_is_a_drill(self: Machine, asked: OpenRequested | DrillRequested, now: Now, after: Effects) -> None:
    Machine._open(self, DrillRequested(asked.by, asked.why, asked.lanes, asked.via), now, after)


def stays_a_drill(self: Machine, source: Source, lanes: frozenset[str], now: Now, after: Effects) -> None:
    drill = self.drill
    Machine._latch(self, source, lanes, now, after)
    self.drill = self.drill or drill


def upgrade_ends_the_drills_latch(
    self: Machine, source: Source, lanes: frozenset[str], now: Now, after: Effects
) -> None:
    Machine._latch(self, source, lanes, now, after)
    if source != BY_DRILL:
        self.latched.pop(BY_DRILL, None)


def is_a_drill_again(self: Machine, now: Now, drive: Effects, after: Effects) -> None:
    Machine._relock_one(self, now, drive, after)
    self.drill = self.latched.keys() == {BY_DRILL}


def timer_ends_drill(self: Machine, event: Event, now: Now) -> Effects:
    if isinstance(event, Tick):
        self.latched.pop(BY_DRILL, None)
    return Machine.handle(self, event, now)


# Inspections


def inhibits_everything(self: Machine, now: Now, drive: Effects, after: Effects) -> None:
    inspections = self.inspections
    if inspections:
        self.inspections = dict.fromkeys(self.inputs, next(iter(inspections.values())))
    Machine._settle(self, now, drive, after)
    self.inspections = inspections


def inhibits_nothing(self: Machine, now: Now, drive: Effects, after: Effects) -> None:
    inspections, self.inspections = self.inspections, {}
    Machine._settle(self, now, drive, after)
    self.inspections = inspections


def inhibits_opening(self: Machine, now: Now, drive: Effects) -> None:
    if not self.inspections:
        Machine._open_latched(self, now, drive)


def activity_ends_inspection(self: Machine, event: Event, now: Now) -> Effects:
    if isinstance(event, InputSeen) and event.active:
        self.inspections.pop(event.input, None)
    return Machine.handle(self, event, now)


def forgets_what_came_meanwhile(self: Machine, now: Now, after: Effects) -> None:
    before = set(self.inspections)
    Machine._end_inspections(self, now, after)
    for name in before - self.inspections.keys():
        self.inputs[name] = self.inputs[name]._replace(active=False, faulted=False)


def never_wakes_for_an_inspection(self: Machine) -> float | None:
    twin = Machine.__new__(Machine)
    twin.__dict__.update(self.__dict__, inspections={})
    return twin.next_deadline


def renews_on_request(self: Machine, asked: InspectRequested, now: Now, after: Effects) -> None:
    Machine._inspect(self, asked, now, after)
    for name, inspection in self.inspections.items():
        self.inspections[name] = inspection._replace(until=now.monotonic + asked.for_s)


def skips_inspected_inputs(self: Machine) -> bool:
    return all(s.active is False or n in self.inspections for n, s in self.inputs.items())


def resets_over_inspected_inputs(self: Machine, asked: Request) -> list[str]:
    reasons = Machine.refusals(self, asked)
    return [r for r in reasons if not any(r.startswith(name) for name in self.inspections)]


# Confirmation


def trusts_the_output(self: Machine, now: Now, after: Effects) -> None:
    for name, lane in self.lanes.items():
        if lane.driven and lane.unconfirmed_since is not None:
            self._confirmed(name, lane, now.monotonic - lane.unconfirmed_since, after)
    Machine._confirm(self, now, after)


def confirmed_from_now(self: Machine, name: str, lane: LaneState, waited_s: float, after: Effects) -> None:
    Machine._confirmed(self, name, lane, 0.0, after)


def starts_waiting_again(self: Machine, event: Event, now: Now) -> Effects:
    effects = Machine.handle(self, event, now)
    for name, lane in self.lanes.items():
        if lane.unconfirmed_since is not None:
            self.lanes[name] = lane._replace(unconfirmed_since=now.monotonic)
    return effects


# By name: the plan that must catch it, and the machine.
MUTANTS: dict[str, tuple[str, type[Machine]]] = {
    "the panel going quiet ends the alarm": ("alarms", mutant(_input_seen=clears_when_quiet)),
    "a restart ends the alarm": ("alarms", mutant(_restore=clears_on_restart)),
    "an alarm again leaves relocked lanes shut": ("alarms", mutant(_latch=forgets_lanes_relocked)),
    "an alarm latches nothing": ("alarms", mutant(_latch=lambda *_: None)),
    "an alarm opens lanes it does not map to": ("alarms", mutant(_latch=opens_all_for_anything)),
    "an alarm lets go of lanes held before": ("lost line", mutant(_latch=forgets_held_lanes)),
    "an alarm leaves no record": ("alarms", mutant(handle=writes_no_alarm)),
    "a lost loop counts as clear": ("alarms", mutant(_input_fault=ignores_loss)),
    "a lost input counts as clear": ("alarms", mutant(_input_seen=takes_loss_for_clear)),
    "a loss said again begins again": ("alarms", mutant(_input_seen=loss_begins_again)),
    "a short after a cut stays a cut": ("lost line", mutant(_input_seen=keeps_the_first_fault_word)),
    "one lane only": ("alarms", mutant(_open_latched=opens_first_lane_only)),
    "opening is not commanded": ("alarms", mutant(_open_latched=opens_without_a_word)),
    "may shut before the inputs were read": ("alarms", mutant(all_read=property(lambda self: True))),
    "starting shuts an open lane": ("alarms", mutant(_start=shuts_everything_at_start)),
    "talks before it opens": ("alarms", mutant(handle=says_first)),
    "the latch stays in memory": ("alarms", mutant(handle=writes_no_latch)),
    "a timer ends the alarm": ("alarms", mutant(handle=timer_ends_alarm)),
    "a lost latch is no alarm": ("alarms", mutant(handle=ignores_a_lost_latch)),
    # Reset and relocking
    "a reset while a cause is active": ("alarms", allows("still active")),
    "a reset while an input is unread": ("alarms", allows("cannot be read")),
    "a reset by anybody": ("alarms", allows("is not one of")),
    "a reset without a reason": ("alarms", allows("needs its reason")),
    "a reset of nothing": ("alarms", allows("nothing is latched")),
    "a reset in the middle of relocking": ("alarms", allows("reset already")),
    "a reset nobody hears refused": ("alarms", mutant(_asked=lambda *_: None)),
    "all lanes at once": ("alarms", mutant(_relock_one=secures_all)),
    "no warning": ("alarms", mutant(_reset=skips_warning)),
    "shuts on somebody": ("alarms", mutant(_clear=lambda *_: True)),
    "relocking goes on under an alarm": ("alarms", mutant(_latch=keeps_relocking)),
    "relocks by itself": ("alarms", mutant(handle=starts_relocking_alone)),
    # Orders
    "opening by command needs a right": (
        "drills",
        refuses(OpenRequested, lambda self, asked: asked.by not in self.plan.reset_by),
    ),
    "opening by command is refused while relocking": (
        "drills",
        refuses(OpenRequested, lambda self, asked: self.reset is not None),
    ),
    "opening by command is refused in a drill": (
        "drills",
        refuses(OpenRequested, lambda self, asked: self.drill),
    ),
    "opening by command is refused while inputs are unread": (
        "drills",
        refuses(OpenRequested, lambda self, asked: not self.started),
    ),
    "opening by command by nobody": ("drills", allows("needs the name")),
    "opening by command without a reason": ("drills", allows("opening needs its reason")),
    "opening by command a lane there is not": ("drills", allows("there is no lane")),
    "opening by command does not latch": ("drills", mutant(_open=opens_for_a_moment)),
    "opening by command leaves one lane out": ("drills", mutant(_open=opens_one_lane_less)),
    "opening by command is a drill": ("drills", mutant(_open=order_is_a_drill)),
    "who opened is not on record": ("drills", silent("open_ordered")),
    # Drills
    "a drill opens nothing": ("drills", mutant(_open=drills_on_paper)),
    "a drill by anybody": ("drills", allows("is not one of those who may have a drill")),
    "a drill without a reason": ("drills", allows("a drill needs its reason")),
    "a drill in an alarm": ("drills", allows("this is an alarm")),
    "a drill of a lane there is not": ("drills", allows("there is no lane")),
    "a drill in the middle of relocking": ("drills", allows("being relocked")),
    "a drill is not called one": ("drills", mutant(_label="")),
    "a drill has no banner": ("drills", mutant(banners=lambda self: [])),
    "a real alarm stays a drill": ("drills", mutant(_latch=stays_a_drill)),
    "a real alarm ends the latch of the drill": ("drills", mutant(_latch=upgrade_ends_the_drills_latch)),
    "an alarm in a drill is not announced": ("drills", silent("drill_upgraded")),
    "an alarm is a drill again when its lanes are relocked": (
        "drills",
        mutant(_relock_one=is_a_drill_again),
    ),
    "a timer ends a drill": ("drills", mutant(handle=timer_ends_drill)),
    # Inspections
    "a manual release is inhibited": ("inspections", allows("a manual release")),
    "an inspection by anybody": ("inspections", allows("who may have an input inspected")),
    "an inspection without a reason": ("inspections", allows("an inspection needs its reason")),
    "an inspection for a week": ("inspections", allows("an inspection lasts")),
    "an inspection of an active input": ("inspections", allows("is active now", "is latched")),
    "an inspection of a latched input": ("inspections", allows("is latched")),
    "an inspection of an input just lost": ("inspections", allows("its loss opens")),
    "an inspection asked for again goes on": ("inspections", allows("being inspected already")),
    "an inspection makes others last longer": ("two inspections", mutant(_inspect=renews_on_request)),
    "an inspection inhibits every input": ("inspections", mutant(_settle=inhibits_everything)),
    "an inspection inhibits nothing": ("inspections", mutant(_settle=inhibits_nothing)),
    "an inspection inhibits opening": ("inspections", mutant(_open_latched=inhibits_opening)),
    "an inspection never ends": ("inspections", mutant(_end_inspections=lambda *_: None)),
    "nobody waits for an inspection to end": (
        "inspections",
        mutant(next_deadline=property(never_wakes_for_an_inspection)),
    ),
    "an inspection ends when its input is tried": ("inspections", mutant(handle=activity_ends_inspection)),
    "a source still active at the end opens nothing": (
        "inspections",
        mutant(_end_inspections=forgets_what_came_meanwhile),
    ),
    "an inhibited alarm is not on record": ("inspections", mutant(_inhibited=lambda *_: None)),
    "an inspection ends unheard": ("inspections", silent("inspection_over")),
    "an inspection is ended by anybody": ("inspections", allows("end an inspection")),
    "an inspection has no banner": ("inspections", mutant(banners=lambda self: [])),
    "a reset over an inspected input in alarm": (
        "inspections",
        mutant(refusals=resets_over_inspected_inputs),
    ),
    "relocks while an inspected input is active": (
        "inspections",
        mutant(all_clear=property(skips_inspected_inputs)),
    ),
    # Confirmation
    "nobody is sent to a lane that did not open": ("one lane", mutant(_confirm=lambda *_: None)),
    "a written output counts as an open lane": ("one lane", mutant(_confirm=trusts_the_output)),
    "opening took no time": ("one lane", mutant(_confirmed=confirmed_from_now)),
    "the wait for a lane begins anew": ("one lane", mutant(handle=starts_waiting_again)),
    "an opened lane is not on record": ("one lane", silent("opened")),
}
