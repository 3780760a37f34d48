"""`gatectl events`: the journal, from the files themselves, so that it can be read while gated is down."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import deque
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from gated import journal
from gated.config import load_site
from gated.core.effects import RecordKind

LAST = 10
"""Records shown before the new ones, with --follow."""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "events", help="the journal: decisions, passages, alarms, faults, commands"
    )
    parser.add_argument(
        "--follow", action="store_true", help=f"the last {LAST}, then each new one until Ctrl-C"
    )
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="JSON, one a line")
    parser.add_argument("--since", type=int, metavar="SEQ", help="only records after this number")
    parser.add_argument(
        "--kind", action="append", choices=[kind.value for kind in RecordKind], help="only these; repeatable"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print records."""
    site = load_site(args.config)
    directory = site.state_dir / "journal"

    def show(record: dict[str, Any]) -> None:
        if not args.kind or record["kind"] in args.kind:
            text = json.dumps(record, ensure_ascii=False) if args.json else line(record, site.timezone)
            print(text, flush=args.follow)

    if args.follow:
        asyncio.run(_follow(directory, args.since, show))
    else:
        for record in journal.read(directory, args.since or 0):
            show(record)
    return 0


async def _follow(directory: Path, since: int | None, show: Any) -> None:
    if since is None:
        last = deque(journal.read(directory), LAST)
        for record in last:
            show(record)
        since = last[-1]["seq"] if last else 0
    async for record in journal.follow(directory, since):
        show(record)


def line(record: dict[str, Any], timezone: tzinfo) -> str:
    """One record for people, in the site's time."""
    try:
        at = datetime.fromisoformat(record["at"]).astimezone(timezone).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        at = "-"
    where = " ".join(word for word in (record["lane"], record["access_point"], record["direction"]) if word)
    who = record["id"][:8]  # enough to tell two apart on a screen
    detail = ", ".join(f"{name} {value}" for name, value in record["detail"].items() if value != "")
    cells = (f"{record['seq']:>7}", at, f"{record['kind']:<8}", record["code"], where, who, detail)
    return "  ".join(cell for cell in cells if cell)
