"""What must be read first about the emergency release, whatever else is on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gated.release.state import ReleaseState


def banners(state: ReleaseState) -> list[str]:
    """A line for each, what people must act on first: lanes to open by hand, alarm or drill, inspections,
    then what needs a person soon. Empty when all is well."""
    return list(_banners(state))


def _banners(state: ReleaseState) -> Iterator[str]:
    for name, lane in state.lanes.items():
        if lane.open_by_hand:
            yield f"OPEN BY HAND: {name}"
    if state.causes:
        lanes = ", ".join(sorted(state.open_lanes)) or "no lane"
        causes = ", ".join(f"{cause.cause} ({cause.input})" for cause in state.causes)
        relocking = f"; {state.reset_by} reset, the lanes are being relocked" if state.reset_by else ""
        kind = "DRILL, no emergency" if state.drill else "ALARM"
        yield f"{kind}: {causes} holds open {lanes}{relocking}"
    if not state.armed:
        yield f"NOT ARMED: {state.phase}; see the faults"
    for inspection in state.inspections:
        yield (
            f"INSPECTION: {inspection.input} opens nothing until {local(inspection.until)} "
            f"(by {inspection.by}: {inspection.why})"
        )
    for warning in state.warnings:
        yield f"WARNING: {warning}"


def local(instant: str) -> str:
    """An instant (ISO 8601) on this box's clock, to the minute; as it is, where it is none."""
    try:
        return datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    except ValueError:
        return instant
