"""`gatectl rollcall`: who may have been inside at the moment of alarm, from its file, gated up or down."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import syslog
from dataclasses import asdict
from datetime import tzinfo
from typing import Any

from gated import journal, jsonlines
from gated.config import SiteConfig, load_site
from gated.ctl.ask import ask, show_json
from gated.errors import GatedError, RequestRefused
from gated.rollcall import page
from gated.rollcall.sheet import Sheet, describe, read_all

NONE_YET = "there is no roll call: none was made, or all were closed long ago; who may be inside now: "
NOW = "gatectl rollcall now"


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "rollcall",
        help="who may have been inside at the moment of alarm (an estimate); also while gated is down",
        description="Lists the roll calls and shows the latest. gated makes one at each alarm and drill.",
    )
    parser.add_argument("--list", action="store_true", dest="only_list", help="the roll calls, no people")
    parser.add_argument("--at", metavar="ID", help="another than the latest")
    parser.add_argument("--print", action="store_true", dest="paper", help="pages to tick off, for | lp")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    parser.set_defaults(run=_show)
    commands = parser.add_subparsers(metavar="COMMAND")

    close = commands.add_parser("close", help="everybody is accounted for; touches no gate")
    close.add_argument("--at", metavar="ID", default=argparse.SUPPRESS, help="another than the open one")
    close.add_argument("--why", required=True, metavar="TEXT", help="the reason, kept with it")
    close.add_argument("--by", default=argparse.SUPPRESS, metavar="NAME", help="who closes")
    close.set_defaults(run=_close)

    now = commands.add_parser("now", help="who may be inside now, by area (an estimate)")
    now.add_argument("area", nargs="?", metavar="AREA")
    now.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    now.set_defaults(run=_now)


def _show(args: argparse.Namespace) -> int:
    site = load_site(args.config)
    sheets = _read(site)
    if args.only_list:
        _list(sheets, site.timezone, args.json)
        return 0
    sheet = _chosen(sheets, args.at)
    _record(site, sheet, "printed" if args.paper else "shown", args.by)
    seen = page.sightings(sheet, journal.read(site.state_dir / "journal", sheet.journal_seq))
    if args.json:
        sighted = {ref: {"at": one.at, "where": one.where} for ref, one in seen.items()}
        show_json({**asdict(sheet), "late": sheet.late, "estimate": True, "seen": sighted})
    elif args.paper:
        print(page.printed(sheet, seen, site.timezone), end="")
    else:
        if len(sheets) > 1 and args.at is None:
            _list(sheets, site.timezone, False)
            print()
        print(page.screen(sheet, seen, site.timezone))
    return 0


def _close(args: argparse.Namespace) -> int:
    name = args.at
    if name is None:
        open_ones = [sheet.id for sheet in _read(load_site(args.config)) if not sheet.closed_at]
        if len(open_ones) != 1:
            told = f"more than one is open, say which with --at: {', '.join(open_ones)}"
            raise RequestRefused(told if open_ones else "no roll call is open")
        name = open_ones[0]
    answer = ask(args, "rollcall.close", id=name, by=args.by, why=args.why)
    if args.json:
        show_json(answer)
    else:
        print(f"roll call {name} closed by {args.by}; the gates are as they were")
    return 0


def _now(args: argparse.Namespace) -> int:
    answer = ask(args, "rollcall", area=args.area, by=args.by)
    if args.json:
        show_json(answer)
        return 0
    print(f"{len(answer['inside'])} may be inside (an estimate, by keyed identifier):")
    for entry in answer["inside"]:
        doubt = "" if entry["certain"] else "  in doubt"
        print(f"  {entry['area']}  {entry['id'][:12]}  since {entry['since']}{doubt}")
    return 0


def _read(site: SiteConfig) -> list[Sheet]:
    try:
        sheets, problems = read_all(site.roll_calls)
    except PermissionError as error:
        raise GatedError(f"{error.filename}: not allowed for this user; join its group") from error
    for problem in problems:
        print(f"gatectl: {problem}", file=sys.stderr)
    return sheets


def _chosen(sheets: list[Sheet], name: str | None) -> Sheet:
    if not sheets:
        raise GatedError(NONE_YET + NOW)
    if name is None:
        return sheets[-1]
    found = [sheet for sheet in sheets if sheet.id == name]
    if not found:
        raise GatedError(f"there is no roll call {name!r}; see: gatectl rollcall --list")
    return found[0]


def _list(sheets: list[Sheet], timezone: tzinfo, as_json: bool) -> None:
    if as_json:
        show_json([describe(sheet) for sheet in sheets])
        return
    for sheet in sheets:
        state = f"closed by {sheet.closed_by}" if sheet.closed_at else "OPEN"
        what = "DRILL (訓練)" if sheet.drill else ", ".join(sheet.causes)
        late = "  LATE" if sheet.late else ""
        print(
            f"{sheet.id}  {what}  {len(sheet.people)} may be inside, {sheet.in_doubt} in doubt{late}  {state}"
        )


def _record(site: SiteConfig, sheet: Sheet, how: str, by: str) -> None:
    """Every look is recorded: by gated, and where it does not answer by the system's log. None is refused."""
    told: dict[str, Any] = {"id": sheet.id, "how": how, "by": by}
    try:
        asyncio.run(jsonlines.request(site.control_socket, "rollcall.look", timeout_s=2.0, **told))
    except GatedError as error:
        syslog.openlog("gatectl", facility=syslog.LOG_AUTH)
        syslog.syslog(f"roll call {sheet.id} {how} by {by} (uid {os.getuid()}) without gated")
        print(f"gatectl: the look is in the system's log only, not in the journal: {error}", file=sys.stderr)
