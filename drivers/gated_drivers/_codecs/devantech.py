"""Devantech USB-RLY and RLY boards of up to eight relays: one byte a command.

65 to 6C (hexadecimal) energise relay 1 to 8, 6F to 76 de-energise it, 64 and 6E all of them; 5B is answered
by one byte, bit 0 being relay 1. Nothing frames that byte, so it is asked for three times at once; and
nothing frames a command: on a real serial line at another baud rate, noise can switch a relay.
Source: the maker's technical documentation of USB-RLY08.
"""

from __future__ import annotations

from collections.abc import Mapping

FIRST_CHANNEL = 1
MAX_CHANNELS = 8
PREFIX = b""
TIMES = 3


def command(channel: int, energised: bool) -> bytes:
    """The byte that switches one relay; channels count from 1. Raises ValueError out of range."""
    if not 1 <= channel <= MAX_CHANNELS:
        raise ValueError(f"channel {channel} is not between 1 and {MAX_CHANNELS}")
    return bytes([(0x64 if energised else 0x6E) + channel])


def question(channels: int) -> bytes:
    """What asks for the states of all relays."""
    return b"\x5b" * TIMES


def states(heard: bytes, channels: int) -> Mapping[int, bool] | None:
    """The relays by all that was heard since the question; None unless that is the same byte three times.

    A bit of a relay that the board has not must be 0.
    """
    if len(heard) != TIMES or len(set(heard)) != 1 or heard[0] >> channels:
        return None
    return {channel: bool(heard[0] >> (channel - 1) & 1) for channel in range(1, channels + 1)}
