"""The configuration of the emergency release: TOML, checked whole, every error at once.

It is a file of its own: the release needs nothing of the gate daemon's configuration.
"""

# Over 300 lines: one file format, its tables and the checks across them.

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, Field

from gated import registry
from gated.errors import ConfigError, GatedError
from gated.ports import Driver, Kind, Settings
from gated.release.words import Cause, InputPlan, LanePlan, Plan, Times
from gated.settings_file import check, read_toml

M = TypeVar("M", bound=BaseModel)
Seconds = Annotated[float, Field(ge=0, le=3600)]


class _Release(Settings):
    state_dir: Path = Path("/var/lib/gated-release")
    socket: Path = Path("/run/gated-release/release.sock")
    reset_by: Annotated[list[str], Field(min_length=1)]
    relock_warning_s: Seconds = 10.0
    relock_interval_s: Seconds = 5.0
    confirm_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    fault_after_s: Annotated[float, Field(ge=0, le=2)] = 1.0
    start_within_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    realtime_priority: Annotated[int, Field(ge=0, le=99)] = 50


class _Input(Settings):
    cause: Literal["fire", "earthquake", "manual", "remote"]
    device: str
    channel: Annotated[int, Field(ge=0)]
    alarm_when: Literal["closed", "open"]
    on_fault: Literal["open", "hold"] | None = None
    lanes: Annotated[list[str], Field(min_length=1)] | None = None
    enabled: bool = True


class _Sensor(Settings):
    device: str
    channel: Annotated[int, Field(ge=0)]
    closed: Literal["open", "shut", "clear", "occupied"]


class _Output(Settings):
    lane: str | None = None
    device: str
    channel: Annotated[int, Field(ge=0)]
    energised: Literal["may_shut", "open"]
    open_feedback: _Sensor | None = None
    lane_clear: _Sensor | None = None


SENSES = {"open_feedback": ("open", "shut"), "lane_clear": ("clear", "occupied")}


class Device(NamedTuple):
    """A configured device: its driver and its own settings."""

    driver: Driver
    settings: Settings


class Wire(NamedTuple):
    """A contact: what it tells of (an input or a lane), and what `closed` means for that."""

    kind: Literal["input", "open", "clear"]
    name: str
    closed_means: bool


class Coil(NamedTuple):
    """A relay output: the lane it releases, and whether energising opens."""

    lane: str
    energised_opens: bool


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
    for key in tables.keys() - {"release", "devices", "inputs", "outputs"}:
        draft.problems.append(f"{key}: there is no such table; allowed: release, devices, inputs, outputs")
    release = draft.model(_Release, tables.get("release", {}), "release")
    named = {name: _device(draft, name, table) for name, table in _tables(draft, tables, "devices")}
    draft.devices = {name: device for name, device in named.items() if device}
    inputs = _models(draft, _Input, tables, "inputs")
    outputs = _models(draft, _Output, tables, "outputs")
    lanes = list(dict.fromkeys(output.lane or name for name, output in outputs.items()))
    for name, output in outputs.items():
        _check_output(draft, set(named), name, output)
    for name, entry in inputs.items():
        _check_input(draft, set(named), lanes or None, name, entry)
    if draft.problems or release is None:
        raise ConfigError(str(path), draft.problems)
    return ReleaseConfig(
        source=path,
        state_dir=path.parent / release.state_dir,
        socket=path.parent / release.socket,
        realtime_priority=release.realtime_priority,
        plan=_plan(release, inputs, outputs, lanes),
        devices=draft.devices,
        wires=_wires(inputs, outputs),
        coils={(o.device, o.channel): Coil(o.lane or n, o.energised == "open") for n, o in outputs.items()},
        warnings=tuple(_warnings(draft.devices, inputs, outputs)),
    )


