"""The peer of relay_serial: a board on a pty that speaks one of the protocols and remembers each change.

Each protocol is read here from the board's side, by the makers' documents and not by the driver's code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from gated_simulators.rigs import Board
from gated_simulators.rigs._pty import PtyCable


class WireSettings(Protocol):
    """What the rig needs of its driver's settings; `protocol` and `baudrate` where they have them."""

    @property
    def port(self) -> str:
        """The serial device."""
        ...

    @property
    def channels(self) -> int:
        """Relays on the board."""
        ...


class Firmware(ABC):
    """What runs on a board: it takes bytes in pieces of any size, switches relays and answers."""

    first = 1

    def __init__(self, channels: int, relay: Callable[[int, bool], None], on: Callable[[int], bool]) -> None:
        self.garbage = 0  # bytes that were part of no command
        self.buffer = b""
        self.channels = channels
        self.relay, self.on = relay, on

    def has(self, channel: int) -> bool:
        """Whether the board has this relay."""
        return self.first <= channel < self.first + self.channels

    @abstractmethod
    def received(self, data: bytes) -> bytes:
        """Carry out what became whole by these bytes; returns the answer."""


class Frames(Firmware):
    """Boards whose commands have one size: they look for one at every byte, and skip what is none."""

    size: int

    def received(self, data: bytes) -> bytes:
        """Frame by frame."""
        self.buffer += data
        answers = b""
        while len(self.buffer) >= self.size:
            answer = self.frame(self.buffer[: self.size])
            if answer is None:
                self.garbage += 1
            else:
                answers += answer
            self.buffer = self.buffer[1 if answer is None else self.size :]
        return answers

    @abstractmethod
    def frame(self, frame: bytes) -> bytes | None:
        """Carry out one command and return its answer; None where it is none."""


class Lcus(Frames):
    """A0, channel, action, sum; no answer."""

    size = 4

    def frame(self, frame: bytes) -> bytes | None:
        """One command."""
        if frame[0] != 0xA0 or frame[2] > 1 or sum(frame[:3]) % 256 != frame[3] or not self.has(frame[1]):
            return None
        self.relay(frame[1], frame[2] == 1)
        return b""


class Kmtronic(Frames):
    """FF, channel, action; small boards tell relay by relay, others all at once."""

    size = 3

    def frame(self, frame: bytes) -> bytes | None:
        """One command."""
        start, channel, action = frame
        if start != 0xFF:
            return None
        if self.channels > 2 and (channel, action) == (9, 0):
            built = 4 if self.channels <= 4 else 8
            return bytes(self.on(relay) for relay in range(1, built + 1))
        if not self.has(channel):
            return None
        if self.channels <= 2 and action == 3:
            return bytes([0xFF, channel, self.on(channel)])
        if action > 1:
            return None
        self.relay(channel, action == 1)
        return b""


class Devantech(Frames):
    """One byte a command."""

    size = 1

    def frame(self, frame: bytes) -> bytes | None:
        """One command."""
        code = frame[0]
        if code == 0x5B:
            return bytes([sum(self.on(relay) << relay - 1 for relay in range(1, self.channels + 1))])
        if code in (0x64, 0x6E):
            for relay in range(1, self.channels + 1):
                self.relay(relay, code == 0x64)
            return b""
        for first, energised in ((0x65, True), (0x6F, False)):
            if first <= code < first + self.channels:
                self.relay(code - first + 1, energised)
                return b""
        return None


