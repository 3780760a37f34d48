"""`gatectl doctor`: what each output and input of the release does when something breaks, and what to mend.

It needs release.toml. Where gated-release answers, its live state counts; where gated.toml can be read,
the two files are held against each other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gated.config import load as load_gated
from gated.ctl.ask import release_state, show_json
from gated.ctl.table import table
from gated.errors import GatedError, StoreError
from gated.ports import ContactTraits, RelayTraits, Settings
from gated.release import latch
from gated.release.config import Device, ReleaseConfig, load
from gated.release.grades import Grade, InputFacts, InputGrades, OutputFacts, OutputGrades, input_, output
from gated.release.state import ReleaseState

WARNINGS = 3
UNIT = "gated-release.service"
ASK_MANAGER_S = 5.0


@dataclass(frozen=True)
class Findings:
    """What was found: grades by output ("board.channel") and by input, sentences, and whether it is live."""

    outputs: dict[str, tuple[str, OutputGrades]]
    inputs: dict[str, InputGrades]
    warnings: tuple[str, ...]
    live: bool

    @property
    def good(self) -> bool:
        """Nothing to mend."""
        grades = [g for _, all_ in self.outputs.values() for g in all_]
        grades += [g for found in self.inputs.values() for g in (found.cut, found.short, found.stale)]
        return not self.warnings and all(grade.good for grade in grades)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "good": self.good,
            "live": self.live,
            "outputs": {
                name: {"lane": lane, **{q: _plain(g) for q, g in grades._asdict().items()}}
                for name, (lane, grades) in self.outputs.items()
            },
            "inputs": {
                name: {
                    "cut": _plain(found.cut),
                    "short": _plain(found.short),
                    "stale": _plain(found.stale),
                    "then": found.then,
                }
                for name, found in self.inputs.items()
            },
            "warnings": list(self.warnings),
        }


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("doctor", help="grade each release output and input; exit 3: warnings")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings; 3 when there is something to mend."""
    found = look(args, load(args.release_config))
    if args.json:
        show_json(found.to_json())
    else:
        print("\n".join(lines(found)))
    return 0 if found.good else WARNINGS


def look(args: argparse.Namespace, config: ReleaseConfig) -> Findings:
    """Everything that can be found from here: configuration, live state, latches, gated.toml."""
    try:
        state, silence = release_state(args), ""
    except GatedError as error:
        state, silence = None, str(error)
    warnings = [*_live(state, silence), *_latches(config), *_beside_gated(args, config)]
    return examine(config, state, manager_watchdog_s(), warnings)


def examine(
    config: ReleaseConfig, state: ReleaseState | None, watchdog_s: float | None, others: Iterable[str] = ()
) -> Findings:
    """Grade a configuration; `state` is the live one, `others` are warnings found elsewhere."""
    outputs = {}
    for (name, channel), coil in config.coils.items():
        traits = _traits(config.devices[name])
        known = traits if isinstance(traits, RelayTraits) else None
        facts = OutputFacts(coil.energised_opens, known, _survivor(state, name), watchdog_s)
        outputs[f"{name}.{channel}"] = (coil.lane, output(facts))
    inputs = {}
    for (name, _), wire in config.wires.items():
        if wire.kind == "input":
            plan = config.plan.inputs[wire.name]
            traits = _traits(config.devices[name])
            told = traits if isinstance(traits, ContactTraits) else None
            fault_after_s = config.plan.times.fault_after_s
            facts_in = InputFacts(wire.closed_means, plan.open_on_fault, told, fault_after_s)
            inputs[wire.name] = input_(facts_in)
    warnings = dict.fromkeys([*_shared(config), *others, *config.warnings])
    return Findings(outputs, inputs, tuple(warnings), state is not None)


def _survivor(state: ReleaseState | None, board: str) -> bool | None:
    """Whether the survivor opens this board, as things are now."""
    return None if state is None else state.outlived_by != 0 and board not in state.unbequeathed


def _traits(device: Device) -> RelayTraits | ContactTraits | None:
    return device.driver.traits(device.settings) if device.driver.traits else None


def _shared(config: ReleaseConfig) -> Iterator[str]:
    """What one failure takes with it, and what nobody sees."""
    boards: dict[str, set[str]] = {}
    for (name, _), coil in config.coils.items():
        boards.setdefault(name, set()).add(coil.lane)
    for name, lanes in boards.items():
        if len(lanes) > 1:
            yield f"board {name} releases {', '.join(sorted(lanes))}: one failure of it takes them all"
    ports: dict[str, set[str]] = {}
    for name, device in config.devices.items():
        port = getattr(device.settings, "port", None)
        if isinstance(port, str):
            ports.setdefault(port, set()).add(name)
    read = {name for (name, _), wire in config.wires.items() if wire.kind == "input"}
    for port, names in ports.items():
        if names & read and names & boards.keys():
            yield (
                f"inputs and outputs share one line ({', '.join(sorted(names))} on {port}): "
                "its failure blinds the release and ties its hands; each command waits for a reading"
            )
    for lane, plan in config.plan.lanes.items():
        if not plan.has_feedback:
            yield f"lane {lane} has no open_feedback: whether it opened, only its board says"
        if not plan.has_clear:
            yield f"lane {lane} has no lane_clear: it is relocked whether or not somebody stands in it"


