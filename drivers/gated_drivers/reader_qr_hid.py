"""Code scanners that type what they read, as a USB keyboard does ("keyboard wedge").

The keyboard is taken for gated alone, so that no code is typed into a console. docs/readers.md says how to
set the scanner up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pydantic import Field

from gated.ports import Driver, DriverFault, Kind, Settings
from gated_drivers._codecs.hid_keys import Ending, KeyDecoder, Layout
from gated_drivers._codecs.qr_content import Contents
from gated_drivers._evdev import IDENTITY, close_grabbed, open_grabbed
from gated_drivers._qr_scanner import NO_READ, AbsentS, GapS, NoRead, Prefix, Scanner, Suffix
from gated_drivers._serial_line import in_thread

OPEN_S = 3.0
CLOSE_S = 1.0


class HidScannerSettings(Settings):
    """Which keyboard is the scanner, and how it types."""

    device: str = Field(
        pattern=f"^(/.+|{IDENTITY.pattern})$",
        description="its /dev/input/by-id name that ends in -event-kbd, or USB vendor:product[:serial]",
    )
    ending: Ending = Field("enter", description="key that ends a code; gap: only that nothing follows")
    layout: Layout = Field("us", description="keyboard that the scanner is set to")
    prefix: Prefix = Field(default_factory=list)
    suffix: Suffix = ""
    no_read: NoRead = Field(default_factory=lambda: list(NO_READ))
    gap_s: GapS = 0.3
    absent_s: AbsentS = 2.0


@asynccontextmanager
async def open_scanner(settings: HidScannerSettings) -> AsyncIterator[Scanner]:
    """Take the keyboard. Deadline: 3 s."""
    device = settings.device
    fd = await in_thread(lambda: open_grabbed(device), OPEN_S, f"opening {device}", undo=close_grabbed)
    contents = Contents(settings.prefix, settings.suffix, settings.no_read)
    scanner = Scanner(
        fd,
        KeyDecoder(settings.ending, settings.layout, contents.longest),
        contents,
        gap_s=settings.gap_s,
        absent_s=settings.absent_s,
        lost=f"{device}: the scanner is gone; check its cable",
    )
    try:
        yield scanner
    finally:
        scanner.release()
        with suppress(DriverFault):
            await in_thread(lambda: close_grabbed(fd), CLOSE_S, f"closing {device}")


DRIVER = Driver(Kind.READER, HidScannerSettings, open_scanner)
