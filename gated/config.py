"""gated.toml checked whole and turned into what the daemon runs on: plan, devices, wiring, paths.

Nothing opens before every table, driver setting and reference was found good; every error is told at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from gated import hours, registry
from gated.config_check import Tables, channels, references, sockets, warnings
from gated.config_file import (
    AreaTable,
    DeviceTable,
    GatedFile,
    LaneTable,
    PassesTable,
    ScheduleTable,
    SiteTable,
    driver_settings,
)
from gated.core.model import AccessPoint, Area, Direction, Lane, LaneContact, LaneTimes, Plan, Schedule
from gated.errors import ConfigError
from gated.ports import Driver, Settings
from gated.settings_file import check, near, read_toml, salvage
from gated.wiring import Coil, Input, Lamp, LaneWiring

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """One configured device."""

    name: str
    driver: Driver
    settings: Settings


@dataclass(frozen=True, slots=True)
class SiteConfig:
    """Who and where we are; the paths are absolute."""

    name: str
    timezone: ZoneInfo
    state_dir: Path
    control_socket: Path
    release_socket: Path | None
    clock: Literal["rtc", "ntp"]
    roll_call_days: int = 7

    @property
    def roll_calls(self) -> tuple[Path, Path]:
        """Where roll calls are kept, and where they lie while the disk refuses."""
        return self.state_dir / "rollcall", self.control_socket.parent / "rollcall"


@dataclass(frozen=True, slots=True)
class Config:
    """A whole, valid configuration."""

    path: Path
    digest: str  # of the file, the first 16 hex digits of its SHA-256: which one was in force
    site: SiteConfig
    plan: Plan
    devices: Mapping[str, DeviceConfig]
    lanes: Mapping[str, LaneWiring]
    warnings: tuple[str, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)  # of areas, for people

    @property
    def state_dir(self) -> Path:
        """Directory of the allowlist, passes, journal and keys."""
        return self.site.state_dir

    @property
    def control_socket(self) -> Path:
        """Where gatectl asks."""
        return self.site.control_socket

    @property
    def release_socket(self) -> Path | None:
        """Where gated-release tells its state."""
        return self.site.release_socket


def load(path: Path) -> Config:
    """Read and check a gated.toml whole. Raises ConfigError with every finding."""
    tables = read_toml(path)
    found, problems = _tables(tables)
    base = path.absolute().parent
    devices = _devices(found, tables.get("devices", {}), base, problems)
    settings = {name: device.settings for name, device in devices.items()}
    problems += references(found) + channels(settings, found)
    problems += sockets(found.site, base) if found.site is not None else []
    if problems or found.site is None:
        raise ConfigError(str(path), problems)
    site = _site(found.site, path)
    wires = {name: _wiring(table) for name, table in found.lanes.items()}
    doubts = tuple(warnings(settings, found))
    titles = {name: table.title for name, table in found.areas.items()}
    return Config(path, _digest(path), site, _plan(found, site), devices, wires, doubts, titles)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:  # gone since it was read
        return ""


def load_site(path: Path) -> SiteConfig:
    """Only [site] of a gated.toml, for tools that need paths and no drivers. Raises ConfigError."""
    table, problems = check(SiteTable, read_toml(path).get("site", {}), "site")
    if table is None:
        raise ConfigError(str(path), problems)
    return _site(table, path)


def describe(config: Config) -> str:
    """A good file, in one line after its warnings."""
    counts = {
        "lanes": config.plan.lanes,
        "areas": config.plan.areas,
        "schedules": config.plan.schedules,
        "devices": config.devices,
    }
    told = ", ".join(f"{len(things)} {name}" for name, things in counts.items())
    lines = [f"warning: {warning}" for warning in config.warnings]
    return "\n".join([*lines, f"{config.path}: ok: site {config.site.name}: {told}"])


def _tables(tables: Mapping[str, Any]) -> tuple[Tables, list[str]]:
    """Each table checked on its own, so that an error in one hides none in another."""
    problems = [
        f"{key}: there is no such table; {near(key, GatedFile.model_fields)}"
        for key in tables
        if key not in GatedFile.model_fields
    ]
    problems += [
        f"{key}: is required and missing"
        for key, field in GatedFile.model_fields.items()
        if field.is_required() and key not in tables
    ]

    faulty: set[str] = set()

    def section(model: type[M], key: str) -> dict[str, M]:
        table = tables.get(key, {})
        if not isinstance(table, dict):
            problems.append(f"{key}: must be a table of tables, like [{key}.NAME]")
            return {}
        found = {}
        for name, one in table.items():
            if not name.strip() or not name.isprintable():
                problems.append(f"{key}.{name!r}: a name is one line of text")
            settings, sentences = salvage(model, one, f"{key}.{name}")
            problems.extend(sentences)
            if sentences:
                faulty.add(f"{key}.{name}")
            if settings is not None:
                found[name] = settings
        return found

    site, sentences = salvage(SiteTable, tables.get("site", {}), "site") if "site" in tables else (None, [])
    passes, more = salvage(PassesTable, tables.get("passes", {}), "passes")
    problems += sentences + more
    return (
        Tables(
            site=site,
            passes=passes or PassesTable(),
            areas=section(AreaTable, "areas"),
            schedules=section(ScheduleTable, "schedules"),
            devices=section(DeviceTable, "devices"),
            lanes=section(LaneTable, "lanes"),
            faulty=faulty,
            names={key: set(t) for key, t in tables.items() if isinstance(t, dict)},
        ),
        problems,
    )


def _devices(found: Tables, tables: Any, base: Path, problems: list[str]) -> dict[str, DeviceConfig]:
    """Find each device's driver and let it check its own settings."""
    devices = {}
    for name, table in found.devices.items():
        try:
            driver = registry.find(table.driver)
        except (registry.UnknownDriver, registry.BrokenDriver) as error:
            problems.append(f"devices.{name}.driver: {error}")
            continue
        settings, sentences = check(driver.settings, driver_settings(tables[name], base), f"devices.{name}")
        problems += sentences
        if settings is not None:
            devices[name] = DeviceConfig(name, driver, settings)
    return devices


