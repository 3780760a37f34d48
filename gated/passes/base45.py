"""Base45 (RFC 9285), strict: what a QR code's alphanumeric mode carries best."""

from __future__ import annotations

import struct

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_NONE = 0xFF  # stands for every character that is none of ours
_VALUES = bytes(_ALPHABET.find(character) if character in _ALPHABET else _NONE for character in range(256))


def encode(data: bytes) -> str:
    """Two bytes become three characters, a last single one becomes two."""
    text = bytearray()
    for place in range(0, len(data) - 1, 2):
        high, rest = divmod(data[place] << 8 | data[place + 1], 45 * 45)
        middle, low = divmod(rest, 45)
        text += bytes((_ALPHABET[low], _ALPHABET[middle], _ALPHABET[high]))
    if len(data) % 2:
        middle, low = divmod(data[-1], 45)
        text += bytes((_ALPHABET[low], _ALPHABET[middle]))
    return text.decode("ascii")


def decode(text: bytes) -> bytes | None:
    """The bytes, or None when `text` is not exactly what `encode` makes of some bytes."""
    values = text.translate(_VALUES)
    if _NONE in values or len(values) % 3 == 1:
        return None
    pairs = [
        low + 45 * middle + 2025 * high
        for low, middle, high in zip(values[0::3], values[1::3], values[2::3], strict=False)
    ]
    if pairs and max(pairs) > 0xFFFF:
        return None
    data = struct.pack(f">{len(pairs)}H", *pairs)
    if len(values) % 3 == 0:
        return data
    single = values[-2] + 45 * values[-1]
    return data + bytes((single,)) if single <= 0xFF else None
