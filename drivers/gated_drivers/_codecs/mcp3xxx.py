"""Microchip MCP3xxx analogue converters on SPI: what asks for a reading, and the reading in the answer.

Single-ended inputs; the chips of one channel measure IN+ against IN-, to be wired to ground. A reading
begins with a null bit, which a wire that nobody drives, pulled high, has not.
Source: Microchip data sheets DS21293 (3001), DS21294 (3002), DS21295 (3004/3008), DS21290 (3201), DS21034
(3202), DS21298 (3204/3208), DS21700 (3301), DS21697 (3302/3304).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Chip(NamedTuple):
    """One type of converter; where its bits are in the exchange, counted from the last one received."""

    channels: int
    bits: int
    start: int  # start bit, "single-ended" bit and what follows the channel's number
    channel_at: int  # by how much the number is shifted
    size: int  # bytes of an exchange
    null_at: int
    last_at: int = 0  # the reading's lowest bit


CHIPS: dict[str, Chip] = {
    "mcp3001": Chip(1, 10, 0, 0, 2, 13, 3),
    "mcp3002": Chip(2, 10, 0b1101 << 11, 12, 2, 10),
    "mcp3004": Chip(4, 10, 0b11000 << 12, 12, 3, 10),
    "mcp3008": Chip(8, 10, 0b11000 << 12, 12, 3, 10),
    "mcp3201": Chip(1, 12, 0, 0, 2, 13, 1),
    "mcp3202": Chip(2, 12, 0b1101 << 13, 14, 3, 12),
    "mcp3204": Chip(4, 12, 0b11000 << 14, 14, 3, 12),
    "mcp3208": Chip(8, 12, 0b11000 << 14, 14, 3, 12),
    "mcp3301": Chip(1, 12, 0, 0, 2, 13),
    "mcp3302": Chip(4, 12, 0b11000 << 15, 15, 3, 13),
    "mcp3304": Chip(8, 12, 0b11000 << 15, 15, 3, 13),
}


def request(chip: Chip, channel: int) -> list[int]:
    """The bytes of one exchange that reads a channel. Raises ValueError where the chip has it not."""
    if not 0 <= channel < chip.channels:
        raise ValueError(f"channel {channel} is not between 0 and {chip.channels - 1}")
    return list((chip.start | channel << chip.channel_at).to_bytes(chip.size, "big"))


def reading(chip: Chip, answer: Sequence[int]) -> int | None:
    """The reading, 0 to 2**bits - 1, in what came back; None where no chip has sent it."""
    if len(answer) != chip.size or any(not 0 <= byte <= 0xFF for byte in answer):
        return None
    bits = int.from_bytes(bytes(answer), "big")
    if bits >> chip.null_at & 1:
        return None
    signed = chip.null_at - chip.last_at > chip.bits  # a sign bit stands between: below ground is ground
    if signed and bits >> (chip.null_at - 1) & 1:
        return 0
    return bits >> chip.last_at & (1 << chip.bits) - 1
