"""Relay boards on a serial or USB serial port that take commands of a few bytes.

A further protocol is a module in `_codecs` with a function like `lcus.command`, and a line in PROTOCOLS.
Most of these boards cannot be asked for their state, and hold it when the computer dies.
"""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Literal

import serial
from pydantic import Field, model_validator

from gated.ports import Driver, DriverFault, Kind, Settings
from gated_drivers._codecs import lcus
from gated_drivers._rest import at_rest
from gated_drivers._serial_line import in_thread, why_not_open

OPEN_S = 3.0
CLOSE_S = 1.0

PROTOCOLS: dict[str, Callable[[int, bool], bytes]] = {"lcus": lcus.command}


class SerialRelaySettings(Settings):
    """Where the board is, what it speaks and how it is left."""

    port: str = Field(min_length=1, description="serial device, best by its /dev/serial/by-id name")
    protocol: Literal["lcus"] = Field("lcus", description="what the board understands")
    baudrate: int = Field(9600, ge=300, le=1_000_000, description="bits per second, 8N1")
    channels: int = Field(ge=1, le=lcus.MAX_CHANNELS, description="relays on the board, numbered from 1")
    rest: dict[int, bool] = Field(
        default_factory=dict, description="coils commanded on closing; others stay as they are"
    )

    @model_validator(mode="after")
    def _rest_exists(self) -> SerialRelaySettings:
        if strange := sorted(c for c in self.rest if not 1 <= c <= self.channels):
            raise ValueError(f"rest names channel {strange[0]}; the board has 1 to {self.channels}")
        return self


class SerialRelayBoard:
    """A RelayBoard; a command is written straight from the loop, as a few bytes never wait."""

    def __init__(self, line: serial.Serial, settings: SerialRelaySettings) -> None:
        self._fd: int = line.fileno()
        self._settings = settings
        self._encode = PROTOCOLS[settings.protocol]
        self._hangup = select.poll()
        self._hangup.register(self._fd, 0)  # hang-up and error are always told

    async def switch(self, coils: Mapping[int, bool]) -> None:
        """Command coils; returns when the kernel has the bytes. The board does not acknowledge."""
        strange = [c for c in coils if not 1 <= c <= self._settings.channels]
        frames = b"".join(
            self._encode(channel, on) for channel, on in coils.items() if channel not in strange
        )
        try:
            written = os.write(self._fd, frames)
        except BlockingIOError:
            written = 0
        except OSError as error:
            raise self._lost() from error
        if written < len(frames):
            raise DriverFault(f"{self._settings.port}: the line takes no more bytes; the adapter is stuck")
        if strange:
            raise DriverFault(f"{self._settings.port}: the board has no channel {strange[0]}")

    async def observed(self) -> Mapping[int, bool]:
        """Nothing, as the board cannot tell; raises DriverFault when the line hung up."""
        if self._hangup.poll(0):
            raise self._lost()
        return {}

    def _lost(self) -> DriverFault:
        return DriverFault(f"{self._settings.port}: the line is lost; check the cable of the board")


@asynccontextmanager
async def open_board(settings: SerialRelaySettings) -> AsyncIterator[SerialRelayBoard]:
    """Open the line and write nothing. Deadline: 3 s.

    Closing commands `rest`, except after a fault: then the board is opened again soon, and must not move.
    """
    port, baudrate = settings.port, settings.baudrate
    try:
        line = await in_thread(
            lambda: serial.Serial(port, baudrate, timeout=0, write_timeout=0, exclusive=True),
            OPEN_S,
            f"opening {port}",
            undo=serial.Serial.close,
        )
    except (OSError, ValueError) as error:
        raise DriverFault(f"{settings.port}: {why_not_open(settings.port)}") from error
    board = SerialRelayBoard(line, settings)
    try:
        async with at_rest(board, settings.rest):
            yield board
    finally:
        with suppress(DriverFault):  # the kernel may wait for bytes to drain, so not in the loop
            await in_thread(line.close, CLOSE_S, f"closing {settings.port}")


DRIVER = Driver(Kind.RELAY, SerialRelaySettings, open_board)
