"""What hangs on which wire of a site, read from the two configuration files the daemons read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from gated import config
from gated.core.model import Direction, LaneMode
from gated.errors import RequestRefused
from gated.ports import Settings
from gated.release import config as release_config
from gated.settings_file import read_toml
from gated.wiring import Coil, Input


@dataclass(frozen=True, slots=True)
class LaneWires:
    """The wires of one lane: `coils` and `inputs` by role, as the configuration names them."""

    id: str
    title: str
    readers: Mapping[str, tuple[str, ...]]  # by way: entry, exit
    coils: Mapping[str, Coil]  # release_entry, release_exit, signal_grant, signal_deny
    inputs: Mapping[str, Input]  # beam_entry, beam_exit, flap_open
    may_shut: Coil | None  # the emergency coil
    open_feedback: Input | None
    free_exit: bool = False  # leaving asks for no card: people walk up to the lane

    def all_coils(self) -> dict[str, Coil]:
        """Every coil of the lane by role, the emergency coil as may_shut."""
        return {**self.coils, **({"may_shut": self.may_shut} if self.may_shut else {})}


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm contact; the input is active while it is in alarm."""

    name: str
    cause: str
    input: Input


@dataclass(frozen=True, slots=True)
class Wiring:
    """A site as an electrician sees it."""

    site: Path
    timezone: ZoneInfo
    control_socket: Path
    release_socket: Path
    devices: Mapping[str, Settings]
    lanes: tuple[LaneWires, ...]
    alarms: tuple[Alarm, ...]

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
    alarms, may_shut, feedback = _emergency(emergency)
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
            may_shut=may_shut.get(name),
            open_feedback=feedback.get(name),
            free_exit=ours.plan.lanes[name].mode is LaneMode.FREE_EXIT,
        )
        for name, wires in ours.lanes.items()
    )
    settings = {
        **{name: device.settings for name, device in ours.devices.items()},
        **{name: device.settings for name, device in emergency.devices.items()},
    }
    return Wiring(
        site=site.absolute(),
        timezone=ours.site.timezone,
        control_socket=ours.control_socket,
        release_socket=emergency.socket.absolute(),
        devices=settings,
        lanes=lanes,
        alarms=alarms,
    )


def _emergency(
    found: release_config.ReleaseConfig,
) -> tuple[tuple[Alarm, ...], dict[str, Coil], dict[str, Input]]:
    """The alarm contacts, and by lane the coil that lets it be shut and the contact that tells it is open."""
    alarms = tuple(
        Alarm(wire.name, found.plan.inputs[wire.name].cause, Input(device, channel, wire.closed_means))
        for (device, channel), wire in found.wires.items()
        if wire.kind == "input"
    )
    coils = {
        coil.lane: Coil(device, channel, not coil.energised_opens)
        for (device, channel), coil in found.coils.items()
    }
    feedback = {
        wire.name: Input(device, channel, wire.closed_means)
        for (device, channel), wire in found.wires.items()
        if wire.kind == "open"
    }
    return alarms, coils, feedback
