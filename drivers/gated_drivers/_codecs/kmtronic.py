"""KMTronic USB and RS-232 relay boards: three bytes a command, FF, channel, 00 or 01.

A board of one or two relays is asked for each, FF channel 03, and answers FF channel state; one of four or
eight is asked once, FF 09 00, and answers one byte per relay, 00 or 01, without a frame around it.
Source: the maker's list of commands; vectors: relay 1 on FF 01 01, off FF 01 00.
"""

from __future__ import annotations

from collections.abc import Mapping

FIRST_CHANNEL = 1
MAX_CHANNELS = 8
PREFIX = b""
ASKED_ONE_BY_ONE = 2  # boards up to this size


def command(channel: int, energised: bool) -> bytes:
    """The frame that switches one relay; channels count from 1. Raises ValueError out of range."""
    if not 1 <= channel <= MAX_CHANNELS:
        raise ValueError(f"channel {channel} is not between 1 and {MAX_CHANNELS}")
    return bytes([0xFF, channel, energised])


def question(channels: int) -> bytes:
    """What asks a board of so many relays for all their states."""
    if channels > ASKED_ONE_BY_ONE:
        return b"\xff\x09\x00"
    return b"".join(bytes([0xFF, channel, 3]) for channel in range(1, channels + 1))


def states(heard: bytes, channels: int) -> Mapping[int, bool] | None:
    """The relays by all that was heard since the question; None unless that is one whole answer and no more.

    Boards of four and eight relays answer bare bytes, so a single byte too many makes all of them doubtful.
    A board of four may be configured with three relays.
    """
    if channels <= ASKED_ONE_BY_ONE:
        answers = [heard[at : at + 3] for at in range(0, len(heard), 3)]
        heads = [bytes([0xFF, channel]) for channel in range(1, channels + 1)]
        if [answer[:2] for answer in answers] != heads or len(heard) % 3:
            return None
        heard = bytes(answer[2] for answer in answers)
    elif len(heard) != (4 if channels <= 4 else 8):
        return None
    if any(state > 1 for state in heard):
        return None
    return {channel: heard[channel - 1] == 1 for channel in range(1, channels + 1)}
