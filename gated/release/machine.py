"""The emergency release as a pure machine: what is latched, what each lane is commanded, what ends it.

No I/O, no clock. Rules are levels, not edges: after every event `_settle` brings the whole state to
what the rules ask for, so that a lost or repeated event cannot leave a lane half way.

    starting        until every input was read; outputs are not touched unless a cause is latched
    normal          every lane may be shut
    alarm           a cause is latched: every lane mapped to it is held open
    relock_pending  a named person reset; warning, then one clear lane at a time

A cause is latched for the lanes it maps to: an input, a person's command, or a drill, which opens like
the others. Only relocking takes lanes out of it, and only a reset starts relocking. A cause that comes
up meanwhile ends the relocking: the lanes it maps to open, and those still open stay open until the next
reset. An inspection keeps one input from latching for a limited time, and does nothing else.
"""

# Over 300 lines: one state and its rules; in two files, nobody could see that they are all there.

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from gated.release import requests
from gated.release.words import (
    BY_COMMAND,
    BY_DRILL,
    LATCH_LOST,
    Alarmed,
    Audit,
    Cause,
    ClearSeen,
    Command,
    DrillRequested,
    Effect,
    Event,
    FeedbackSeen,
    InputSeen,
    InputState,
    InspectEnded,
    Inspection,
    InspectRequested,
    LaneState,
    Latched,
    LatchRestored,
    LatchUnreadable,
    Now,
    Open,
    OpenRequested,
    OutputDriven,
    Phase,
    Plan,
    Refused,
    Request,
    Reset,
    ResetRequested,
    Secure,
    Source,
    Tick,
    Warn,
    WriteLatch,
)

UNREAD = {
    "": "input {} cannot be read",
    "cut": "input {}: its line is cut",
    "short": "input {}: its line is shorted",
    "undefined": "input {}: its line is undefined, neither clear nor active",
}


