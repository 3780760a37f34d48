"""`gatectl open | drill | inspect | reset`: what a person has the emergency release do.

They need release.toml and a running gated-release, and nothing of gated.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from gated.ctl.ask import ask_release, person, person_and_reason, show_json
from gated.ctl.banners import local
from gated.release.state import ReleaseState

LONGEST_H = 4.0


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    open_ = subparsers.add_parser(
        "open", help="EMERGENCY: open lanes and hold them open until a reset", description=OPEN
    )
    open_.add_argument("lanes", nargs="*", metavar="LANE", help="default: every lane")
    person_and_reason(open_)
    open_.set_defaults(run=_open)

    drill = subparsers.add_parser("drill", help="really open lanes, to practise", description=DRILL)
    drill.add_argument("lanes", nargs="*", metavar="LANE", help="default: every lane")
    person_and_reason(drill)
    drill.set_defaults(run=_drill)

    inspect = subparsers.add_parser(
        "inspect", help="have one alarm input open nothing for a time", description=INSPECT
    )
    inspect.add_argument("input", metavar="INPUT")
    how = inspect.add_mutually_exclusive_group(required=True)
    how.add_argument("--hours", type=float, metavar="H", help=f"for how long, up to {LONGEST_H:g}")
    how.add_argument("--end", action="store_true", help="end the inspection now")
    inspect.add_argument("--why", metavar="TEXT", help="the reason, kept in the record")
    person(inspect)
    inspect.set_defaults(run=lambda args: _inspect(args, inspect))

    reset = subparsers.add_parser(
        "reset", help="end an alarm or drill: every cause clear, a person, a reason"
    )
    person_and_reason(reset)
    reset.set_defaults(run=_reset)


OPEN = """\
Opens the lanes at once and latches, as a key switch would; only a reset ends it. Whoever reaches the socket
of gated-release may. This is not `gatectl assist`, which lets one person through.
"""
DRILL = """\
Opens the lanes as an alarm does, labelled as a drill. An alarm meanwhile makes it an alarm. Ends by a reset.
"""
INSPECT = """\
While somebody works on the source of an input it opens nothing; the others do. Ends by itself, and if the
input is still active then, the lanes open.
"""


def _open(args: argparse.Namespace) -> int:
    state, recorded = ask_release(args, "open", by=args.by, why=args.why, lanes=args.lanes)
    text = f"{_names(args.lanes or state.lanes)}: commanded open by {args.by}"
    return _say(args, state, recorded, text, *_told(state))


def _drill(args: argparse.Namespace) -> int:
    state, recorded = ask_release(args, "drill", by=args.by, why=args.why, lanes=args.lanes)
    what = "DRILL" if state.drill else "the drill is part of a real ALARM"
    text = f"{what}: {_names(args.lanes or state.lanes)} commanded open by {args.by}"
    return _say(args, state, recorded, text, *_told(state))


def _told(state: ReleaseState) -> Iterable[str]:
    for name, lane in state.lanes.items():
        if lane.open_by_hand:
            yield f"OPEN BY HAND: {name}"
    yield "it stays so until: gatectl reset; see: gatectl release status"


def _inspect(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if args.end:
        state, recorded = ask_release(args, "inspect_end", by=args.by, input=args.input)
        text = f"{args.input}: inspection ended by {args.by}; it opens its lanes again"
        return _say(args, state, recorded, text)
    if args.why is None:
        parser.error("the following arguments are required with --hours: --why")
    words = {"input": args.input, "why": args.why, "hours": args.hours}
    state, recorded = ask_release(args, "inspect", by=args.by, **words)
    until = "".join(local(one.until) for one in state.inspections if one.input == args.input)
    text = f"INSPECTION: {args.input} opens nothing until {until} (by {args.by})"
    return _say(args, state, recorded, text)


def _reset(args: argparse.Namespace) -> int:
    state, recorded = ask_release(args, "reset", by=args.by, why=args.why)
    text = f"reset by {args.by}; {_names(state.open_lanes)} will be shut one after the other"
    return _say(args, state, recorded, text)


def _say(args: argparse.Namespace, state: ReleaseState, recorded: bool, *lines: str) -> int:
    if args.json:
        show_json({"recorded": recorded, "state": state.to_json()})
        return 0
    print("\n".join(lines))
    if not recorded:
        print("warning: the record of it is not on disk yet; see: gatectl release status")
    return 0


def _names(lanes: Iterable[str]) -> str:
    return ", ".join(sorted(lanes)) or "no lane"
