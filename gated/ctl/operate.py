"""`gatectl reload | mode | assist | check`: what an operator does at a running gate."""

from __future__ import annotations

import argparse
from pathlib import Path

from gated.config import describe, load
from gated.core.model import Direction, LaneMode
from gated.ctl.ask import ask

AUTO = "auto"


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    reload_ = subparsers.add_parser("reload", help="apply the configuration file without dropping a lane")
    reload_.set_defaults(run=_reload)

    mode = subparsers.add_parser("mode", help="set what a lane is for, until it is set again")
    mode.add_argument("lane", metavar="LANE")
    mode.add_argument("mode", choices=[AUTO, *(m.value for m in LaneMode)], help="auto: by plan and schedule")
    _why(mode)
    mode.set_defaults(run=_mode)

    assist = subparsers.add_parser("assist", help="let one person through by hand")
    assist.add_argument("lane", metavar="LANE")
    assist.add_argument("direction", choices=[d.value for d in Direction])
    _why(assist)
    assist.set_defaults(run=_assist)

    check = subparsers.add_parser("check", help="check a configuration file, tell every error")
    check.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: --config")
    check.set_defaults(run=_check)


def _why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--why", required=True, metavar="TEXT", help="the reason, for the journal")
    parser.add_argument("--by", default=argparse.SUPPRESS, metavar="NAME", help="who commands")


def _reload(args: argparse.Namespace) -> int:
    for change in ask(args, "reload", by=args.by)["changes"]:
        print(change)
    return 0


def _mode(args: argparse.Namespace) -> int:
    answer = ask(args, "mode", lane=args.lane, mode=args.mode, by=args.by, why=args.why)
    print(f"{answer['lane']}: mode {answer['mode']}")
    return 0


def _assist(args: argparse.Namespace) -> int:
    answer = ask(args, "assist", lane=args.lane, direction=args.direction, by=args.by, why=args.why)
    print(f"{answer['lane']}: {answer['state']}{' - ' + answer['reason'] if answer['reason'] else ''}")
    return 0


def _check(args: argparse.Namespace) -> int:
    print(describe(load(args.file or args.config)))
    return 0
