"""Modbus RTU: requests as bytes, and the one answer each of them may get.

Sources: MODBUS Application Protocol 1.1b3, section 6 and 7 (functions 01 to 06, 0F, 10; exceptions) and
MODBUS over Serial Line 1.02, section 2.5.1 (frames, CRC). Vectors: `01 05 00 00 FF 00 8C 3A` energises
coil 0 of unit 1, `01 05 00 00 00 00 CD CA` de-energises it, `01 01 00 00 00 08 3D CC` reads eight coils.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

READ_COILS, READ_DISCRETE_INPUTS, READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS = 0x01, 0x02, 0x03, 0x04
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 0x05, 0x06, 0x0F, 0x10
MOST_BITS_READ, MOST_BITS_WRITTEN = 2000, 1968  # in one request
MOST_REGISTERS_READ, MOST_REGISTERS_WRITTEN = 125, 123
MOST_TRIED = 4  # look-alikes of an answer whose CRC is computed for one piece of bytes


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value


_TABLE = tuple(_entry(value) for value in range(256))


def crc16(data: bytes) -> int:
    """The CRC of a frame, sent low byte first; 0 over a whole frame that is intact."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and what its answer looks like.

    `frame` goes over the line as it is. A good answer begins with `head` (for a write that is all of it)
    and has `size` bytes. `states` are the coils that it commands, from `address` on; empty for others.
    """

    frame: bytes
    unit: int
    function: int
    address: int
    head: bytes
    size: int
    states: tuple[bool, ...] = ()


class Refusal(NamedTuple):
    """The unit answered with an exception; `code` is 1 (function), 2 (address), 3 (value), 4 (failure) ..."""

    code: int


def _framed(body: bytes) -> bytes:
    return body + crc16(body).to_bytes(2, "little")


def _start(unit: int, function: int, first: int, count: int, most: int) -> bytes:
    if not 1 <= unit <= 247:
        raise ValueError(f"unit {unit} is not between 1 and 247")
    if not 1 <= count <= most:
        raise ValueError(f"{count} at once is not between 1 and {most}")
    if not 0 <= first <= 65536 - count:
        raise ValueError(f"address {first if first < 0 else first + count - 1} is not between 0 and 65535")
    return bytes([unit, function]) + first.to_bytes(2, "big")


def _reading(unit: int, function: int, first: int, count: int, most: int, size: int) -> Request:
    start = _start(unit, function, first, count, most)
    frame = _framed(start + count.to_bytes(2, "big"))
    return Request(frame, unit, function, first, bytes([unit, function, size]), 5 + size)


def read_coils(unit: int, first: int, count: int) -> Request:
    """Function 01: `count` coils (1 to 2000) from address `first`. Raises ValueError out of range."""
    return _reading(unit, READ_COILS, first, count, MOST_BITS_READ, (count + 7) // 8)


def read_discrete_inputs(unit: int, first: int, count: int) -> Request:
    """Function 02: `count` inputs (1 to 2000) from address `first`. Raises ValueError out of range."""
    return _reading(unit, READ_DISCRETE_INPUTS, first, count, MOST_BITS_READ, (count + 7) // 8)


def discrete_inputs(request: Request, closed: bool) -> bytes:
    """The answer to `read_discrete_inputs` of a board whose inputs are all in the same state."""
    return _framed(request.head + (b"\xff" if closed else b"\0") * request.head[2])


def read_holding_registers(unit: int, first: int, count: int) -> Request:
    """Function 03: `count` registers (1 to 125) from address `first`. Raises ValueError out of range."""
    return _reading(unit, READ_HOLDING_REGISTERS, first, count, MOST_REGISTERS_READ, 2 * count)


def read_input_registers(unit: int, first: int, count: int) -> Request:
    """Function 04: `count` registers (1 to 125) from address `first`. Raises ValueError out of range."""
    return _reading(unit, READ_INPUT_REGISTERS, first, count, MOST_REGISTERS_READ, 2 * count)


def write_coils(unit: int, first: int, states: Sequence[bool]) -> Request:
    """Function 05 for one coil, 0F for 2 to 1968 of them. Raises ValueError out of range."""
    count = len(states)
    if count == 1:
        start = _start(unit, WRITE_COIL, first, 1, 1)
        frame = _framed(start + (b"\xff\x00" if states[0] else b"\x00\x00"))
        return Request(frame, unit, WRITE_COIL, first, frame, len(frame), tuple(states))
    start = _start(unit, WRITE_COILS, first, count, MOST_BITS_WRITTEN) + count.to_bytes(2, "big")
    packed = sum(bool(state) << i for i, state in enumerate(states))
    size = (count + 7) // 8
    frame, echo = _framed(start + bytes([size]) + packed.to_bytes(size, "little")), _framed(start)
    return Request(frame, unit, WRITE_COILS, first, echo, len(echo), tuple(states))


def write_registers(unit: int, first: int, values: Sequence[int]) -> Request:
    """Function 06 for one register, 10 for 2 to 123. Raises ValueError out of range, also of 0 to 65535."""
    if strange := [value for value in values if not 0 <= value <= 0xFFFF]:
        raise ValueError(f"{strange[0]} is not between 0 and 65535")
    count, words = len(values), b"".join(value.to_bytes(2, "big") for value in values)
    if count == 1:
        frame = _framed(_start(unit, WRITE_REGISTER, first, 1, 1) + words)
        return Request(frame, unit, WRITE_REGISTER, first, frame, len(frame))
    start = _start(unit, WRITE_REGISTERS, first, count, MOST_REGISTERS_WRITTEN) + count.to_bytes(2, "big")
    echo = _framed(start)
    frame = _framed(start + bytes([2 * count]) + words)
    return Request(frame, unit, WRITE_REGISTERS, first, echo, len(echo))


def bits(data: bytes, count: int) -> list[bool]:
    """The first `count` coils or inputs of an answer's data."""
    return [bool(data[i >> 3] >> (i & 7) & 1) for i in range(count)]