def _live(state: ReleaseState | None, silence: str) -> Iterator[str]:
    if state is None:
        yield f"gated-release does not answer, graded by the configuration alone: {silence}"
        return
    if not state.armed:
        yield f"the release is not armed: {state.phase}"
    if not state.realtime:
        yield "no real-time priority: a busy box delays the release (LimitRTPRIO of its unit)"
    if not state.memory_locked:
        yield "its memory is not locked: swapping delays the release (LimitMEMLOCK of its unit)"
    if not state.outlived_by:
        yield "no survivor: nobody opens at once when the process dies or hangs"
    yield from state.faults
    yield from state.warnings
    for inspection in state.inspections:
        yield f"{inspection.input} is being inspected and opens nothing until {inspection.until}"
    for name, entry in state.inputs.items():
        if entry.state not in ("clear", "active"):
            yield f"input {name}: {entry.state}"
    yield from state.notes


def _latches(config: ReleaseConfig) -> Iterator[str]:
    """Both copies of the latch, where this user may read them: they must agree."""
    said: dict[str, Any] = {}
    for directory in dict.fromkeys((config.state_dir, config.socket.parent)):
        try:
            found = latch.read(directory)
        except StoreError as error:
            if "Permission denied" not in str(error):
                yield f"latch in {directory}: {error}"
            continue
        said[str(directory)] = None if found is None else dict(found)
    kept = {where: entries for where, entries in said.items() if entries is not None}
    if kept and len(kept) < len(said):
        missing = ", ".join(where for where in said if where not in kept)
        yield f"the latch is kept in one place only: there is none in {missing}"
    if len(kept) == 2 and len({tuple(sorted(map(str, entries))) for entries in kept.values()}) > 1:
        yield f"the two copies of the latch differ: {' and '.join(kept)}"


def _beside_gated(args: argparse.Namespace, config: ReleaseConfig) -> Iterator[str]:
    """gated.toml against release.toml, where there is one."""
    if not args.config.exists():
        return
    try:
        gated = load_gated(args.config)
    except GatedError as error:
        yield f"gated.toml cannot be held against it: {' '.join(str(error).split())[:200]}"
        return
    for lane in gated.plan.lanes.keys() - config.plan.lanes.keys():
        yield f"lane {lane} of {args.config.name} has no output in {config.source.name}: no alarm opens it"
    if gated.site.release_socket is None or gated.site.release_socket.resolve() != config.socket.resolve():
        yield f"gated does not listen to this release: its site.release_socket is not {config.socket}"
    ours = {_port(device.settings) for device in config.devices.values()} - {None}
    for name, device in gated.devices.items():
        if _port(device.settings) in ours:
            yield f"{name} of {args.config.name} uses a port of the release: only one of them can open it"


def _port(settings: Settings) -> str | None:
    """The port of a device, whatever its configuration calls it."""
    port = getattr(settings, "port", None)
    if not isinstance(port, str):
        return None
    return port if "://" in port else os.path.realpath(port)


def manager_watchdog_s() -> float | None:
    """The watchdog that the service manager keeps on gated-release, seconds; None where it cannot say."""
    try:
        ran = subprocess.run(
            ["systemctl", "show", UNIT, "--property=WatchdogUSec", "--value"],
            capture_output=True,
            text=True,
            timeout=ASK_MANAGER_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _seconds(ran.stdout.strip())


def _seconds(words: str) -> float | None:
    """systemd's way to write a time: "2s", "1min 30s", "500ms"; None for none."""
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
    total = 0.0
    for word in words.split():
        number = word.rstrip("abcdefghijklmnopqrstuvwxyz")
        if word[len(number) :] not in units:
            return None
        total += float(number) * units[word[len(number) :]]
    return total or None


# For people


def lines(found: Findings) -> list[str]:
    """The findings as tables, then a sentence for each grade that is not good, then the warnings."""
    out = ["Does the lane open?", ""]
    out += table(
        ("OUTPUT", "LANE", "POWER LOST", "KILLED", "HUNG", "CABLE CUT"),
        [(name, lane, *map(str, grades)) for name, (lane, grades) in found.outputs.items()],
    )
    out += ["", "Is it seen?", ""]
    out += table(
        ("INPUT", "CUT", "SHORT", "SILENT", "A FAULT THEN"),
        [(n, str(i.cut), str(i.short), str(i.stale), i.then) for n, i in found.inputs.items()],
    )
    poor: dict[str, list[str]] = {}
    for name, (_, grades) in found.outputs.items():
        for question, grade in grades._asdict().items():
            if not grade.good:
                poor.setdefault(f"{question}: {grade}, {grade.why}", []).append(name)
    for name, entry in found.inputs.items():
        for question in ("cut", "short", "stale"):
            grade = getattr(entry, question)
            if not grade.good:
                poor.setdefault(f"{question}: {grade}, {grade.why}", []).append(name)
    out += ["", *(f"WARNING  {', '.join(names)}: {text}" for text, names in poor.items())]
    out += [f"WARNING  {warning}" for warning in found.warnings]
    return [*out, "nothing to mend" if found.good else "graded by what is known of the boards, not measured"]


def _plain(grade: Grade) -> dict[str, Any]:
    return {k: v for k, v in grade._asdict().items() if v is not None}
