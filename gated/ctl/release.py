"""`gatectl reset` and `gatectl release status`: what a person asks of the emergency release."""

from __future__ import annotations

import argparse
import asyncio
import json

from gated.release import client
from gated.release.client import ReleaseState
from gated.release.config import socket_path


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    reset = subparsers.add_parser("reset", help="end an alarm: every cause clear, a person, a reason")
    reset.add_argument("--why", required=True, help="the reason, kept in the record")
    reset.add_argument("--by", default=argparse.SUPPRESS, help="who resets, by the name in release.toml")
    reset.set_defaults(run=run_reset)
    release = subparsers.add_parser("release", help="the emergency release")
    commands = release.add_subparsers(dest="release_command", required=True)
    status = commands.add_parser("status", help="phase, lanes, latched causes, inputs and faults")
    status.set_defaults(run=run_status)


def run_reset(args: argparse.Namespace) -> int:
    """Ask for a reset. Raises RequestRefused with every reason of a refusal."""
    path = socket_path(args.release_config)
    answer = asyncio.run(client.request(path, "reset", by=args.by, why=args.why))
    state = ReleaseState.from_json(answer["state"])
    if args.json:
        print(json.dumps(answer))
        return 0
    print(f"reset by {args.by}; {', '.join(sorted(state.open_lanes))} will be shut one after the other")
    if not answer["recorded"]:
        print("warning: the record of it is not on disk yet; see: gatectl release status")
    return 0


def run_status(args: argparse.Namespace) -> int:
    """Print the state."""
    state = asyncio.run(client.status(socket_path(args.release_config)))
    if args.json:
        print(json.dumps(state.to_json()))
    else:
        print("\n".join(lines(state)))
    return 0


def lines(state: ReleaseState) -> list[str]:
    """The state for a terminal, what matters most first."""
    priority = "real-time priority" if state.realtime else "no real-time priority"
    out = [
        f"{state.phase.upper()}  {'armed' if state.armed else 'NOT ARMED'}  {priority}  process {state.pid}"
    ]
    out += [f"FAULT  {fault}" for fault in state.faults]
    if state.reset_by:
        out.append(f"reset by {state.reset_by}: the lanes are being relocked")
    for cause in state.causes:
        now = "still active" if cause.active else "clear now"
        out.append(f"cause  {cause.cause:<11} {cause.input}, latched {cause.latched_at}, {now}")
    for name, lane in state.lanes.items():
        why = f"  ({', '.join(lane.causes)})" if lane.causes else ""
        hand = "  OPEN BY HAND" if lane.open_by_hand else ""
        out.append(f"lane   {name:<11} commanded {lane.commanded}, observed {lane.observed}{why}{hand}")
    for name, entry in state.inputs.items():
        out.append(f"input  {name:<20} {entry.cause:<11} {entry.state:<8} opens {', '.join(entry.lanes)}")
    return out + [f"note   {note}" for note in state.notes]
