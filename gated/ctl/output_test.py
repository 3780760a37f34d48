"""`gatectl test-output LANE`: a drill of one lane, measured, by a named person who relocks it again.

The command goes the way of a real alarm and is confirmed as one. Whatever goes wrong, the lane stays open.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from gated.ctl.ask import person_and_reason, release_socket, show_json
from gated.ctl.follow import until
from gated.errors import GatedError, RequestRefused
from gated.release import client
from gated.release.state import ReleaseState

OPEN_S = 70.0
"""Longest wait for the lane; the release itself says "open by hand" after its confirm_s, 60 at most."""

RELOCK_S = 300.0


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "test-output", help="open one lane as an alarm does, tell the time it took, relock it"
    )
    parser.add_argument("lane", metavar="LANE")
    parser.add_argument("--keep-open", action="store_true", help="leave it open; then: gatectl reset")
    parser.add_argument(
        "--wait",
        type=float,
        default=RELOCK_S,
        metavar="S",
        help="longest wait for the lane to be relocked (default: %(default)g)",
    )
    person_and_reason(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Test the lane; 0 when it was confirmed open and is relocked, or kept open as asked."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    path = release_socket(args)
    result: dict[str, Any] = {"lane": args.lane, "by": args.by, "opened_ms": None, "relocked": False}
    refuse(await client.status(path), args.lane)

    def say(text: str) -> None:
        if not args.json:
            print(text, flush=True)

    try:
        result |= await open_lane(path, args.lane, args.by, args.why)
        say(f"{args.lane}: open after {result['opened_ms']:.1f} ms, {result['seen']}")
        if args.keep_open:
            say("it stays open until: gatectl reset")
        else:
            await relock_lane(path, args.lane, args.by, f"end of test: {args.why}", args.wait)
            result["relocked"] = True
            say(f"{args.lane}: relocked by {args.by}")
    except GatedError as error:
        if args.json:
            show_json({**result, "error": str(error)})
        raise
    if args.json:
        show_json(result)
    return 0


def refuse(state: ReleaseState, lane: str) -> None:
    """Raises RequestRefused with every reason for which this lane is not to be tested now."""
    found = []
    if lane not in state.lanes:
        found.append(f"there is no lane {lane!r}; there are: {', '.join(state.lanes)}")
    elif state.lanes[lane].observed == "open" and not state.causes:
        found.append(f"{lane} is seen open already: look at its contact, or let it shut first")
    if state.causes and not state.drill:
        causes = ", ".join(f"{cause.cause} of {cause.input}" for cause in state.causes)
        found.append(f"an alarm is latched: {causes}")
    elif state.causes:
        found.append("a drill is under way; end it by: gatectl reset")
    if not state.armed:
        found.append(f"the release is not armed ({state.phase}); see: gatectl release status")
    if found:
        raise RequestRefused("test refused: " + "; ".join(found))


async def open_lane(path: Path, lane: str, by: str, why: str) -> dict[str, Any]:
    """Have the lane opened as a drill, and wait until it is confirmed: `opened_ms`, and how it was `seen`.

    Raises RequestRefused, and GatedError when it does not open, an alarm comes, or nobody answers; then
    the lane is left as it is: open, if the release can.
    """

    def seen(state: ReleaseState) -> dict[str, Any] | None:
        if state.causes and not state.drill:
            raise GatedError(f"ALARM during the test of {lane}; the lanes stay open: gatectl release status")
        found = state.lanes[lane]
        if found.open_by_hand:
            raise GatedError(f"OPEN BY HAND: {lane} was commanded to open and is not seen to be open")
        if found.commanded != "open" or found.opened_ms is None or found.observed == "shut":
            return None
        how = "seen by its contact" if found.observed == "open" else "written to its board, seen by nobody"
        return {"opened_ms": round(found.opened_ms, 3), "seen": how}

    async def drill() -> None:
        await client.request(path, "drill", by=by, why=why, lanes=[lane])

    late = f"OPEN BY HAND: {lane} was not confirmed open in {OPEN_S:g} s"
    return await until(path, seen, OPEN_S, lambda last: late, drill)


async def relock_lane(path: Path, lane: str, by: str, why: str, wait_s: float) -> None:
    """Reset, and wait until the lane may be shut and nothing is latched.

    Raises RequestRefused when the reset is refused, GatedError when it does not come to its end.
    """

    def seen(state: ReleaseState) -> bool | None:
        if state.causes and not state.drill:
            raise GatedError(f"ALARM while {lane} was being relocked; the lanes stay open")
        return True if not state.causes and state.lanes[lane].commanded == "may_shut" else None

    def otherwise(last: ReleaseState | None) -> str:
        waits = [fault for fault in last.faults if fault.startswith("relocking waits")] if last else []
        return "; ".join([f"{lane}: was not relocked in {wait_s:g} s and stays open", *waits])

    async def reset() -> None:
        await client.request(path, "reset", by=by, why=why)

    await until(path, seen, wait_s, otherwise, reset)
