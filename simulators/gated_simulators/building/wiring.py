"""What hangs on which wire of a site, read from the two configuration files the daemons read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from gated import config
from gated.core.model import Direction, LaneMode
from gated.errors import RequestRefused
from gated.ports import ContactTraits, Driver, Settings
from gated.release import config as release_config
from gated.release import latch
from gated.settings_file import read_toml
from gated.wiring import Coil, Input

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LaneWires:
    """The wires of one lane: `coils` and `inputs` by role, as the configuration names them.

    `may_shut` are its emergency relays, in series: the lane may shut only while every one of them lets it.
    """

    id: str
    title: str
    readers: Mapping[str, tuple[str, ...]]  # by way: entry, exit
    coils: Mapping[str, Coil]  # release_entry, release_exit, signal_grant, signal_deny
    inputs: Mapping[str, Input]  # beam_entry, beam_exit, flap_open
    may_shut: tuple[Coil, ...]
    open_feedback: tuple[Input, ...]
    free_exit: bool = False  # leaving asks for no card: people walk up to the lane

    def all_coils(self) -> dict[str, Coil]:
        """Every coil of the lane by role; the emergency relays are may_shut, may_shut_2 and so on."""
        numbered = enumerate(self.may_shut, 1)
        return {**self.coils, **{f"may_shut_{n}" if n > 1 else "may_shut": coil for n, coil in numbered}}


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm contact; the input is active while it is in alarm."""

    name: str
    cause: str
    input: Input


@dataclass(frozen=True, slots=True)
class Monitor:
    """A contact that only warns; the input is active while there is trouble."""

    name: str
    says: str  # transfer_stopped, panel_trouble, on_battery
    input: Input


@dataclass(frozen=True, slots=True)
class Wiring:
    """A site as an electrician sees it."""

    site: Path
    timezone: ZoneInfo
    control_socket: Path
    release_socket: Path
    latches: tuple[Path, ...]  # where the release keeps what is latched
    devices: Mapping[str, Settings]
    lanes: tuple[LaneWires, ...]
    alarms: tuple[Alarm, ...]
    monitors: tuple[Monitor, ...]
    outputs: Mapping[str, Coil]  # the emergency relays, by their names in release.toml
    signals: Mapping[str, Coil]  # lamps and buzzers of the release; the coil is `when` while it is on
    supervised: frozenset[str]  # devices that measure their lines

    @property
    def lines(self) -> dict[str, Input]:
        """Every input and monitor of the release by name."""
        alarms = {alarm.name: alarm.input for alarm in self.alarms}
        return alarms | {monitor.name: monitor.input for monitor in self.monitors}

    def alarm(self, name: str) -> Alarm:
        """An alarm contact by its name, or the first of that cause. Raises RequestRefused."""
        for alarm in self.alarms:
            if name == alarm.name:
                return alarm
        for alarm in self.alarms:
            if name == alarm.cause:
                return alarm
        known = ", ".join(f"{a.name} ({a.cause})" for a in self.alarms)
        raise RequestRefused(f"no alarm contact is called {name!r}; there are {known or 'none'}")


def sim_socket(site: Path) -> Path:
    """Where the building of a site takes acts."""
    return site / "run" / "sim.sock"


def read(site: Path) -> Wiring:
    """Read gated.toml and release.toml of a site. Raises ConfigError with every finding of a file."""
    ours = config.load(site / "gated.toml")
    emergency = release_config.load(site / "release.toml")
    titles = read_toml(site / "gated.toml")["lanes"]
    written = read_toml(site / "release.toml")  # good, as it was loaded; with the names of its outputs
    outputs = {name: _coil(table, "may_shut") for name, table in written["outputs"].items()}
    lane_of = {name: table.get("lane", name) for name, table in written["outputs"].items()}
    may_shut = _grouped((lane_of[name], coil) for name, coil in outputs.items())
    feedback = _grouped(
        (lane_of[name], _input(table["open_feedback"], "closed", "open"))
        for name, table in written["outputs"].items()
        if "open_feedback" in table
    )
    lanes = tuple(
        LaneWires(
            id=name,
            title=titles[name].get("title", ""),
            readers={
                way.value: tuple(
                    p.id for p in ours.plan.access_points.values() if p.lane == name and p.direction is way
                )
                for way in Direction
            },
            coils={
                **{f"release_{way}": coil for way, coil in wires.release.items()},
                **{f"signal_{lamp}": coil for lamp, coil in wires.lamps.items()},
            },
            inputs={contact.value: wire for contact, wire in wires.contacts.items()},
            may_shut=may_shut.get(name, ()),
            open_feedback=feedback.get(name, ()),
            free_exit=ours.plan.lanes[name].mode is LaneMode.FREE_EXIT,
        )
        for name, wires in ours.lanes.items()
    )
    drivers = {
        **{name: (device.driver, device.settings) for name, device in ours.devices.items()},
        **{name: (device.driver, device.settings) for name, device in emergency.devices.items()},
    }
    return Wiring(
        site=site.absolute(),
        timezone=ours.site.timezone,
        control_socket=ours.control_socket,
        release_socket=emergency.socket.absolute(),
        latches=tuple(path / latch.NAME for path in (emergency.state_dir, emergency.socket.parent)),
        devices={name: settings for name, (_, settings) in drivers.items()},
        lanes=lanes,
        alarms=tuple(
            Alarm(name, table["cause"], _input(table, "alarm_when", "closed"))
            for name, table in written["inputs"].items()
        ),
        monitors=tuple(
            Monitor(name, table["says"], _input(table, "trouble_when", "closed"))
            for name, table in written.get("monitors", {}).items()
        ),
        outputs=outputs,
        signals={name: _coil(table, "on", "on") for name, table in written.get("signals", {}).items()},
        supervised=frozenset(name for name, made in drivers.items() if _measures(*made)),
    )


def _measures(driver: Driver, settings: Settings) -> bool:
    """Whether a device tells cut and short lines from open and closed contacts."""
    traits = driver.traits(settings) if driver.traits else None
    return isinstance(traits, ContactTraits) and traits.supervised


def _coil(table: Mapping[str, Any], when: str, default: str = "") -> Coil:
    return Coil(table["device"], table["channel"], table.get("energised", default) == when)


def _input(table: Mapping[str, Any], key: str, active: str) -> Input:
    return Input(table["device"], table["channel"], table[key] == active)


def _grouped(pairs: Iterable[tuple[str, T]]) -> dict[str, tuple[T, ...]]:
    found: dict[str, tuple[T, ...]] = {}
    for name, item in pairs:
        found[name] = (*found.get(name, ()), item)
    return found
