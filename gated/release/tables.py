"""The tables of release.toml, each by itself: what may stand in it, and its defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gated.ports import Settings

DEFAULT_SOCKET = Path("/run/gated-release/release.sock")

Seconds = Annotated[float, Field(ge=0, le=3600)]
Days = Annotated[int, Field(ge=1, le=3650)]
Channel = Annotated[int, Field(ge=0)]

Says = Literal["transfer_stopped", "panel_trouble", "on_battery"]
Occasion = Literal["alarm", "open_by_hand", "fault", "drill", "relock_warning", "inspection"]


class ReleaseTable(Settings):
    """`[release]`: paths, persons and times."""

    state_dir: Path = Path("/var/lib/gated-release")
    socket: Path = DEFAULT_SOCKET
    reset_by: Annotated[list[str], Field(min_length=1)]
    relock_warning_s: Seconds = 10.0
    relock_interval_s: Seconds = 5.0
    confirm_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    fault_after_s: Annotated[float, Field(ge=0, le=2)] = 1.0
    start_within_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    realtime_priority: Annotated[int, Field(ge=0, le=99)] = 50
    link_test_days: Days = 180
    output_test_days: Days = 30


class InputTable(Settings):
    """`[inputs.NAME]`: a contact that opens lanes."""

    cause: Literal["fire", "earthquake", "manual", "remote", "power"]
    device: str
    channel: Channel
    alarm_when: Literal["closed", "open"]
    on_fault: Literal["open", "hold"] | None = None
    lanes: Annotated[list[str], Field(min_length=1)] | None = None
    enabled: bool = True


class MonitorTable(Settings):
    """`[monitors.NAME]`: a contact that only warns."""

    device: str
    channel: Channel
    trouble_when: Literal["closed", "open"]
    says: Says


class SensorTable(Settings):
    """A contact at a lane."""

    device: str
    channel: Channel
    closed: Literal["open", "shut", "clear", "occupied"]


class OutputTable(Settings):
    """`[outputs.NAME]`: a relay that releases a lane."""

    lane: str | None = None
    device: str
    channel: Channel
    energised: Literal["may_shut", "open"]
    open_feedback: SensorTable | None = None
    lane_clear: SensorTable | None = None


class SignalTable(Settings):
    """`[signals.NAME]`: a lamp or a buzzer; `energised`: what the relay makes of it."""

    device: str
    channel: Channel
    on: Occasion
    energised: Literal["on", "off"] = "on"
