"""What must hold of every step of the machine, whatever led to it.

The rules look at states, events and effects; they ask the machine nothing that it works out by itself.
"""

from __future__ import annotations

from gated.release.machine import Machine
from gated.release.words import (
    BY_COMMAND,
    BY_DRILL,
    LATCH_LOST,
    Alarmed,
    Audit,
    Cause,
    Command,
    DrillRequested,
    Effect,
    Event,
    InputSeen,
    InspectEnded,
    InspectRequested,
    LaneState,
    LatchRestored,
    LatchUnreadable,
    Open,
    OpenRequested,
    Refused,
    ResetRequested,
    Secure,
    Source,
    WriteLatch,
)

REQUESTS = OpenRequested | DrillRequested | ResetRequested | InspectRequested | InspectEnded


def check_step(before: Machine, event: Event, effects: list[Effect], after: Machine, now: float) -> None:
    """Raise AssertionError, naming the rule, when the step from `before` to `after` breaks one."""
    due, faults = after.next_deadline, after.faults()
    codes = {e.code: e for e in effects if isinstance(e, Audit)}
    _opens(before, effects, after)
    _shuts(before, event, effects, after)
    _latches(before, event, effects, after)
    _resets(before, event, effects, after)
    _inputs(before, event, after, now, due, faults)
    _lanes(before, effects, after, now, due, faults)
    _drills(before, event, codes, after)
    if before.inspections or after.inspections:
        _inspections(before, event, codes, after, now, due)
    if isinstance(event, REQUESTS):
        _requests(before, event, effects, codes, after, now)


def held(machine: Machine) -> set[str]:
    return {lane for entry in machine.latched.values() for lane in entry.lanes}


def asks(machine: Machine, name: str) -> bool:
    """The input is active, or lost where that opens."""
    state = machine.inputs[name]
    return state.active is True or (state.faulted and machine.plan.inputs[name].open_on_fault)


def _opens(before: Machine, effects: list[Effect], after: Machine) -> None:
    opened = [e.lane for e in effects if isinstance(e, Open)]
    secured = [e.lane for e in effects if isinstance(e, Secure)]
    holds = held(after)
    # An asserted cause is latched, whatever the event was; but for an input that is inspected, and no other.
    for name, plan in after.plan.inputs.items():
        if asks(after, name) and name not in after.inspections:
            assert plan.lanes <= holds, f"{name} asks for release and {plan.lanes - holds} is not held"
    assert holds <= after.lanes.keys(), "a lane is latched that there is not"
    for name in holds:
        assert after.lanes[name].command is Command.OPEN, f"{name} is latched and not commanded"
    assert not set(secured) & holds, "a lane was allowed to shut under a latched cause"
    # The command that stands is the one that was given last, and each change of it was an effect.
    for name, lane in after.lanes.items():
        if lane.command is not before.lanes[name].command:
            assert name in (opened if lane.command is Command.OPEN else secured)
        else:
            assert name not in secured
        assert lane.command is not Command.OPEN or name in holds, "open for no reason"
        assert lane.command is not Command.NONE or not after.started
    kinds = [isinstance(e, Open | Secure) for e in effects]
    assert kinds == sorted(kinds, reverse=True), "outputs come first"


def _shuts(before: Machine, event: Event, effects: list[Effect], after: Machine) -> None:
    secured = [e.lane for e in effects if isinstance(e, Secure)]
    # Nothing but a reset by a named person with a reason ends a latch, and only lane by lane.
    lost = held(before) - held(after)
    if lost:
        assert before.reset is not None, "a latch ended without a reset"
        assert before.latched
        assert len(lost) == 1 and secured == list(lost), "more than one lane at a time"
        assert all(s.active is False for s in after.inputs.values()), "relocked while an input is not clear"
    for source, entry in before.latched.items():
        left = after.latched[source].lanes if source in after.latched else frozenset[str]()
        assert entry.lanes - left <= lost, "a cause lost a lane that others still hold"
    for name in secured:
        first = before.lanes[name].command is Command.NONE
        assert first or before.reset is not None, "a way out that is no relocking"
        assert not first or all(s.active is not None and s.seen for s in after.inputs.values())
        if after.plan.lanes[name].has_clear and not first:
            assert after.lanes[name].clear is True, "shut on somebody"


