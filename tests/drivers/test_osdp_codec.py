"""The OSDP codecs: recorded vectors, any split, and nothing but the reader's own words for a card."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated_drivers._codecs.osdp import LONGEST, CardRead, Replies, Reply, card_read, command, crc16, framed
from gated_drivers._codecs.osdp_secure import SCBK_D, Handshake, Untrusted, why_no_key
from gated_drivers._osdp_talk import TRIES, Talk

KEY = bytes.fromhex("5a4c06d2b1897f3e60c1a2d3e4f50718")
RANDOM = bytes.fromhex("b0b1b2b3b4b5b6b7")
CARD = bytes.fromhex("0123456789abcdef")
# Recorded from the peripheral of libosdp 3.2.9 at address 5: ID, the handshake, LSTAT, RSTAT, four polls.
TRANSCRIPT = [
    ("53050900046100c125", "538514000445feca00010101000000000001deed"),
    (
        "530513000d03110176b0b1b2b3b4b5b6b78230",
        "53852b000d03120176feca010001000000d764c8cce93255c4b61dba09ceb1ddf558a64178ad81e4ca46f3",
    ),
    (
        "53051b000e031301776b9f1bbfea371a9e3c174e560d76973cf3c3",
        "53851b000e031401789ac46524b67af0bcf1b93b23186ed882117d",
    ),
    ("53050e000f021564523fef4628df", "53851e000f02184856535a9589199b1dbeb3f490927f6c301fbf321efa17"),
    ("53050e000d021567faf60695bb38", "53851e000d02184b380f1f1bc6327266d640ca46612adb5e4d9688224f29"),
    ("53050e000e021560a19143399a64", "53850e000e021640c224050ebb1d"),
    ("53050e000f02156059bdbc6deed3", "53851e000f021850ee9a93a6cc9b77591b1ecfb8cda6ef08752ebf150dee"),
    ("53050e000d021560500f012d351f", "53850e000d021640bbc436160207"),
    ("53050e000e0215600dda460b66c5", "53850e000e0216407cfc2f29ad3f"),
]
POLL_WITH_CARD = 6


def one(frame: bytes) -> Reply:
    replies = Replies()
    replies.expect(5)
    (reply,) = replies.feed(frame)
    return reply


def talk(exchanges: int) -> Talk:
    """After so many of the transcript, with the next command sent."""
    talk = Talk(5, KEY, lambda size: RANDOM[:size])
    for sent, answered in TRANSCRIPT[:exchanges]:
        assert talk.command().hex() == sent
        assert talk.reply(one(bytes.fromhex(answered)))
    talk.command()
    return talk


def test_the_recorded_session_is_spoken_as_recorded() -> None:
    spoken = talk(POLL_WITH_CARD)
    card = spoken.reply(one(bytes.fromhex(TRANSCRIPT[POLL_WITH_CARD][1])))
    assert card == CardRead(0, 64, CARD)
    assert CARD.hex() not in repr(card)
    for sent, answered in TRANSCRIPT[POLL_WITH_CARD + 1 :]:
        assert spoken.command().hex() == sent
        assert spoken.reply(one(bytes.fromhex(answered))) is True
    assert (spoken.polled, spoken.strayed, spoken.restarts, spoken.trouble) == (4, 0, 0, "")


def test_frames_are_built_as_the_standard_says() -> None:
    assert command(0, 0, b"\x60").hex() == "530008000460ebaa"
    for address in (-1, 127):
        with pytest.raises(ValueError, match="between 0 and 126"):
            command(address, 0, b"\x60")


@given(st.data())
def test_any_split_gives_the_same_replies(data: st.DataObject) -> None:
    frames = [bytes.fromhex(answered) for _, answered in TRANSCRIPT[:3]]
    noise = st.binary(max_size=12).filter(lambda noise: 0x53 not in noise)
    stream = b"".join(data.draw(noise) + frame for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    replies = Replies()
    replies.expect(5)
    found: list[Reply] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += replies.feed(stream[start:end])
    assert found == [one(frame) for frame in frames]


def test_a_false_beginning_does_not_swallow_the_reply() -> None:
    frame = bytes.fromhex(TRANSCRIPT[1][1])
    replies = Replies()
    replies.expect(5)
    assert len(replies.feed(bytes.fromhex("5385f00004") + frame)) == 1
    assert replies.damaged == 1


def test_a_beginning_that_can_be_none_is_not_kept() -> None:
    replies = Replies()
    replies.expect(5)
    for _ in range(100):  # a length of nothing, which is not a header that is still to come
        assert replies.feed(b"\x53\x85\x00\x00\x04" + bytes(50)) == []
    assert replies._buffer == b""
    assert replies.damaged == 100


def test_an_echo_another_reader_and_a_checksum_are_no_reply() -> None:
    replies = Replies()
    replies.expect(5)
    body = b"\x53\x85\x07\x00\x00\x40"
    for other in (
        bytes.fromhex(TRANSCRIPT[5][0]),
        framed(b"\x53\x86\x08\x00\x04\x40"),
        body + bytes((-sum(body) & 0xFF,)),
    ):
        assert replies.feed(other) == []
    assert replies.damaged == 3


def test_what_nobody_waits_for_is_dropped() -> None:
    replies = Replies()
    assert replies.feed(bytes.fromhex(TRANSCRIPT[0][1])) == []
    assert replies.damaged == 1


def test_a_card_read_whose_size_is_wrong_is_none() -> None:
    good = bytes((0, 1, 64, 0)) + CARD
    assert card_read(good) == CardRead(0, 64, CARD)
    for bad in (b"", good[:3], good[:-1], good + b"\0", bytes((0, 1, 0, 0)), bytes((0, 1, 255, 255)) + CARD):
        assert card_read(bad) is None


@pytest.mark.parametrize(
    ("exchange", "frame", "said"),
    [
        (
            1,
            framed(bytes.fromhex(TRANSCRIPT[1][1])[:7] + b"\0" + bytes.fromhex(TRANSCRIPT[1][1])[8:-2]),
            "SCBK-D",
        ),
        (1, framed(bytes.fromhex("538508000540")), "plain text"),
        (1, framed(bytes.fromhex("53850900054105")), "refuses the secure session (NAK 5)"),
        (1, framed(bytes.fromhex(TRANSCRIPT[1][1])[:-3] + b"\0"), "does not have our key"),
        (2, framed(bytes.fromhex(TRANSCRIPT[2][1])[:-3] + b"\0"), "begins its session with a wrong MAC"),
        (
            2,
            framed(bytes.fromhex("53851b000e0314ff") + bytes.fromhex(TRANSCRIPT[2][1])[8:-2]),
            "not accept our key",
        ),
        # A card read in plain text, and as libosdp's control panel takes it: with a block of the handshake.
        (6, framed(bytes.fromhex("5385140007500001400000112233445566ff"[:34]) + b"\x77"), "plain text"),
        (
            6,
            framed(bytes.fromhex("538517000f03120150000140000011223344556677")),
            "outside of its secure session",
        ),
        (6, framed(bytes.fromhex("53851a000f021650000140000011223344556677") + bytes(4)), "wrong MAC"),
        (6, framed(bytes.fromhex(TRANSCRIPT[6][1])[:-3] + b"\0"), "wrong MAC"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_reader_with_our_key_would_not_say_is_refused(exchange: int, frame: bytes, said: str) -> None:
    spoken = talk(exchange)
    with pytest.raises(Untrusted, match=said.replace("(", r"\(").replace(")", r"\)")):
        spoken.reply(one(frame))
    assert spoken.polled == max(0, exchange - 5)


def test_data_that_anybody_could_read_are_refused_even_with_the_right_mac() -> None:
    """A peripheral of our own making: it signs a card read (SCS_16) and does not encrypt it."""
    spoken, handshake = talk(6), Handshake(KEY, RANDOM)
    _, ccrypt, rmac, *under_session = [one(bytes.fromhex(answered)) for _, answered in TRANSCRIPT]
    handshake.proof(ccrypt)
    peripheral = handshake.session(rmac)
    for sequence, code, reply in zip((3, 1, 2), b"\x64\x67\x60", under_session, strict=False):
        peripheral.seal(5, sequence, bytes((code,)))
        peripheral.open(reply)
    peripheral.seal(5, 3, b"\x60")
    signed = bytes.fromhex("53851b000f0216500000400000") + CARD[1:]
    signed = signed[:2] + bytes((len(signed) + 6, 0)) + signed[4:]
    with pytest.raises(Untrusted, match="not encrypted"):
        spoken.reply(one(framed(signed + peripheral._link(signed)[:4])))


def test_a_replayed_reply_is_none() -> None:
    spoken = talk(6)
    card = one(bytes.fromhex(TRANSCRIPT[6][1]))
    spoken.reply(card)
    spoken.command()
    assert spoken.reply(card) is False  # the sequence number is an old one
    assert spoken.strayed == 1
    again = bytes.fromhex(TRANSCRIPT[6][1])
    for sequence in range(4):
        spoken = talk(7)
        altered = one(framed(again[:4] + bytes((again[4] & ~3 | sequence,)) + again[5:-2]))
        if sequence != 1:
            assert spoken.reply(altered) is False
        else:
            with pytest.raises(Untrusted, match="wrong MAC"):
                spoken.reply(altered)


def test_without_a_reply_the_command_is_repeated_and_then_everything_begins_anew() -> None:
    spoken = talk(POLL_WITH_CARD)
    sent = TRANSCRIPT[POLL_WITH_CARD][0]
    for _ in range(TRIES - 1):
        spoken.silence()
        assert spoken.command().hex() == sent
    spoken.silence()
    assert spoken.command().hex() == TRANSCRIPT[0][0]
    assert spoken.restarts == 0  # silence is not an end


def test_a_busy_reader_is_asked_again_and_one_that_ended_the_session_anew() -> None:
    spoken = talk(POLL_WITH_CARD)
    assert spoken.reply(one(framed(bytes.fromhex("538508000479")))) is True
    assert spoken.busy
    assert spoken.command().hex() == TRANSCRIPT[POLL_WITH_CARD][0]
    assert spoken.reply(one(framed(bytes.fromhex("53850900074106")))) is True
    assert spoken.command().hex() == TRANSCRIPT[0][0]
    assert spoken.restarts == 1


def test_keys_that_everybody_knows_are_none() -> None:
    assert why_no_key(KEY) == ""
    for bad in (SCBK_D, bytes(16), b"\xff" * 16, KEY[:15], KEY + b"\0"):
        assert why_no_key(bad)


# Fuzzing


def test_fuzz_noise_never_breaks_the_finding_of_replies() -> None:
    """10^5 pieces: bounded in memory, at most 50 ms of the processor each; a good reply is found after."""
    chance = random.Random(4)
    frames = [bytes.fromhex(answered) for _, answered in TRANSCRIPT]
    replies, slowest = Replies(), 0.0
    replies.expect(5)
    for round_ in range(100_000):
        kind = chance.random()
        if kind < 0.4:
            piece = chance.randbytes(chance.randrange(1, 64))
        elif kind < 0.6:
            piece = b"\x53\x85" * chance.randrange(1, 256)
        else:
            frame = bytearray(chance.choice(frames))
            frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
            piece = bytes(frame[: chance.randrange(1, len(frame) + 1)])
        began = time.thread_time()
        for reply in replies.feed(piece):
            assert reply.body
        slowest = max(slowest, time.thread_time() - began)
        if round_ % 100 == 0:
            replies.expect(5)
            assert replies.feed(frames[0])
        assert len(replies._buffer) <= LONGEST
    assert slowest < 0.05


def test_fuzz_no_changed_reply_is_ever_a_card() -> None:
    """10^5 frames with a good CRC, in every phase of the talk: refused or ignored, and never a card."""
    chance = random.Random(5)
    frames = [bytes.fromhex(answered) for _, answered in TRANSCRIPT]
    spoken, refused, left = talk(0), 0, 0
    for _ in range(100_000):
        if left == 0:
            spoken, left = talk(chance.randrange(len(TRANSCRIPT) - 1)), 20
        frame = bytearray(chance.choice(frames)[:-2])
        for _ in range(chance.randrange(1, 4)):
            # All but the sequence number: with the right one it comes further.
            frame[chance.randrange(5, len(frame))] = chance.randrange(256)
        frame[4] = frame[4] & ~3 | spoken._sequence
        replies = Replies()
        replies.expect(5)
        left -= 1
        genuine = {bytes.fromhex(answered) for _, answered in TRANSCRIPT}
        if framed(bytes(frame)) in genuine:
            continue
        for reply in replies.feed(framed(bytes(frame))):
            try:
                assert not isinstance(spoken.reply(reply), CardRead)
            except Untrusted:
                refused += 1
                left = 0
            if left:
                spoken.command()
    assert refused > 10_000


def test_the_crc_of_an_intact_frame() -> None:
    frame = bytes.fromhex(TRANSCRIPT[0][0])
    assert crc16(frame[:-2]) == int.from_bytes(frame[-2:], "little")
