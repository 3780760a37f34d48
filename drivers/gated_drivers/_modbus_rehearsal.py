"""An alarm played through on a line to nobody, so that the real one meets code that is at hand.

An alarm comes once in years, and a processor has by then forgotten how it goes: cold, that path takes
several times as long as warm. Played right before a reading, it costs the reading a tenth of a
millisecond and the alarm in its answer nothing.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from gated_drivers._codecs.modbus_rtu import Request
from gated_drivers._modbus_bus import Bus, Done
from gated_drivers._open_line import Line


class Rehearsal:
    """A bus like the real one, `line`, whose other end is here. Close it at the end."""

    def __init__(self, baudrate: int) -> None:
        self._far, near = socket.socketpair()
        for end in (self._far, near):
            end.setblocking(False)
        self.line = Bus("rehearsal", baudrate, Line(near.fileno(), near.close))

    def ask(self, request: Request, answer: bytes, done: Done) -> None:
        """Ask this and be answered so, in this very call."""
        self.line.submit(request, 1.0, done)
        self._far.send(answer)
        self.line.take()
        self.drain()

    def drain(self) -> None:
        """Forget what was written and what is waited for."""
        self.line.forget()
        with suppress(BlockingIOError):
            self._far.recv(4096)

    def close(self) -> None:
        """Give the descriptors back."""
        self.line.forget()
        self._far.close()
        self.line.line.close()
