"""The emergency release as a pure machine: what is latched, what each lane is commanded, what ends it.

No I/O, no clock. Rules are levels, not edges: after every event `_settle` brings the whole state to
what the rules ask for, so that a lost or repeated event cannot leave a lane half way.

    starting        until every input was read; outputs are not touched unless a cause is latched
    normal          every lane may be shut
    alarm           a cause is latched: every lane mapped to it is held open
    relock_pending  a named person reset; warning, then one clear lane at a time

A cause is latched for the lanes it maps to. Only relocking takes lanes out of it, and only a reset
starts relocking. A cause that comes up meanwhile ends the relocking: the lanes it maps to open, and
those still open stay open until the next reset.
"""

from __future__ import annotations

from collections.abc import Iterable

from gated.release.words import (
    Alarmed,
    Audit,
    Cause,
    ClearSeen,
    Command,
    Effect,
    Event,
    FeedbackSeen,
    InputSeen,
    InputState,
    LaneState,
    Latched,
    LatchRestored,
    LatchUnreadable,
    Now,
    Open,
    OutputDriven,
    Phase,
    Plan,
    Refused,
    Reset,
    ResetRequested,
    Secure,
    Source,
    Tick,
    Warn,
    WriteLatch,
)

LATCH_FILE = "latch-file"  # the source that stands for a latch that could not be read


