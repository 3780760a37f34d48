"""The machine, every reachable state of it, and proof that the rules would notice a broken one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gated.release.machine import Machine
from gated.release.words import (
    Audit,
    Cause,
    ClearSeen,
    Command,
    Effect,
    Event,
    FeedbackSeen,
    InputPlan,
    InputSeen,
    InputState,
    LanePlan,
    Latched,
    LatchRestored,
    LatchUnreadable,
    Now,
    OutputDriven,
    Plan,
    Reset,
    ResetRequested,
    Source,
    Tick,
    Times,
)
from tests.release.explore import at, copy, explore
from tests.release.rules import check_step

TIMES = Times(relock_warning_s=1, relock_interval_s=1, confirm_s=1, fault_after_s=1, start_within_s=1)

# Fire maps to both lanes and holds on a fault; the loop maps to lane 2 and opens when it is lost.
TWO_LANES = Plan(
    inputs={
        "fire": InputPlan(Cause.FIRE, frozenset({"lane-1", "lane-2"}), False),
        "loop": InputPlan(Cause.EARTHQUAKE, frozenset({"lane-2"}), True),
    },
    lanes={"lane-1": LanePlan(), "lane-2": LanePlan(has_clear=True)},
    reset_by=("sato",),
    times=TIMES,
)
ONE_LANE = Plan(
    inputs={"fire": InputPlan(Cause.FIRE, frozenset({"lane-1"}), False)},
    lanes={"lane-1": LanePlan(has_feedback=True, has_clear=True)},
    reset_by=("sato",),
    times=TIMES,
)


STARTS: list[Event] = [
    Tick(),
    LatchRestored(((Source("fire", Cause.FIRE), Latched("2026-11-23", frozenset({"lane-1"}))),)),
    LatchUnreadable("its checksum does not match"),
]


def possible(plan: Plan) -> list[Event]:
    events: list[Event] = [InputSeen(name, active) for name in plan.inputs for active in (True, False, None)]
    for name, lane in plan.lanes.items():
        if lane.has_feedback:
            events += [FeedbackSeen(name, is_open) for is_open in (True, False, None)]
        if lane.has_clear:
            events += [ClearSeen(name, clear) for clear in (True, False)]
    return [
        *events,
        ResetRequested("sato", "drill is over"),
        ResetRequested("sato", " "),
        ResetRequested("mallory", "let me"),
    ]


DRIVEN = [OutputDriven("lane-1", driven) for driven in (True, False)]


def test_every_state_of_two_inputs_and_two_lanes_keeps_the_rules() -> None:
    assert explore(TWO_LANES, STARTS, possible(TWO_LANES), check_step) > 1000


def test_every_state_of_a_lane_with_feedback_and_failing_outputs_keeps_the_rules() -> None:
    assert explore(ONE_LANE, STARTS, [*possible(ONE_LANE), *DRIVEN], check_step) > 200


ANYTHING = [*possible(TWO_LANES), *STARTS, *DRIVEN]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*possible(TWO_LANES), *STARTS, *DRIVEN]), st.floats(0, 7)), max_size=40
    )
)
def test_any_history_at_any_pace_keeps_the_rules_and_replays_the_same(
    steps: list[tuple[Event, float]],
) -> None:
    def run() -> list[list[Effect]]:
        machine, now, said = Machine(TWO_LANES, at(0)), 0.0, []
        for event, wait in steps:
            until = now + wait
            while (due := machine.next_deadline) is not None and due <= until:
                now = max(now, due)
                said.append(step(machine, Tick(), now))
            now = until
            said.append(step(machine, event, now))
        return said

    def step(machine: Machine, event: Event, now: float) -> list[Effect]:
        before = copy(machine)
        effects = machine.handle(event, at(now))
        check_step(before, event, effects, machine)
        return effects

    assert run() == run()


# Mutants: each is a plausible mistake; the rules must catch every one of them.


class Mutant(Machine):
    """A machine with one method replaced."""


def mutant(**methods: Any) -> type[Machine]:
    return type("Mutant", (Machine,), methods)


def clears_when_quiet(self: Machine, name: str, active: bool | None, now: Now, after: list[Effect]) -> None:
    Machine._input_seen(self, name, active, now, after)
    if active is False:
        self.latched.pop(Source(name, self.plan.inputs[name].cause), None)


def clears_on_restart(self: Machine, latched: Any, after: list[Effect]) -> None:
    self.latched.clear()


def resets_without(reason: str) -> Callable[[Machine, str, str], list[str]]:
    def refusals(self: Machine, by: str, why: str) -> list[str]:
        return [r for r in Machine.reset_refusals(self, by, why) if reason not in r]

    return refusals


def secures_all(self: Machine, now: Now, drive: list[Effect], after: list[Effect]) -> None:
    for _ in self.plan.lanes:
        Machine._relock_one(self, now, drive, after)


def skips_warning(self: Machine, asked: ResetRequested, now: Now, after: list[Effect]) -> None:
    Machine._reset(self, asked, now, after)
    if self.reset:
        self.reset = self.reset._replace(next_at=now.monotonic)


def forgets_lanes_relocked(self: Machine, source: Source, now: Now, after: list[Effect]) -> None:
    if source not in self.latched:
        Machine._latch(self, source, now, after)


def keeps_relocking(self: Machine, source: Source, now: Now, after: list[Effect]) -> None:
    reset = self.reset
    Machine._latch(self, source, now, after)
    self.reset = reset


def ignores_loss(self: Machine, name: str, state: InputState, after: list[Effect]) -> None:
    self.inputs[name] = state._replace(active=False)


def takes_loss_for_clear(
    self: Machine, name: str, active: bool | None, now: Now, after: list[Effect]
) -> None:
    Machine._input_seen(self, name, bool(active), now, after)


def opens_first_lane_only(self: Machine, drive: list[Effect]) -> None:
    said: list[Effect] = []
    Machine._open_latched(self, said)
    drive += said[:1]


def opens_without_a_word(self: Machine, drive: list[Effect]) -> None:
    for name in self.open_lanes:
        self.lanes[name] = self.lanes[name]._replace(command=Command.OPEN)


def starts_early(self: Machine, now: Now, drive: list[Effect], after: list[Effect]) -> None:
    self._start(drive)
    Machine._settle(self, now, drive, after)


def shuts_everything_at_start(self: Machine, drive: list[Effect]) -> None:
    for name in self.lanes:
        self.lanes[name] = self.lanes[name]._replace(command=Command.NONE)
    Machine._start(self, drive)


def never_looks(self: Machine, lane: str) -> bool:
    return True


def says_first(self: Machine, event: Event, now: Now) -> list[Effect]:
    return sorted(Machine.handle(self, event, now), key=lambda e: not isinstance(e, Audit))


def writes_no_latch(self: Machine, event: Event, now: Now) -> list[Effect]:
    return [e for e in Machine.handle(self, event, now) if type(e).__name__ != "WriteLatch"]


def timer_ends_alarm(self: Machine, event: Event, now: Now) -> list[Effect]:
    if isinstance(event, Tick) and self.latched:
        self.latched.popitem()
    return Machine.handle(self, event, now)


def starts_relocking_alone(self: Machine, event: Event, now: Now) -> list[Effect]:
    effects = Machine.handle(self, event, now)
    if self.latched and self.all_clear and self.reset is None:
        self.reset = Reset("nobody", "quiet", now.monotonic + 1)
    return effects


MUTANTS: dict[str, type[Machine]] = {
    "the panel going quiet ends the alarm": mutant(_input_seen=clears_when_quiet),
    "a restart ends the alarm": mutant(_restore=clears_on_restart),
    "a reset while a cause is active": mutant(reset_refusals=resets_without("still active")),
    "a reset while an input is unread": mutant(reset_refusals=resets_without("cannot be read")),
    "a reset by anybody": mutant(reset_refusals=resets_without("is not one of")),
    "a reset without a reason": mutant(reset_refusals=resets_without("needs its reason")),
    "a reset of nothing": mutant(reset_refusals=resets_without("nothing is latched")),
    "a reset nobody hears refused": mutant(_reset=lambda self, asked, now, after: None),
    "all lanes at once": mutant(_relock_one=secures_all),
    "no warning": mutant(_reset=skips_warning),
    "an alarm again leaves relocked lanes shut": mutant(_latch=forgets_lanes_relocked),
    "relocking goes on under an alarm": mutant(_latch=keeps_relocking),
    "an alarm latches nothing": mutant(_latch=lambda self, source, now, after: None),
    "a lost loop counts as clear": mutant(_input_fault=ignores_loss),
    "a lost input counts as clear": mutant(_input_seen=takes_loss_for_clear),
    "one lane only": mutant(_open_latched=opens_first_lane_only),
    "opening is not commanded": mutant(_open_latched=opens_without_a_word),
    "may shut before the inputs were read": mutant(_settle=starts_early),
    "starting shuts an open lane": mutant(_start=shuts_everything_at_start),
    "shuts on somebody": mutant(_clear=never_looks),
    "talks before it opens": mutant(handle=says_first),
    "the latch stays in memory": mutant(handle=writes_no_latch),
    "a timer ends the alarm": mutant(handle=timer_ends_alarm),
    "relocks by itself": mutant(handle=starts_relocking_alone),
    "a lost latch is no alarm": mutant(open_lanes=property(lambda self: frozenset())),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_rules_catch(name: str) -> None:
    with pytest.raises(AssertionError):
        explore(TWO_LANES, STARTS, possible(TWO_LANES), check_step, MUTANTS[name])
