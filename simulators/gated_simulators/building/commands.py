"""The words a technician uses, in one grammar: as a command, typed into `gatesim run`, in a scenario."""

from __future__ import annotations

import argparse
import difflib
import shlex
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from gated.errors import InputError

Subparsers = argparse._SubParsersAction  # the name argparse gives no public alias


class Words(argparse.ArgumentParser):
    """An argument parser that raises InputError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise InputError with argparse's sentence."""
        raise InputError([f"{self.prog.strip()}: {message}"])


def _number(low: float, high: float, what: str) -> Callable[[str], float]:
    """A type for argparse: a number in these limits, refused in a sentence."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not {what} between {low:g} and {high:g}")
        return value

    return number


_SECONDS = _number(0.01, 3600.0, "a time in seconds")
_SIGMA = _number(0.0, 20.0, "a blur in pixels")
_DEGREES = _number(0.0, 70.0, "an angle in degrees")
_SHARE = _number(0.0, 1.0, "a share")


def add_acts(sub: Subparsers[Any]) -> None:
    """Add every act on the building as a subcommand."""
    card = sub.add_parser("card", help="hold a card to the reader of a lane until it answers")
    card.add_argument("lane")
    card.add_argument("card", help="a name of people.toml, or an IDm of 16 hex digits")
    card.add_argument("--exit", dest="way", action="store_const", const="exit", default="entry")
    code = sub.add_parser("code", help="show a code to the camera of a lane until it answers")
    code.add_argument("lane")
    code.add_argument("code", help="the content, or @FILE that holds it")
    code.add_argument("--exit", dest="way", action="store_const", const="exit", default="entry")
    code.add_argument("--blur", type=_SIGMA, default=0.0, help="sigma in pixels, 0 sharp")
    code.add_argument("--tilt", type=_DEGREES, default=0.0, help="degrees, 0 straight on .. 70")
    code.add_argument("--glare", type=_SHARE, default=0.0, help="0 none .. 1 the code is white")
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
    trip.add_argument("--for", dest="for_s", type=_SECONDS, help="only for so many seconds")
    sub.add_parser("clear", help="bring an alarm contact back to rest").add_argument("contact")
    cut = sub.add_parser("cut", help="pull a device's cable, or cut the line of an input")
    cut.add_argument("what", help="a device, or an input or monitor of release.toml")
    for verb, text in (
        ("short", "short the line of an input"),
        ("misterminate", "give a supervised line a wrong resistor"),
        ("restore", "repair the line of an input"),
    ):
        sub.add_parser(verb, help=text).add_argument("line", help="an input or monitor of release.toml")
    bounce = sub.add_parser("bounce", help="let the contact of an input bounce")
    bounce.add_argument("line", help="an input or monitor of release.toml")
    bounce.add_argument("--for", dest="for_s", type=_SECONDS, default=0.03, help="seconds (0.03)")
    fail = sub.add_parser("fail", help="let an emergency relay or a signal fail")
    fail.add_argument("output", help="an output or a signal of release.toml")
    fail.add_argument(
        "how",
        nargs="?",
        choices=["stuck", "refuses", "silent"],
        default="stuck",
        help="acknowledged but not moved (the default); refused by its board; its whole board is silent",
    )
    sub.add_parser("repair", help="let it work again").add_argument("output")
    ups = sub.add_parser("ups", help="the power supply runs on its battery, the battery gets low, or neither")
    ups.add_argument("state", choices=["on_battery", "low", "mains"])
    panel = sub.add_parser("panel", help="a switch of the fire panel")
    panel.add_argument("switch", choices=["transfer-stopped"], help="its fire contacts stay at rest")
    panel.add_argument("position", choices=["on", "off"])
    for verb, text in (
        ("mend", "put a device's cable back"),
        ("stall", "freeze a camera's stream, the connection left open"),
        ("resume", "let the stream go on"),
    ):
        sub.add_parser(verb, help=text).add_argument("device")
    hold = sub.add_parser("hold", help="somebody holds a flap, whatever drives it")
    hold.add_argument("lane")
    hold.add_argument("how", nargs="?", choices=["shut", "open"], default="shut")
    sub.add_parser("free", help="nobody holds the flap any more").add_argument("lane")
    spoil = sub.add_parser("spoil", help="overwrite what gated-release has latched, on disk and in memory")
    spoil.add_argument("kept", choices=["latch"])
    kill = sub.add_parser("kill", help="kill a process with SIGKILL")
    kill.add_argument("process", choices=["gated", "gated-release"])


def _parser() -> tuple[Words, Subparsers[Words]]:
    parser = Words(prog="", add_help=False)
    sub = parser.add_subparsers(dest="do", required=True, parser_class=Words)
    add_acts(sub)
    return parser, sub


def words() -> list[str]:
    """Every verb."""
    return list(_parser()[1].choices)


def parse(line: str | Sequence[str]) -> argparse.Namespace:
    """An act as typed; `do` holds the verb. Raises InputError with a sentence."""
    parser, sub = _parser()
    try:
        typed = shlex.split(line) if isinstance(line, str) else list(line)
    except ValueError as error:
        raise InputError([f"{line}: {error}"]) from error
    if not typed or typed[0] not in sub.choices:
        near = difflib.get_close_matches(typed[0], sub.choices, 1) if typed else []
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sub.choices)}"
        raise InputError([f"{typed[0] if typed else ''!r} is no act; {hint}"])
    return parser.parse_args(typed)


def as_request(act: argparse.Namespace) -> dict[str, object]:
    """What goes over the socket for an act: its verb and its arguments."""
    return {
        key: value for key, value in vars(act).items() if value is not None and key not in ("run", "site")
    }
