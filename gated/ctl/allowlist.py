"""gatectl allowlist: load a list, deny a card at once, allow it again."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gated import jsonlines
from gated.allowlist import SiteKey
from gated.allowlist.deny import DenyStore
from gated.allowlist.load import READERS, build
from gated.allowlist.rows import LENGTHS, Checker
from gated.errors import GatedError, InputError, RequestRefused

if TYPE_CHECKING:
    from gated.config import SiteConfig

SWAP_TIMEOUT_S = 30.0


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("allowlist", help="load the list of credentials, deny a card")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    load = commands.add_parser("load", help="check a file whole and put it in force")
    load.add_argument("file", type=Path, metavar="FILE", help="CSV or JSON Lines")
    load.add_argument("--format", choices=sorted(READERS), help="default: by the file's extension")
    load.set_defaults(run=run_load)

    for name, run, text in (
        ("deny", run_deny, "deny a card at once, whatever a list says"),
        ("allow-again", run_allow_again, "take back what deny did"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--card",
            metavar="HEX",
            help='the card number; "-" or nothing: ask for it, so that no shell keeps it',
        )
        command.add_argument("--technology", choices=sorted(LENGTHS), default="felica")
        command.add_argument("--why", required=True, help="the reason, for the record; no names")
        command.set_defaults(run=run)


def run_load(args: argparse.Namespace) -> int:
    """Build the new list, then ask gated to use it."""
    from gated.config import load

    config = load(args.config)
    plan = config.plan
    started = time.monotonic()
    key = SiteKey.load_or_create(config.state_dir / "site.key")
    report = build(
        args.file,
        config.state_dir / "allowlist.db",
        key,
        timezone=config.site.timezone,
        zones={zone for area in plan.areas.values() for zone in (area.id, *area.zones)},
        schedules=plan.schedules.keys(),
        format=args.format,
    )
    seconds = time.monotonic() - started
    running = _ask(config.site, "allowlist.swap", SWAP_TIMEOUT_S, by=args.by) is not None
    in_force = "in force now" if running else "gated does not answer: in force when it starts"
    _tell(
        args,
        f"{report.rows} credentials, {report.denied} of them denied, loaded in {seconds:.1f} s; {in_force}",
        {"rows": report.rows, "denied": report.denied, "seconds": round(seconds, 3), "in_force": running},
    )
    return 0


def run_deny(args: argparse.Namespace) -> int:
    """Deny a card: by the running gated, or for its next start."""
    site = _site(args)
    identifier = _identifier(site, args)
    running = _ask(site, "deny", id=identifier.hex(), by=args.by, why=args.why) is not None
    if not running:
        DenyStore(site.state_dir / "deny.db").add(identifier, args.why)
    _tell_deny(args, identifier, "denied", running)
    return 0


def run_allow_again(args: argparse.Namespace) -> int:
    """Take a deny entry back. It does not undo one that stands in the list itself."""
    site = _site(args)
    identifier = _identifier(site, args)
    answer = _ask(site, "allow_again", id=identifier.hex(), by=args.by, why=args.why)
    if answer is None and not DenyStore(site.state_dir / "deny.db").remove(identifier):
        raise GatedError("that card has no deny entry made by hand")
    _tell_deny(args, identifier, "allowed again", answer is not None)
    return 0


def _site(args: argparse.Namespace) -> SiteConfig:
    from gated.config import load_site  # late, and without the drivers

    return load_site(args.config)


def _ask(site: SiteConfig, do: str, timeout_s: float = 10.0, **values: Any) -> Any:
    """The answer of the running gated, or None when nobody answers. Raises RequestRefused."""
    try:
        return asyncio.run(jsonlines.request(site.control_socket, do, timeout_s, **values))
    except RequestRefused:
        raise
    except GatedError as error:
        if isinstance(error.__cause__, PermissionError):
            raise  # it runs, but not for us
        return None


def _identifier(site: SiteConfig, args: argparse.Namespace) -> bytes:
    """The keyed identifier of the card; its clear number stays in this process."""
    text = args.card
    if text in (None, "-"):
        text = getpass.getpass("card number (hex): ") if sys.stdin.isatty() else sys.stdin.readline()
    payload, problem = Checker(site.timezone).identifier(args.technology, text.strip())
    if problem:
        raise InputError([problem.removeprefix("column ")])
    key = SiteKey.load_or_create(site.state_dir / "site.key")
    return key.identify(args.technology, payload)


def _tell_deny(args: argparse.Namespace, identifier: bytes, what: str, running: bool) -> None:
    when = "in force now" if running else "gated does not answer: in force when it starts"
    _tell(args, f"{identifier.hex()}: {what}; {when}", {"id": identifier.hex(), "in_force": running})


def _tell(args: argparse.Namespace, text: str, result: dict[str, Any]) -> None:
    print(json.dumps(result) if args.json else text)
