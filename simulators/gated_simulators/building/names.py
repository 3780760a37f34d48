"""Whether everything a scenario names is there: what does not exist is never seen, whatever happens."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from gated_simulators.building import commands
from gated_simulators.building.scenario import OWN, Expect, Scenario
from gated_simulators.building.wiring import Wiring


def strangers(scenario: Scenario, wiring: Wiring) -> list[str]:
    """A sentence for each name of the scenario that this site does not have."""
    return [
        f"{where}: no {kind} is called {name!r}{_hint(name, known)}"
        for where, kind, name, known in _named(scenario, _Names(wiring))
        if name not in known
    ]


def _hint(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known)) or 'none'}"


class _Names:
    """The names of a site, by what they are names of."""

    def __init__(self, wiring: Wiring) -> None:
        lanes = {lane.id for lane in wiring.lanes}
        alarms = {alarm.name for alarm in wiring.alarms}
        lines = set(wiring.lines)
        outputs = {*wiring.outputs, *wiring.signals}
        coils = {f"{lane.id}.{role}" for lane in wiring.lanes for role in lane.all_coils()}
        self.by_subject: dict[str, tuple[str, set[str]]] = {
            "coil": ("coil", coils),
            "lamp": ("lamp", {c.replace(".signal_", ".") for c in coils if ".signal_" in c}),
            "beam": ("beam", {f"{lane}.{end}" for lane in lanes for end in ("entry", "exit")}),
            "contact": ("contact", lines),
            "signal": ("signal", set(wiring.signals)),
            "input": ("input", alarms),
            "inspected": ("input", alarms),
            "latched": ("input", alarms | {"gatectl", "drill", "latch-file"}),
            "device": ("device", set(wiring.devices)),
            "unmoved": ("lane or coil", lanes | coils),
            **dict.fromkeys(
                (
                    *("flap", "passed", "turned_back", "forced", "held", "observed", "by_hand", "opened"),
                    *("relocked", "lane"),
                ),
                ("lane", lanes),
            ),
            "access_point": (
                "access point",
                {name for lane in wiring.lanes for names in lane.readers.values() for name in names},
            ),
        }
        self.by_argument: dict[str, tuple[str, set[str]]] = {
            "lane": ("lane", lanes),
            "device": ("device", set(wiring.devices)),
            "contact": ("alarm contact", alarms | {alarm.cause for alarm in wiring.alarms}),
            "line": ("line", lines),
            "what": ("device or line", set(wiring.devices) | lines),
            "output": ("output", outputs),
        }


def _named(scenario: Scenario, names: _Names) -> Iterator[tuple[str, str, str, set[str]]]:
    """Where, as what, by which name, and the names there are."""
    for number, step in enumerate(scenario.step):
        for act in step.do:
            if not OWN.match(act):
                for key, value in vars(commands.parse(act)).items():
                    if key in names.by_argument:
                        yield f"step.{number}.do", names.by_argument[key][0], value, names.by_argument[key][1]
        for index, expect in enumerate(step.expect):
            for key, value in _of(expect, names.by_subject):
                kind, known = names.by_subject[key]
                yield f"step.{number}.expect.{index}", kind, value, known


def _of(expect: Expect, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    for key in keys:
        value = getattr(expect, key)
        for name in value if isinstance(value, list) else [] if value is None else [value]:
            yield key, name