class Machine:
    """The state of every input, lane and latched cause, and the rules between them."""

    def __init__(self, plan: Plan, now: Now) -> None:
        self.plan = plan
        self.inputs = {name: InputState(since=now.monotonic) for name in plan.inputs}
        self.lanes = {name: LaneState() for name in plan.lanes}
        self.latched: dict[Source, Latched] = {}
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
        """True while what latched the cause is still so."""
        state = self.inputs.get(source.input)
        if state is None:
            return False
        return state.faulted if source.cause is Cause.FAULT else state.active is True

    @property
    def all_clear(self) -> bool:
        """Every input was read and none asks for release."""
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
        if self.reset and self._next_to_shut() is not None:
            due.append(self.reset.next_at)
        return min(due, default=None)

    def faults(self) -> list[str]:
        """What is not as it should be, one sentence each."""
        found = [f"OPEN BY HAND: {name}" for name, lane in self.lanes.items() if lane.by_hand]
        for name, state in self.inputs.items():
            if state.faulted:
                found.append(f"input {name} cannot be read")
        if self.reset and self._next_to_shut() is None:
            found.append("relocking waits: " + "; ".join(self._relock_waits()))
        return found

    # Events

    def handle(self, event: Event, now: Now) -> list[Effect]:
        """Apply one event; the effects are in the order in which they must be done: outputs first."""
        after: list[Effect] = []
        match event:
            case InputSeen(name, active):
                self._input_seen(name, active, now, after)
            case FeedbackSeen(name, is_open):
                self.lanes[name] = self.lanes[name]._replace(is_open=is_open)
            case ClearSeen(name, clear):
                self.lanes[name] = self.lanes[name]._replace(clear=clear)
            case OutputDriven(name, driven):
                self.lanes[name] = self.lanes[name]._replace(driven=driven)
            case ResetRequested():
                self._reset(event, now, after)
            case LatchRestored(latched):
                self._restore(latched, after)
            case LatchUnreadable(detail):
                everything = Latched(now.utc.isoformat(), frozenset(self.lanes))
                self.latched[Source(LATCH_FILE, Cause.FAULT)] = everything
                self.reset = None
                after += [WriteLatch(), Audit("latch_unreadable", f"the latch was lost: {detail}", 1)]
            case Tick():
                pass
        drive: list[Effect] = []
        self._settle(now, drive, after)
        return drive + after

    def _input_seen(self, name: str, active: bool | None, now: Now, after: list[Effect]) -> None:
        old = self.inputs[name]
        if active is None:
            since = now.monotonic if old.active is not None else old.since
            self.inputs[name] = old._replace(active=None, since=since)
            return
        self.inputs[name] = InputState(active, True, now.monotonic)
        if old.faulted:
            after.append(Audit("input_back", f"input {name} can be read again", detail={"input": name}))
        if old.active and not active:
            text = f"input {name} is clear again; the latch stays until a reset"
            after.append(Audit("input_clear", text, detail={"input": name}))

    def _restore(self, latched: Iterable[tuple[Source, Latched]], after: list[Effect]) -> None:
        self.reset = None
        for source, entry in latched:
            # A latch whose lanes are gone from the configuration was about some gate of this site: open all.
            lanes = entry.lanes & frozenset(self.lanes) or frozenset(self.lanes)
            held = self.latched.get(source)
            self.latched[source] = Latched(entry.at, lanes | held.lanes if held else lanes)
            text = f"{source.cause} of {source.input}, latched at {entry.at}, still holds"
            after.append(Audit("latch_restored", text, 4, {"input": source.input, "cause": source.cause}))

    def _reset(self, asked: ResetRequested, now: Now, after: list[Effect]) -> None:
        by, why = asked.by, asked.why
        detail = {"by": by, "why": why, "via": asked.via}
        if reasons := self.reset_refusals(by, why):
            text = f"reset by {by or 'nobody'} refused: " + "; ".join(reasons)
            after += [Refused(tuple(reasons)), Audit("reset_refused", text, 4, detail)]
            return
        self.reset = Reset(by, why, now.monotonic + self.plan.times.relock_warning_s)
        lanes = self.open_lanes
        after += [Warn(lanes), Audit("reset", f"reset by {by}: {why}", 5, detail)]

    def reset_refusals(self, by: str, why: str) -> list[str]:
        """Every reason for which this reset is refused now; empty when it is allowed."""
        found = []
        if not self.latched:
            found.append("nothing is latched")
        if self.reset:
            found.append(f"{self.reset.by} reset already, the lanes are being relocked")
        if by not in self.plan.reset_by:
            found.append(
                f"{by or 'nobody'} is not one of those who may reset ({', '.join(self.plan.reset_by)})"
            )
        if not why.strip():
            found.append("a reset needs its reason")
        for name, state in self.inputs.items():
            if state.active:
                found.append(f"{name} ({self.plan.inputs[name].cause}) is still active")
            elif state.active is None:
                found.append(f"{name} cannot be read, so it is not known to be clear")
        return found

    # The rules

    def _settle(self, now: Now, drive: list[Effect], after: list[Effect]) -> None:
        for name, state in self.inputs.items():
            if state.active is None and not state.faulted and now.monotonic >= self._fault_due(state):
                self._input_fault(name, state, after)
            if self.inputs[name].active:
                self._latch(Source(name, self.plan.inputs[name].cause), now, after)
            elif self.inputs[name].faulted and self.plan.inputs[name].open_on_fault:
                self._latch(Source(name, Cause.FAULT), now, after)
        self._open_latched(drive)
        if all(state.active is not None for state in self.inputs.values()):
            self._start(drive)
        if self.reset and self.all_clear and now.monotonic >= self.reset.next_at:
            self._relock_one(now, drive, after)
        for name in self.lanes:
            self._confirm(name, now, after)

    def _fault_due(self, state: InputState) -> float:
        times = self.plan.times
        return state.since + (times.fault_after_s if state.seen else times.start_within_s)

    def _input_fault(self, name: str, state: InputState, after: list[Effect]) -> None:
        self.inputs[name] = state._replace(faulted=True)
        opens = self.plan.inputs[name].open_on_fault
        text = f"input {name} cannot be read; " + ("its lanes open" if opens else "outputs hold")
        after.append(Audit("input_fault", text, 3, {"input": name}))

    def _latch(self, source: Source, now: Now, after: list[Effect]) -> None:
        lanes = self.plan.inputs[source.input].lanes
        held = self.latched.get(source)
        if held is not None and held.lanes >= lanes and self.reset is None:
            return
        self.reset = None
        self.latched[source] = Latched(now.utc.isoformat(), lanes | (held.lanes if held else frozenset()))
        after += [WriteLatch(), Alarmed(source, lanes)]

    def _open_latched(self, drive: list[Effect]) -> None:
        held = self.open_lanes
        for name, lane in self.lanes.items():
            if name in held and lane.command is not Command.OPEN:
                self.lanes[name] = lane._replace(command=Command.OPEN, driven=False)
                drive.append(Open(name))

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
        self.lanes[name] = self.lanes[name]._replace(command=Command.MAY_SHUT, driven=False)
        drive.append(Secure(name))
        detail = {"lane": name, "by": self.reset.by}
        after += [WriteLatch(), Audit("relocked", f"{name} may be shut again", 5, detail)]
        self.reset = self.reset._replace(next_at=now.monotonic + self.plan.times.relock_interval_s)
        if not self.latched:
            self.reset = None

    def _confirm(self, name: str, now: Now, after: list[Effect]) -> None:
        lane = self.lanes[name]
        confirmed = lane.is_open is True if self.plan.lanes[name].has_feedback else lane.driven
        if lane.command is not Command.OPEN or confirmed:
            if lane.unconfirmed_since is None:
                return
            if lane.by_hand:
                after.append(
                    Audit("open_confirmed", f"{name} is open or needs it no more", 5, {"lane": name})
                )
            self.lanes[name] = lane._replace(unconfirmed_since=None, by_hand=False)
        elif lane.unconfirmed_since is None:
            self.lanes[name] = lane._replace(unconfirmed_since=now.monotonic)
        elif not lane.by_hand and now.monotonic >= lane.unconfirmed_since + self.plan.times.confirm_s:
            self.lanes[name] = lane._replace(by_hand=True)
            text = f"OPEN BY HAND: {name} was commanded to open and is not seen to be open"
            after.append(Audit("open_by_hand", text, 1, {"lane": name}))
