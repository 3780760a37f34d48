"""The machine, every reachable state of it, and proof that the rules would notice a broken one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gated.release.machine import Machine
from gated.release.words import (
    Cause,
    ClearSeen,
    DrillRequested,
    Effect,
    Event,
    FeedbackSeen,
    InputPlan,
    InputSeen,
    InspectEnded,
    InspectRequested,
    LanePlan,
    OpenRequested,
    OutputDriven,
    Plan,
    ResetRequested,
    Tick,
)
from tests.release import exploration
from tests.release.explore import at, copy
from tests.release.mutants import MUTANTS
from tests.release.rules import check_step

# The fewest states of each walk: one that reaches less has lost an event, not a fault.
FEWEST = {
    "alarms": 8000,
    "drills": 1400,
    "all lanes": 200,
    "inspections": 900,
    "two inspections": 1700,
    "one lane": 4000,
    "lost line": 1100,
}


@pytest.mark.parametrize("walk", exploration.WALKS)
def test_every_reachable_state_keeps_the_rules(walk: str) -> None:
    assert exploration.walk(walk) >= FEWEST[walk]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_rules_catch(mutant: str) -> None:
    assert exploration.caught(mutant)


def test_what_is_granted_in_which_state() -> None:
    granted = {state: {name for name, yes in row.items() if yes} for state, row in exploration.answers()}
    assert granted == {
        "starting": {"open", "drill"},
        "normal": {"open", "drill", "inspect"},
        "input lost": {"open", "drill"},
        "alarm, active": {"open"},
        "alarm, clear": {"open", "reset"},
        "opened by command": {"open", "reset", "inspect"},
        "drill": {"open", "drill", "reset", "inspect"},
        "relocking": {"open"},
        "inspection": {"open", "drill", "end inspection"},
        "inspection, active": {"open", "drill", "end inspection"},
    }


# A site of everything, with times that are not equal and events at any pace.
LANES = frozenset({"lane-1", "lane-2", "lane-3"})
SITE = Plan(
    inputs={
        "fire": InputPlan(Cause.FIRE, LANES, False),
        "loop": InputPlan(Cause.EARTHQUAKE, frozenset({"lane-2"}), True),
        "button": InputPlan(Cause.MANUAL, frozenset({"lane-1"}), False),
        "battery": InputPlan(Cause.POWER, LANES, False),
    },
    lanes={
        "lane-1": LanePlan(has_feedback=True),
        "lane-2": LanePlan(has_clear=True),
        "lane-3": LanePlan(has_feedback=True, has_clear=True),
    },
    reset_by=("sato", "mori"),
)

someone = st.sampled_from(["sato", "mori", "mallory", " "])
reasons = st.sampled_from(["because", " "])
words = st.sampled_from(["", "cut", "short", "undefined"])
inputs, lanes = st.sampled_from(sorted(SITE.inputs)), st.sampled_from(sorted(SITE.lanes))
some_lanes = st.frozensets(st.sampled_from([*sorted(SITE.lanes), "lane-9"]), max_size=2)
# Not so short that adding it to the time changes nothing.
durations = st.one_of(st.floats(1e-3, 5 * 3600), st.sampled_from([0.0, -1.0, float("nan"), float("inf")]))
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(InputSeen, inputs, st.booleans()),
    st.builds(InputSeen, inputs, st.none(), words),
    st.builds(FeedbackSeen, lanes, st.sampled_from([True, False, None])),
    st.builds(ClearSeen, lanes, st.sampled_from([True, False, None])),
    st.builds(OutputDriven, lanes, st.booleans()),
    st.builds(ResetRequested, someone, reasons),
    st.builds(OpenRequested, someone, reasons, some_lanes),
    st.builds(DrillRequested, someone, reasons, some_lanes),
    st.builds(InspectRequested, inputs, someone, reasons, durations),
    st.builds(InspectEnded, inputs, someone),
    st.sampled_from([exploration.FIRE_LATCHED, exploration.LOST]),
)
waits = st.one_of(st.just(0.0), st.floats(0, 12), st.floats(0, 4 * 3600))


@settings(max_examples=200, deadline=None)
@given(st.booleans(), st.lists(st.tuples(EVENTS, waits), max_size=40))
def test_any_history_at_any_pace_keeps_the_rules_and_replays_the_same(
    quiet: bool, steps: list[tuple[Event, float]]
) -> None:
    """`quiet`: every input is clear at first, so that what follows meets a release at work."""
    first: list[tuple[Event, float]] = [(InputSeen(name, False), 0.0) for name in SITE.inputs if quiet]

    def run(check: bool) -> list[list[Effect]]:
        machine, now, said = Machine(SITE, at(0)), 0.0, []
        for event, wait in first + steps:
            until = now + wait
            while (due := machine.next_deadline) is not None and due <= until:
                now = max(now, due)
                said.append(step(machine, Tick(), now, check))
            now = until
            said.append(step(machine, event, now, check))
        return said

    def step(machine: Machine, event: Event, now: float, check: bool) -> list[Effect]:
        before = copy(machine)
        effects = machine.handle(event, at(now))
        if check:
            check_step(before, event, effects, machine, now)
        return effects

    assert run(check=True) == run(check=False)
