"""ATRs and answers to GET DATA: known cards, and garbage is never a credential by chance."""

from __future__ import annotations

import random
from functools import reduce
from operator import xor

import pytest

from gated.ports import Technology
from gated_drivers._codecs.pcsc import credential

INPUTS = 200_000
IDM = "0123456789abcdef"
A, B, FELICA = Technology.ISO14443A, Technology.ISO14443B, Technology.FELICA


def atr(historical: str, *, head: str = "8001") -> bytes:
    body = bytes.fromhex(head + historical)
    body = bytes([0x80 | len(bytes.fromhex(historical))]) + body
    return b"\x3b" + body + bytes([reduce(xor, body)])


def storage(standard: str, name: str) -> bytes:
    return atr("804f0ca000000306" + standard + name + "00000000")


@pytest.mark.parametrize(
    ("told", "written"),
    [
        # ACS, API of ACR122U and ACR1252U; Sony's RC-S300 says the same of FeliCa.
        ("3b8f8001804f0ca0000003060300010000 0000 6a", storage("03", "0001")),  # MIFARE Classic 1K
        ("3b8f8001804f0ca0000003061100 3b00000000 42", storage("11", "003b")),  # FeliCa
    ],
)
def test_our_way_to_write_an_atr_is_the_makers(told: str, written: bytes) -> None:
    assert bytes.fromhex(told.replace(" ", "")) == written


@pytest.mark.parametrize(
    ("card", "payload", "technology"),
    [
        (storage("11", "003b"), IDM, FELICA),
        (storage("03", "f011"), IDM, FELICA),  # ACR122U, at 212 kbit/s
        (storage("03", "f012"), IDM, FELICA),
        (storage("03", "0001"), "04a1b2c3", A),
        (storage("03", "0003"), "04a1b2c3d4e5f6", A),  # MIFARE Ultralight
        (storage("01", "0000"), "04a1b2c3d4e5f6a7b8c9", A),
        (storage("05", "0000"), "e5dd3dc9", B),
        (storage("07", "0000"), "08dd3dc9", B),
        (bytes.fromhex("3b8180018080"), "04a1b2c3d4e5f6", A),  # MIFARE DESFire
        (bytes.fromhex("3b80800101"), "04a1b2c3", A),  # no historical bytes
        (atr("00000000337781a0"), "e5dd3dc9", B),  # application data and protocol information of an ATQB
        (atr("00000000337781a1"), "e5dd3dc9", A),
        (atr("00000000337781a0"), "04a1b2c3d4e5f6", A),
    ],
)
def test_cards(card: bytes, payload: str, technology: Technology) -> None:
    identifier = bytes.fromhex(payload)
    assert credential(card, identifier + b"\x90\x00") == (technology, identifier)


@pytest.mark.parametrize(
    ("card", "answer"),
    [
        (storage("11", "003b"), IDM),  # no status
        (storage("11", "003b"), IDM + "6300"),
        (storage("11", "003b"), "9000"),
        (storage("11", "003b"), ""),
        (storage("11", "003b"), "01fe456789abcdef9000"),  # a phone in peer mode
        (storage("11", "003b"), "00" * 8 + "9000"),
        (storage("11", "003b"), IDM[:-2] + "9000"),
        (storage("11", "003b"), IDM + "009000"),
        (storage("03", "0001"), "08a1b2c39000"),  # drawn anew at each reading
        (storage("03", "0001"), IDM + "9000"),
        (storage("05", "0000"), IDM + "9000"),
        (storage("00", "0000"), "04a1b2c39000"),  # of no standard
        (storage("0b", "0014"), "e00401001234569000"),  # ISO 15693
        (storage("11", "003b")[:-1] + b"\0", IDM + "9000"),  # checksum
        (storage("11", "003b")[:-1], IDM + "9000"),
        (storage("11", "003b") + b"\0", IDM + "9000"),
        (bytes.fromhex("3b6500002063cb6800"), "04a1b2c39000"),  # a contact card
        (b"", "04a1b2c39000"),
        (bytes(33), "04a1b2c39000"),
    ],
)
def test_what_is_no_credential(card: bytes, answer: str) -> None:
    assert credential(card, bytes.fromhex(answer)) is None


def test_garbage_is_refused_and_what_is_taken_has_a_true_length() -> None:
    """Random bytes, and true ATRs and answers with some bytes changed, cut or repeated, which is worse."""
    chance = random.Random(7)
    atrs = [
        storage("11", "003b"),
        storage("03", "0001"),
        storage("05", "0000"),
        bytes.fromhex("3b8180018080"),
    ]
    answers = [bytes.fromhex(IDM + "9000"), bytes.fromhex("04a1b2c39000"), bytes.fromhex("6a81")]
    lengths = {FELICA: {8}, A: {4, 7, 10}, B: {4}}

    def spoilt(data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(chance.randrange(3)):
            if changed:
                changed[chance.randrange(len(changed))] = chance.randrange(256)
        start = chance.choice((0, 0, 0, chance.randrange(4)))
        return bytes(changed[start:] * chance.choice((1, 1, 1, 2, 40)))

    random_taken = 0
    for i in range(INPUTS):
        if i % 2:
            card, answer = chance.randbytes(chance.randrange(36)), chance.randbytes(chance.randrange(14))
        else:
            card, answer = spoilt(chance.choice(atrs)), spoilt(chance.choice(answers))
        found = credential(card, answer)
        if found is not None:
            technology, payload = found
            assert len(payload) in lengths[technology]
            assert answer == payload + b"\x90\x00"
            assert reduce(xor, card[1:]) == 0
            random_taken += i % 2
    assert random_taken == 0
