"""Contactless card readers driven by nfcpy: FeliCa IDm, ISO 14443 UID; on USB, a serial port or UDP.

Only the identifier is read; it is known as soon as the card answers, without activating it.
"""

from __future__ import annotations

import asyncio
import logging
import platform  # noqa: F401  nfcpy imports it when it opens a reader; nothing is imported then
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import nfc
from nfc.clf import acr122, arygon, pn531, pn532, pn533, rcs380, rcs956, udp  # noqa: F401  likewise
from pydantic import Field

from gated.ports import Driver, DriverFault, Kind, Presentation, Settings
from gated_drivers._card_field import Card, CardField, credential
from gated_drivers._far_end import FarEnd

# Below INFO nfcpy prints what it exchanges with cards; its errors reach us as exceptions.
logging.getLogger("nfc").setLevel(logging.CRITICAL)

OPEN_S = 5.0
CLOSE_S = 2.0
HELD_PAUSE_S = 0.05  # between two looks at a card that stays, and after a damaged answer
IDLE_PAUSE_S = 0.01
MAX_GARBAGE = 20  # damaged answers on end, one second of them: the reader is broken

TARGETS = {"felica": "212F", "iso14443a": "106A", "iso14443b": "106B"}


class NfcpyReaderSettings(Settings):
    """Which reader it is and which cards it looks for."""

    path: str = Field(
        min_length=1, description="as nfcpy names it: usb:054c:06c3, tty:USB0:pn532, udp:host:port"
    )
    technologies: list[Literal["felica", "iso14443a", "iso14443b"]] = Field(
        ["felica"], min_length=1, description="card families to look for, in this order"
    )
    absent_s: float = Field(0.3, ge=0, le=10, description="a card away for this long counts again; seconds")


class NfcpyReader:
    """A Reader whose device lives in a thread: nfcpy blocks, and a hung device hangs that thread only."""

    def __init__(self, settings: NfcpyReaderSettings) -> None:
        self.garbage = 0  # damaged answers so far
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._found: asyncio.Queue[Presentation | DriverFault] = asyncio.Queue()
        self._stop = threading.Event()
        self._far_end = FarEnd(settings.path)
        self._thread = threading.Thread(target=self._run, name=f"nfc {settings.path}", daemon=True)

    async def open(self) -> None:
        """Until the reader is open. Raises DriverFault when it is absent or takes over 5 s."""
        self._thread.start()
        try:
            async with asyncio.timeout(OPEN_S):
                await self._opened
        except TimeoutError:
            raise self._says(f"does not open in {OPEN_S:g} s; unplug it and plug it in") from None

    async def presentations(self) -> AsyncIterator[Presentation]:
        """One item per card held up. Raises DriverFault when the reader is lost."""
        while True:
            found = await self._found.get()
            if isinstance(found, DriverFault):
                self._found.put_nowait(found)  # for whoever asks next
                raise found
            yield found

    async def close(self) -> None:
        """End the thread; one that a hung device holds is left behind after 2 s and ends with it."""
        self._stop.set()
        with suppress(OSError):
            self._far_end.check()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._ended.wait()
                self._thread.join()

    def _run(self) -> None:
        """The thread."""
        try:
            with self._far_end:
                self._far_end.check()
                reader = nfc.ContactlessFrontend(self._settings.path)
                try:
                    self._tell(self._open_done)
                    self._serve(reader)
                finally:
                    reader.close()
        except DriverFault as fault:
            self._tell(self._failed, fault)
        except OSError as error:
            why = f" ({error.strerror})" if error.strerror else ""
            self._tell(self._failed, self._says(f"is absent or lost{why}; check its cable and permissions"))
        except Exception as error:  # of nfcpy's making; its text may hold what a card said
            self._tell(self._failed, self._says(f"cannot be used ({type(error).__name__}); check its path"))
        finally:
            self._tell(self._ended.set)

    def _serve(self, reader: Any) -> None:
        field, damaged = CardField(self._settings.absent_s), 0
        while not self._stop.is_set():
            try:
                card = self._look(reader)
                damaged = 0
            except (OSError, DriverFault):
                raise
            except Exception as error:  # nfcpy trips over malformed answers in many ways
                self.garbage += 1
                damaged += 1
                if damaged >= MAX_GARBAGE:
                    raise self._says("gives damaged answers only; unplug it and plug it in") from error
                card = None
            at = time.monotonic()
            if field.look(card, at) and card is not None:
                self._tell(self._found.put_nowait, Presentation(*card, at))
            self._stop.wait(HELD_PAUSE_S if card or damaged else IDLE_PAUSE_S)

    def _look(self, reader: Any) -> Card | None:
        for technology in self._settings.technologies:
            if self._stop.is_set():
                break
            self._far_end.check()
            try:
                answer = reader.sense(nfc.clf.RemoteTarget(TARGETS[technology]))
            except nfc.clf.UnsupportedTargetError as error:
                raise self._says(f"cannot read {technology}; take it out of technologies") from error
            if answer is not None and (card := credential(answer)) is not None:
                return card
        return None

    def _open_done(self) -> None:
        if not self._opened.done():
            self._opened.set_result(None)

    def _failed(self, fault: DriverFault) -> None:
        if self._opened.done():
            self._found.put_nowait(fault)
        else:
            self._opened.set_exception(fault)

    def _says(self, what: str) -> DriverFault:
        return DriverFault(f"{self._settings.path}: the reader {what}")

    def _tell(self, call: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(call, *args)


@asynccontextmanager
async def open_reader(settings: NfcpyReaderSettings) -> AsyncIterator[NfcpyReader]:
    """Open the reader. Deadline: 5 s."""
    reader = NfcpyReader(settings)
    try:
        await reader.open()
        yield reader
    finally:
        await reader.close()


DRIVER = Driver(Kind.READER, NfcpyReaderSettings, open_reader)
