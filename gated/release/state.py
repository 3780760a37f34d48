"""The state of the release as others see it: one snapshot, the same on the socket and in every client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gated.errors import GatedError


@dataclass(frozen=True, slots=True)
class LaneReport:
    """A lane: `commanded` is open, may_shut, or none (nothing was commanded since the start);
    `observed` is open, shut or unknown."""

    commanded: str
    observed: str
    causes: tuple[str, ...]
    open_by_hand: bool
    opened_ms: float | None = None  # from the last command to open until it was seen (or its boards written)


@dataclass(frozen=True, slots=True)
class CauseReport:
    """A latched cause; `active` while its input still says so, `latched_at` in UTC (ISO 8601)."""

    input: str
    cause: str
    active: bool
    latched_at: str


@dataclass(frozen=True, slots=True)
class InputReport:
    """An alarm input; `state` is clear, active, or why it cannot be read: cut, short, undefined, unknown.

    `last_active` is when it was last seen active (UTC, ISO 8601), which proves its line; empty: never.
    """

    cause: str
    state: str
    lanes: tuple[str, ...]
    last_active: str = ""


@dataclass(frozen=True, slots=True)
class InspectionReport:
    """An input that may open nothing until `until` (UTC, ISO 8601), on whose order and why."""

    input: str
    by: str
    why: str
    until: str


@dataclass(frozen=True, slots=True)
class ReleaseState:
    """The whole state. `phase` is starting, normal, alarm or relock_pending.

    `armed`: every input is read and every output obeys. `realtime`: real-time priority was granted.
    `notes` are standing remarks on configuration and permissions, `faults` what needs a person now,
    `warnings` what needs one soon: overdue tests, power from the battery, a panel that is switched off.
    `last_open_at` is when a cause last held a lane open, up to its relocking (UTC, ISO 8601; empty: never,
    or not known); it outlives a restart, for whoever did not listen meanwhile.
    `drill`: everything that is latched was ordered as a drill. `outlived_by`: the process that opens the
    gates when this one dies or hangs; 0: there is none.
    """

    phase: str
    lanes: Mapping[str, LaneReport]
    causes: tuple[CauseReport, ...]
    faults: tuple[str, ...]
    armed: bool
    realtime: bool
    inputs: Mapping[str, InputReport] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reset_by: str = ""  # who reset, while the lanes are being relocked
    pid: int = 0
    drill: bool = False
    inspections: tuple[InspectionReport, ...] = ()
    warnings: tuple[str, ...] = ()
    memory_locked: bool = False
    outlived_by: int = 0
    last_open_at: str = ""

    @property
    def open_lanes(self) -> frozenset[str]:
        """Lanes that the release commands open."""
        return frozenset(name for name, lane in self.lanes.items() if lane.commanded == "open")

    @property
    def unconfirmed_lanes(self) -> frozenset[str]:
        """Lanes commanded open that cannot tell whether they are, or were not seen to open in time."""
        return frozenset(
            name
            for name, lane in self.lanes.items()
            if lane.commanded == "open" and (lane.observed == "unknown" or lane.open_by_hand)
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for the socket."""
        return {
            "phase": self.phase,
            "lanes": {
                name: {
                    "commanded": lane.commanded,
                    "observed": lane.observed,
                    "causes": list(lane.causes),
                    "open_by_hand": lane.open_by_hand,
                    "opened_ms": lane.opened_ms,
                }
                for name, lane in self.lanes.items()
            },
            "causes": [
                {"input": c.input, "cause": c.cause, "active": c.active, "latched_at": c.latched_at}
                for c in self.causes
            ],
            "faults": list(self.faults),
            "armed": self.armed,
            "realtime": self.realtime,
            "inputs": {
                name: {
                    "cause": i.cause,
                    "state": i.state,
                    "lanes": list(i.lanes),
                    "last_active": i.last_active,
                }
                for name, i in self.inputs.items()
            },
            "notes": list(self.notes),
            "reset_by": self.reset_by,
            "pid": self.pid,
            "drill": self.drill,
            "inspections": [
                {"input": i.input, "by": i.by, "why": i.why, "until": i.until} for i in self.inspections
            ],
            "warnings": list(self.warnings),
            "memory_locked": self.memory_locked,
            "outlived_by": self.outlived_by,
            "last_open_at": self.last_open_at,
        }

    @classmethod
    def from_json(cls, data: Any) -> ReleaseState:
        """The state from plain data. Raises GatedError on anything that is not one."""
        try:
            return cls(
                phase=str(data["phase"]),
                lanes={
                    str(name): LaneReport(
                        str(lane["commanded"]),
                        str(lane["observed"]),
                        tuple(str(c) for c in lane["causes"]),
                        bool(lane["open_by_hand"]),
                        None if lane.get("opened_ms") is None else float(lane["opened_ms"]),
                    )
                    for name, lane in data["lanes"].items()
                },
                causes=tuple(
                    CauseReport(str(c["input"]), str(c["cause"]), bool(c["active"]), str(c["latched_at"]))
                    for c in data["causes"]
                ),
                faults=tuple(str(f) for f in data["faults"]),
                armed=bool(data["armed"]),
                realtime=bool(data["realtime"]),
                inputs={
                    str(name): InputReport(
                        str(i["cause"]),
                        str(i["state"]),
                        tuple(str(n) for n in i["lanes"]),
                        str(i.get("last_active", "")),
                    )
                    for name, i in data.get("inputs", {}).items()
                },
                notes=tuple(str(n) for n in data.get("notes", ())),
                reset_by=str(data.get("reset_by", "")),
                pid=int(data.get("pid", 0)),
                drill=bool(data.get("drill", False)),
                inspections=tuple(
                    InspectionReport(str(i["input"]), str(i["by"]), str(i["why"]), str(i["until"]))
                    for i in data.get("inspections", ())
                ),
                warnings=tuple(str(w) for w in data.get("warnings", ())),
                memory_locked=bool(data.get("memory_locked", False)),
                outlived_by=int(data.get("outlived_by", 0)),
                last_open_at=str(data.get("last_open_at", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GatedError(
                f"the emergency release sent something that is not its state: {error}"
            ) from error
