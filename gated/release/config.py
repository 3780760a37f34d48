"""The configuration of the emergency release: TOML, checked whole, every error at once.

It is a file of its own: the release needs nothing of the gate daemon's configuration.
"""

# Over 300 lines: the checks across the tables of one file format.

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel

from gated import registry
from gated.errors import ConfigError, GatedError
from gated.ports import Driver, Kind, Settings
from gated.release.tables import (
    DEFAULT_SOCKET,
    InputTable,
    MonitorTable,
    Occasion,
    OutputTable,
    ReleaseTable,
    Says,
    SignalTable,
)
from gated.release.words import Cause, InputPlan, LanePlan, Plan, Times
from gated.settings_file import check, near, read_toml

M = TypeVar("M", bound=BaseModel)

TABLES = ("release", "devices", "inputs", "outputs", "monitors", "signals")
OPTIONAL = ("monitors", "signals")
SENSES = {"open_feedback": ("open", "shut"), "lane_clear": ("clear", "occupied")}


class Device(NamedTuple):
    """A configured device: its driver and its own settings."""

    driver: Driver
    settings: Settings


class Wire(NamedTuple):
    """A contact: what it tells of (an input, a lane or a monitor), and what `closed` means for that."""

    kind: Literal["input", "open", "clear", "monitor"]
    name: str
    closed_means: bool


class Coil(NamedTuple):
    """A relay output: the lane it releases, and whether energising opens."""

    lane: str
    energised_opens: bool


class Signal(NamedTuple):
    """A lamp or a buzzer on a relay: when it is on, and whether energising turns it on."""

    name: str
    on: Occasion
    energised_on: bool


Line = tuple[str, int]
"""A device's name and a channel of it."""


class ReleaseConfig(NamedTuple):
    """Everything `gated-release` was told, checked. Paths are relative to the working directory."""

    source: Path
    state_dir: Path
    socket: Path
    realtime_priority: int
    plan: Plan
    devices: dict[str, Device]
    wires: dict[Line, Wire]
    coils: dict[Line, Coil]
    monitors: dict[str, Says]
    signals: dict[Line, Signal]
    link_test_days: int
    output_test_days: int
    warnings: tuple[str, ...]


