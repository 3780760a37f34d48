"""The peer of reader_qr_serial: a scanner on a pty, which marks its codes as the settings expect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import reduce
from operator import xor
from typing import Protocol

from gated_simulators.rigs._pty import PtyCable
from gated_simulators.rigs._scanner import HeldCode

HEADERS = {"stx": b"\x02"}
TERMINATORS = {"cr": b"\r", "lf": b"\n", "crlf": b"\r\n", "etx": b"\x03"}


class WireSettings(Protocol):
    """What the rig needs of its driver's settings; `framing` and its like where they have them."""

    @property
    def port(self) -> str:
        """The serial device."""
        ...


def framed(body: bytes, framing: str, bcc: str = "none") -> bytes:
    """What a scanner that is set so sends for one code."""
    header, _, terminator = framing.rpartition("_")
    end = TERMINATORS.get(terminator, b"")
    covered = {"content": body, "content_and_end": body + end}.get(bcc)
    check = b"" if covered is None else bytes([reduce(xor, covered, 0)])
    return HEADERS.get(header, b"") + body + end + check


class SerialScannerRig:
    """The scanner; `framing` and `bcc` are its own settings, by the words of the driver's."""

    def __init__(self, settings: WireSettings) -> None:
        self.framing = str(getattr(settings, "framing", "cr"))
        self.bcc = str(getattr(settings, "bcc", "none"))
        self._prefix = next(iter(getattr(settings, "prefix", [])), "").encode("latin-1")
        self._suffix = str(getattr(settings, "suffix", "")).encode("latin-1")
        self._held = HeldCode(self._read)
        self._cable = PtyCable(settings.port, lambda data: None)
        self.show, self.clear = self._held.show, self._held.clear
        self.cut, self.mend, self.send = self._cable.cut, self._cable.mend, self._cable.send

    @property
    def held(self) -> HeldCode:
        """What is under the scanner."""
        return self._held

    def _read(self, content: bytes) -> None:
        self._cable.send(framed(self._prefix + content + self._suffix, self.framing, self.bcc))


@asynccontextmanager
async def open_rig(settings: WireSettings) -> AsyncIterator[SerialScannerRig]:
    """Serve the scanner at `settings.port` while the context is open."""
    rig = SerialScannerRig(settings)
    try:
        yield rig
    finally:
        rig.clear()
        rig.cut()
