"""The snapshot that the socket carries, drawn from the machine."""

from __future__ import annotations

import os
import time

from gated.release.engine import Release
from gated.release.proven import last
from gated.release.state import CauseReport, InputReport, InspectionReport, LaneReport, ReleaseState
from gated.release.words import InputState

FRESH_S = 0.5  # what no event changes (a permission, a date) is seen after so long


def picture(release: Release) -> ReleaseState:
    """The whole state as others see it; drawn once for all who ask between two changes."""
    at = time.monotonic()
    if release.drawn is None or at > release.drawn[0] + FRESH_S:
        release.drawn = (at, _draw(release))
    return release.drawn[1]


def _draw(release: Release) -> ReleaseState:
    machine = release.machine
    inputs = machine.plan.inputs
    causes = {
        lane: tuple(sorted({str(s.cause) for s, entry in machine.latched.items() if lane in entry.lanes}))
        for lane in machine.lanes
    }
    return ReleaseState(
        phase=str(machine.phase),
        lanes={
            name: LaneReport(
                str(lane.command),
                _word(lane.is_open, "open", "shut"),
                causes[name],
                lane.by_hand,
                None if lane.opened_s is None else round(lane.opened_s * 1000, 3),
            )
            for name, lane in machine.lanes.items()
        },
        causes=tuple(
            CauseReport(source.input, str(source.cause), machine.active(source), entry.at)
            for source, entry in machine.latched.items()
        ),
        faults=release.faults,
        armed=release.armed,
        realtime=release.realtime,
        inputs={
            name: InputReport(
                str(inputs[name].cause),
                _input(state),
                tuple(sorted(inputs[name].lanes)),
                last(release.stores.proven.inputs, name),
            )
            for name, state in machine.inputs.items()
        },
        notes=release.notes,
        reset_by=machine.reset.by if machine.reset else "",
        pid=os.getpid(),
        drill=machine.drill,
        inspections=tuple(
            InspectionReport(name, inspection.by, inspection.why, inspection.until_utc)
            for name, inspection in machine.inspections.items()
        ),
        warnings=release.warnings,
        memory_locked=release.memory_locked,
        outlived_by=release.bequest.pid,
        unbequeathed=release.unbequeathed,
        last_open_at=release.stores.proven.opened_at,
    )


def _input(state: InputState) -> str:
    if state.active is None:
        return state.fault or "unknown"
    return "active" if state.active else "clear"


def _word(value: bool | None, yes: str, no: str) -> str:
    return "unknown" if value is None else yes if value else no
