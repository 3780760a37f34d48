"""Code scanners on a serial line, RS-232 or USB: DENSO, Newland, Honeywell, Zebra and others.

The scanner reads, decodes and sends; nothing is ever sent to it. docs/readers.md says how to set it up.
"""

from __future__ import annotations

import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

import serial
from pydantic import Field

from gated.ports import Driver, DriverFault, Kind, Settings
from gated_drivers._codecs.qr_content import Contents
from gated_drivers._codecs.qr_framing import Bcc, FrameDecoder, Framing
from gated_drivers._qr_scanner import NO_READ, AbsentS, GapS, NoRead, Prefix, Scanner, Suffix
from gated_drivers._serial_line import close_line, in_thread, why_not_open

OPEN_S = 3.0
CLOSE_S = 1.0
PARITIES = {"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}


class SerialScannerSettings(Settings):
    """Where the scanner is and how it marks its codes."""

    port: str = Field(min_length=1, description="serial device, best by its /dev/serial/by-id name")
    framing: Framing = Field(
        "cr",
        description="what ends a code: its last part; stx_: STX begins it; gap: only that nothing follows",
    )
    bcc: Bcc = Field(
        "none",
        description="a check byte after the end, over the content alone (DENSO) or over content and end",
    )
    baudrate: int = Field(9600, ge=300, le=1_000_000, description="bits per second; of no effect on USB")
    parity: Literal["none", "even", "odd"] = Field("none", description="as the scanner is set")
    data_bits: Literal[7, 8] = Field(8, description="as the scanner is set")
    stop_bits: Literal[1, 2] = Field(1, description="as the scanner is set")
    prefix: Prefix = Field(default_factory=list)
    suffix: Suffix = ""
    no_read: NoRead = Field(default_factory=lambda: list(NO_READ))
    gap_s: GapS = 0.1
    absent_s: AbsentS = 2.0


def _line(settings: SerialScannerSettings) -> serial.Serial:
    return serial.Serial(
        settings.port,
        settings.baudrate,
        bytesize=settings.data_bits,
        parity=PARITIES[settings.parity],
        stopbits=settings.stop_bits,
        timeout=0,
        exclusive=True,
    )


@asynccontextmanager
async def open_scanner(settings: SerialScannerSettings) -> AsyncIterator[Scanner]:
    """Open the line. Deadline: 3 s."""
    port = settings.port
    try:
        line = await in_thread(lambda: _line(settings), OPEN_S, f"opening {port}", undo=close_line)
    except (OSError, ValueError) as error:
        raise DriverFault(f"{port}: {why_not_open(port)}") from error
    except termios.error as error:  # which is no OSError
        raise DriverFault(
            f"{port}: the port does not take {settings.baudrate} baud, {settings.data_bits} bits, "
            f"parity {settings.parity}; choose what port and scanner both can"
        ) from error
    contents = Contents(settings.prefix, settings.suffix, settings.no_read)
    scanner = Scanner(
        line.fileno(),
        FrameDecoder(settings.framing, settings.bcc, contents.longest),
        contents,
        gap_s=settings.gap_s,
        absent_s=settings.absent_s,
        lost=f"{port}: the line is lost; check the cable of the scanner",
    )
    try:
        yield scanner
    finally:
        scanner.release()
        with suppress(DriverFault):  # a line that does not close is left to its thread
            await in_thread(lambda: close_line(line), CLOSE_S, f"closing {port}")


DRIVER = Driver(Kind.READER, SerialScannerSettings, open_scanner)