def socket_path(path: Path) -> Path:
    """Where the release answers, by its file; for those who only want to ask. Raises ConfigError."""
    release = read_toml(path).get("release", {})
    where = release.get("socket") if isinstance(release, dict) else None
    return path.parent / (where if isinstance(where, str) else _Release.model_fields["socket"].default)


def _tables(draft: _Draft, tables: dict[str, Any], section: str) -> list[tuple[str, Any]]:
    found = tables.get(section)
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
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known)) or 'none'}"
        draft.problems.append(f"{at}.device: no device is called {name!r}; {hint}")
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
    """The channels a device is configured for, where its settings list them, or count them from 1."""
    for name in ("channels", "pins"):
        listed = getattr(settings, name, None)
        if isinstance(listed, int):
            return set(range(1, listed + 1))
        if isinstance(listed, list | tuple | dict | set | frozenset):
            return {int(channel) for channel in listed}
    return None


def _check_output(draft: _Draft, known: set[str], name: str, output: _Output) -> None:
    at = f"outputs.{name}"
    _line(draft, known, at, (output.device, output.channel), Kind.RELAY)
    for key, sensor in (("open_feedback", output.open_feedback), ("lane_clear", output.lane_clear)):
        if sensor is None:
            continue
        _line(draft, known, f"{at}.{key}", (sensor.device, sensor.channel), Kind.CONTACT)
        if sensor.closed not in SENSES[key]:
            allowed = " or ".join(repr(word) for word in SENSES[key])
            draft.problems.append(f"{at}.{key}.closed: should be {allowed} (found {sensor.closed!r})")


def _check_input(draft: _Draft, known: set[str], lanes: list[str] | None, name: str, entry: _Input) -> None:
    at = f"inputs.{name}"
    _line(draft, known, at, (entry.device, entry.channel), Kind.CONTACT)
    if entry.cause == "manual" and not entry.enabled:
        draft.problems.append(f"{at}.enabled: a manual release cannot be disabled; take the key out")
    for lane in entry.lanes or []:
        if lanes is not None and lane not in lanes:
            near = difflib.get_close_matches(lane, lanes, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(lanes)}"
            draft.problems.append(f"{at}.lanes: no output releases a lane called {lane!r}; {hint}")


def _plan(
    release: _Release, inputs: dict[str, _Input], outputs: dict[str, _Output], lanes: list[str]
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


def _opens_on_fault(entry: _Input) -> bool:
    """A normally closed loop reads as open when it is cut, so losing it opens; elsewhere a fault is shown."""
    return (entry.on_fault or ("open" if entry.alarm_when == "open" else "hold")) == "open"


def _wires(inputs: dict[str, _Input], outputs: dict[str, _Output]) -> dict[Line, Wire]:
    wires: dict[Line, Wire] = {}
    for name, i in inputs.items():
        if i.enabled:
            wires[i.device, i.channel] = Wire("input", name, i.alarm_when == "closed")
    for name, o in outputs.items():
        if o.open_feedback:
            line = (o.open_feedback.device, o.open_feedback.channel)
            wires[line] = Wire("open", o.lane or name, o.open_feedback.closed == "open")
        if o.lane_clear:
            line = (o.lane_clear.device, o.lane_clear.channel)
            wires[line] = Wire("clear", o.lane or name, o.lane_clear.closed == "clear")
    return wires


def _warnings(
    devices: dict[str, Device], inputs: dict[str, _Input], outputs: dict[str, _Output]
) -> Iterable[str]:
    for name, i in inputs.items():
        if not i.enabled:
            yield f"input {name} is disabled by the configuration"
    for name, o in outputs.items():
        if o.energised == "open":
            yield f"output {name} opens by energising: it does not open when power is lost"
        rest = getattr(devices[o.device].settings, "rest", None) or {}
        if o.channel not in rest:
            yield f"output {name} stays as it is when the service stops: {o.device}.rest does not name it"
        elif rest[o.channel] != (o.energised == "open"):
            yield f"output {name} lets its lane be shut when the service stops: {o.device}.rest says so"
