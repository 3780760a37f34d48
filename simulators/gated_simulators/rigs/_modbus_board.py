"""A simulated Modbus RTU board on a pty: coils and discrete inputs of one unit, and the faults of a line.

Frames by MODBUS Application Protocol 1.1b3, section 6: functions 01 to 05, 0F; any other is refused
with exception 1, an address the board has not with exception 2, a failing coil with exception 4.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from gated_simulators.rigs import Board
from gated_simulators.rigs._line_circuit import LineCircuit
from gated_simulators.rigs._pty import PtyCable

SIZE = 16  # coils, and inputs
READ_COILS, READ_INPUTS, WRITE_COIL, WRITE_COILS = 0x01, 0x02, 0x05, 0x0F
READ_HOLDING, READ_REGISTERS = 0x03, 0x04


class WireSettings(Protocol):
    """What a rig needs of its driver's settings."""

    @property
    def port(self) -> str:
        """The serial device."""
        ...

    @property
    def unit(self) -> int:
        """The board's number on the line."""
        ...


def crc16(data: bytes) -> bytes:
    """Modbus CRC of a frame, low byte first (polynomial A001 reflected, start FFFF)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")


class ModbusBoardRig:
    """The board at the far end of the line; `board` holds what it switches and senses."""

    def __init__(self, settings: WireSettings) -> None:
        self.board = Board()
        self.on_command: list[Callable[[int, bool], None]] = []
        self.silent = False  # a board without power: does nothing, says nothing
        self.bad_crc = False  # a disturbed line: answers arrive damaged
        self.failing: set[int] = set()  # coils whose writing is refused with exception 4, device failure
        self.lines: dict[int, LineCircuit] = {}  # supervised lines at the analogue inputs
        self.full_scale = 10_000  # of these inputs
        self.told: dict[int, int] = {}  # registers that tell something else, as a broken module does
        self.delay_s = 0.0  # a slow board: seconds before each answer
        self.requests = 0  # whole frames for this unit
        self.functions: deque[int] = deque(maxlen=100)  # of the last of them
        self._unit = settings.unit
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._cable = PtyCable(settings.port, self._received)

    def set_contact(self, channel: int, closed: bool) -> None:
        """Close or open the contact at an input."""
        self.board.inputs[channel] = closed

    def line(self, channel: int) -> LineCircuit:
        """The line at one analogue input; a sound one where no other was put there."""
        return self.lines.setdefault(channel, LineCircuit())

    def cut(self) -> None:
        """Pull the cable; the board keeps its power and its coils."""
        self._cable.cut()

    def mend(self) -> None:
        """Put the cable back."""
        self._buffer = b""
        self._cable.mend()

    def send(self, data: bytes) -> None:
        """Put bytes on the line that nobody asked for, as a disturbance does."""
        self._cable.send(data)

    def _received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 4:
            size = _frame_size(self._buffer)
            if len(self._buffer) < size:
                return
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            if crc16(frame[:-2]) != frame[-2:]:
                self._buffer = b""  # a real board waits for silence and starts afresh
            elif frame[0] == self._unit and not self.silent:
                self.requests += 1
                self.functions.append(frame[1])
                self._answer(bytes([self._unit]) + self._handle(frame[1], frame[2:-2]))

    def _answer(self, frame: bytes) -> None:
        crc = crc16(frame)
        if self.bad_crc:
            crc = bytes([crc[0] ^ 0xFF, crc[1]])
        if self.delay_s:
            self._loop.call_later(self.delay_s, self._cable.send, frame + crc)
        else:
            self._cable.send(frame + crc)

    def _handle(self, function: int, body: bytes) -> bytes:
        """Carry out one request and return the answer's function and data."""
        if function not in (READ_COILS, READ_INPUTS, READ_HOLDING, READ_REGISTERS, WRITE_COIL, WRITE_COILS):
            return bytes([function | 0x80, 1])
        first, number = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
        count = 1 if function == WRITE_COIL else number
        if not 1 <= count <= SIZE or first + count > SIZE:
            return bytes([function | 0x80, 2])
        if function in (READ_COILS, READ_INPUTS):
            states = self.board.coils if function == READ_COILS else self.board.inputs
            packed = sum(states.get(first + i, False) << i for i in range(count))
            size = (count + 7) // 8
            return bytes([function, size]) + packed.to_bytes(size, "little")
        if function in (READ_HOLDING, READ_REGISTERS):
            values = [self._register(first + i) for i in range(count)]
            return bytes([function, 2 * count]) + b"".join(value.to_bytes(2, "big") for value in values)
        if not self.failing.isdisjoint(range(first, first + count)):
            return bytes([function | 0x80, 4])
        bits = number == 0xFF00 if function == WRITE_COIL else int.from_bytes(body[5:], "little")
        for i in range(count):
            self._command(first + i, bool(bits >> i & 1))
        return bytes([function]) + body[:4]

    def _register(self, channel: int) -> int:
        ratio = self.line(channel).ratio(self.board.inputs.get(channel, False))
        return self.told.get(channel, round(ratio * self.full_scale))

    def _command(self, channel: int, energised: bool) -> None:
        self.board.command(channel, energised)
        for told in self.on_command:
            told(channel, energised)


def _frame_size(buffer: bytes) -> int:
    """Length of the request at the start of the buffer, CRC included."""
    if buffer[1] == WRITE_COILS:
        return 9 + buffer[6] if len(buffer) > 6 else 9
    return 8 if READ_COILS <= buffer[1] <= WRITE_COIL else len(buffer)


@asynccontextmanager
async def open_rig(settings: WireSettings) -> AsyncIterator[ModbusBoardRig]:
    """Serve the board at `settings.port` while the context is open."""
    rig = ModbusBoardRig(settings)
    try:
        yield rig
    finally:
        rig.cut()