def registers(data: bytes) -> list[int]:
    """The registers of an answer's data, each 0 to 65535."""
    return [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]


class Answers:
    """Finds the answer to one request in what comes over the line, in pieces of any size.

    Whatever else comes is dropped and counted in `damaged`, once for each stretch of it: noise, a frame
    with a wrong CRC, an answer of another unit or to another request, anything that nobody asked for.
    The work for one piece is bounded, whatever is in it.
    """

    __slots__ = ("_buffer", "_head", "_refusal", "_size", "damaged")

    def __init__(self) -> None:
        self.damaged = 0
        self._buffer = b""
        self._head = self._refusal = b""
        self._size = 0

    def expect(self, request: Request) -> None:
        """From now on, wait for the answer to this request; what was left of another is dropped."""
        if self._buffer:
            self.drop()
        self._head, self._size = request.head, request.size
        self._refusal = bytes((request.unit, request.function | 0x80))

    def drop(self) -> None:
        """Wait for nothing any more; the beginning of an answer that never ended is counted."""
        if self._buffer:
            self.damaged += 1
            self._buffer = b""
        self._size = 0

    def feed(self, data: bytes) -> bytes | Refusal | None:
        """Take the next bytes. The data of a good answer (empty for a write), a refusal, or None as yet."""
        size = self._size
        if not size:
            self.damaged += 1
            return None
        buffer = self._buffer + data if self._buffer else data
        if len(buffer) == size and buffer.startswith(self._head) and not crc16(buffer):
            return self._found(buffer, 0, size)
        return self._search(buffer)

    def _search(self, buffer: bytes) -> bytes | Refusal | None:
        keep = len(buffer)  # what begins here may become an answer
        for head, size in ((self._head, self._size), (self._refusal, 5)):
            # A refusal is not looked for inside of what may be an answer: its data may look like one.
            at, tried = buffer.find(head, 0, keep), 0
            while at >= 0 and tried < MOST_TRIED:
                if len(buffer) - at < size:
                    keep = at
                    break
                tried += 1
                if not crc16(buffer[at : at + size]) and (head is self._head or buffer[at + 2]):
                    return self._found(buffer, at, size)
                at = buffer.find(head, at + 1, keep)
            for length in range(min(len(head) - 1, len(buffer)), 0, -1):
                if head.startswith(buffer[-length:]):
                    keep = min(keep, len(buffer) - length)
                    break
        if keep:
            self.damaged += 1
        self._buffer = buffer[keep:]
        return None

    def _found(self, buffer: bytes, at: int, size: int) -> bytes | Refusal:
        self._buffer, self._size = b"", 0
        if at or at + size < len(buffer):
            self.damaged += 1
        if buffer[at + 1] & 0x80:
            return Refusal(buffer[at + 2])
        return buffer[at + 3 : at + size - 2] if len(self._head) == 3 else b""
