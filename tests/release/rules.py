"""What must hold of every step of the machine, whatever led to it."""

from __future__ import annotations

from gated.release.machine import Machine
from gated.release.words import (
    Command,
    Effect,
    Event,
    InputSeen,
    LatchRestored,
    LatchUnreadable,
    Open,
    Phase,
    Refused,
    ResetRequested,
    Secure,
    WriteLatch,
)


def check_step(before: Machine, event: Event, effects: list[Effect], after: Machine) -> None:
    held = after.open_lanes
    opened = [e.lane for e in effects if isinstance(e, Open)]
    secured = [e.lane for e in effects if isinstance(e, Secure)]

    # An asserted cause is latched, and what is latched is open: whatever the event was.
    for name, state in after.inputs.items():
        plan = after.plan.inputs[name]
        if state.active or (state.faulted and plan.open_on_fault):
            assert plan.lanes <= held, f"{name} asks for release and {plan.lanes - held} is not held"
    for name in held:
        assert after.lanes[name].command is Command.OPEN
    assert not set(secured) & held, "a lane was allowed to shut under a latched cause"

    # The command that stands is the one that was given last, and each change of it was an effect.
    for name, lane in after.lanes.items():
        if lane.command is not before.lanes[name].command:
            assert name in (opened if lane.command is Command.OPEN else secured)
        else:
            assert name not in secured
    assert all(lane.command is not Command.NONE for lane in after.lanes.values() if after.started)

    # Outputs come first.
    kinds = [isinstance(e, Open | Secure) for e in effects]
    assert kinds == sorted(kinds, reverse=True)

    # Nothing but a reset by a named person with a reason ends a latch, and only lane by lane.
    lost = before.open_lanes - held
    if lost:
        assert before.reset is not None, "a latch ended without a reset"
        assert before.phase is Phase.RELOCK_PENDING
        assert len(lost) == 1 and secured == list(lost), "more than one lane at a time"
        assert after.all_clear, "relocked while an input is not known to be clear"
    if after.reset is not None and before.reset is None:
        assert isinstance(event, ResetRequested)
        assert event.by in before.plan.reset_by and event.why.strip()
        assert before.all_clear and before.latched
        assert not secured, "the warning comes before the first lane"
    if isinstance(event, ResetRequested) and before.reset is None and after.reset is None:
        assert any(isinstance(e, Refused) for e in effects)
    for name in secured:
        first = before.lanes[name].command is Command.NONE
        assert first or before.phase is Phase.RELOCK_PENDING, "a way out that is no relocking"
        assert not first or all(s.active is not None for s in after.inputs.values())
        if after.plan.lanes[name].has_clear and not first:
            assert after.lanes[name].clear is True, "shut on somebody"

    # What is known of an input is what was last seen of it.
    for name, state in after.inputs.items():
        seen = isinstance(event, InputSeen) and event.input == name
        assert state.active is (event.active if seen else before.inputs[name].active)  # type: ignore[union-attr]

    # A new alarm ends relocking.
    if isinstance(event, InputSeen) and event.active:
        assert after.phase is Phase.ALARM and after.reset is None

    # What is latched is what the disk is told.
    if after.latched != before.latched and not isinstance(event, LatchRestored):
        assert any(isinstance(e, WriteLatch) for e in effects)
    if isinstance(event, LatchRestored):
        assert all(entry.lanes <= held for _, entry in event.latched)
    if isinstance(event, LatchUnreadable):
        assert held == frozenset(after.lanes)
