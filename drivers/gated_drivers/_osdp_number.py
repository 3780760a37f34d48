"""From the bits that an OSDP reader sends to the number on a card's chip, or the reason why they are none.

A reader tells bits and no card family: the settings say whose number it was set up to send. What is no
whole number of that family is refused, and never cut or filled up: 26 bits of a card's printed number fit
65,536 cards each, and a cut number opens for all cards that begin with it.
"""

from __future__ import annotations

from typing import Literal

from gated.ports import Technology
from gated_drivers._codecs.osdp import CardRead

Family = Literal["felica", "iso14443a", "iso14443b"]
ByteOrder = Literal["as_sent", "reversed"]
BYTES: dict[Family, tuple[int, ...]] = {"felica": (8,), "iso14443a": (4, 7, 10), "iso14443b": (4, 7, 8, 10)}


class Unfit(Exception):
    """These bits are no number of a card; says why, and not which."""


def number(read: CardRead, family: Family, parity: bool, byte_order: ByteOrder) -> tuple[Technology, bytes]:
    """The number on the chip. `parity`: it stands between two parity bits (Wiegand). Raises Unfit."""
    value, bits = int.from_bytes(read.data, "big") >> (-read.bits % 8), read.bits
    allowed = [8 * size for size in BYTES[family]]
    wanted = " or ".join(str(size + 2 * parity) for size in allowed)
    if bits - 2 * parity not in allowed:
        raise Unfit(
            f"sends numbers of {bits} bits, {family} has {wanted}; set the reader to the number on the chip"
        )
    if parity:
        half = bits // 2
        first, last = value >> half, value & (1 << half) - 1
        if first.bit_count() % 2 or not last.bit_count() % 2:
            raise Unfit("sends numbers with wrong parity bits; check parity in the settings")
        value, bits = value >> 1 & (1 << bits - 2) - 1, bits - 2
    chip = value.to_bytes(bits // 8, "big")
    if byte_order == "reversed":
        chip = chip[::-1]
    # As in _card_field: numbers that are drawn anew at each reading.
    if (family == "felica" and chip.startswith(b"\x01\xfe")) or (
        family == "iso14443a" and len(chip) == 4 and chip[0] == 8
    ):
        raise Unfit("read a card that draws its number anew each time; such a card cannot be told")
    return Technology(family), chip
