"""A simulated Modbus RTU board on a pty: coils, inputs and registers of one unit, and the faults of a line.

Frames by MODBUS Application Protocol 1.1b3, section 6: functions 01 to 06, 0F, 10; any other is refused
with exception 1, an address the board has not with exception 2, a coil that fails with exception 4.
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

SIZE = 16  # coils, inputs, and registers of each kind
READ_COILS, READ_INPUTS, WRITE_COIL, WRITE_COILS = 0x01, 0x02, 0x05, 0x0F
READ_HOLDING, READ_ANALOGUE, WRITE_REGISTER, WRITE_REGISTERS = 0x03, 0x04, 0x06, 0x10
SHORT = (READ_COILS, READ_INPUTS, READ_HOLDING, READ_ANALOGUE, WRITE_COIL, WRITE_REGISTER)  # 8 bytes
LONG = (WRITE_COILS, WRITE_REGISTERS)  # as long as they say


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
        self.lines: dict[
            int, LineCircuit
        ] = {}  # supervised lines at registers of both kinds, where nothing is set
        self.full_scale = 10_000  # of these lines
        self.delay_s = 0.0  # a slow board: seconds before each answer
        self.noise = b""  # a disturbed line: these bytes come before each answer
        self.cut_short = 0  # answers lose so many bytes at their end
        self.stuck: set[int] = set()  # coils that do not move though their command is acknowledged
        self.refusing: set[int] = set()  # coils whose command is refused
        self.analogue: dict[int, int] = {}  # input registers
        self.holding: dict[int, int] = {}
        self.forgetful = False  # holding registers do not keep what is written
        self.watchdog_register: int | None = None  # the silence it allows, in 10 ms; 0: off
        self.requests = 0  # whole frames for this unit
        self.functions: deque[int] = deque(maxlen=100)  # of the last of them
        self._unit = settings.unit
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self._silence: asyncio.TimerHandle | None = None
        self._cable = PtyCable(settings.port, self._received)

    def set_contact(self, channel: int, closed: bool) -> None:
        """Close or open the contact at an input."""
        self.board.inputs[channel] = closed

    def line(self, channel: int) -> LineCircuit:
        """The line at one register; a sound one where no other was put there."""
        return self.lines.setdefault(channel, LineCircuit())

    def set_analogue(self, channel: int, value: int) -> None:
        """What the converter at an input reads, 0 to 65535."""
        self.analogue[channel] = value

    def stop(self) -> None:
        """Pull the cable, and the power."""
        self.cut()
        if self._silence is not None:
            self._silence.cancel()

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

    def take(self) -> None:
        """Take and carry out what has been written by now, without a turn of the loop."""
        self._cable.take()

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
                self._wait_for_silence()

    def _answer(self, frame: bytes) -> None:
        crc = crc16(frame)
        if self.bad_crc:
            crc = bytes([crc[0] ^ 0xFF, crc[1]])
        answer = frame + crc
        answer = self.noise + answer[: len(answer) - self.cut_short]
        if self.delay_s:
            self._loop.call_later(self.delay_s, self._cable.send, answer)
        else:
            self._cable.send(answer)

    def _wait_for_silence(self) -> None:
        """The host watchdog: any request to this unit starts it anew."""
        if self._silence is not None:
            self._silence.cancel()
        allowed = self.holding.get(self.watchdog_register, 0) if self.watchdog_register is not None else 0
        self._silence = self._loop.call_later(allowed / 100, self._drop) if allowed else None

    def _drop(self) -> None:
        for channel, energised in sorted(self.board.coils.items()):
            if energised:
                self._command(channel, False)

    def _handle(self, function: int, body: bytes) -> bytes:
        """Carry out one request and return the answer's function and data."""
        if function not in (*SHORT, *LONG):
            return bytes([function | 0x80, 1])
        first, number = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
        count = 1 if function in (WRITE_COIL, WRITE_REGISTER) else number
        if not 1 <= count <= SIZE or first + count > SIZE:
            return bytes([function | 0x80, 2])
        span = range(first, first + count)
        if function in (READ_COILS, READ_INPUTS):
            states = self.board.coils if function == READ_COILS else self.board.inputs
            packed = sum(states.get(channel, False) << i for i, channel in enumerate(span))
            size = (count + 7) // 8
            return bytes([function, size]) + packed.to_bytes(size, "little")
        if function in (READ_HOLDING, READ_ANALOGUE):
            words = self.holding if function == READ_HOLDING else self.analogue
            told = [words[address] if address in words else self._measured(address) for address in span]
            return bytes([function, 2 * count]) + b"".join(word.to_bytes(2, "big") for word in told)
        if function in (WRITE_REGISTER, WRITE_REGISTERS):
            data = body[2:4] if function == WRITE_REGISTER else body[5:]
            if not self.forgetful:
                for i, address in enumerate(span):
                    self.holding[address] = int.from_bytes(data[2 * i : 2 * i + 2], "big")
            return bytes([function]) + body[:4]
        if self.refusing.intersection(span):
            return bytes([function | 0x80, 4])
        bits = number == 0xFF00 if function == WRITE_COIL else int.from_bytes(body[5:], "little")
        for i, channel in enumerate(span):
            if channel not in self.stuck:
                self._command(channel, bool(bits >> i & 1))
        return bytes([function]) + body[:4]

    def _measured(self, address: int) -> int:
        if address not in self.lines:
            return 0
        return round(self.lines[address].ratio(self.board.inputs.get(address, False)) * self.full_scale)

    def _command(self, channel: int, energised: bool) -> None:
        self.board.command(channel, energised)
        for told in self.on_command:
            told(channel, energised)


def _frame_size(buffer: bytes) -> int:
    """Length of the request at the start of the buffer, CRC included."""
    if buffer[1] in LONG:
        return 9 + buffer[6] if len(buffer) > 6 else 9
    return 8 if buffer[1] in SHORT else len(buffer)


@asynccontextmanager
async def open_rig(settings: WireSettings) -> AsyncIterator[ModbusBoardRig]:
    """Serve the board at `settings.port` while the context is open."""
    rig = ModbusBoardRig(settings)
    try:
        yield rig
    finally:
        rig.stop()