def _site(table: SiteTable, path: Path) -> SiteConfig:
    base = path.absolute().parent
    return SiteConfig(
        name=table.name,
        timezone=ZoneInfo(table.timezone),
        state_dir=base / table.state_dir,
        control_socket=base / table.control_socket,
        release_socket=base / table.release_socket if table.release_socket else None,
        clock=table.clock,
        roll_call_days=table.roll_call_days,
    )


def _plan(found: Tables, site: SiteConfig) -> Plan:
    assert found.site is not None
    return Plan(
        areas={name: _area(name, table) for name, table in found.areas.items()},
        lanes={name: _lane(name, table) for name, table in found.lanes.items()},
        access_points={point.id: point for point in _access_points(found)},
        schedules={name: _schedule(name, table) for name, table in found.schedules.items()},
        holidays=frozenset(found.site.holidays),
        timezone=site.timezone,
        activation_required=found.passes.activation == "required",
        staff_while_time_untrusted=found.site.staff_while_time_untrusted,
        redemption_timeout_s=found.site.redemption_timeout_s,
    )


def _area(name: str, table: AreaTable) -> Area:
    return Area(
        id=name,
        zones=frozenset({name, *table.zones}),
        anti_passback=table.anti_passback,
        anti_passback_timeout_s=table.anti_passback_timeout_s,
        occupancy_limit=table.occupancy_limit,
    )


def _schedule(name: str, table: ScheduleTable) -> Schedule:
    holidays = None if table.holidays == "as weekly" else tuple(hours.hours(h) for h in table.holidays)
    return Schedule(name, hours.weekly(table.weekly), holidays)


def _lane(name: str, table: LaneTable) -> Lane:
    relays, contacts = table.relays, table.contacts
    beams = [c for c in (contacts.beam_entry, contacts.beam_exit) if c is not None]
    releases = [r for r in (relays.release_entry, relays.release_exit) if r is not None]
    return Lane(
        id=name,
        inner=table.inner,
        outer=table.outer,
        mode=table.mode,
        mode_schedule=tuple((line.schedule, line.mode) for line in table.mode_schedule),
        times=LaneTimes(**table.times.model_dump()),
        essential=frozenset({*(r.device for r in releases), *(b.device for b in beams)}),
        has_beams=len(beams) == 2,
    )


def _access_points(found: Tables) -> Iterator[AccessPoint]:
    for name, table in found.lanes.items():
        for reader in table.entry_readers:
            yield AccessPoint(reader, name, Direction.ENTRY)
        for reader in table.exit_readers:
            yield AccessPoint(reader, name, Direction.EXIT)


def _wiring(table: LaneTable) -> LaneWiring:
    relays = table.relays
    wires = table.contacts
    ways = {Direction.ENTRY: relays.release_entry, Direction.EXIT: relays.release_exit}
    lamps = {Lamp.GRANT: relays.signal_grant, Lamp.DENY: relays.signal_deny}
    contacts = {
        LaneContact.BEAM_ENTRY: wires.beam_entry,
        LaneContact.BEAM_EXIT: wires.beam_exit,
        LaneContact.FLAP_OPEN: wires.flap_open,
        LaneContact.NOT_READY: wires.not_ready,
    }
    return LaneWiring(
        release={w: Coil(t.device, t.channel, t.energised == "released") for w, t in ways.items() if t},
        lamps={lamp: Coil(t.device, t.channel, t.energised == "on") for lamp, t in lamps.items() if t},
        contacts={c: Input(t.device, t.channel, t.closed == "active") for c, t in contacts.items() if t},
    )
