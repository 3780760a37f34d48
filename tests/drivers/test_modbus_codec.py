"""The Modbus RTU codec: published frames, pymodbus as the other opinion, and whatever bytes there may be."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from gated_drivers._codecs import modbus_rtu as codec
from gated_drivers._codecs.modbus_rtu import Answers, Refusal, Request

FUZZED = 100_000
unit, first = st.integers(1, 247), st.integers(0, 60000)


def framed(body: bytes) -> bytes:
    return FramerRTU(DecodePDU(True)).encode(body[1:], body[0], 0)


def theirs(request: ModbusPDU) -> bytes:
    return FramerRTU(DecodePDU(True)).buildFrame(request)


@pytest.mark.parametrize(
    ("request_", "frame"),
    [
        (codec.write_coils(1, 0, [True]), "01 05 00 00 FF 00 8C 3A"),
        (codec.write_coils(1, 0, [False]), "01 05 00 00 00 00 CD CA"),
        (codec.read_coils(1, 0, 8), "01 01 00 00 00 08 3D CC"),
        # Application Protocol 1.1b3, the examples of 6.1 to 6.4, 6.6, 6.11 and 6.12 with unit 17
        (codec.read_coils(17, 19, 19), "11 01 00 13 00 13 8E 92"),
        (codec.read_discrete_inputs(17, 196, 22), "11 02 00 C4 00 16 BA A9"),
        (codec.read_holding_registers(17, 107, 3), "11 03 00 6B 00 03 76 87"),
        (codec.read_input_registers(17, 8, 1), "11 04 00 08 00 01 B2 98"),
        (codec.write_registers(17, 1, [3]), "11 06 00 01 00 03 9A 9B"),
        (codec.write_registers(17, 1, [10, 0x102]), "11 10 00 01 00 02 04 00 0A 01 02 C6 F0"),
    ],
)
def test_published_frames(request_: Request, frame: str) -> None:
    assert request_.frame == bytes.fromhex(frame)


@given(unit, first, st.integers(1, 125))
def test_readings_are_what_pymodbus_sends(unit: int, first: int, count: int) -> None:
    for ours, other in (
        (codec.read_coils, ReadCoilsRequest),
        (codec.read_discrete_inputs, ReadDiscreteInputsRequest),
        (codec.read_holding_registers, ReadHoldingRegistersRequest),
        (codec.read_input_registers, ReadInputRegistersRequest),
    ):
        assert ours(unit, first, count).frame == theirs(other(dev_id=unit, address=first, count=count))


@given(unit, first, st.lists(st.booleans(), min_size=1, max_size=200))
def test_coil_commands_are_what_pymodbus_sends(unit: int, first: int, states: list[bool]) -> None:
    kind = WriteSingleCoilRequest if len(states) == 1 else WriteMultipleCoilsRequest
    request = codec.write_coils(unit, first, states)
    assert request.frame == theirs(kind(dev_id=unit, address=first, bits=states))
    assert (request.address, request.states) == (first, tuple(states))


@given(unit, first, st.lists(st.integers(0, 65535), min_size=1, max_size=123))
def test_register_commands_are_what_pymodbus_sends(unit: int, first: int, values: list[int]) -> None:
    kind = WriteSingleRegisterRequest if len(values) == 1 else WriteMultipleRegistersRequest
    assert codec.write_registers(unit, first, values).frame == theirs(
        kind(dev_id=unit, address=first, registers=values)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: codec.read_coils(0, 0, 1),
        lambda: codec.read_coils(248, 0, 1),
        lambda: codec.read_coils(1, -1, 1),
        lambda: codec.read_coils(1, 0, 0),
        lambda: codec.read_coils(1, 0, 2001),
        lambda: codec.read_coils(1, 65535, 2),
        lambda: codec.read_input_registers(1, 0, 126),
        lambda: codec.write_coils(1, 0, []),
        lambda: codec.write_coils(1, 0, [True] * 1969),
        lambda: codec.write_coils(1, 65536, [True]),
        lambda: codec.write_registers(1, 0, [0] * 124),
        lambda: codec.write_registers(1, 0, [65536]),
        lambda: codec.write_registers(1, 0, [-1]),
    ],
)
def test_what_no_frame_can_say_is_refused(wrong: Callable[[], Request]) -> None:
    with pytest.raises(ValueError, match="is not between"):
        wrong()


REQUESTS = [
    codec.read_coils(1, 0, 10),
    codec.read_discrete_inputs(1, 0, 1),
    codec.read_holding_registers(1, 0, 2),
    codec.read_input_registers(1, 4, 8),
    codec.write_coils(1, 0, [True]),
    codec.write_coils(1, 0, [False, True]),
    codec.write_registers(1, 2, [700]),
    codec.write_registers(1, 2, [1, 2]),
]


def answer(request: Request, data: bytes) -> bytes:
    """A good answer: `data` as it is asked for, or the echo of a write."""
    if request.function in (5, 6):
        return request.frame
    if request.function in (15, 16):
        return framed(request.frame[:6])
    return framed(bytes([request.unit, request.function, len(data)]) + data)


def wanted(request: Request, source: random.Random) -> bytes:
    return source.randbytes(request.size - 5) if request.function <= 4 else b""


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: f"function {r.function:02X}")
def test_an_answer_is_found_in_pieces_and_after_noise(request_: Request) -> None:
    source = random.Random(1)
    for _ in range(200):
        data = wanted(request_, source)
        whole = answer(request_, data)
        noise = source.randbytes(source.randrange(4)) if source.random() < 0.5 else b""
        line, answers, found = noise + whole, Answers(), None
        answers.expect(request_)
        cut = source.randrange(len(line))
        for piece in (line[:cut], line[cut:]):
            if piece:
                assert found is None
                found = answers.feed(piece)
        assert found == data
        assert bool(answers.damaged) == bool(noise)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: f"function {r.function:02X}")
def test_a_refusal_is_none_but_of_this_request(request_: Request) -> None:
    for unit, function, code, expected in (
        (1, request_.function, 2, Refusal(2)),
        (2, request_.function, 2, None),
        (1, request_.function ^ 7, 2, None),
        (1, request_.function, 0, None),
    ):
        answers = Answers()
        answers.expect(request_)
        assert answers.feed(framed(bytes([unit, function | 0x80, code]))) == expected
        answers.drop()
        assert answers.damaged == (expected is None)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: f"function {r.function:02X}")
def test_what_is_not_the_answer_is_counted_and_never_one(request_: Request) -> None:
    data = wanted(request_, random.Random(2))
    whole = answer(request_, data)
    damaged = [
        whole[:i] + bytes([whole[i] ^ bit]) + whole[i + 1 :] for i in range(len(whole)) for bit in (1, 128)
    ]
    truncated = [whole[:i] for i in range(1, len(whole))]
    foreign = [framed(bytes([2]) + whole[1:-2]), framed(bytes([1, whole[1] ^ 1]) + whole[2:-2])]
    for strange in damaged + truncated + foreign:
        answers = Answers()
        answers.expect(request_)
        assert answers.feed(strange) is None
        answers.drop()
        assert answers.damaged == 1
        answers.expect(request_)
        assert answers.feed(whole) == data  # and the next exchange is none the worse


def test_what_nobody_asked_for_is_counted() -> None:
    answers = Answers()
    whole = answer(REQUESTS[0], b"\x01\x02")
    assert answers.feed(whole) is None
    answers.expect(REQUESTS[0])
    assert answers.feed(whole + whole) == b"\x01\x02"
    assert answers.feed(whole) is None
    assert answers.damaged == 3


def test_data_that_looks_like_a_refusal_is_data() -> None:
    request = codec.read_input_registers(1, 0, 4)
    data = framed(bytes([1, 0x84, 2])) + b"\0\0\0"
    whole = answer(request, data)
    for cut in range(1, len(whole)):
        answers = Answers()
        answers.expect(request)
        assert answers.feed(whole[:cut]) is None
        assert answers.feed(whole[cut:]) == data


def test_no_bytes_at_all_make_an_answer_that_was_not_sent() -> None:
    """Noise, look-alikes and whole frames in any order and any pieces: an answer is one that is in there."""
    source = random.Random(3)
    stock = [answer(r, wanted(r, source)) for r in REQUESTS for _ in range(4)]
    stock += [framed(bytes([1, r.function | 0x80, 2])) for r in REQUESTS]
    answers, request, line, found = Answers(), REQUESTS[0], b"", 0
    for fed in range(FUZZED):
        if fed % 4 == 0:
            answers.drop()
            request, line = REQUESTS[source.randrange(len(REQUESTS))], b""
            answers.expect(request)
        piece = source.choice(stock) if source.random() < 0.5 else source.randbytes(source.randrange(1, 12))
        if source.random() < 0.5:
            piece = piece[source.randrange(len(piece)) :][: source.randrange(1, 20)]
        line += piece
        heard = answers.feed(piece)
        if isinstance(heard, Refusal):
            assert framed(bytes([1, request.function | 0x80, heard.code])) in line
        elif heard is not None:
            assert answer(request, heard) in line
        found += heard is not None
        assert len(answers._buffer) < request.size + 8
    assert found > 1000
    assert answers.damaged > 1000


def test_look_alikes_cost_little() -> None:
    answers, computed = Answers(), 0
    request = codec.read_coils(1, 0, 8)
    answers.expect(request)

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal computed
        computed += event == "call" and frame.f_code is codec.crc16.__code__

    sys.setprofile(count)
    try:
        assert answers.feed(bytes([1, 1, 1]) * 170) is None
    finally:
        sys.setprofile(None)
    assert 0 < computed <= 2 * codec.MOST_TRIED


@given(st.sampled_from(REQUESTS), st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_taken(request_: Request, pieces: list[bytes]) -> None:
    answers = Answers()
    answers.expect(request_)
    for piece in pieces:
        heard = answers.feed(piece)
        assert heard is None or isinstance(heard, bytes | Refusal)


@given(st.binary(max_size=64), st.integers(0, 512))
def test_bits_and_registers(data: bytes, count: int) -> None:
    count = min(count, 8 * len(data))
    assert codec.bits(data, count) == [bool(int.from_bytes(data, "little") >> i & 1) for i in range(count)]
    words = codec.registers(data[: len(data) // 2 * 2])
    assert b"".join(word.to_bytes(2, "big") for word in words) == data[: len(data) // 2 * 2]
