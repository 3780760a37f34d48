"""The peer of relay_serial: an LCUS board on a pty, which never answers and remembers each change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from gated_simulators.rigs import Board
from gated_simulators.rigs._pty import PtyCable

START = 0xA0


class WireSettings(Protocol):
    """What the rig needs of its driver's settings."""

    @property
    def port(self) -> str:
        """The serial device."""
        ...

    @property
    def channels(self) -> int:
        """Relays on the board."""
        ...


class SerialBoardRig:
    """The board at the far end of the line."""

    def __init__(self, settings: WireSettings) -> None:
        self.board = Board()
        self.on_command: list[Callable[[int, bool], None]] = []
        self.garbage = 0  # bytes that were part of no command
        self._channels = settings.channels
        self._buffer = b""
        self._cable = PtyCable(settings.port, self.received)

    def cut(self) -> None:
        """Pull the cable; the board keeps its power and its coils."""
        self._cable.cut()

    def mend(self) -> None:
        """Put the cable back."""
        self._buffer = b""
        self._cable.mend()

    def received(self, data: bytes) -> None:
        """Bytes arrived at the board, in pieces of any size; it looks for frames and skips the rest."""
        self._buffer += data
        while len(self._buffer) >= 4:
            start, channel, action, total = self._buffer[:4]
            good = start == START and action <= 1 and (start + channel + action) & 0xFF == total
            if good and 1 <= channel <= self._channels:
                self._buffer = self._buffer[4:]
                self.board.command(channel, action == 1)
                for told in self.on_command:
                    told(channel, action == 1)
            else:
                self._buffer = self._buffer[1:]
                self.garbage += 1


@asynccontextmanager
async def open_rig(settings: WireSettings) -> AsyncIterator[SerialBoardRig]:
    """Serve the board at `settings.port` while the context is open."""
    rig = SerialBoardRig(settings)
    try:
        yield rig
    finally:
        rig.cut()
