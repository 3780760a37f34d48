"""`gatectl status`: the emergency release in its own words, then gated: lanes, devices, journal, clock.

The release is asked first and without gated, so that it is seen while gated is down or misconfigured.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from gated.ctl.ask import ask, release_state, show_json
from gated.ctl.banners import banners
from gated.ctl.table import table
from gated.errors import GatedError
from gated.release.state import ReleaseState

CLEAR = "\x1b[H\x1b[2J"
FAULTY = 3


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("status", help="lanes, devices, alarm, list, journal, clock")
    parser.add_argument("--watch", action="store_true", help="show it again every second until Ctrl-C")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the status; 3 when anything is faulty, 1 when gated cannot be asked."""
    while True:
        release = _release(args)
        try:
            status, error = ask(args, "status"), None
        except GatedError as down:
            status, error = None, down
        if args.json:
            emergency = release.to_json() if isinstance(release, ReleaseState) else None
            show_json({**(status or {"error": str(error)}), "emergency": emergency})
        else:
            told = "\n".join(_told(release, alone=status is None))
            text = f"{told}\n\n{render(status)}" if status and told else render(status) if status else told
            if shown := f"{CLEAR if args.watch else ''}{text}":
                print(shown, flush=True)
        if error:
            print(f"gatectl: {error}", file=sys.stderr, flush=True)
        if not args.watch:
            return 1 if error else FAULTY if status["faults"] or not status["clock"]["trusted"] else 0
        time.sleep(1.0)


def _release(args: argparse.Namespace) -> ReleaseState | GatedError | None:
    """The release's own word, why there is none, or None where this box has no release.toml."""
    try:
        return release_state(args)
    except GatedError as error:
        return error if args.release_config.exists() else None


def _told(release: ReleaseState | GatedError | None, alone: bool) -> list[str]:
    """What stands above everything else; `alone`: nothing follows that tells of the release."""
    if isinstance(release, ReleaseState):
        phase = f"emergency release: {release.phase}, {'armed' if release.armed else 'NOT armed'}"
        return [*banners(release), *([phase, *(f"  {f}" for f in release.faults)] if alone else [])]
    return [f"EMERGENCY RELEASE: {release}"] if release else []


def render(status: dict[str, Any]) -> str:
    """The status as lines for people."""
    release, journal, clock = status["release"], status["journal"], status["clock"]
    causes = ", ".join(f"{cause['cause']} ({cause['input']})" for cause in release["causes"])
    wait = status["latency_ms"]["card"]
    lines = [
        f"{status['site']}: gated {status['version']}, up {_span(status['uptime_s'])}",
        "",
        *table(
            ("LANE", "STATE", "MODE", "WAY", "WHY", "FAULTS"),
            (
                (
                    name,
                    lane["state"],
                    lane["mode"],
                    lane["direction"],
                    lane["reason"],
                    ", ".join(lane["faults"]),
                )
                for name, lane in status["lanes"].items()
            ),
        ),
        "",
        *table(
            ("DEVICE", "DRIVER", "STATE", "SINCE", "OPENED", ""),
            (
                (name, d["driver"], "ok" if d["ok"] else "FAULT", d["since"], str(d["opened"]), d["fault"])
                for name, d in status["devices"].items()
            ),
        ),
        "",
        f"emergency release: link {release['link']}, {release['phase']}{': ' + causes if causes else ''}"
        f"{' - ' + release['fault'] if release['fault'] else ''}",
        *(f"  {fault}" for fault in release["faults"]),
        f"allowlist: {status['allowlist']['rows']} rows, {_loaded(status['allowlist'])}",
        f"journal: {journal['seq']} records{', ' + journal['fault'] if journal['fault'] else ''}",
        f"clock: {'' if clock['trusted'] else 'NOT '}trusted ({clock['state']}, floor {clock['floor']})",
        "inside: " + (", ".join(f"{area} {n}" for area, n in status["occupancy"].items()) or "nobody"),
        *(_roll_call(one) for one in status["roll_calls"]),
        f"card to relay: p50 {wait['p50']} ms, p99 {wait['p99']} ms, max {wait['max']} ms of the last 1000"
        if wait["n"]
        else "card to relay: none yet",
    ]
    return "\n".join(lines)


def _roll_call(one: dict[str, Any]) -> str:
    what = "DRILL (訓練)" if one["drill"] else ", ".join(one["causes"])
    return f"ROLL CALL {one['id']} open ({what}): {one['inside']} may be inside; gatectl rollcall"


def _loaded(allowlist: dict[str, Any]) -> str:
    if allowlist["fault"]:
        return str(allowlist["fault"])
    return f"loaded {allowlist['loaded_at']}" if allowlist["loaded_at"] else "none was loaded yet"


def _span(seconds: float) -> str:
    """Seconds in the two largest units that matter."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
