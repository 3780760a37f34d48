"""What one table of gated.toml says of another: every name must be known and of the right kind, every
channel used once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from gated.config_file import (
    AreaTable,
    CoilTable,
    ContactTable,
    DeviceTable,
    LaneTable,
    PassesTable,
    ReleaseCoilTable,
    ScheduleTable,
    SiteTable,
)
from gated.core.model import OUTSIDE, LaneMode
from gated.ports import Kind, Settings
from gated.settings_file import near


@dataclass(frozen=True)
class Tables:
    """The tables that can be looked at: `faulty` ones without their faulty keys.

    `names` holds every name that the file gives, good or bad, by section.
    """

    site: SiteTable | None
    passes: PassesTable
    areas: Mapping[str, AreaTable]
    schedules: Mapping[str, ScheduleTable]
    devices: Mapping[str, DeviceTable]
    lanes: Mapping[str, LaneTable]
    faulty: Set[str]
    names: Mapping[str, Set[str]]

    def of_kind(self, kind: Kind) -> set[str]:
        """The devices whose driver's name says that they are of a kind."""
        return {name for name, table in self.devices.items() if _kind(table) == kind.value}


def _kind(table: DeviceTable) -> str:
    return table.driver.partition("_")[0]


def references(tables: Tables) -> list[str]:
    """One sentence for each reference that leads nowhere, or to the wrong place, or clashes with another."""
    return [*_areas(tables), *_lanes(tables), *_channels(tables)]


def _areas(tables: Tables) -> Iterator[str]:
    owner: dict[str, str] = {}
    for name, area in tables.areas.items():
        if name == OUTSIDE:
            yield f'areas.{name}: "{OUTSIDE}" is the place beyond every gate and cannot be an area'
        for zone in area.zones:
            if zone != name and (zone == OUTSIDE or zone in tables.names.get("areas", set())):
                yield f"areas.{name}.zones: {zone!r} is the name of another area"
            elif owner.setdefault(zone, name) != name:
                yield f"areas.{name}.zones: zone {zone!r} already belongs to area {owner[zone]}"


def _lanes(tables: Tables) -> Iterator[str]:
    taken: dict[str, str] = {}
    for name, lane in tables.lanes.items():
        at = f"lanes.{name}"
        yield from _area(tables, f"{at}.inner", lane.inner)
        yield from _area(tables, f"{at}.outer", lane.outer)
        if lane.inner == lane.outer:
            yield f"{at}: inner and outer are both {lane.inner!r}; a lane leads from one area into another"
        for n, line in enumerate(lane.mode_schedule):
            known = tables.names.get("schedules", set())
            if line.schedule not in known:
                yield (
                    f"{at}.mode_schedule.{n}.schedule: there is no schedule {line.schedule!r}; "
                    f"{near(line.schedule, known)}"
                )
        for key in ("entry_readers", "exit_readers"):
            for reader in getattr(lane, key):
                yield from _device(tables, f"{at}.{key}", reader, Kind.READER)
                before = taken.setdefault(reader, f"{at}.{key}")
                if before != f"{at}.{key}" or getattr(lane, key).count(reader) > 1:
                    yield f"{at}.{key}: reader {reader!r} is already used in {before}"
        if at not in tables.faulty:
            yield from _ways(at, lane)
            yield from _beams(at, lane)


def _ways(at: str, lane: LaneTable) -> Iterator[str]:
    """Every direction that the lane serves needs a coil that releases it."""
    modes = {lane.mode, *(line.mode for line in lane.mode_schedule)}
    both = {LaneMode.BOTH, LaneMode.FREE_EXIT}
    if lane.relays.release_entry is None and lane.relays.release_exit is None:
        yield f"{at}.relays: a lane needs release_entry, release_exit or both"
        return
    if lane.relays.release_entry is None and (lane.entry_readers or modes & {LaneMode.ENTRY, *both}):
        yield f"{at}.relays.release_entry: is missing, but the lane lets people in (mode or entry_readers)"
    if lane.relays.release_exit is None and (lane.exit_readers or modes & {LaneMode.EXIT, *both}):
        yield f"{at}.relays.release_exit: is missing, but the lane lets people out (mode or exit_readers)"


