"""LCUS relay boards: four bytes a command, A0, channel, 00 or 01, and the sum of the three; never an answer.

Source: the makers' data sheets; vectors: channel 1 on A0 01 01 A2, off A0 01 00 A1.
"""

from __future__ import annotations

from collections.abc import Mapping

FIRST_CHANNEL = 1
MAX_CHANNELS = 32  # the largest board sold; the channel has a byte of its own
PREFIX = b""


def command(channel: int, energised: bool) -> bytes:
    """The frame that switches one relay; channels count from 1. Raises ValueError out of range."""
    if not 1 <= channel <= MAX_CHANNELS:
        raise ValueError(f"channel {channel} is not between 1 and {MAX_CHANNELS}")
    body = bytes([0xA0, channel, energised])
    return body + bytes([sum(body) & 0xFF])


def question(channels: int) -> bytes:
    """Nothing: the board cannot be asked."""
    return b""


def states(heard: bytes, channels: int) -> Mapping[int, bool] | None:
    """Nothing: the board never answers."""
    return None
