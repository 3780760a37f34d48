"""The shape of gated.toml: every table, key, unit, range and default. What it means is in gated.config."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gated import hours
from gated.core.model import OUTSIDE, AntiPassback, LaneMode
from gated.settings_file import near


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        zones = available_timezones()
        if not zones:
            raise ValueError("this machine has no time zone data: install the package tzdata") from error
        raise ValueError(f"is not a time zone of the tz database; {near(name, zones)}"[:200]) from error
    return name


def _one_line(text: str) -> str:
    if "\n" in text or not text.strip():
        raise ValueError("must be one line of text")
    return text


def _place(path: Path) -> Path:
    if not str(path).isprintable():
        raise ValueError("must be a path on one line")
    return path


Line = Annotated[str, AfterValidator(_one_line)]
WeeklyLine = Annotated[str, AfterValidator(hours.check_line)]
Hours = Annotated[str, AfterValidator(hours.check_hours)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False, strict=True)]
Channel = Annotated[int, Field(ge=0, le=65535, strict=True)]
Place = Annotated[Path, AfterValidator(_place)]


class Table(BaseModel):
    """A table of the file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SiteTable(Table):
    """[site]: who we are, where our state and sockets are, how we take the time."""

    name: Line = Field(description="Name of the site, for status, logs and passes.")
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(
        "Asia/Tokyo", description="Time zone of schedules and days, a name of the tz database."
    )
    state_dir: Place = Field(
        description="Directory of the allowlist, passes, journal and keys. Relative to this file."
    )
    control_socket: Place = Field(description="Where gatectl asks gated. Relative to this file.")
    release_socket: Place | None = Field(
        None,
        description="Where gated-release tells its state. Relative to this file. Without it gated does not "
        "know of emergencies, and says so as a fault.",
    )
    holidays: list[date] = Field([], description="Dates (YYYY-MM-DD) on which schedules use `holidays`.")
    clock: Literal["rtc", "ntp"] = Field(
        "rtc",
        description="What makes the time trusted: rtc, the box's own battery clock above the time floor; "
        "ntp, also the kernel's word that the clock is synchronised.",
    )
    staff_while_time_untrusted: bool = Field(
        True,
        strict=True,
        description="Cards keep passing while the time is not trusted. Visitor passes never do.",
    )
    roll_call_days: int = Field(
        7, ge=0, le=365, strict=True, description="A roll call is removed so many days after it was closed."
    )
    redemption_timeout_s: Seconds = Field(
        2.0, description="Longest wait for the claim of a single-use pass, seconds; then it is refused."
    )


class PassesTable(Table):
    """[passes]: rules of visitor passes."""

    activation: Literal["required", "off"] = Field(
        "required", description="required: reception activates a pass; off: a signed pass is good as issued."
    )


class AreaTable(Table):
    """[areas.ID]: buildings one can walk through without another gate."""

    title: str = Field("", description="Name for people.")
    zones: list[str] = Field([], description="Zones this area covers; its own id is always one of them.")
    anti_passback: AntiPassback = Field(
        AntiPassback.OFF,
        description="Entering again without leaving: hard refuses, soft grants and records, off ignores.",
    )
    anti_passback_timeout_s: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        strict=True,
        description="An entry is forgotten after so many seconds; 0: never.",
    )
    occupancy_limit: int = Field(
        0, ge=0, strict=True, description="Most credentials inside at once; 0: no limit."
    )


class ScheduleTable(Table):
    """[schedules.ID]: when access is allowed, in local time."""

    weekly: list[WeeklyLine] = Field(
        description='Spans like "mon-fri 07:00-20:00" or "sat,sun 09:00-12:00"; an end of 24:00 is midnight.'
    )
    holidays: list[Hours] | Literal["as weekly"] = Field(
        [], description='Hours on holidays, such as "09:00-12:00"; []: closed; "as weekly": no difference.'
    )


class CoilTable(Table):
    """One relay coil with what it means to energise it: polarity is said here and nowhere else."""

    device: str = Field(description="Name of a relay device.")
    channel: Channel = Field(description="Coil, numbered as the maker numbers it.")


class ReleaseCoilTable(CoilTable):
    """A coil that lets the lane open in one direction."""

    energised: Literal["released", "secured"] = Field(
        description="What the lane is while the coil is energised."
    )


