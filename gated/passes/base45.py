"""Base45 (RFC 9285), strict: what a QR code's alphanumeric mode carries best."""

from __future__ import annotations

_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}


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
    try:
        values = [_VALUES[character] for character in text]
    except KeyError:
        return None
    data = bytearray()
    for place in range(0, len(values) - 2, 3):
        pair = values[place] + 45 * values[place + 1] + 2025 * values[place + 2]
        if pair > 0xFFFF:
            return None
        data += pair.to_bytes(2, "big")
    match len(values) % 3:
        case 1:
            return None
        case 2:
            single = values[-2] + 45 * values[-1]
            if single > 0xFF:
                return None
            data.append(single)
    return bytes(data)
