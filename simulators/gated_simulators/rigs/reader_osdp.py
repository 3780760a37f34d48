"""The peer of reader_osdp: a reader of libosdp's on a pty, with the key of the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from gated_simulators.rigs._osdp_line import OsdpLine


class ReaderSettings(Protocol):
    """What the rig needs of its driver's settings."""

    @property
    def port(self) -> str:
        """The serial device."""
        ...

    @property
    def address(self) -> int:
        """The reader's address on the line."""
        ...

    @property
    def key(self) -> str:
        """The file with its key."""
        ...


class OsdpReaderRig:
    """The line, and the reader on it."""

    def __init__(self, settings: ReaderSettings) -> None:
        self.line = OsdpLine(settings.port)
        self.reader = self.line.add(settings.address, bytes.fromhex(Path(settings.key).read_text()))
        self.cut, self.mend, self.send = self.line.cut, self.line.mend, self.line.send
        self.present, self.remove = self.reader.hold, self.reader.remove


@asynccontextmanager
async def open_rig(settings: ReaderSettings) -> AsyncIterator[OsdpReaderRig]:
    """Serve the reader at `settings.port` while the context is open."""
    rig = OsdpReaderRig(settings)
    try:
        yield rig
    finally:
        rig.cut()
