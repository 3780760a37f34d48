"""The words a technician uses, in one grammar: as a command, typed into `gatesim run`, in a scenario."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import NoReturn

from gated.errors import InputError

Subparsers = argparse._SubParsersAction  # the name argparse gives no public alias


class Words(argparse.ArgumentParser):
    """An argument parser that raises InputError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError with argparse's sentence."""
        raise InputError([f"{self.prog.strip()}: {message}"])


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.0 < value <= 3600.0:
        raise argparse.ArgumentTypeError(f"{text} is not a time between 0 and 3600 s")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _degrees(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 70.0:
        raise argparse.ArgumentTypeError(f"{text} is not an angle between 0 and 70 degrees")
    return value


def _sigma(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 20.0:
        raise argparse.ArgumentTypeError(f"{text} is not a blur between 0 and 20 pixels")
    return value


def add_acts(sub: Subparsers[argparse.ArgumentParser]) -> None:
    """Add every act on the building as a subcommand."""
    card = sub.add_parser("card", help="hold a card to the reader of a lane until it answers")
    card.add_argument("lane")
    card.add_argument("card", help="a name of people.toml, or an IDm of 16 hex digits")
    card.add_argument("--exit", dest="way", action="store_const", const="exit", default="entry")
    code = sub.add_parser("code", help="show a code to the camera of a lane until it answers")
    code.add_argument("lane")
    code.add_argument("code", help="the content, or @FILE that holds it")
    code.add_argument("--exit", dest="way", action="store_const", const="exit", default="entry")
    code.add_argument("--blur", type=_sigma, default=0.0, help="sigma in pixels, 0 sharp")
    code.add_argument("--tilt", type=_degrees, default=0.0, help="degrees, 0 straight on .. 70")
    code.add_argument("--glare", type=_share, default=0.0, help="0 none .. 1 the code is white")
    code.add_argument("--alter", action="store_true", help="show it with one character changed")
    walk = sub.add_parser("walk", help="one person walks through a lane")
    walk.add_argument("lane")
    walk.add_argument("way", nargs="?", choices=["entry", "exit"], default="entry")
    how = walk.add_mutually_exclusive_group()
    how.add_argument("--approach", action="store_true", help="step into the first beam and wait there")
    how.add_argument("--force", action="store_true", help="push the flap open")
    how.add_argument("--back-out", action="store_true", help="enter the first beam, then turn back")
    tailgate = sub.add_parser("tailgate", help="two people walk close behind each other")
    tailgate.add_argument("lane")
    tailgate.add_argument("way", nargs="?", choices=["entry", "exit"], default="entry")
    trip = sub.add_parser("trip", help="bring an alarm contact into alarm")
    trip.add_argument("contact", help="an input of release.toml, or its cause: fire, earthquake, manual")
    trip.add_argument("--for", dest="for_s", type=_seconds, help="only for so many seconds")
    sub.add_parser("clear", help="bring an alarm contact back to rest").add_argument("contact")
    for verb, text in (
        ("cut", "pull a device's cable"),
        ("mend", "put the cable back"),
        ("stall", "freeze a camera's stream, the connection left open"),
        ("resume", "let the stream go on"),
    ):
        sub.add_parser(verb, help=text).add_argument("device")
    jam = sub.add_parser("jam", help="a flap sticks")
    jam.add_argument("lane")
    jam.add_argument("how", nargs="?", choices=["shut", "open"], default="shut")
    sub.add_parser("free", help="a flap moves again").add_argument("lane")
    kill = sub.add_parser("kill", help="kill a process with SIGKILL")
    kill.add_argument("process", choices=["gated", "gated-release"])


def parse(line: str | Sequence[str]) -> argparse.Namespace:
    """An act as typed; `do` holds the verb. Raises InputError with a sentence."""
    parser = Words(prog="", add_help=False, description="acts on the building")
    add_acts(parser.add_subparsers(dest="do", required=True, parser_class=Words))
    try:
        words = shlex.split(line) if isinstance(line, str) else list(line)
    except ValueError as error:
        raise InputError([f"{line}: {error}"]) from error
    return parser.parse_args(words)


def as_request(act: argparse.Namespace) -> dict[str, object]:
    """What goes over the socket for an act: its verb and its arguments."""
    return {
        key: value for key, value in vars(act).items() if value is not None and key not in ("run", "site")
    }
