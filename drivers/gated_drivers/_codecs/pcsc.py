"""What PC/SC readers tell of contactless cards: ATRs and answers to GET DATA. Bytes in, values out.

Source: PC/SC part 3 (rev. 2.01.09), 3.1.3.2.3 on ATRs of contactless cards and 3.2.2.1.3 on GET DATA; the
card names F011 and F012 are of ACS's ACR122U.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

from gated.ports import Technology

GET_UID = bytes.fromhex("ffca000000")
DONE = b"\x90\x00"
MAX_ATR = 33  # bytes, ISO 7816-3
_HEAD = bytes.fromhex("8001")  # TD1 and TD2 of every contactless card's ATR
_STORAGE = bytes.fromhex("804f0ca000000306")  # historical bytes: status, AID tag and length, PC/SC's RID
_STANDARDS = {
    **dict.fromkeys((0x01, 0x02, 0x03), Technology.ISO14443A),
    **dict.fromkeys((0x05, 0x06, 0x07), Technology.ISO14443B),
    0x11: Technology.FELICA,
}
_FELICA_OF_ACS = {bytes.fromhex("f011"), bytes.fromhex("f012")}  # said with standard 03, which is type A
_LENGTHS = {
    Technology.FELICA: {8},
    Technology.ISO14443A: {4, 7, 10},
    Technology.ISO14443B: {4},
}


def credential(atr: bytes, answer: bytes) -> tuple[Technology, bytes] | None:
    """The identifier in an answer to GET_UID; None where the reader gave none, or one that is no credential.

    FeliCa: IDm, 8 bytes. Type A: UID of 4, 7 or 10. Type B: PUPI, 4, which some cards draw anew at each
    reading and do not say so. None as well: a UID of 4 bytes that begins with 08, drawn anew each time
    (ISO 14443-3 6.5.4), and an IDm that begins with 01FE, of a phone in peer mode (NFC Digital 6.6.1).
    """
    if not answer.endswith(DONE):
        return None
    payload = answer[:-2]
    technology = _technology(atr, payload)
    if technology is None or len(payload) not in _LENGTHS[technology] or not any(payload):
        return None
    if technology is Technology.ISO14443A and len(payload) == 4 and payload[0] == 0x08:
        return None
    if technology is Technology.FELICA and payload.startswith(b"\x01\xfe"):
        return None
    return technology, payload


def _technology(atr: bytes, payload: bytes) -> Technology | None:
    """The card's family; None for contact cards and what is no ATR."""
    if not 5 <= len(atr) <= MAX_ATR or atr[0] != 0x3B or atr[1] >> 4 != 8 or atr[2:4] != _HEAD:
        return None
    historical = atr[4:-1]
    if len(historical) != atr[1] & 0x0F or reduce(xor, atr[1:]):
        return None
    if historical.startswith(_STORAGE):
        if len(historical) != 15:
            return None
        if historical[9:11] in _FELICA_OF_ACS:
            return Technology.FELICA
        return _STANDARDS.get(historical[8])
    # Cards with ISO 14443-4. Type B: 4 bytes of application data, 3 of protocol information, and a byte
    # whose low half is zero. Type A: any bytes of the card's own; a UID longer than 4 is surely A's.
    if len(payload) == 4 and len(historical) == 8 and historical[7] & 0x0F == 0:
        return Technology.ISO14443B
    return Technology.ISO14443A