class Machine:
    """The state of every input, lane and latched cause, and the rules between them."""

    def __init__(self, plan: Plan, now: Now) -> None:
        self.plan = plan
        self.inputs = {name: InputState(since=now.monotonic) for name in plan.inputs}
        self.lanes = {name: LaneState() for name in plan.lanes}
        self.latched: dict[Source, Latched] = {}
        self.inspections: dict[str, Inspection] = {}  # by input; a restart ends them
        self.drill = False  # something is latched, and it was a drill from the first lane to the last
        self.reset: Reset | None = None
        self.started = False

    # What may be asked

    @property
    def phase(self) -> Phase:
        """The state of the whole, in one word."""
        if self.latched:
            return Phase.RELOCK_PENDING if self.reset else Phase.ALARM
        return Phase.NORMAL if self.started else Phase.STARTING

    @property
    def open_lanes(self) -> frozenset[str]:
        """Lanes that a latched cause holds open."""
        return frozenset().union(*(latched.lanes for latched in self.latched.values()))

    def active(self, source: Source) -> bool:
        """True while what latched the cause is still so; a person's command and a drill never are."""
        state = self.inputs.get(source.input)
        if state is None:
            return False
        return state.faulted if source.cause is Cause.FAULT else state.active is True

    @property
    def all_read(self) -> bool:
        """Every input can be read."""
        return all(state.active is not None for state in self.inputs.values())

    @property
    def all_clear(self) -> bool:
        """Every input was read and none asks for release, whether it is being inspected or not."""
        return all(state.active is False for state in self.inputs.values())

    @property
    def next_deadline(self) -> float | None:
        """When to send Tick if nothing else happens, in monotonic seconds."""
        due = [self._fault_due(s) for s in self.inputs.values() if s.active is None and not s.faulted]
        due += [
            s.unconfirmed_since + self.plan.times.confirm_s
            for s in self.lanes.values()
            if s.unconfirmed_since is not None and not s.by_hand
        ]
        due += [inspection.until for inspection in self.inspections.values()]
        if self.reset and self._next_to_shut() is not None:
            due.append(self.reset.next_at)
        return min(due, default=None)

    def faults(self) -> list[str]:
        """What is not as it should be, one sentence each."""
        found = [f"OPEN BY HAND: {name}" for name, lane in self.lanes.items() if lane.by_hand]
        found += [_unread(name, state.fault) for name, state in self.inputs.items() if state.faulted]
        if self.reset and self._next_to_shut() is None:
            found.append("relocking waits: " + "; ".join(self._relock_waits()))
        return found

    def banners(self) -> list[str]:
        """What nobody may forget while it lasts: a drill, and each inspection."""
        found = []
        if self.drill:
            lanes = ", ".join(name for name in self.lanes if name in self.open_lanes)
            found.append(f"DRILL: {lanes} open for a drill until a reset")
        for name, (by, why, _, until) in self.inspections.items():
            found.append(f"INSPECTION: {name} opens nothing until {until[11:16]} UTC, by {by}: {why}")
        return found

    @property
    def _label(self) -> str:
        """What each record of a drill begins with."""
        return "DRILL: " if self.drill else ""

    def refusals(self, asked: Request) -> list[str]:
        """Every reason for which this request is refused now; empty when it is allowed."""
        return requests.refusals(self, asked)

    # Events

    def handle(self, event: Event, now: Now) -> list[Effect]:
        """Apply one event; the effects are in the order in which they must be done: outputs first."""
        drive: list[Effect] = []
        after: list[Effect] = []
        if self.inspections:
            self._end_inspections(now, after)
        match event:
            case InputSeen(name, active, fault):
                self._input_seen(name, active, fault, now, after)
            case FeedbackSeen(name, is_open):
                self.lanes[name] = self.lanes[name]._replace(is_open=is_open)
            case ClearSeen(name, clear):
                self.lanes[name] = self.lanes[name]._replace(clear=clear)
            case OutputDriven(name, driven):
                self.lanes[name] = self.lanes[name]._replace(driven=driven)
            case LatchRestored(latched):
                self._restore(latched, after)
            case LatchUnreadable(detail):
                self.latched[LATCH_LOST] = Latched(now.utc.isoformat(), frozenset(self.lanes))
                self.reset, self.drill = None, False
                after += [WriteLatch(), Audit("latch_unreadable", f"the latch was lost: {detail}", 1)]
            case Tick():
                pass
            case _:
                self._asked(event, now, after)
        self._settle(now, drive, after)
        return drive + after

    def _input_seen(self, name: str, active: bool | None, fault: str, now: Now, after: list[Effect]) -> None:
        old = self.inputs[name]
        if active is None:
            since = now.monotonic if old.active is not None else old.since
            self.inputs[name] = old._replace(active=None, since=since, fault=fault)
            if old.faulted and old.fault != fault:
                after.append(Audit("input_fault", _unread(name, fault), 3, {"input": name, "fault": fault}))
            return
        self.inputs[name] = InputState(active, True, now.monotonic)
        if active:
            if self.inspections and not old.active:
                self._inhibited(name, after)
        elif old.active:
            stays = any(source.input == name for source in self.latched)
            text = f"input {name} is clear again" + ("; the latch stays until a reset" if stays else "")
            after.append(Audit("input_clear", text, detail={"input": name}))
        if old.faulted:
            after.append(Audit("input_back", f"input {name} can be read again", detail={"input": name}))

    def _inhibited(self, name: str, after: list[Effect]) -> None:
        if name in self.inspections:
            plan, by = self.plan.inputs[name], self.inspections[name].by
            lanes = ", ".join(sorted(plan.lanes))
            text = f"INSPECTION: {plan.cause} of {name} would have opened {lanes}; {by} has it inspected"
            after.append(Audit("inhibited", text, 4, {"input": name, "cause": plan.cause, "by": by}))

    def _restore(self, latched: Iterable[tuple[Source, Latched]], after: list[Effect]) -> None:
        self.reset = None
        for source, entry in latched:
            # A latch whose lanes are gone from the configuration was about some gate of this site: open all.
            lanes = entry.lanes & frozenset(self.lanes) or frozenset(self.lanes)
            held = self.latched.get(source)
            self.latched[source] = Latched(entry.at, lanes | held.lanes if held else lanes)
            text = f"{source.cause} of {source.input}, latched at {entry.at}, still holds"
            if source == BY_DRILL:
                text = f"DRILL: the drill, latched at {entry.at}, still holds"
            after.append(Audit("latch_restored", text, 4, {"input": source.input, "cause": source.cause}))
        self.drill = self.latched.keys() == {BY_DRILL}

    # What persons ask for

    def _asked(self, asked: Request, now: Now, after: list[Effect]) -> None:
        if reasons := self.refusals(asked):
            after += [Refused(tuple(reasons)), requests.refused(asked, reasons)]
            return
        match asked:
            case ResetRequested():
                self._reset(asked, now, after)
            case OpenRequested() | DrillRequested():
                self._open(asked, now, after)
            case InspectRequested():
                self._inspect(asked, now, after)
            case InspectEnded(name):
                del self.inspections[name]
                text = f"inspection of {name} ended by {asked.by}: it opens again"
                after.append(Audit("inspection_over", text, 5, requests.detail(asked)))

    def _reset(self, asked: ResetRequested, now: Now, after: list[Effect]) -> None:
        by, why = asked.by, asked.why
        self.reset = Reset(by, why, now.monotonic + self.plan.times.relock_warning_s)
        after += [
            Warn(self.open_lanes),
            Audit("reset", f"{self._label}reset by {by}: {why}", 5, requests.detail(asked)),
        ]

    def _open(self, asked: OpenRequested | DrillRequested, now: Now, after: list[Effect]) -> None:
        lanes = asked.lanes or frozenset(self.lanes)
        named = ", ".join(name for name in self.lanes if name in lanes)
        if isinstance(asked, OpenRequested):
            self._latch(BY_COMMAND, lanes, now, after)
            text = f"{named} opened by {asked.by} by command: {asked.why}"
            after.append(Audit("open_ordered", text, 1, requests.detail(asked)))
        else:
            self._latch(BY_DRILL, lanes, now, after)
            text = f"DRILL: {named} opened by {asked.by}: {asked.why}"
            after.append(Audit("drill", text, 4, requests.detail(asked)))

    def _inspect(self, asked: InspectRequested, now: Now, after: list[Effect]) -> None:
        until = (now.utc + timedelta(seconds=asked.for_s)).isoformat()
        inspection = Inspection(asked.by, asked.why, now.monotonic + asked.for_s, until)
        self.inspections[asked.input] = inspection
        text = f"INSPECTION: {asked.input} opens nothing until {until}, by {asked.by}: {asked.why}"
        after.append(Audit("inspection", text, 4, requests.detail(asked) | {"until": until}))

    def _end_inspections(self, now: Now, after: list[Effect]) -> None:
        for name, inspection in list(self.inspections.items()):
            if now.monotonic >= inspection.until:
                del self.inspections[name]
                text = f"inspection of {name} by {inspection.by} is over, its time has passed: it opens again"
                after.append(Audit("inspection_over", text, 4, {"input": name, "by": inspection.by}))

    # The rules

    def _settle(self, now: Now, drive: list[Effect], after: list[Effect]) -> None:
        # On the way to opening, code that runs for the first time in hours is slow: few calls.
        for name, state in self.inputs.items():
            if state.active is False:
                continue
            if state.active is None and not state.faulted:
                if now.monotonic < self._fault_due(state):
                    continue
                self._input_fault(name, state, after)
            plan = self.plan.inputs[name]
            if name in self.inspections:
                continue
            if state.active:
                self._latch(Source(name, plan.cause), plan.lanes, now, after)
            elif plan.open_on_fault:
                self._latch(Source(name, Cause.FAULT), plan.lanes, now, after)
        if self.latched:
            self._open_latched(now, drive)
        if not self.started and self.all_read:
            self._start(drive)
        if self.reset and self.all_clear and now.monotonic >= self.reset.next_at:
            self._relock_one(now, drive, after)
        if self.latched:
            self._confirm(now, after)

    def _fault_due(self, state: InputState) -> float:
        times = self.plan.times
        return state.since + (times.fault_after_s if state.seen else times.start_within_s)

    def _input_fault(self, name: str, state: InputState, after: list[Effect]) -> None:
        self.inputs[name] = state._replace(faulted=True)
        does = "its lanes open" if self.plan.inputs[name].open_on_fault else "outputs hold"
        if name in self.inspections:
            does = "it is being inspected, nothing opens"
        text = f"{_unread(name, state.fault)}; {does}"
        after.append(Audit("input_fault", text, 3, {"input": name, "fault": state.fault}))

    def _latch(self, source: Source, lanes: frozenset[str], now: Now, after: list[Effect]) -> None:
        held = self.latched.get(source)
        if held is not None and held.lanes >= lanes and self.reset is None:
            return
        self.reset = None
        self.latched[source] = Latched(now.utc.isoformat(), lanes | held.lanes if held else lanes)
        after.append(WriteLatch())
        if source.cause is Cause.DRILL:
            self.drill = True
            return
        after.append(Alarmed(source, lanes))
        if self.drill:
            self.drill = False
            text = f"DRILL is over: {source.cause} of {source.input} is real"
            detail = {"input": source.input, "cause": str(source.cause)}
            after.append(Audit("drill_upgraded", text, 1, detail))

    def _open_latched(self, now: Now, drive: list[Effect]) -> None:
        for name, lane in self.lanes.items():
            if lane.command is Command.OPEN:
                continue
            for entry in self.latched.values():
                if name in entry.lanes:
                    self.lanes[name] = LaneState(
                        Command.OPEN, False, lane.is_open, lane.clear, unconfirmed_since=now.monotonic
                    )
                    drive.append(Open(name))
                    break

    def _start(self, drive: list[Effect]) -> None:
        self.started = True
        for name, lane in self.lanes.items():
            if lane.command is Command.NONE:
                self.lanes[name] = lane._replace(command=Command.MAY_SHUT, driven=False)
                drive.append(Secure(name))

    def _next_to_shut(self) -> str | None:
        """The next lane to relock; None while an input is not known to be clear or every lane is occupied."""
        if not self.all_clear:
            return None
        held = self.open_lanes
        return next((n for n, plan in self.plan.lanes.items() if n in held and self._clear(n)), None)

    def _clear(self, lane: str) -> bool:
        return not self.plan.lanes[lane].has_clear or self.lanes[lane].clear is True

    def _relock_waits(self) -> list[str]:
        waits = [f"{n} is not seen to be clear" for n in sorted(self.open_lanes) if not self._clear(n)]
        waits += [f"{n} is active, under inspection" for n, s in self.inputs.items() if s.active]
        return waits + [f"{n} cannot be read" for n, s in self.inputs.items() if s.active is None]

    def _relock_one(self, now: Now, drive: list[Effect], after: list[Effect]) -> None:
        name = self._next_to_shut()
        if name is None or self.reset is None:
            return
        self.latched = {
            source: entry._replace(lanes=entry.lanes - {name})
            for source, entry in self.latched.items()
            if entry.lanes - {name}
        }
        lane = self.lanes[name]
        self.lanes[name] = LaneState(Command.MAY_SHUT, False, lane.is_open, lane.clear)
        drive.append(Secure(name))
        detail = {"lane": name, "by": self.reset.by}
        after += [WriteLatch(), Audit("relocked", f"{self._label}{name} may be shut again", 5, detail)]
        if lane.by_hand:
            after.append(Audit("open_confirmed", f"{name} need not be open any more", 5, {"lane": name}))
        self.reset = self.reset._replace(next_at=now.monotonic + self.plan.times.relock_interval_s)
        if not self.latched:
            self.reset, self.drill = None, False

    def _confirm(self, now: Now, after: list[Effect]) -> None:
        for name, lane in self.lanes.items():
            if lane.command is not Command.OPEN:
                continue
            if lane.is_open if self.plan.lanes[name].has_feedback else lane.driven:
                if lane.unconfirmed_since is not None:
                    self._confirmed(name, lane, now.monotonic - lane.unconfirmed_since, after)
            elif lane.unconfirmed_since is None:
                self.lanes[name] = lane._replace(unconfirmed_since=now.monotonic)
            elif not lane.by_hand and now.monotonic >= lane.unconfirmed_since + self.plan.times.confirm_s:
                self.lanes[name] = lane._replace(by_hand=True)
                text = f"{self._label}OPEN BY HAND: {name} was commanded to open and is not seen to be open"
                after.append(Audit("open_by_hand", text, 1, {"lane": name}))

    def _confirmed(self, name: str, lane: LaneState, waited_s: float, after: list[Effect]) -> None:
        opened_s = waited_s if lane.opened_s is None else lane.opened_s
        self.lanes[name] = lane._replace(unconfirmed_since=None, by_hand=False, opened_s=opened_s)
        if lane.opened_s is None:
            observed = self.plan.lanes[name].has_feedback
            ms = f"{waited_s * 1000:.0f}"
            text = f"was seen open {ms} ms after the command"
            if not observed:
                text = f"was commanded, not observed: its outputs were written {ms} ms after the command"
            by = "feedback" if observed else "outputs"
            after.append(
                Audit(
                    "opened",
                    f"{self._label}{name} {text}",
                    detail={"lane": name, "ms": ms, "confirmed_by": by},
                )
            )
        if lane.by_hand:
            after.append(Audit("open_confirmed", f"{name} is open", 5, {"lane": name}))


def _unread(name: str, fault: str) -> str:
    return UNREAD.get(fault, UNREAD[""]).format(name)
