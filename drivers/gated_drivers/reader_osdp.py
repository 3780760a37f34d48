"""Card readers on RS-485 that speak OSDP 2 with Secure Channel; several on one line, each at its address.

There is no way to use a reader without Secure Channel or with its default key SCBK-D. What a reader is, and
what it claims to be able to, is neither asked nor believed: a reader that does not prove the site's key is
absent. Keys are loaded into readers with the maker's tool, in a workshop, never over the line at the gate.

The protocol is our own (`_codecs.osdp`, `_codecs.osdp_secure`, `_osdp_talk`), for what was found in the two
libraries there are. osdp 1.6 lets the reader choose the default key, passes on plain text inside of a secure
session, checks no sequence numbers and logs every frame. libosdp 3.2.9, as a control panel, passes on a card
read without any MAC when its frame has a security block of the handshake (SCS_12), does not check R-MAC-I,
and leaves a reader alone for 300 s after an error. Its peripheral is the far end in our tests.

Cards: osdp_RAW only. osdp_FMT never said what its characters are, and the standard gave it up; key presses
and everything else are dropped. A reader whose housing is open, as it tells under its session, is a fault.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from pydantic import ConfigDict, Field

from gated.ports import Driver, DriverFault, Kind, Presentation, Settings
from gated_drivers._card_field import CardField
from gated_drivers._codecs.osdp import CardRead
from gated_drivers._osdp_bus import Member, joined
from gated_drivers._osdp_key import CREDENTIAL, Key, read_key
from gated_drivers._osdp_number import ByteOrder, Family, Unfit, number
from gated_drivers._osdp_talk import Talk
from gated_drivers._serial_line import in_thread

KEY_S = 2.0  # for reading the key

_log = logging.getLogger(__name__)


class OsdpReaderSettings(Settings):
    """Where the reader is, its key, and what its bits mean."""

    # A key that was written here by mistake is in no error message.
    model_config = ConfigDict(hide_input_in_errors=True)

    port: str = Field(
        min_length=1, description="RS-485 adapter, best by its /dev/serial/by-id name; socket://host:port"
    )
    baudrate: Literal[9600, 19200, 38400, 57600, 115200, 230400] = Field(
        9600, description="bits per second, 8N1; one for all readers on the line"
    )
    address: int = Field(0, ge=0, le=126, description="the reader's address on the line")
    key: str = Field(
        pattern=rf"^(/|{CREDENTIAL}\w)",
        description="file of mode 0600 with the reader's key (SCBK, 32 hexadecimal digits), or "
        "credential:NAME for one that systemd hands over",
    )
    technology: Family = Field(description="card family whose chip number the reader is set up to send")
    byte_order: ByteOrder = Field("as_sent", description="reversed: the reader sends the last byte first")
    parity: bool = Field(
        False, description="the number stands between two parity bits, as in Wiegand formats"
    )
    absent_s: float = Field(
        1.0, ge=0, le=10, description="a card not read for this long counts again; seconds"
    )
    poll_s: float = Field(0.05, ge=0.02, le=1, description="how often the reader is asked; seconds")
    offline_s: float = Field(2.0, ge=0.5, le=10, description="silence after which it is lost; seconds")


class OsdpReader:
    """A Reader: one peripheral on the line."""

    def __init__(self, settings: OsdpReaderSettings, key: Key) -> None:
        self.garbage = 0  # card reads that were no card's number
        self.talk = Talk(settings.address, key)
        self.member = Member(
            self.talk, settings.poll_s, settings.offline_s, self._card, self._failed, self._ready
        )
        self._settings = settings
        self._field = CardField(settings.absent_s)
        self._found: asyncio.Queue[Presentation | DriverFault] = asyncio.Queue()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._told: set[str] = set()

    @property
    def polls(self) -> int:
        """Polls that were answered under a secure session."""
        return self.talk.polled

    async def opened(self) -> None:
        """Until the reader has proved its key and answered. Raises DriverFault."""
        await self._opened

    async def presentations(self) -> AsyncIterator[Presentation]:
        """One item per card held up. Raises DriverFault when the reader is lost."""
        while True:
            found = await self._found.get()
            if isinstance(found, DriverFault):
                self._found.put_nowait(found)  # for whoever asks next
                raise found
            yield found

    def _card(self, read: CardRead) -> None:
        settings, at = self._settings, time.monotonic()
        try:
            card = number(read, settings.technology, settings.parity, settings.byte_order)
        except Unfit as why:
            self.garbage += 1
            if str(why) not in self._told:  # once each: the number of such sentences is bounded
                self._told.add(str(why))
                _log.warning("%s: the reader at address %d %s", settings.port, settings.address, why)
            return
        self._field.look(None, at)  # it was polled in between
        if self._field.look(card, at):
            self._found.put_nowait(Presentation(*card, at))

    def _ready(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _failed(self, fault: DriverFault) -> None:
        if self._opened.done():
            self._found.put_nowait(fault)
        else:
            self._opened.set_exception(fault)


@asynccontextmanager
async def open_reader(settings: OsdpReaderSettings) -> AsyncIterator[OsdpReader]:
    """Open the line and the reader's secure session.

    Deadline: 5 s and `offline_s`, and 0.3 s for each other reader on the line that does not answer.
    """
    key = await in_thread(lambda: read_key(settings.key), KEY_S, f"reading {settings.key}")
    reader = OsdpReader(settings, key)
    async with joined(settings.port, settings.baudrate, reader.member):
        await reader.opened()
        yield reader


DRIVER = Driver(Kind.READER, OsdpReaderSettings, open_reader)
