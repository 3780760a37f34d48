"""The frames of serial code scanners: vectors, any split, garbage that is got over, and whatever bytes."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated_drivers._codecs.qr_content import LONGEST, Contents
from gated_drivers._codecs.qr_framing import Bcc, FrameDecoder, Framing
from gated_simulators.rigs.reader_qr_serial import framed
from gated_simulators.rigs.relay_serial import heard_at

FUZZED = 100_000  # inputs over all framings
WAYS: list[tuple[Framing, Bcc]] = [(f, b) for f in get_args(Framing) for b in get_args(Bcc)]
CODE = b"PASS-1"
framings = st.sampled_from(WAYS)
contents = st.binary(min_size=1, max_size=40).filter(lambda code: not set(code) & set(b"\r\n\x02\x03"))


def heard(decoder: FrameDecoder, data: bytes, *cuts: int) -> list[bytes]:
    """What is read of the bytes, in pieces, followed by silence."""
    found = []
    places = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(places):
        found += decoder.feed(data[start:end])
    return found + decoder.quiet()


@pytest.mark.parametrize(
    ("framing", "bcc", "sent", "read"),
    [
        ("cr", "none", b"123\r", [b"123"]),
        ("lf", "none", b"123\n", [b"123"]),
        ("crlf", "none", b"123\r\n", [b"123"]),
        ("etx", "none", b"123\x03", [b"123"]),
        ("stx_etx", "none", b"\x02123\x03", [b"123"]),
        ("stx_cr", "none", b"\x02123\r", [b"123"]),
        ("gap", "none", b"123", [b"123"]),
        # 31 ^ 32 ^ 33 = 30; with ETX 33, with CR 3D, with CR LF 37
        ("stx_etx", "content", b"\x02123\x03\x30", [b"123"]),
        ("stx_etx", "content_and_end", b"\x02123\x03\x33", [b"123"]),
        ("stx_cr", "content", b"\x02123\r\x30", [b"123"]),
        ("stx_cr", "content_and_end", b"\x02123\r\x3d", [b"123"]),
        ("stx_crlf", "content_and_end", b"\x02123\r\n\x37", [b"123"]),
        ("gap", "content", b"123\x30", [b"123"]),
        # a check byte may be the end itself: 3C ^ 31 = 0D
        ("cr", "content", b"\x3c\x31\r\r", [b"<1"]),
        ("stx_etx", "content", b"\x02\x31\x33\x03\x02\x0212\x03\x03", [b"13", b"12"]),
        # both ends sent where one is awaited
        ("cr", "none", b"123\r\n456\r\n", [b"123", b"456"]),
        ("lf", "none", b"123\r\n456\r\n", [b"123", b"456"]),
        ("stx_etx", "none", b"\x02123\x03\r\n\x02456\x03\r\n", [b"123", b"456"]),
        ("crlf", "none", b"12\r3\r\n\n4\r\n", [b"12\r3", b"\n4"]),
        # nothing between two ends is no code
        ("cr", "none", b"\r\r123\r\r", [b"123"]),
        ("gap", "none", b"", []),
    ],
)
def test_what_is_sent_is_read(framing: Framing, bcc: Bcc, sent: bytes, read: list[bytes]) -> None:
    decoder = FrameDecoder(framing, bcc)
    assert heard(decoder, sent) == read
    assert decoder.garbage == 0


@pytest.mark.parametrize(
    ("framing", "bcc", "sent", "read", "garbage"),
    [
        ("cr", "none", b"12", [], 1),  # cut short
        ("stx_etx", "none", b"\x0212", [], 1),
        ("stx_etx", "content", b"\x0212\x03", [], 1),  # without its check byte
        ("stx_etx", "none", b"noise\x0212\x03", [b"12"], 1),
        ("stx_etx", "none", b"\x02cut\x0212\x03", [b"12"], 1),
        ("stx_etx", "none", b"\x0212\x03noise\x0234\x03", [b"12", b"34"], 1),
        ("stx_etx", "content", b"\x0212\x03\x04\x0234\x03\x07", [b"34"], 1),  # 31 ^ 32 = 03
        ("cr", "content", b"12\r\x0434\r\x07", [b"34"], 1),
        ("cr", "none", b"x" * 515 + b"\r12\r", [b"12"], 1),
        ("cr", "none", b"x" * 5000 + b"\r12\r" + b"x" * 5000, [b"12"], 2),
        ("crlf", "none", b"x" * 515 + b"\r\n12\r\n", [b"12"], 1),
        ("crlf", "none", b"x" * 514 + b"\r\n12\r\n", [b"12"], 1),  # the limit falls between CR and LF
        ("stx_etx", "none", b"\x02" + b"x" * 5000 + b"\x0212\x03", [b"12"], 1),
        ("stx_cr", "content", b"\x02" + b"x" * 5000 + b"\r\x02\x0212\r\x03", [b"12"], 1),
        ("gap", "none", b"x" * 513, [], 1),
        ("gap", "content", b"x", [], 1),
    ],
)
def test_garbage_is_counted_and_got_over(
    framing: Framing, bcc: Bcc, sent: bytes, read: list[bytes], garbage: int
) -> None:
    decoder = FrameDecoder(framing, bcc)
    assert (heard(decoder, sent), decoder.garbage) == (read, garbage)
    assert heard(decoder, framed(CODE, framing, bcc)) == [CODE], "after a silence it reads as ever"


@pytest.mark.parametrize(("framing", "bcc"), WAYS)
def test_the_longest_content_is_read_and_no_longer(framing: Framing, bcc: Bcc) -> None:
    decoder = FrameDecoder(framing, bcc)
    assert heard(decoder, framed(b"x" * LONGEST, framing, bcc)) == [b"x" * LONGEST]
    assert decoder.garbage == 0
    assert all(len(c) <= LONGEST + 2 for c in heard(decoder, framed(b"x" * (LONGEST + 3), framing, bcc)))


@given(framings, st.lists(contents, min_size=1, max_size=5), st.lists(st.integers(0, 250), max_size=8))
def test_any_split_reads_the_same(way: tuple[Framing, Bcc], codes: list[bytes], cuts: list[int]) -> None:
    decoder = FrameDecoder(*way)
    found = []
    for code in codes if way[0] == "gap" else [None]:
        sent = framed(code, *way) if code else b"".join(framed(c, *way) for c in codes)
        found += heard(decoder, sent, *(cut for cut in cuts if cut < len(sent)))
    assert (found, decoder.garbage) == (codes, 0)


@given(framings, st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_any_split_of_anything_reads_the_same(way: tuple[Framing, Bcc], data: bytes, cuts: list[int]) -> None:
    whole, parts = FrameDecoder(*way, longest=20), FrameDecoder(*way, longest=20)
    assert heard(whole, data) == heard(parts, data, *(cut for cut in cuts if cut < len(data)))
    assert whole.garbage == parts.garbage


@given(st.sampled_from([w for w in WAYS if w[0] != "gap"]), contents, st.binary(max_size=60))
def test_without_a_silence_one_code_is_lost_at_most(
    way: tuple[Framing, Bcc], code: bytes, noise: bytes
) -> None:
    decoder = FrameDecoder(*way)
    frame = framed(code, *way)
    assert code in decoder.feed(noise + 2 * frame) + decoder.feed(frame)


@pytest.mark.parametrize(("sent", "read"), [(9600, 19200), (9600, 115200), (19200, 9600), (115200, 9600)])
@pytest.mark.parametrize("way", WAYS)
def test_at_another_baud_rate_no_code_of_ours_is_read(way: tuple[Framing, Bcc], sent: int, read: int) -> None:
    decoder = FrameDecoder(*way)
    codes = [b"HC1:%d PASS" % i for i in range(20)]
    found = [f for code in codes for f in heard(decoder, heard_at(framed(code, *way), sent, read))]
    assert not set(found) & set(codes)
    if way[0].startswith("stx") and way[1] != "none":
        assert not found, "with a header and a check byte the noise is no code at all"
    assert heard(decoder, framed(CODE, *way)) == [CODE]


def test_whatever_bytes_there_may_be() -> None:
    chance = random.Random(3)
    decoders = {way: FrameDecoder(*way, longest=30) for way in WAYS}
    marks = b"\r\n\x02\x03"
    slowest = 0.0
    for i in range(FUZZED):
        way = WAYS[i % len(WAYS)]
        data = bytearray(chance.randbytes(chance.randrange(24)))
        for _ in range(chance.randrange(4)):
            data.insert(chance.randrange(len(data) + 1), chance.choice(marks))
        began = time.perf_counter()
        found = decoders[way].feed(bytes(data)) + (decoders[way].quiet() if chance.random() < 0.2 else [])
        slowest = max(slowest, time.perf_counter() - began)
        assert all(1 <= len(content) <= 32 for content in found)
    assert all(decoder.garbage for decoder in decoders.values())
    for way, decoder in decoders.items():
        decoder.quiet()
        assert heard(decoder, framed(CODE, *way)) == [CODE]
    assert slowest < 1.0, "a piece of a few bytes took that long"


@pytest.mark.parametrize(
    ("prefix", "suffix", "piece", "content"),
    [
        ([], "", b"123", b"123"),
        (["]Q1"], "", b"]Q1123", b"123"),
        (["]Q1", "]Q2"], "", b"]Q2123", b"123"),
        (["]Q1"], "", b"]E0123", None),  # another kind of bar code
        (["]Q1"], "", b"]Q1", None),
        (["]Q1"], "#", b"]Q1123#", b"123"),
        ([], "#", b"123", None),
        (["ab"], "bc", b"abc", None),  # the two marks share no byte
        ([], "", b"%%NoRead", None),
        (["]Q1"], "", b"]Q1NR", None),
        (["]Q1"], "", b"NR", None),
        (["]Q1"], "", b"]Q1-", None),  # the message is named as it is sent
        ([], "", b"NRX", b"NRX"),
        ([], "", b"x" * 513, None),
        (["\xff"], "", b"\xff\x00", b"\x00"),
    ],
)
def test_marks_are_taken_off_and_messages_are_no_codes(
    prefix: list[str], suffix: str, piece: bytes, content: bytes | None
) -> None:
    contents = Contents(prefix, suffix, ["%%NoRead", "NR", "]Q1-"])
    assert contents.of(piece) == content
    assert contents.ignored == (content is None)
