r"""Numato USB relay boards: lines of text, which the board echoes, and a prompt after each.

`relay on 0\r`, `relay off A\r`: relays are numbered from 0, beyond 9 by letters. `relay read 0\r` is
answered by a line "on" or "off", `relay readall\r`, on boards of eight relays and more, by hexadecimal
digits, the last bit being relay 0. Lines of an answer end in \n\r.
Source: the maker's user guides of the 1- to 32-channel modules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

FIRST_CHANNEL = 0
MAX_CHANNELS = 32
PREFIX = b"\r"  # ends whatever noise left on the board's line, which would spoil the first command
ASKED_ONE_BY_ONE = 7  # boards below eight relays do not all know `readall`
NAMES = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
_EACH = re.compile(rb"relay read ([0-9A-V])[\r\n]+(on|off)[\r\n]+>")
_ALL = re.compile(rb"relay readall[\r\n]+((?:[0-9a-fA-F]{2}){1,4})[\r\n]+>")


def command(channel: int, energised: bool) -> bytes:
    """The line that switches one relay; channels count from 0. Raises ValueError out of range."""
    if not 0 <= channel < MAX_CHANNELS:
        raise ValueError(f"channel {channel} is not between 0 and {MAX_CHANNELS - 1}")
    return f"relay {'on' if energised else 'off'} {NAMES[channel]}\r".encode("ascii")


def question(channels: int) -> bytes:
    """What asks a board of so many relays for all their states."""
    if channels > ASKED_ONE_BY_ONE:
        return b"relay readall\r"
    return b"".join(f"relay read {NAMES[channel]}\r".encode("ascii") for channel in range(channels))


def states(heard: bytes, channels: int) -> Mapping[int, bool] | None:
    """The relays by all that was heard since the question; None until each was told, behind its own echo.

    Echoes of commands and noise may stand around the answers; the last answer counts.
    """
    if channels > ASKED_ONE_BY_ONE:
        told = _ALL.findall(heard)
        if not told or len(told[-1]) * 4 < channels:
            return None
        bits = int(told[-1], 16)
        return {channel: bool(bits >> channel & 1) for channel in range(channels)}
    each = {NAMES.index(name.decode("ascii")): state == b"on" for name, state in _EACH.findall(heard)}
    if any(channel not in each for channel in range(channels)):
        return None
    return {channel: each[channel] for channel in range(channels)}
