"""What an OSDP reader's bits are, and what they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.allowlist.rows import LENGTHS
from gated.ports import Technology
from gated_drivers._codecs.osdp import CardRead
from gated_drivers._osdp_number import BYTES, Unfit, number

IDM = bytes.fromhex("0123456789abcdef")


def test_the_lengths_are_those_of_the_list_of_cards() -> None:
    assert dict(BYTES) == LENGTHS


def test_the_number_is_the_bits() -> None:
    assert number(CardRead(0, 64, IDM), "felica", False, "as_sent") == (Technology.FELICA, IDM)
    assert number(CardRead(0, 64, IDM), "felica", False, "reversed") == (Technology.FELICA, IDM[::-1])
    uid = bytes.fromhex("04a1b2c3d4e5f6")
    assert number(CardRead(0, 56, uid), "iso14443a", False, "as_sent") == (Technology.ISO14443A, uid)


@pytest.mark.parametrize("bits", [1, 26, 32, 34, 37, 63, 65, 66, 128])
def test_any_other_length_is_refused_and_not_cut(bits: int) -> None:
    with pytest.raises(Unfit, match=f"of {bits} bits, felica has 64"):
        number(CardRead(0, bits, bytes((bits + 7) // 8)), "felica", False, "as_sent")


@given(st.binary(min_size=4, max_size=4).filter(lambda uid: uid[0] != 8), st.integers(0, 33))
def test_parity_bits_are_checked_and_taken_away(uid: bytes, flipped: int) -> None:
    bits = int.from_bytes(uid, "big")
    even, odd = (bits >> 16).bit_count() % 2, 1 - (bits & 0xFFFF).bit_count() % 2
    sent = even << 33 | bits << 1 | odd
    data = (sent << 6).to_bytes(5, "big")
    assert number(CardRead(0, 34, data), "iso14443a", True, "as_sent") == (Technology.ISO14443A, uid)
    damaged = (sent ^ 1 << flipped) << 6
    with pytest.raises(Unfit, match="parity"):
        number(CardRead(0, 34, damaged.to_bytes(5, "big")), "iso14443a", True, "as_sent")


def test_numbers_drawn_anew_are_refused() -> None:
    with pytest.raises(Unfit, match="anew"):
        number(CardRead(0, 32, bytes.fromhex("08010203")), "iso14443a", False, "as_sent")
    with pytest.raises(Unfit, match="anew"):
        number(CardRead(0, 64, bytes.fromhex("01fe020304050607")), "felica", False, "as_sent")


def test_no_refusal_tells_the_number() -> None:
    with pytest.raises(Unfit) as refused:
        number(CardRead(0, 64, IDM), "iso14443b", True, "as_sent")
    assert IDM.hex() not in str(refused.value)
