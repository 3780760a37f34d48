"""What scanners type: every character on both layouts, lost events, and whatever events there may be."""

from __future__ import annotations

import random
import string
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated_drivers._codecs.hid_keys import (
    EV_KEY,
    EV_SYN,
    EVENT,
    SYN_DROPPED,
    Ending,
    KeyDecoder,
    Layout,
)
from gated_drivers._evdev import with_identity
from gated_simulators.rigs.reader_qr_hid import strokes

FUZZED = 100_000
PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "
REPORT = EVENT.pack(0, 0, EV_SYN, 0, 0)
DROPPED = EVENT.pack(0, 0, EV_SYN, SYN_DROPPED, 0)
SHIFT, CTRL, ALT, CAPS, A, B, ENTER, TAB = 42, 29, 56, 58, 30, 48, 28, 15


def typed(text: str, layout: str = "us", ending: str = "enter") -> bytes:
    return b"".join(key(*stroke) + REPORT for r in strokes(text.encode(), layout, ending) for stroke in r)


def key(code: int, value: int) -> bytes:
    return EVENT.pack(1, 2, EV_KEY, code, value)


def hit(*codes: int) -> bytes:
    return b"".join(key(code, value) + REPORT for code in codes for value in (1, 0))


@pytest.mark.parametrize("layout", ["us", "jp"])
@pytest.mark.parametrize("ending", ["enter", "tab", "gap"])
def test_every_character_is_read(layout: Layout, ending: Ending) -> None:
    decoder = KeyDecoder(ending, layout)
    for text in (PRINTABLE, "01\x1d17260101\x1d10ABC"):  # GS between the fields, as in GS1
        assert decoder.feed(typed(text, layout, ending)) + decoder.quiet() == [text.encode()]
    assert decoder.garbage == 0


def test_another_layout_gives_other_symbols_and_the_same_digits() -> None:
    decoder = KeyDecoder("enter", "us")
    assert decoder.feed(typed('2"&@:', "jp")) == [b"2@^['"]


@pytest.mark.parametrize(
    ("data", "lines", "garbage"),
    [
        (hit(A, B, ENTER), [b"ab"], 0),
        (key(SHIFT, 1) + hit(A) + key(SHIFT, 0) + hit(B, ENTER), [b"Ab"], 0),
        (key(42, 1) + key(54, 1) + key(42, 0) + hit(A, ENTER), [b"A"], 0),  # the other shift is still down
        (key(SHIFT, 1) + hit(A, ENTER, B) + key(SHIFT, 0) + hit(ENTER), [b"A", b"B"], 0),
        (key(A, 1) + key(A, 2) * 50 + key(A, 0) + hit(ENTER), [b"a"], 0),  # held
        (hit(ENTER, ENTER, A, ENTER), [b"a"], 0),
        (hit(82, 79, 73, 96), [b"019"], 0),  # keypad
        (hit(A) + DROPPED + key(B, 1) + key(ENTER, 1) + REPORT + hit(A, ENTER, B, ENTER), [b"b"], 1),
        (hit(A) + DROPPED + REPORT + hit(ENTER, B, ENTER), [b"b"], 1),
        (key(SHIFT, 1) + DROPPED + key(SHIFT, 0) + REPORT + hit(ENTER, B, ENTER), [b"b"], 1),
        (hit(A, CAPS, B, ENTER, B, ENTER), [b"b"], 1),  # Caps Lock: nobody knows what is typed
        (key(ALT, 1) + hit(79, 80) + key(ALT, 0) + hit(ENTER, B, ENTER), [b"b"], 1),
        (hit(*[A] * 513, ENTER, B, ENTER), [b"b"], 1),
        (hit(*[A] * 512, ENTER), [b"a" * 512], 0),
        (EVENT.pack(0, 0, 4, 4, 458756) + hit(A) + EVENT.pack(0, 0, 17, 0, 1) + hit(ENTER), [b"a"], 0),
    ],
)
def test_keys_are_read_or_their_line_is_thrown_away(data: bytes, lines: list[bytes], garbage: int) -> None:
    decoder = KeyDecoder("enter", "us")
    assert (decoder.feed(data), decoder.garbage) == (lines, garbage)


