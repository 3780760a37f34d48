"""gatectl pass: issue passes at reception, activate, revoke and show them."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gated import jsonlines
from gated.core.model import Plan
from gated.errors import GatedError, InputError, RequestRefused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from gated.config import Config, SiteConfig
    from gated.passes.claims import PassClass
    from gated.passes.issue import Issued

SHORT = 8  # digits of an id that people see


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("pass", help="issue, activate, revoke and show passes")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    issue = commands.add_parser(
        "issue",
        help="sign passes for a group and print their codes",
        description="Sign passes, register them with the running gated and print their codes. "
        "With --json the text of each code is printed for reception's software: it is as good as the pass.",
    )
    issue.add_argument("--count", type=int, default=1, metavar="N", help="how many people come (default 1)")
    issue.add_argument(
        "--zone", action="append", required=True, metavar="ZONE", help="where to; may be given more than once"
    )
    issue.add_argument("--purpose", required=True, help="for the statistics; no names")
    issue.add_argument(
        "--date", type=_date, metavar="YYYY-MM-DD", help="the day of the visit (default today)"
    )
    issue.add_argument(
        "--kind", choices=["visitor", "staff"], default="visitor", help="staff: a day pass (C14)"
    )
    issue.add_argument("--reentry", action="store_true", help="in and out as often as needed that day")
    issue.add_argument("--activate", action="store_true", help="hand them out now: activate at once")
    issue.add_argument("--out", type=Path, metavar="DIR", help="write a PNG and an SVG of each code there")
    issue.set_defaults(run=run_issue)

    keygen = commands.add_parser(
        "keygen", help="make reception's signing key, if there is none, and show its id"
    )
    keygen.set_defaults(run=run_keygen)

    for name, text in (
        ("activate", "reception hands the pass over: it opens from now on"),
        ("revoke", "the pass opens no more"),
        ("show", "what is known of a pass or of a group"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("id", metavar="ID", help="of a pass or of a group; the first 6 digits may do")
        if name == "revoke":
            command.add_argument(
                "--why", default="revoked by hand", help="the reason, for the record; no names"
            )
        command.set_defaults(run=run_verb, verb=name)


def run_keygen(args: argparse.Namespace) -> int:
    """Make the signing key on first use and install its public half."""
    from gated.passes.keys import kid_for

    kid = kid_for(_reception_key(_site(args).state_dir).public_key()).hex()
    print(json.dumps({"kid": kid}) if args.json else f"reception signs with key {kid}")
    return 0


def run_issue(args: argparse.Namespace) -> int:
    """Sign, register, perhaps activate, and only then print."""
    from gated.config import load
    from gated.passes import picture
    from gated.passes.issue import issue, registration

    config = load(args.config)
    zones = sorted({zone for given in args.zone for zone in given.split()})
    _check(config.plan, zones, args.purpose)
    timezone = config.site.timezone
    today = datetime.now(timezone).date()
    day = args.date or today
    if day < today:
        raise InputError([f"--date {day}: that day is over"])
    issued = issue(
        _reception_key(config.state_dir),
        count=args.count,
        zones=zones,
        day=day,
        timezone=timezone,
        pass_class=_class(args),
    )
    picture.prepare(args.out)  # before anything is registered
    group = issued[0].claims.group.hex()
    registered = _register(config, args, [registration(one, args.purpose) for one in issued])
    if registered and args.activate:
        _ask(config.site, "pass.activate", id=group, by=args.by)
    codes = [_one(args, one) for one in issued]
    result = {
        "group": group,
        "zones": zones,
        "purpose": args.purpose,
        "class": issued[0].claims.pass_class.name.lower(),
        "valid_from": issued[0].claims.not_before.astimezone(timezone).isoformat(),
        "valid_until": issued[0].claims.expires.astimezone(timezone).isoformat(),
        "registered": registered,
        "activated": registered and args.activate,
        "codes": codes,
    }
    if args.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        state = "opens as issued"
        if config.plan.activation_required:
            state = "activated" if args.activate else f"inactive; next: gatectl pass activate {group[:SHORT]}"
        print(f"group {group[:SHORT]}: {len(issued)} for {' '.join(zones)} on {day}, {state}")
    return 0


def run_verb(args: argparse.Namespace) -> int:
    """Activate, revoke or show: the running gated does it."""
    more = {"why": args.why} if args.verb == "revoke" else {}
    result = _ask(_site(args), f"pass.{args.verb}", id=args.id, by=args.by, **more)
    if args.json:
        print(json.dumps(result, ensure_ascii=False))
        return 0
    print(f"group {result['group'][:SHORT] or '-'}  {result['purpose']}")
    for p in result["passes"]:
        used = f"  used {p['used_at']} at {p['used_access_point']}" if p["used_at"] else ""
        place = f"{p['i']} of {p['n']}" if p["i"] else "-"
        print(f"  {p['pass'][:SHORT]}  {place:>10}  {p['state']:<12} {' '.join(p['zones'])}{used}")
    return 0


def _class(args: argparse.Namespace) -> PassClass:
    from gated.passes.claims import PassClass

    if args.kind == "staff":
        return PassClass.STAFF_DAY
    return PassClass.RE_ENTRY if args.reentry else PassClass.SINGLE_ENTRY


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("is not a date such as 2026-04-01") from error


def _check(plan: Plan, zones: list[str], purpose: str) -> None:
    known = {zone for area in plan.areas.values() for zone in (area.id, *area.zones)}
    problems = [
        f"--zone {zone}: there is no such zone; known: {', '.join(sorted(known))}"
        for zone in zones
        if zone not in known
    ]
    if not zones:
        problems.append("--zone: name at least one zone")
    if not purpose.strip() or len(purpose) > 100:
        problems.append("--purpose: is 1 to 100 characters")
    if problems:
        raise InputError(problems)


def _register(config: Config, args: argparse.Namespace, passes: list[dict[str, Any]]) -> bool:
    """Tell gated. A pass it does not know is worth something only where activation is off (C5)."""
    try:
        _ask(config.site, "pass.register", passes=passes, by=args.by)
    except RequestRefused:
        raise
    except GatedError as error:
        if config.plan.activation_required:
            raise GatedError(
                f"{error}\nno pass was issued: this site activates passes, and gated must know them"
            ) from error
        print(f"{error}\nthe passes open all the same, but cannot be shown or counted here", file=sys.stderr)
        return False
    return True


def _one(args: argparse.Namespace, issued: Issued) -> dict[str, Any]:
    """Show a code on the terminal, write its pictures; what --json tells of it."""
    from gated.passes import picture

    p = issued.claims
    paths: tuple[Path, Path] | None = None
    if args.out is not None:
        paths = picture.save(issued.code, args.out, f"{p.group.hex()[:SHORT]}-{p.i}of{p.n}")
    if not args.json:
        print(f"{p.i} of {p.n}   pass {p.id.hex()[:SHORT]}")
        picture.show(issued.code, sys.stdout)
    return {
        "pass": p.id.hex(),
        "i": p.i,
        "n": p.n,
        "code": issued.code,
        "png": str(paths[0]) if paths else None,
        "svg": str(paths[1]) if paths else None,
    }


def _reception_key(state_dir: Path) -> Ed25519PrivateKey:
    from gated.passes.keys import install_public, load_or_create_private

    key = load_or_create_private(state_dir / "reception.key")
    install_public(state_dir / "pass-keys", key.public_key())
    return key


def _site(args: argparse.Namespace) -> SiteConfig:
    from gated.config import load_site

    return load_site(args.config)


def _ask(site: SiteConfig, do: str, **values: Any) -> Any:
    return asyncio.run(jsonlines.request(site.control_socket, do, **values))