def _beams(at: str, lane: LaneTable) -> Iterator[str]:
    """One beam alone cannot tell who passed from who stepped back."""
    beams = {"beam_entry": lane.contacts.beam_entry, "beam_exit": lane.contacts.beam_exit}
    missing = [key for key, beam in beams.items() if beam is None]
    if len(missing) == 1:
        yield f"{at}.contacts: a lane has both beams or none; {missing[0]} is missing"


def _area(tables: Tables, key: str, name: str) -> Iterator[str]:
    known = {OUTSIDE, *tables.names.get("areas", set())}
    if name in known:
        return
    owner = next((area for area, table in tables.areas.items() if name in table.zones), None)
    hint = f"{name!r} is a zone of area {owner}: write {owner}" if owner else near(name, known)
    yield f"{key}: there is no area {name!r}; {hint}"


def _device(tables: Tables, key: str, name: str, kind: Kind) -> Iterator[str]:
    if name not in tables.names.get("devices", set()):
        yield f"{key}: there is no device {name!r}; {near(name, tables.of_kind(kind))}"
    elif name in tables.devices and (found := _kind(tables.devices[name])) in set(Kind) - {kind}:
        yield f"{key}: device {name!r} is a {found}, but a {kind.value} is needed here"


def _wires(tables: Tables) -> Iterator[tuple[str, CoilTable | ContactTable, Kind]]:
    """Every coil and contact of every lane, with its dotted key."""
    for name, lane in tables.lanes.items():
        for key, coil in lane.relays:
            if coil is not None:
                yield f"lanes.{name}.relays.{key}", coil, Kind.RELAY
        for key, contact in lane.contacts:
            if contact is not None:
                yield f"lanes.{name}.contacts.{key}", contact, Kind.CONTACT


def _channels(tables: Tables) -> Iterator[str]:
    """Every coil and every input has one meaning."""
    used: dict[tuple[Kind, str, int], str] = {}
    for at, wire, kind in _wires(tables):
        yield from _device(tables, at, wire.device, kind)
        before = used.setdefault((kind, wire.device, wire.channel), at)
        if before != at:
            yield f"{at}: channel {wire.channel} of {wire.device} is already used by {before}"


SOCKET_PATH = 107  # bytes that the kernel takes


def sockets(site: SiteTable, base: Path) -> Iterator[str]:
    """One sentence for each socket that could not be served; `base` is the directory of the file."""
    if site.control_socket == site.release_socket:
        yield "site.release_socket: is site.control_socket; gated-release answers at a socket of its own"
    for key, path in (("control_socket", site.control_socket), ("release_socket", site.release_socket)):
        if path is not None and len(os.fsencode(base / path)) > SOCKET_PATH:
            yield f"site.{key}: {base / path} is longer than the {SOCKET_PATH} bytes of a socket's path"


def warnings(settings: Mapping[str, Settings], tables: Tables) -> Iterator[str]:
    """What a good file may be wrong about, one sentence each."""
    wires = list(_wires(tables))
    for at, wire, _ in wires:
        rest = getattr(settings.get(wire.device), "rest", None)
        if isinstance(wire, ReleaseCoilTable) and isinstance(rest, Mapping) and wire.channel not in rest:
            yield (
                f"{at}: devices.{wire.device}.rest does not name channel {wire.channel}: "
                "when gated stops, it stays as it was last commanded"
            )
    used = {wire.device for _, wire, _ in wires}
    used.update(r for lane in tables.lanes.values() for r in (*lane.entry_readers, *lane.exit_readers))
    for name in tables.devices:
        if name not in used:
            yield f"devices.{name}: no lane uses it"


def channels(settings: Mapping[str, Settings], tables: Tables) -> list[str]:
    """One sentence for each wire to a channel that the device's own settings do not have.

    Drivers state channels as `numbers` (a range), as `channels` (a count from 1, or a list of numbers) or as
    `pins` (a mapping).
    """
    problems = []
    for at, wire, _ in _wires(tables):
        one = settings.get(wire.device)
        stated = next((s for key in ("numbers", "channels", "pins") if (s := getattr(one, key, None))), None)
        if isinstance(stated, int) and not 1 <= wire.channel <= stated:
            problems.append(f"{at}: {wire.device} has {stated} channels, so no channel {wire.channel}")
        elif isinstance(stated, Collection) and wire.channel not in stated:
            has = ", ".join(str(c) for c in stated)
            problems.append(f"{at}: channel {wire.channel} is not one that {wire.device} states ({has})")
    return problems