class _Draft:
    """What is known while checking, and every problem found."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.problems: list[str] = []
        self.devices: dict[str, Device] = {}
        self.owners: dict[tuple[str, int, Kind], str] = {}

    def model(self, model: type[M], tables: Any, at: str) -> M | None:
        """Validate the tables; None, and the problems kept, where they are not good."""
        found, problems = check(model, tables, at)
        self.problems += problems
        return found


def load(path: Path) -> ReleaseConfig:
    """Read and check the file. Raises ConfigError with every problem, one sentence each."""
    tables = read_toml(path)
    draft = _Draft(path.parent)
    for key in tables.keys() - set(TABLES):
        draft.problems.append(f"{key}: there is no such table; {near(key, TABLES)}")
    release = draft.model(ReleaseTable, tables.get("release", {}), "release")
    named = {name: _device(draft, name, table) for name, table in _tables(draft, tables, "devices")}
    draft.devices = {name: device for name, device in named.items() if device}
    _check_ports(draft)
    inputs = _models(draft, InputTable, tables, "inputs")
    outputs = _models(draft, OutputTable, tables, "outputs")
    monitors = _models(draft, MonitorTable, tables, "monitors")
    signals = _models(draft, SignalTable, tables, "signals")
    for name, output in outputs.items():
        _check_output(draft, set(named), name, output)
    meant = _lanes_meant(tables)
    for name, entry in inputs.items():
        _check_input(draft, set(named), meant, name, entry)
    for name, monitor in monitors.items():
        _line(draft, set(named), f"monitors.{name}", (monitor.device, monitor.channel), Kind.CONTACT)
    for name, signal in signals.items():
        _line(draft, set(named), f"signals.{name}", (signal.device, signal.channel), Kind.RELAY)
    if draft.problems or release is None:
        raise ConfigError(str(path), draft.problems)
    lanes = list(dict.fromkeys(output.lane or name for name, output in outputs.items()))
    plan = _plan(release, inputs, outputs, lanes)
    return ReleaseConfig(
        source=path,
        state_dir=path.parent / release.state_dir,
        socket=path.parent / release.socket,
        realtime_priority=release.realtime_priority,
        plan=plan,
        devices=draft.devices,
        wires=_wires(inputs, outputs, monitors),
        coils={(o.device, o.channel): Coil(o.lane or n, o.energised == "open") for n, o in outputs.items()},
        monitors={name: monitor.says for name, monitor in monitors.items()},
        signals={(s.device, s.channel): Signal(n, s.on, s.energised == "on") for n, s in signals.items()},
        link_test_days=release.link_test_days,
        output_test_days=release.output_test_days,
        warnings=tuple(_warnings(draft.devices, plan, inputs, outputs)),
    )


def socket_path(path: Path) -> Path:
    """Where the release answers, by its file; for those who only want to ask. Raises ConfigError."""
    release = read_toml(path).get("release", {})
    where = release.get("socket") if isinstance(release, dict) else None
    return path.parent / (where if isinstance(where, str) else DEFAULT_SOCKET)


def _tables(draft: _Draft, tables: dict[str, Any], section: str) -> list[tuple[str, Any]]:
    found = tables.get(section)
    if section in OPTIONAL and section not in tables:
        return []
    if not found or not isinstance(found, dict):
        draft.problems.append(f"{section}: is required: at least one [{section}.NAME]")
        return []
    return list(found.items())


def _models(draft: _Draft, model: type[M], tables: dict[str, Any], section: str) -> dict[str, M]:
    found = {n: draft.model(model, t, f"{section}.{n}") for n, t in _tables(draft, tables, section)}
    return {name: value for name, value in found.items() if value is not None}


def _ports_from(base: Path, table: dict[str, Any]) -> dict[str, Any]:
    """The table with each relative `port`, also in the tables within it, made relative to `base`."""
    values = {key: _ports_from(base, one) if isinstance(one, dict) else one for key, one in table.items()}
    port = values.get("port")
    if isinstance(port, str) and "://" not in port:
        values["port"] = str(base / port)
    return values


def _device(draft: _Draft, name: str, table: Any) -> Device | None:
    at = f"devices.{name}"
    if not isinstance(table, dict) or not isinstance(table.get("driver"), str):
        draft.problems.append(f"{at}.driver: is required and missing: the name of a driver")
        return None
    try:
        driver = registry.find(table["driver"])
    except GatedError as error:
        draft.problems.append(f"{at}.driver: {error}")
        return None
    values = _ports_from(draft.base, {key: value for key, value in table.items() if key != "driver"})
    settings = draft.model(driver.settings, values, at)
    return Device(driver, settings) if settings else None


def _line(draft: _Draft, known: set[str], at: str, line: Line, kind: Kind) -> None:
    """Check that the device exists, is of this kind, has the channel, and that nothing else owns it."""
    name, channel = line
    if name not in known:
        draft.problems.append(f"{at}.device: no device is called {name!r}; {near(name, known)}")
        return
    owner = draft.owners.setdefault((name, channel, kind), at)
    if owner != at:
        draft.problems.append(f"{at}.channel: channel {channel} of {name} belongs to {owner} already")
    device = draft.devices.get(name)
    if device is None:
        return
    if device.driver.kind is not kind:
        text = f"{at}.device: {name} has no {kind} driver ({device.driver.kind}); it cannot be used here"
        draft.problems.append(text)
        return
    channels = _channels(device.settings)
    if channels is not None and channel not in channels:
        listed = ", ".join(str(c) for c in sorted(channels))
        draft.problems.append(
            f"{at}.channel: {name} is not configured for channel {channel} (it has {listed})"
        )


def _channels(settings: Settings) -> set[int] | None:
    """The channels a device is configured for, where its settings list them, or count them from 1.

    A driver whose boards count otherwise says so by `numbers`.
    """
    for name in ("numbers", "channels", "pins"):
        listed = getattr(settings, name, None)
        if isinstance(listed, int):
            return set(range(1, listed + 1))
        if isinstance(listed, list | tuple | dict | set | frozenset | range):
            return {int(channel) for channel in listed}
    return None


def _check_ports(draft: _Draft) -> None:
    """Check that devices on one port can share it, and that no two of them are the same board or pin."""
    ports: dict[str, dict[str, Device]] = {}
    pins: dict[str, str] = {}
    for name, device in draft.devices.items():
        settings = device.settings
        if isinstance(port := getattr(settings, "port", None), str):
            sharing = ports.setdefault(port if "://" in port else os.path.realpath(port), {})
            for other, first in sharing.items():
                if why := _clash(first, device):
                    draft.problems.append(f"devices.{name}.port: {other} uses {port} too; {why}")
                    break
            sharing[name] = device
        for pin in _pins(settings):
            owner = pins.setdefault(pin, name)
            if owner != name:
                draft.problems.append(f"devices.{name}.pins: pin {pin} belongs to {owner} already")


def _pins(settings: Settings) -> list[str]:
    """The pins of this computer that a device has, as gpiozero names them: 17 is GPIO17."""
    pins = getattr(settings, "pins", None) or ()
    named = pins.values() if isinstance(pins, dict) else pins
    return [f"GPIO{pin}" if str(pin).isdigit() else str(pin) for pin in named]


def _clash(first: Device, second: Device) -> str | None:
    """Why these two cannot be on one port; None when they can: boards of a bus, at one speed."""
    one, two = getattr(first.settings, "unit", None), getattr(second.settings, "unit", None)
    if one is None or two is None:
        return "only devices of one bus (Modbus) can share a port"
    if (a := getattr(first.settings, "baudrate", None)) != (b := getattr(second.settings, "baudrate", None)):
        return f"all devices of a bus have one baudrate (found {a} and {b})"
    if first.driver == second.driver and one == two:
        return f"both are unit {one}, which is one board: give it one name"
    return None


def _lanes_meant(tables: dict[str, Any]) -> list[str]:
    """Every lane that an output names, even where something else is wrong with that output."""
    found = tables.get("outputs")
    outputs = found.items() if isinstance(found, dict) else ()
    lanes = [table.get("lane") or name if isinstance(table, dict) else name for name, table in outputs]
    return list(dict.fromkeys(str(lane) for lane in lanes))


def _check_output(draft: _Draft, known: set[str], name: str, output: OutputTable) -> None:
    at = f"outputs.{name}"
    if not (name if output.lane is None else output.lane).strip():
        draft.problems.append(f"{at}.lane: it maps to no lane; name the lane that it releases")
    _line(draft, known, at, (output.device, output.channel), Kind.RELAY)
    for key, sensor in (("open_feedback", output.open_feedback), ("lane_clear", output.lane_clear)):
        if sensor is None:
            continue
        _line(draft, known, f"{at}.{key}", (sensor.device, sensor.channel), Kind.CONTACT)
        if sensor.closed not in SENSES[key]:
            allowed = " or ".join(repr(word) for word in SENSES[key])
            draft.problems.append(f"{at}.{key}.closed: should be {allowed} (found {sensor.closed!r})")


def _check_input(draft: _Draft, known: set[str], lanes: list[str], name: str, entry: InputTable) -> None:
    at = f"inputs.{name}"
    _line(draft, known, at, (entry.device, entry.channel), Kind.CONTACT)
    if entry.cause == "manual" and not entry.enabled:
        draft.problems.append(f"{at}.enabled: a manual release cannot be disabled; take the key out")
    for lane in entry.lanes or []:
        if lanes and lane not in lanes:
            hint = near(lane, lanes)
            draft.problems.append(f"{at}.lanes: no output releases a lane called {lane!r}; {hint}")


def _plan(
    release: ReleaseTable, inputs: dict[str, InputTable], outputs: dict[str, OutputTable], lanes: list[str]
) -> Plan:
    seen = {o.lane or n for n, o in outputs.items() if o.open_feedback}
    clear = {o.lane or n for n, o in outputs.items() if o.lane_clear}
    return Plan(
        inputs={
            name: InputPlan(Cause(i.cause), frozenset(i.lanes or lanes), _opens_on_fault(i))
            for name, i in inputs.items()
            if i.enabled
        },
        lanes={lane: LanePlan(lane in seen, lane in clear) for lane in lanes},
        reset_by=tuple(release.reset_by),
        times=Times(
            release.relock_warning_s,
            release.relock_interval_s,
            release.confirm_s,
            release.fault_after_s,
            release.start_within_s,
        ),
    )


def _opens_on_fault(entry: InputTable) -> bool:
    """A normally closed loop reads as open when it is cut, so losing it opens; elsewhere a fault is shown."""
    return (entry.on_fault or ("open" if entry.alarm_when == "open" else "hold")) == "open"


def _wires(
    inputs: dict[str, InputTable], outputs: dict[str, OutputTable], monitors: dict[str, MonitorTable]
) -> dict[Line, Wire]:
    wires: dict[Line, Wire] = {}
    for name, i in inputs.items():
        if i.enabled:
            wires[i.device, i.channel] = Wire("input", name, i.alarm_when == "closed")
    for name, m in monitors.items():
        wires[m.device, m.channel] = Wire("monitor", name, m.trouble_when == "closed")
    for name, o in outputs.items():
        if o.open_feedback:
            line = (o.open_feedback.device, o.open_feedback.channel)
            wires[line] = Wire("open", o.lane or name, o.open_feedback.closed == "open")
        if o.lane_clear:
            line = (o.lane_clear.device, o.lane_clear.channel)
            wires[line] = Wire("clear", o.lane or name, o.lane_clear.closed == "clear")
    return wires


def _warnings(
    devices: dict[str, Device], plan: Plan, inputs: dict[str, InputTable], outputs: dict[str, OutputTable]
) -> Iterable[str]:
    for name, i in inputs.items():
        if not i.enabled:
            yield f"input {name} is disabled by the configuration"
    for lane in plan.lanes:
        if not any(lane in entry.lanes for entry in plan.inputs.values()):
            yield f"lane {lane} is opened by no input"
    for name, o in outputs.items():
        if o.energised == "open":
            yield f"output {name} opens by energising: it does not open when power is lost"
        rest = getattr(devices[o.device].settings, "rest", None) or {}
        if o.channel not in rest:
            yield (
                f"output {name} is opened at a stop by nothing but the survivor: "
                f"{o.device}.rest does not name it"
            )
        elif rest[o.channel] != (o.energised == "open"):
            yield f"output {name} lets its lane be shut when the service stops: {o.device}.rest says so"
