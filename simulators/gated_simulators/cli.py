"""gatesim: the simulated building, for technicians."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from gated.errors import GatedError
from gated_simulators import client
from gated_simulators.building import commands


def _site(text: str) -> Path:
    """A directory that holds a site's gated.toml."""
    site = Path(text)
    if not (site / "gated.toml").is_file():
        raise argparse.ArgumentTypeError(f"{text} is no site: it holds no gated.toml")
    return site.absolute()


def _add_site(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--site",
        "--config",
        dest="site",
        type=_site,
        default=os.environ.get("GATESIM_SITE", "."),
        metavar="DIR",
        help="directory of gated.toml and release.toml (default: $GATESIM_SITE, or here)",
    )


def _run(args: argparse.Namespace) -> int:
    from gated_simulators.run import run

    return asyncio.run(run(args.site, plain=args.plain))


def _play(args: argparse.Namespace) -> int:
    from gated_simulators import demo

    if args.scenario is None:
        print(demo.listed())
        return 0
    live = demo.is_live() and not args.plain
    return asyncio.run(demo.play(args.scenario, args.on, args.source, args.keep, live, args.picture))


def _act(args: argparse.Namespace) -> int:
    if told := asyncio.run(client.act(args.site, args)):
        print(told)
    return 0


def _status(args: argparse.Namespace) -> int:
    found = asyncio.run(client.ask(args.site, "status"))
    if args.json:
        print(json.dumps(found))
        return 0
    for name, lane in found["lanes"].items():
        flap = "open" if lane["flap"] >= 1 else "shut" if lane["flap"] <= 0 else "moving"
        hold = f", held {lane['hold']}" if lane["hold"] else ""
        lamps = ", ".join(lane["lamps"]) or "dark"
        print(f"{name:<10} flap {flap}{hold}; lamps {lamps}; {len(lane['people'])} people in it")
    states = {name: "ALARM" if active else "at rest" for name, active in found["alarms"].items()}
    states |= {name: "TROUBLE" if active else "at rest" for name, active in found["troubles"].items()}
    for name, state in states.items():
        line = found["lines"][name]
        print(f"{name:<24} {state}{'' if line == 'whole' else f', its line {line}'}")
    for name, on in found["signals"].items():
        print(f"{name:<24} {'on' if on else 'off'}")
    for name, how in found["outputs"].items():
        print(f"{'output ' + name:<24} {how}")
    for name, state in found["devices"].items():
        print(f"{name:<24} {state}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="gatesim", description="The simulated building: the other ends of a site's wires."
    )
    sub = top.add_subparsers(dest="do", required=True, metavar="COMMAND")
    run = sub.add_parser("run", help="hold the far ends of a site's wires and show the building")
    _add_site(run)
    run.add_argument("--plain", action="store_true", help="lines instead of a picture")
    run.set_defaults(run=_run)
    demo = sub.add_parser("demo", help="start a scratch site, play the demo on it, stop it")
    demo.set_defaults(run=_play, scenario="demo", on=None)
    play = sub.add_parser("play", help="play a scenario; the status tells whether everything held")
    play.add_argument("scenario", nargs="?", help="a file, or the name of one of ours; none: list those")
    play.add_argument("--site", dest="on", type=_site, metavar="DIR", help="on this site, which runs already")
    play.set_defaults(run=_play)
    for one in (demo, play):
        one.add_argument("--from", dest="source", type=_site, metavar="DIR", help="the site to copy")
        one.add_argument("--keep", action="store_true", help="leave the scratch site and its logs")
        one.add_argument("--plain", action="store_true", help="lines instead of a picture")
    play.set_defaults(picture=None)
    demo.add_argument("--picture", type=Path, metavar="FILE", help="write the busiest moment as SVG")
    status = sub.add_parser("status", help="what the building looks like now")
    status.add_argument("--json", action="store_true")
    status.set_defaults(run=_status)
    _add_site(status)
    before = set(sub.choices)
    commands.add_acts(sub)
    for name in set(sub.choices) - before:
        sub.choices[name].set_defaults(run=_act)
        _add_site(sub.choices[name])
    return top


def main(argv: list[str] | None = None) -> int:
    """Entry point of `gatesim`: 0 done, 1 refused or not held, 2 misused."""
    args = parser().parse_args(argv)
    try:
        status: int = args.run(args)
    except GatedError as error:
        print(f"gatesim: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    return status
