"""Every reachable state of the machine under several sets of events, and the mutants that must not survive.

`python -m tests.release.exploration` prints the tables.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from gated.release.machine import Machine
from gated.release.words import (
    BY_DRILL,
    Cause,
    ClearSeen,
    DrillRequested,
    Event,
    FeedbackSeen,
    InputPlan,
    InputSeen,
    InspectEnded,
    InspectRequested,
    LanePlan,
    Latched,
    LatchRestored,
    LatchUnreadable,
    OpenRequested,
    OutputDriven,
    Plan,
    Request,
    ResetRequested,
    Source,
    Tick,
    Times,
)
from tests.release.explore import at, explore
from tests.release.mutants import MUTANTS
from tests.release.rules import check_step

# All times are equal, so that deadlines and events come in every order; an inspection may last twice that.
TIMES = Times(
    relock_warning_s=1,
    relock_interval_s=1,
    confirm_s=1,
    fault_after_s=1,
    start_within_s=1,
    inspect_max_s=2,
)
BOTH = frozenset({"lane-1", "lane-2"})
LANE_1, LANE_2 = frozenset({"lane-1"}), frozenset({"lane-2"})

# Fire maps to both lanes and holds on a fault; the loop maps to lane 2 and opens when it is lost.
FIRE = InputPlan(Cause.FIRE, BOTH, False)
LOOP = InputPlan(Cause.EARTHQUAKE, LANE_2, True)
BUTTON = InputPlan(Cause.MANUAL, LANE_1, False)
BATTERY = InputPlan(Cause.POWER, LANE_1, False)
LANES = {"lane-1": LanePlan(), "lane-2": LanePlan(has_clear=True)}


def latch(source: Source, lanes: frozenset[str]) -> LatchRestored:
    return LatchRestored(((source, Latched("2026-11-23", lanes)),))


def seen(*names: str, lost: tuple[str, ...] = ()) -> list[Event]:
    events: list[Event] = [InputSeen(name, active) for name in names for active in (True, False)]
    return events + [InputSeen(name, None) for name in lost]


RESETS: list[Event] = [
    ResetRequested("sato", "false alarm"),
    ResetRequested("sato", " "),
    ResetRequested("mallory", "let me"),
]
CLEAR: list[Event] = [ClearSeen("lane-2", True), ClearSeen("lane-2", False)]
FIRE_LATCHED = latch(Source("fire", Cause.FIRE), LANE_1)
LOST = LatchUnreadable("its checksum does not match")


class Walk(NamedTuple):
    """A site, the ways in which it may begin, and what may happen at any time."""

    plan: Plan
    starts: list[Event]
    events: list[Event]


WALKS = {
    "alarms": Walk(
        Plan({"fire": FIRE, "loop": LOOP}, LANES, ("sato",), TIMES),
        [Tick(), FIRE_LATCHED, LOST],
        [*seen("fire", "loop", lost=("fire", "loop")), *CLEAR, *RESETS],
    ),
    "drills": Walk(
        Plan({"battery": BATTERY}, LANES, ("sato",), TIMES),
        [Tick(), latch(BY_DRILL, LANE_2), LOST],
        [
            *seen("battery", lost=("battery",)),
            *CLEAR,
            RESETS[0],
            OpenRequested("anybody", "smoke in the lobby", LANE_1),
            OpenRequested("anybody", "smoke", LANE_2 | {"lane-9"}),
            OpenRequested("anybody", " "),
            OpenRequested(" ", "smoke"),
            DrillRequested("sato", "evacuation drill"),
            DrillRequested("sato", "monthly test of an output", LANE_2),
            DrillRequested("sato", "monthly test", frozenset({"lane-9"})),
            DrillRequested("sato", ""),
            DrillRequested("mallory", "let me"),
        ],
    ),
    "all lanes": Walk(
        Plan({"battery": BATTERY}, LANES, ("sato",), TIMES),
        [Tick()],
        [
            *seen("battery"),
            RESETS[0],
            CLEAR[0],
            OpenRequested("anybody", "smoke"),
            DrillRequested("sato", "evacuation drill"),
        ],
    ),
    "inspections": Walk(
        Plan({"loop": LOOP, "button": BUTTON}, LANES, ("sato",), TIMES),
        [Tick(), latch(Source("loop", Cause.FAULT), LANE_2)],
        [
            *seen("loop", "button", lost=("loop",)),
            CLEAR[0],
            RESETS[0],
            InspectRequested("loop", "sato", "yearly inspection", 2),
            InspectRequested("loop", "sato", "all week", 9),
            InspectRequested("loop", "sato", " ", 1),
            InspectRequested("loop", "mallory", "let me", 1),
            InspectRequested("button", "sato", "it is pressed by children", 1),
            InspectEnded("loop", "sato"),
            InspectEnded("loop", "mallory"),
        ],
    ),
    "two inspections": Walk(
        Plan({"fire": FIRE, "loop": LOOP}, {"lane-1": LanePlan(), "lane-2": LanePlan()}, ("sato",), TIMES),
        [Tick()],
        [
            *seen("fire", "loop", lost=("loop",)),
            RESETS[0],
            InspectRequested("loop", "sato", "yearly inspection", 2),
            InspectRequested("fire", "sato", "yearly inspection", 1),
            InspectEnded("fire", "sato"),
            DrillRequested("sato", "shown to the inspector", LANE_1),
        ],
    ),
    "one lane": Walk(
        Plan(
            {"fire": InputPlan(Cause.FIRE, LANE_1, False)},
            {"lane-1": LanePlan(has_feedback=True, has_clear=True)},
            ("sato",),
            TIMES,
        ),
        [Tick(), latch(Source("fire", Cause.FIRE), LANE_1), LOST],
        [
            *seen("fire", lost=("fire",)),
            *(FeedbackSeen("lane-1", is_open) for is_open in (True, False, None)),
            *(ClearSeen("lane-1", clear) for clear in (True, False)),
            *(OutputDriven("lane-1", driven) for driven in (True, False)),
            *RESETS,
            DrillRequested("sato", "monthly test of an output"),
        ],
    ),
    "lost line": Walk(
        Plan({"loop": LOOP}, LANES, ("sato",), TIMES),
        [latch(Source("loop", Cause.EARTHQUAKE), LANE_1), LOST],
        [
            *seen("loop"),
            *(InputSeen("loop", None, word) for word in ("", "cut", "short")),
            *CLEAR,
            RESETS[0],
        ],
    ),
}


def walk(name: str, machine: type[Machine] = Machine) -> int:
    """Explore one of WALKS and return how many states it has; AssertionError where a rule is broken."""
    return explore(*WALKS[name], check_step, machine)


def caught(mutant: str) -> bool:
    """Whether the rules notice this one of MUTANTS, in the walk that must."""
    name, machine = MUTANTS[mutant]
    try:
        walk(name, machine)
    except AssertionError:
        return True
    return False


class Explored(NamedTuple):
    """One walk: its states, each of them checked, and the mutants caught in it of those that must be."""

    name: str
    states: int
    events: int
    killed: int
    mutants: int
    seconds: float


def report() -> Iterator[Explored]:
    """Explore everything. Raises AssertionError when the machine itself breaks a rule."""
    for name, (_, _, events) in WALKS.items():
        began = time.monotonic()
        states = walk(name)
        mine = [mutant for mutant, (where, _) in MUTANTS.items() if where == name]
        killed = sum(caught(mutant) for mutant in mine)
        yield Explored(name, states, len(events) + 1, killed, len(mine), time.monotonic() - began)


def answers() -> Iterator[tuple[str, dict[str, bool]]]:
    """In which state which request is granted to a named person with a reason."""
    quiet: list[Event] = [InputSeen("loop", False), InputSeen("button", False), CLEAR[0]]
    reset = RESETS[0]
    drill = DrillRequested("sato", "evacuation drill")
    over: list[Event] = [InputSeen("loop", True), InputSeen("loop", False)]
    inspect = InspectRequested("loop", "sato", "yearly inspection", 1)
    states: dict[str, list[Event]] = {
        "starting": [],
        "normal": quiet,
        "input lost": [*quiet, InputSeen("loop", None)],
        "alarm, active": [*quiet, InputSeen("loop", True)],
        "alarm, clear": [*quiet, *over],
        "opened by command": [*quiet, OpenRequested("sato", "smoke")],
        "drill": [*quiet, drill],
        "relocking": [*quiet, *over, reset],
        "inspection": [*quiet, inspect],
        "inspection, active": [*quiet, inspect, InputSeen("loop", True)],
    }
    asked: dict[str, Request] = {
        "open": OpenRequested("anybody", "smoke"),
        "drill": drill,
        "reset": ResetRequested("sato", "false alarm"),
        "inspect": inspect,
        "inspect manual": InspectRequested("button", "sato", "yearly inspection", 1),
        "end inspection": InspectEnded("loop", "sato"),
    }
    for state, events in states.items():
        machine = Machine(WALKS["inspections"].plan, at(0.0))
        for event in events:
            machine.handle(event, at(0.0))
        yield state, {name: not machine.refusals(request) for name, request in asked.items()}


def main() -> int:
    """Print the tables; 1 when a mutant survived."""
    for state, granted in answers():
        print(
            f"{state:20}" + "  ".join(f"{name}: {'yes' if yes else '-':4}" for name, yes in granted.items())
        )
    print()
    print(f"{'plan':18}{'states':>9}{'events':>8}{'mutants killed':>17}{'seconds':>9}")
    rows = []
    for row in report():
        rows.append(row)
        killed = f"{row.killed} of {row.mutants}"
        print(f"{row.name:18}{row.states:9}{row.events:8}{killed:>17}{row.seconds:9.1f}", flush=True)
    states, killed, mutants = (
        sum(n) for n in zip(*((r.states, r.killed, r.mutants) for r in rows), strict=True)
    )
    print(f"{'all':18}{states:9}{'':8}{f'{killed} of {mutants}':>17}")
    return 0 if killed == mutants else 1


if __name__ == "__main__":
    sys.exit(main())
