"""`gatectl release status`: the emergency release in its own words; nothing of gated is needed."""

from __future__ import annotations

import argparse

from gated.ctl.ask import person, release_state, show_json
from gated.ctl.banners import banners, local
from gated.release.state import InputReport, LaneReport, ReleaseState


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    release = subparsers.add_parser("release", help="the emergency release")
    commands = release.add_subparsers(dest="release_command", required=True)
    status = commands.add_parser("status", help="phase, lanes, latched causes, inputs, faults, warnings")
    person(status)
    status.set_defaults(run=run_status)


def run_status(args: argparse.Namespace) -> int:
    """Print the state."""
    state = release_state(args)
    if args.json:
        show_json(state.to_json())
    else:
        print("\n".join(lines(state)))
    return 0


def lines(state: ReleaseState) -> list[str]:
    """The state for a terminal, what matters most first."""
    out = banners(state)
    out.append(
        f"{state.phase.upper()}  {'armed' if state.armed else 'NOT ARMED'}  "
        f"{'real-time priority' if state.realtime else 'no real-time priority'}  "
        f"{'memory locked' if state.memory_locked else 'memory not locked'}  "
        f"{f'survivor {state.outlived_by}' if state.outlived_by else 'no survivor'}  process {state.pid}"
    )
    shown = {f"OPEN BY HAND: {name}" for name, lane in state.lanes.items() if lane.open_by_hand}
    out += [f"FAULT  {fault}" for fault in state.faults if fault not in shown]
    if state.reset_by:
        out.append(f"reset by {state.reset_by}: the lanes are being relocked")
    for cause in state.causes:
        now = "still active" if cause.active else "clear now"
        out.append(f"cause  {cause.cause:<11} {cause.input}, latched {cause.latched_at}, {now}")
    out += [_lane(name, lane) for name, lane in state.lanes.items()]
    out += [_input(name, entry) for name, entry in state.inputs.items()]
    return out + [f"note   {note}" for note in state.notes]


def _lane(name: str, lane: LaneReport) -> str:
    why = f"  ({', '.join(lane.causes)})" if lane.causes else ""
    took = f"  after {lane.opened_ms:.1f} ms" if lane.opened_ms is not None else ""
    hand = "  OPEN BY HAND" if lane.open_by_hand else ""
    return f"lane   {name:<11} commanded {lane.commanded}, observed {lane.observed}{why}{took}{hand}"


def _input(name: str, entry: InputReport) -> str:
    proven = f"  last active {local(entry.last_active)}" if entry.last_active else "  never seen active"
    return f"input  {name:<20} {entry.cause:<11} {entry.state:<9} opens {', '.join(entry.lanes)}{proven}"
