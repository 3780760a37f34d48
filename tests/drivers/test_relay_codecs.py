"""The byte protocols of serial relay boards: the makers' vectors, and garbage is never a state."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated_drivers.relay_serial import PROTOCOLS
from gated_simulators.rigs.relay_serial import FIRMWARE, heard_at

GARBAGE = 100_000  # inputs for each protocol and size of board
ASKABLE = ("kmtronic", "numato", "devantech")


@pytest.mark.parametrize(
    ("protocol", "channel", "energised", "frame"),
    [
        ("lcus", 1, True, b"\xa0\x01\x01\xa2"),
        ("lcus", 1, False, b"\xa0\x01\x00\xa1"),
        ("lcus", 8, False, b"\xa0\x08\x00\xa8"),
        ("kmtronic", 1, True, b"\xff\x01\x01"),
        ("kmtronic", 8, False, b"\xff\x08\x00"),
        ("numato", 0, True, b"relay on 0\r"),
        ("numato", 9, False, b"relay off 9\r"),
        ("numato", 10, True, b"relay on A\r"),
        ("numato", 31, False, b"relay off V\r"),
        ("devantech", 1, True, b"\x65"),
        ("devantech", 8, True, b"\x6c"),
        ("devantech", 1, False, b"\x6f"),
        ("devantech", 8, False, b"\x76"),
    ],
)
def test_published_commands(protocol: str, channel: int, energised: bool, frame: bytes) -> None:
    assert PROTOCOLS[protocol].command(channel, energised) == frame


@pytest.mark.parametrize(
    ("protocol", "channels", "question"),
    [
        ("lcus", 4, b""),
        ("kmtronic", 1, b"\xff\x01\x03"),
        ("kmtronic", 2, b"\xff\x01\x03\xff\x02\x03"),
        ("kmtronic", 4, b"\xff\x09\x00"),
        ("kmtronic", 8, b"\xff\x09\x00"),
        ("numato", 2, b"relay read 0\rrelay read 1\r"),
        ("numato", 16, b"relay readall\r"),
        ("devantech", 8, b"\x5b\x5b\x5b"),
    ],
)
def test_published_questions(protocol: str, channels: int, question: bytes) -> None:
    assert PROTOCOLS[protocol].question(channels) == question


@pytest.mark.parametrize(
    ("protocol", "channels", "answer", "energised"),
    [
        ("kmtronic", 1, b"\xff\x01\x01", {1}),
        ("kmtronic", 2, b"\xff\x01\x00\xff\x02\x01", {2}),
        ("kmtronic", 4, b"\x01\x00\x00\x01", {1, 4}),
        ("kmtronic", 8, b"\x00\x01\x00\x00\x00\x00\x00\x01", {2, 8}),
        ("numato", 2, b"relay read 0\n\roff\n\r>relay read 1\n\ron\n\r>", {1}),
        ("numato", 8, b"relay readall\n\r81\n\r>", {0, 7}),
        ("numato", 16, b"relay readall\n\r8001\n\r>", {0, 15}),
        ("numato", 32, b"relay readall\n\r80000000\n\r>", {31}),
        ("devantech", 8, b"\x81\x81\x81", {1, 8}),
        ("devantech", 2, b"\x02\x02\x02", {2}),
    ],
)
def test_published_answers(protocol: str, channels: int, answer: bytes, energised: set[int]) -> None:
    codec = PROTOCOLS[protocol]
    numbers = range(codec.FIRST_CHANNEL, codec.FIRST_CHANNEL + channels)
    assert codec.states(answer, channels) == {channel: channel in energised for channel in numbers}
    for end in range(len(answer)):
        assert codec.states(answer[:end], channels) is None, "a part of an answer is none"


@pytest.mark.parametrize(
    ("protocol", "channels", "heard"),
    [
        ("kmtronic", 4, b"\x00\x01\x00\x00\x00"),  # a byte too many: whose is which?
        ("kmtronic", 4, b"\x00\x01\x02\x00"),
        ("kmtronic", 2, b"\xff\x02\x01\xff\x01\x01"),
        ("kmtronic", 2, b"\xff\x01\x01\xff\x02\x02"),
        ("numato", 8, b"81\n\r>"),
        ("numato", 16, b"relay readall\n\r81\n\r>"),  # a smaller board than configured
        ("numato", 2, b"relay read 0\n\ron\n\r>relay read 2\n\ron\n\r>"),
        ("devantech", 8, b"\x81\x80\x81"),
        ("devantech", 2, b"\x04\x04\x04"),
        ("devantech", 8, b"\x81\x81\x81\x81"),
        ("lcus", 4, b"\xa0\x01\x01\xa2"),
    ],
)
def test_what_is_no_answer(protocol: str, channels: int, heard: bytes) -> None:
    assert PROTOCOLS[protocol].states(heard, channels) is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_channel_no_board_has_is_refused(protocol: str) -> None:
    codec = PROTOCOLS[protocol]
    for channel in (codec.FIRST_CHANNEL - 1, codec.FIRST_CHANNEL + codec.MAX_CHANNELS, 256):
        with pytest.raises(ValueError, match="is not between"):
            codec.command(channel, True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(st.data())
def test_the_board_does_and_tells_what_the_codec_says(protocol: str, data: st.DataObject) -> None:
    codec = PROTOCOLS[protocol]
    channels = data.draw(st.integers(1, codec.MAX_CHANNELS))
    numbers = range(codec.FIRST_CHANNEL, codec.FIRST_CHANNEL + channels)
    wanted = data.draw(st.lists(st.tuples(st.sampled_from(list(numbers)), st.booleans()), max_size=20))
    coils: dict[int, bool] = dict.fromkeys(numbers, False)
    board = FIRMWARE[protocol](channels, coils.__setitem__, lambda channel: coils.get(channel, False))
    sent = codec.PREFIX + b"".join(codec.command(*one) for one in wanted)
    cut = data.draw(st.integers(0, len(sent)))
    board.received(sent[:cut])
    board.received(sent[cut:])
    assert coils == dict.fromkeys(numbers, False) | dict(wanted)
    heard = board.received(codec.PREFIX + codec.question(channels))
    assert codec.states(heard, channels) == (coils if protocol in ASKABLE else None)
    assert board.garbage == 0


def could_be(protocol: str, channels: int, heard: bytes) -> bool:
    """Whether these bytes are an answer at all, said in another way than the codec says it."""
    state = rb"[\x00\x01]"
    if protocol == "kmtronic" and channels <= 2:
        each = [rb"\xff" + re.escape(bytes([channel])) + state for channel in range(1, channels + 1)]
        return re.fullmatch(b"".join(each), heard) is not None
    if protocol == "kmtronic":
        return re.fullmatch(state * (4 if channels <= 4 else 8), heard) is not None
    if protocol == "devantech":
        return len(heard) == 3 and heard == heard[:1] * 3 and heard[0] < 1 << channels
    return heard.count(b"relay read") >= (1 if channels >= 8 else channels) and b">" in heard


PIECES = {
    "kmtronic": [b"\xff", b"\x00", b"\x01", b"\x02", b"\x03", b"\xff\x01\x01", b"\xff\x02\x00"],
    "numato": [
        b"relay read",
        b"all",
        b" 0",
        b" 1",
        b"\n\r",
        b"on",
        b"off",
        b">",
        b"0f",
        b"\xff",
        b"zz",
        b"ffff",
    ],
    "devantech": [b"\x00", b"\x01", b"\xff", b"\x81", b"\x5b"],
}


@pytest.mark.parametrize("protocol", ASKABLE)
@pytest.mark.parametrize("channels", [1, 2, 4, 8])
def test_garbage_is_never_a_state(protocol: str, channels: int) -> None:
    """Random bytes, and random sequences of what answers are made of, which is worse."""
    states, pieces = PROTOCOLS[protocol].states, PIECES[protocol]
    chance = random.Random(7 * channels)
    taken = 0
    for i in range(GARBAGE):
        if i % 2:
            heard = chance.randbytes(chance.randrange(13))
        else:
            heard = b"".join(chance.choices(pieces, k=chance.randrange(1, 9)))
        told: Mapping[int, bool] | None = states(heard, channels)
        assert told is None or could_be(protocol, channels, heard), heard
        taken += told is not None
    assert taken < GARBAGE / 50


@pytest.mark.parametrize("protocol", ASKABLE)
def test_an_answer_at_another_baudrate_is_no_state_of_another_board(protocol: str) -> None:
    """What a receiver makes of an answer sent at half, double and sixfold speed."""
    codec = PROTOCOLS[protocol]
    for channels in (2, 4, 8):
        coils = {channel: channel % 2 == 1 for channel in range(9)}
        board = FIRMWARE[protocol](channels, coils.__setitem__, lambda channel, coils=coils: coils[channel])  # type: ignore[misc]
        answer = board.received(codec.PREFIX + codec.question(channels))
        assert codec.states(answer, channels) is not None
        for read in (4800, 19200, 57600):
            assert codec.states(heard_at(answer, 9600, read), channels) is None


@given(st.binary(max_size=40))
def test_the_line_carries_bytes_at_one_baudrate(data: bytes) -> None:
    assert heard_at(data, 9600, 9600) == data
    assert heard_at(data, 9600, 9650) == data, "half a percent off is no error on a real line"