def test_a_line_cut_short_is_no_code_unless_a_gap_ends_it() -> None:
    decoder = KeyDecoder("enter", "us")
    assert decoder.feed(hit(A)) + decoder.quiet() + decoder.feed(hit(B, ENTER)) == [b"b"]
    assert decoder.garbage == 1
    decoder = KeyDecoder("gap", "us")
    assert decoder.feed(hit(A)) + decoder.quiet() + decoder.feed(hit(B)) + decoder.quiet() == [b"a", b"b"]
    assert decoder.garbage == 0


def test_after_a_spoilt_line_and_a_silence_no_key_is_held() -> None:
    decoder = KeyDecoder("enter", "us")
    decoder.feed(key(ALT, 1) + hit(A))
    decoder.quiet()
    assert decoder.feed(hit(B, ENTER)) == [b"b"]


@given(st.text(PRINTABLE, min_size=1, max_size=20), st.lists(st.integers(0, 600), max_size=9))
def test_any_split_reads_the_same(text: str, cuts: list[int]) -> None:
    data = typed(text)
    decoder, found = KeyDecoder("enter", "us"), []
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for start, end in pairwise(places):
        found += decoder.feed(data[start:end])
    assert found == [text.encode()]


def test_whatever_events_there_may_be() -> None:
    chance = random.Random(5)
    decoder = KeyDecoder("enter", "jp", longest=20)
    likely = [A, B, ENTER, SHIFT, CTRL, ALT, CAPS, TAB, 89, 124, 255, 767]
    lines = 0
    for _ in range(FUZZED):
        kind = chance.choice([EV_KEY, EV_KEY, EV_KEY, EV_SYN, chance.randrange(65536)])
        code = chance.choice(likely) if kind != EV_SYN else chance.randrange(5)
        data = EVENT.pack(chance.getrandbits(62), 0, kind, code, chance.choice([0, 1, 2, -1, 1 << 30]))
        found = decoder.feed(data if chance.random() < 0.99 else chance.randbytes(chance.randrange(48)))
        lines += len(found)
        assert all(1 <= len(line) <= 20 for line in found)
        if chance.random() < 0.05:
            decoder.quiet()
    assert lines
    assert decoder.garbage
    decoder.feed(bytes(-len(decoder._partial) % EVENT.size))
    decoder.feed(DROPPED + REPORT)
    decoder.quiet()
    assert decoder.feed(typed("as ever", "jp")) == [b"as ever"]


def keyboard(tree: Path, number: int, identity: str, serial: str, keys: str = "0 0 10000002") -> None:
    """An input device in /sys as the kernel shows it; Enter is bit 28."""
    device = tree / f"event{number}" / "device"
    (device / "id").mkdir(parents=True)
    (device / "capabilities").mkdir()
    vendor, _, product = identity.partition(":")
    for name, text in (
        ("id/vendor", vendor),
        ("id/product", product),
        ("uniq", serial),
        ("capabilities/key", keys),
    ):
        (device / name).write_text(text + "\n")


def test_keyboards_are_found_by_their_identity(tmp_path: Path) -> None:
    keyboard(tmp_path, 2, "0c2e:0b61", "S1")
    keyboard(tmp_path, 10, "0c2e:0b61", "S2")
    keyboard(tmp_path, 3, "0c2e:0b61", "S1", keys="0")  # its volume keys
    keyboard(tmp_path, 4, "046d:c31c", "")
    (tmp_path / "event7").mkdir()  # just unplugged
    assert with_identity("0C2E:0B61", tmp_path) == ["event2", "event10"]
    assert with_identity("0c2e:0b61:S2", tmp_path) == ["event10"]
    assert with_identity("0c2e:0b61:S3", tmp_path) == []