def _latches(before: Machine, event: Event, effects: list[Effect], after: Machine) -> None:
    alarmed = {e.source: e.lanes for e in effects if isinstance(e, Alarmed)}
    for source, entry in after.latched.items():
        old = before.latched.get(source)
        more = entry.lanes - (old.lanes if old else frozenset())
        if not more or isinstance(event, LatchRestored):
            continue
        # Everything that latches has its reason, and its record.
        if source == BY_COMMAND:
            assert isinstance(event, OpenRequested)
        elif source == BY_DRILL:
            assert isinstance(event, DrillRequested)
            continue
        elif source == LATCH_LOST:
            assert isinstance(event, LatchUnreadable)
            continue
        else:
            plan = after.plan.inputs[source.input]
            assert asks(after, source.input) and more <= plan.lanes, "latched without a cause"
            assert source.input not in after.inspections, "an inspected input opened"
            lost = after.inputs[source.input].active is None
            assert source.cause is (Cause.FAULT if lost else plan.cause)
        assert source in alarmed and more <= alarmed[source], "an alarm without its record"
    # What is latched is what the disk is told.
    if after.latched != before.latched and not isinstance(event, LatchRestored):
        assert any(isinstance(e, WriteLatch) for e in effects)
    if isinstance(event, LatchRestored):
        assert all(entry.lanes <= held(after) for _, entry in event.latched)
    if isinstance(event, LatchUnreadable):
        assert held(after) == after.lanes.keys()
    # A new cause ends relocking: one that came up now, or that an input keeps asking for.
    if alarmed:
        assert after.reset is None, "relocking goes on under an alarm"
    for name in after.inputs:
        if asks(after, name) and name not in after.inspections:
            assert after.reset is None, "relocking goes on under an alarm"
    for source in (BY_COMMAND, BY_DRILL):
        assert not after.active(source), "an order is no input that can still be active"


def _resets(before: Machine, event: Event, effects: list[Effect], after: Machine) -> None:
    if after.reset is not None and before.reset is None:
        assert isinstance(event, ResetRequested)
        assert event.by in before.plan.reset_by and event.why.strip()
        assert before.latched
        assert all(s.active is False for s in before.inputs.values()), "reset while an input is not clear"
        assert not any(isinstance(e, Secure) for e in effects), "the warning comes before the first lane"
    if isinstance(event, ResetRequested):
        refused = any(isinstance(e, Refused) for e in effects)
        assert refused is not (before.reset is None and after.reset is not None), "nobody hears of the reset"


def _inputs(
    before: Machine, event: Event, after: Machine, now: float, due: float | None, faults: list[str]
) -> None:
    times = after.plan.times
    for name, state in after.inputs.items():
        old = before.inputs[name]
        # What is known of an input is what was last seen of it.
        if isinstance(event, InputSeen) and event.input == name:
            assert state.active is event.active
            assert state.fault == (event.fault if event.active is None else "")
        else:
            assert state.active is old.active and state.fault == old.fault
        assert state.seen or state.active is None
        if state.active is not None:
            assert not state.faulted
            continue
        # Unread for its time it is a fault, and shown; the time begins with the loss and is not put off.
        fault_at = state.since + (times.fault_after_s if state.seen else times.start_within_s)
        assert state.since == (now if old.active is not None else old.since)
        assert state.faulted is (old.faulted or now >= fault_at), f"{name}: unread for too long, or not yet"
        assert state.faulted or (due is not None and due <= fault_at), "nobody waits for the fault"
        if state.faulted:
            (shown,) = [line for line in faults if line.startswith(f"input {name}")]
            assert (state.fault or "cannot be read") in shown
    assert not after.started or before.started or all(s.active is not None for s in after.inputs.values())


def _confirmed(machine: Machine, name: str, lane: LaneState) -> bool:
    return lane.is_open is True if machine.plan.lanes[name].has_feedback else lane.driven


def _lanes(
    before: Machine, effects: list[Effect], after: Machine, now: float, due: float | None, faults: list[str]
) -> None:
    said = {(e.code, e.detail.get("lane")) for e in effects if isinstance(e, Audit)}
    for name, lane in after.lanes.items():
        old = before.lanes[name]
        if lane.command is not Command.OPEN:
            assert lane.unconfirmed_since is None and lane.opened_s is None and not lane.by_hand
            continue
        new = old.command is not Command.OPEN
        opened = lane.opened_s is not None and (new or old.opened_s is None)
        assert opened is (("opened", name) in said), "each opening that was confirmed is on record, once"
        if _confirmed(after, name, lane):
            assert lane.opened_s is not None and lane.unconfirmed_since is None and not lane.by_hand
            if opened and not new:
                assert old.unconfirmed_since is not None
                assert lane.opened_s == now - old.unconfirmed_since, "the time from the command is wrong"
        else:
            since = now if new or old.unconfirmed_since is None else old.unconfirmed_since
            assert lane.unconfirmed_since == since, "the time to confirm was put off"
            hand_at = since + after.plan.times.confirm_s
            assert lane.by_hand is (not new and (old.by_hand or now >= hand_at)), "nobody is sent to the lane"
            assert lane.by_hand or (due is not None and due <= hand_at)
            assert not lane.by_hand or old.by_hand or ("open_by_hand", name) in said
            assert lane.by_hand is (f"OPEN BY HAND: {name}" in faults)


