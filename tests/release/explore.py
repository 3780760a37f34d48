"""Walk every state that the machine can reach from its start, under a set of possible events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from datetime import UTC, datetime

from gated.release.machine import Machine
from gated.release.words import Effect, Event, Now, Plan, Tick

UTC_NOW = datetime(2026, 11, 23, tzinfo=UTC)


def at(monotonic: float) -> Now:
    return Now(monotonic, UTC_NOW)


def copy(machine: Machine) -> Machine:
    twin = Machine.__new__(type(machine))
    twin.plan = machine.plan
    twin.inputs, twin.lanes = dict(machine.inputs), dict(machine.lanes)
    twin.latched, twin.reset, twin.started = dict(machine.latched), machine.reset, machine.started
    twin.inspections, twin.drill = dict(machine.inspections), machine.drill
    return twin


def key(machine: Machine, now: float) -> Hashable:
    """The state with its times relative to now, so that equal states are found equal whenever they are."""

    def left(since: float | None, wait: float = 0.0) -> float | None:
        return None if since is None else round(max(-1.0, since + wait - now), 3)

    times = machine.plan.times
    return (
        tuple(
            (s.active, s.seen, s.faulted, s.fault)
            if s.active is not None or s.faulted
            else (s.seen, s.fault, left(s.since, times.fault_after_s if s.seen else times.start_within_s))
            for s in machine.inputs.values()
        ),
        tuple(
            (
                lane.command,
                lane.driven,
                lane.is_open,
                lane.clear,
                lane.by_hand,
                lane.opened_s is None,
                left(lane.unconfirmed_since, times.confirm_s),
            )
            for lane in machine.lanes.values()
        ),
        tuple(sorted((source, tuple(sorted(entry.lanes))) for source, entry in machine.latched.items())),
        tuple(sorted((name, left(i.until)) for name, i in machine.inspections.items())),
        (machine.reset.by, left(machine.reset.next_at)) if machine.reset else None,
        machine.started,
        machine.drill,
    )


Check = Callable[[Machine, Event, list[Effect], Machine, float], None]
"""Given the state before, the event, its effects, the state after and the time: AssertionError if wrong."""


class TooMany(Exception):
    """There are more states than anybody meant to visit."""


def explore(
    plan: Plan,
    starts: Iterable[Event],
    events: Iterable[Event],
    check: Check,
    machine: type[Machine] = Machine,
    limit: int = 100_000,
) -> int:
    """Visit every state that can be reached from each start, check every step; return how many there are.

    Time stands still or goes on to the next deadline; with all times equal that covers every order in
    which deadlines and events can come.
    """
    possible = list(events)
    seen, todo = set(), deque[tuple[Machine, float]]()
    for event in starts:
        blank = machine(plan, at(0.0))
        start = copy(blank)
        check(blank, event, start.handle(event, at(0.0)), start, 0.0)
        seen.add(key(start, 0.0))
        todo.append((start, 0.0))
    while todo:
        before, now = todo.popleft()
        due = before.next_deadline
        steps: list[tuple[Event, float]] = [(event, now) for event in possible]
        if due is not None:
            steps.append((Tick(), max(now, due)))
        for event, when in steps:
            after = copy(before)
            effects = after.handle(event, at(when))
            check(before, event, effects, after, when)
            found = key(after, when)
            if found not in seen:
                if len(seen) >= limit:
                    raise TooMany(f"over {limit} states")
                seen.add(found)
                todo.append((after, when))
    return len(seen)
