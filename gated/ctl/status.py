"""`gatectl status`: lanes, devices, emergency release, list, journal, clock."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from typing import Any

from gated.ctl.ask import ask, show_json

CLEAR = "\x1b[H\x1b[2J"
FAULTY = 3


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("status", help="lanes, devices, alarm, list, journal, clock")
    parser.add_argument("--watch", action="store_true", help="show it again every second until Ctrl-C")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show the status; 3 when anything is faulty."""
    while True:
        status = ask(args, "status")
        if args.json:
            show_json(status)
        else:
            print(f"{CLEAR if args.watch else ''}{render(status)}", flush=True)
        if not args.watch:
            return FAULTY if status["faults"] or not status["clock"]["trusted"] else 0
        time.sleep(1.0)


def render(status: dict[str, Any]) -> str:
    """The status as lines for people."""
    release, journal, clock = status["release"], status["journal"], status["clock"]
    causes = ", ".join(f"{cause['cause']} ({cause['input']})" for cause in release["causes"])
    wait = status["latency_ms"]["card"]
    lines = [
        f"{status['site']}: gated {status['version']}, up {_span(status['uptime_s'])}",
        "",
        *_table(
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
        *_table(
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


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their widest cell."""
    cells = [head, *rows]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]


def _span(seconds: float) -> str:
    """Seconds in the two largest units that matter."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