def _drills(before: Machine, event: Event, codes: dict[str, Audit], after: Machine) -> None:
    assert not after.drill or after.latched.keys() == {BY_DRILL}, "an alarm that is called a drill"
    if after.drill and not before.drill:
        assert isinstance(event, DrillRequested | LatchRestored), "an alarm became a drill"
    if after.drill:
        assert any(line.startswith("DRILL: ") for line in after.banners()), "a drill nobody is told of"
        for code in {"reset", "relocked", "opened", "open_by_hand", "drill", "latch_restored"} & codes.keys():
            assert codes[code].text.startswith("DRILL: "), f"{code} does not say that it is a drill"
    if before.drill and not after.drill and after.latched and not isinstance(event, LatchUnreadable):
        if not isinstance(event, LatchRestored):
            told = codes.get("drill_upgraded")
            assert told is not None and told.priority == 1, "an alarm in a drill goes unnoticed"
        assert BY_DRILL in after.latched


def _inspections(
    before: Machine, event: Event, codes: dict[str, Audit], after: Machine, now: float, due: float | None
) -> None:
    for name, inspection in after.inspections.items():
        old = before.inspections.get(name)
        if old is None:
            assert isinstance(event, InspectRequested) and event.input == name
            assert event.by in after.plan.reset_by and event.why.strip(), "inspected by nobody"
            assert after.plan.inputs[name].cause is not Cause.MANUAL, "a manual release cannot be inhibited"
            assert not any(source.input == name for source in after.latched), "inspected while latched"
            state, opens = after.inputs[name], after.plan.inputs[name].open_on_fault
            assert not (state.active or (state.active is None and opens)), "inspected while it opens"
            assert inspection.until == now + event.for_s, "not as long as was asked"
            assert 0 < event.for_s <= after.plan.times.inspect_max_s
        else:
            assert inspection == old, "an inspection was changed"
        assert now < inspection.until, "an inspection goes on past its time"
        assert due is not None and due <= inspection.until, "nobody waits for the end of an inspection"
        assert any(b.startswith(f"INSPECTION: {name} ") and inspection.by in b for b in after.banners())
    for name in before.inspections.keys() - after.inspections.keys():
        by_person = isinstance(event, InspectEnded) and event.input == name
        assert by_person or now >= before.inspections[name].until, "an inspection ended by itself"
        assert "inspection_over" in codes, "an inspection ended unheard"
    if isinstance(event, InputSeen) and event.active and event.input in after.inspections:
        rose = before.inputs[event.input].active is not True
        assert rose is ("inhibited" in codes), "what an inspection keeps shut is on record, once"


def _requests(
    before: Machine,
    event: REQUESTS,
    effects: list[Effect],
    codes: dict[str, Audit],
    after: Machine,
    now: float,
) -> None:
    refused = [e for e in effects if isinstance(e, Refused)]
    assert all(e.reasons and all(e.reasons) for e in refused)
    said = [a for a in codes.values() if a.detail.get("by") == event.by and "via" in a.detail]
    assert len(said) == 1, "what a person asks for is on record, once"
    assert said[0].code.endswith("_refused") is bool(refused)
    assert isinstance(event, InspectEnded) or said[0].detail["why"] == event.why
    named = event.by in before.plan.reset_by
    if isinstance(event, OpenRequested | DrillRequested):
        whole = bool(event.why.strip()) and event.lanes <= before.lanes.keys()
        lanes = event.lanes or before.lanes.keys()
        source = BY_COMMAND if isinstance(event, OpenRequested) else BY_DRILL
        if isinstance(event, OpenRequested):
            # Whatever the state: a named person with a reason opens.
            assert bool(refused) is not (whole and bool(event.by.strip())), "opening was refused"
        else:
            real = bool(before.latched) and not before.drill
            lawful = named and whole and not real and before.reset is None
            # An input may have been lost for its time in this very moment: that is an alarm, and no drill.
            assert bool(refused) is not lawful
        if not refused:
            assert source in after.latched and lanes <= after.latched[source].lanes, "an order latches"
            assert after.reset is None, "an order ends relocking"
            assert all(after.lanes[lane].command is Command.OPEN for lane in lanes)
    elif isinstance(event, InspectEnded):
        current = event.input in before.inspections and now < before.inspections[event.input].until
        assert bool(refused) is not (named and current)
        assert refused or event.input not in after.inspections
    elif isinstance(event, InspectRequested) and not refused:
        assert event.input in after.inspections
    if refused:
        assert not any(isinstance(e, Alarmed) and e.source == BY_COMMAND for e in effects)
        assert after.latched.get(Source("drill", Cause.DRILL)) == before.latched.get(BY_DRILL)
        assert not after.inspections.keys() - before.inspections.keys()