class Numato(Firmware):
    """Lines of text, echoed, with a prompt."""

    first = 0
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUV"

    def received(self, data: bytes) -> bytes:
        """Character by character, as from a keyboard."""
        out = b""
        for byte in data:
            if byte != 0x0D:
                self.buffer += bytes([byte])
                out += bytes([byte])
                continue
            line, self.buffer = self.buffer, b""
            said = self.line(line.decode("latin-1")) if line else ""
            if said is None:
                self.garbage += len(line) + 1
                said = ""
            out += b"\n\r" + (said.encode("ascii") + b"\n\r" if said else b"") + b">"
        return out

    def line(self, line: str) -> str | None:
        """One command and its answer; None where it is none."""
        match line.split(" "):
            case ["relay", "readall"] if self.channels >= 8:
                bits = sum(self.on(relay) << relay for relay in range(self.channels))
                return f"{bits:0{(self.channels + 7) // 8 * 2}x}"
            case ["relay", verb, name] if len(name) == 1 and self.has(self.digits.find(name)):
                relay = self.digits.index(name)
                if verb == "read":
                    return "on" if self.on(relay) else "off"
                if verb in ("on", "off"):
                    self.relay(relay, verb == "on")
                    return ""
        return None


FIRMWARE: dict[str, type[Firmware]] = {
    "lcus": Lcus,
    "kmtronic": Kmtronic,
    "numato": Numato,
    "devantech": Devantech,
}


def heard_at(data: bytes, sent: int, read: int) -> bytes:
    """What a receiver at `read` baud makes of bytes sent without a pause at `sent` baud, 8N1."""
    if sent == read:
        return data
    line = [bit for byte in data for bit in (0, *(byte >> i & 1 for i in range(8)), 1)]

    def level(at: float) -> int:
        return line[int(at * sent)] if at * sent < len(line) else 1

    heard, at, step = b"", 0.0, 1 / read / 16  # a receiver looks for a start bit sixteen times a bit
    while at * sent < len(line):
        if level(at):
            at += step
            continue
        bits = [level(at + (1.5 + i) / read) for i in range(8)]
        heard += bytes([sum(bit << i for i, bit in enumerate(bits))])
        at += 9.5 / read
        while not level(at):  # a frame without its stop bit: wait for the line to rest
            at += step
    return heard


class SerialBoardRig:
    """The board at the far end of the line."""

    def __init__(self, settings: WireSettings) -> None:
        self.board = Board()
        self.on_command: list[Callable[[int, bool], None]] = []
        self.silent = False  # a board without power: does nothing, says nothing
        self.dead: set[int] = set()  # relays whose coil is broken: commanded, they do not move
        self.noise = b""  # what a disturbance puts before each answer
        self._line_baudrate = int(getattr(settings, "baudrate", 9600))
        self.baudrate = self._line_baudrate  # of the board; another one than the line's is heard as garbage
        firmware = FIRMWARE[getattr(settings, "protocol", "lcus")]
        self._firmware = firmware(settings.channels, self._relay, self._on)
        self._cable = PtyCable(settings.port, self.received)

    @property
    def garbage(self) -> int:
        """Bytes that were part of no command."""
        return self._firmware.garbage

    def cut(self) -> None:
        """Pull the cable; the board keeps its power and its coils."""
        self._cable.cut()

    def mend(self) -> None:
        """Put the cable back."""
        self._firmware.buffer = b""
        self._cable.mend()

    def send(self, data: bytes) -> None:
        """Put bytes on the line that nobody asked for."""
        self._cable.send(data)

    def take(self) -> None:
        """Take and carry out what has been written by now, without a turn of the loop."""
        self._cable.take()

    def received(self, data: bytes) -> None:
        """Bytes arrived at the board, in pieces of any size."""
        if self.silent:
            return
        answer = self._firmware.received(heard_at(data, self._line_baudrate, self.baudrate))
        if answer:
            self._cable.send(self.noise + heard_at(answer, self.baudrate, self._line_baudrate))

    def _relay(self, channel: int, energised: bool) -> None:
        if channel in self.dead:
            self.board.writes += 1
        else:
            self.board.command(channel, energised)
        for told in self.on_command:
            told(channel, energised)

    def _on(self, channel: int) -> bool:
        return self.board.coils.get(channel, False)


@asynccontextmanager
async def open_rig(settings: WireSettings) -> AsyncIterator[SerialBoardRig]:
    """Serve the board at `settings.port` while the context is open."""
    rig = SerialBoardRig(settings)
    try:
        yield rig
    finally:
        rig.cut()