class SignalCoilTable(CoilTable):
    """A coil that drives a lamp or buzzer."""

    energised: Literal["on", "off"] = Field(description="What the lamp is while the coil is energised.")


class LaneRelays(Table):
    """[lanes.ID.relays]: the outputs of a lane; at least one direction is released by a coil."""

    release_entry: ReleaseCoilTable | None = Field(None, description="Lets a person through inwards.")
    release_exit: ReleaseCoilTable | None = Field(None, description="Lets a person through outwards.")
    signal_grant: SignalCoilTable | None = Field(
        None, description="The green lamp: on for grant; on with the red one for wait; on in an emergency."
    )
    signal_deny: SignalCoilTable | None = Field(
        None, description="The red lamp: on for deny; on with the green one for wait."
    )


class ContactTable(Table):
    """One input with what its closed state means."""

    device: str = Field(description="Name of a contact device.")
    channel: Channel = Field(description="Input, numbered as the maker numbers it.")
    closed: Literal["active", "inactive"] = Field(
        "active",
        description="What a closed contact says: beam interrupted, flap open, not ready; or the opposite.",
    )


class LaneContacts(Table):
    """[lanes.ID.contacts]: the inputs of a lane; without beams passage is assumed when the release ends."""

    beam_entry: ContactTable | None = Field(None, description="The beam an entering person meets first.")
    beam_exit: ContactTable | None = Field(None, description="The beam a leaving person meets first.")
    flap_open: ContactTable | None = Field(None, description="The flap is open.")
    not_ready: ContactTable | None = Field(None, description="The turnstile says that it cannot serve.")


class LaneTimesTable(Table):
    """[lanes.ID.times], seconds."""

    passage_s: Seconds = Field(5.0, description="Grant without passage for so long is cancelled, seconds.")
    held_s: Seconds = Field(10.0, description="A person standing in the lane for so long is held, seconds.")
    obstructed_s: Seconds = Field(30.0, description="A beam interrupted for so long is obstructed, seconds.")
    pulse_s: Seconds | None = Field(
        None, description="Length of the release pulse, seconds; absent: held until passage or cancellation."
    )
    flap_s: Seconds = Field(3.0, description="A flap still open so long after securing is forced, seconds.")
    signal_s: Seconds = Field(2.0, description="How long a lamp stays on, seconds.")


class ModeHours(Table):
    """One line of a lane's mode_schedule."""

    schedule: str = Field(description="Name of a schedule.")
    mode: LaneMode = Field(description="The lane's mode while that schedule is open.")


class LaneTable(Table):
    """[lanes.ID]: one turnstile lane from `outer` to `inner`."""

    title: str = Field("", description="Name for people.")
    outer: str = Field(OUTSIDE, description='Area an entering person comes from; "outside" is nobody\'s.')
    inner: str = Field(description="Area an entering person goes to.")
    mode: LaneMode = Field(LaneMode.BOTH, description="What the lane is for when no schedule says otherwise.")
    mode_schedule: list[ModeHours] = Field([], description="The first whose schedule is open sets the mode.")
    entry_readers: list[str] = Field([], description="Readers of those who enter.")
    exit_readers: list[str] = Field([], description="Readers of those who leave.")
    relays: LaneRelays = Field(description="The lane's outputs.")
    contacts: LaneContacts = Field(LaneContacts(), description="The lane's inputs.")
    times: LaneTimesTable = Field(LaneTimesTable(), description="The lane's times.")


class DeviceTable(BaseModel):
    """[devices.NAME]: a driver and that driver's own settings beside it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    driver: str = Field(description="Name of an installed driver: kind_technology.")


class GatedFile(Table):
    """gated.toml as a whole, before its driver settings and references are checked."""

    site: SiteTable
    passes: PassesTable = PassesTable()
    areas: dict[str, AreaTable]
    schedules: dict[str, ScheduleTable] = {}
    devices: dict[str, DeviceTable]
    lanes: dict[str, LaneTable]


def driver_settings(table: dict[str, Any], base: Path) -> dict[str, Any]:
    """A device's own settings, with a relative `port` or `source` made relative to the file's directory."""
    settings = {
        k: driver_settings(v, base) if isinstance(v, dict) else v for k, v in table.items() if k != "driver"
    }
    for key in ("port", "source"):
        value = settings.get(key)
        if isinstance(value, str) and value and ":" not in value and not value.isdigit():
            settings[key] = str(base / value)
    return settings
