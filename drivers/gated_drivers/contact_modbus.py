"""Contact boards that speak Modbus RTU: discrete inputs by function 02, asked again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import Field, field_validator
from pymodbus.pdu.bit_message import ReadDiscreteInputsRequest

from gated.ports import Contact, Driver, DriverFault, Kind, Settings
from gated_drivers._bounce import Bounce
from gated_drivers._modbus_bus import Bus, bus

Address = Annotated[int, Field(ge=0, le=65535)]


class ModbusContactSettings(Settings):
    """Where the board is and which of its inputs are used."""

    port: str = Field(min_length=1, description="serial device, best by its /dev/serial/by-id name")
    unit: int = Field(1, ge=1, le=247, description="the board's number on the line")
    baudrate: int = Field(9600, ge=300, le=1_000_000, description="bits per second, 8N1")
    channels: list[Address] = Field(
        min_length=1, description="input addresses, from 0, within a span of 2000"
    )
    poll_s: float = Field(0.02, gt=0, le=1, description="time from one reading to the next; seconds")
    bounce_s: float = Field(
        0.0, ge=0, le=1, description="how long a new state lasts before it counts; seconds"
    )
    timeout_s: float = Field(0.3, gt=0, le=10, description="an answer later than this is a fault; seconds")

    @field_validator("channels")
    @classmethod
    def _one_request(cls, channels: list[int]) -> list[int]:
        if max(channels) - min(channels) >= 2000:
            raise ValueError("the channels are more than 2000 addresses apart; configure two devices")
        return channels


class ModbusContactBoard:
    """A ContactBoard; a bit that is 1 is a closed contact, as the boards count it."""

    def __init__(self, line: Bus, settings: ModbusContactSettings) -> None:
        self._line = line
        self._settings = settings
        self.read_at = time.monotonic()

    async def contacts(self) -> AsyncIterator[Contact]:
        """The first state of each channel, then changes; a pulse over `poll_s` + `bounce_s` is seen."""
        settings, bounce = self._settings, Bounce(self._settings.bounce_s)
        due = time.monotonic()
        while True:
            states = await self.read()
            at = self.read_at = time.monotonic()
            for channel, closed in states.items():
                if (contact := bounce.seen(channel, closed, at)) is not None:
                    yield contact
            due = max(due + settings.poll_s, at)
            await asyncio.sleep(due - time.monotonic())

    async def read(self) -> dict[int, bool]:
        """Read every channel once. Raises DriverFault."""
        wanted = self._settings.channels
        first = min(wanted)
        count = max(wanted) - first + 1
        request = ReadDiscreteInputsRequest(address=first, count=count, dev_id=self._settings.unit)
        answer = await self._line.ask(request, self._settings.timeout_s)
        if len(answer.bits) < count:
            raise DriverFault(f"{self._settings.port}: the board tells fewer inputs than it was asked for")
        return {channel: answer.bits[channel - first] for channel in wanted}


@asynccontextmanager
async def open_board(settings: ModbusContactSettings) -> AsyncIterator[ModbusContactBoard]:
    """Open the board and read it once. Deadline: `timeout_s` for each user of the line."""
    async with bus(settings.port, settings.baudrate) as line:
        board = ModbusContactBoard(line, settings)
        await board.read()
        yield board


DRIVER = Driver(Kind.CONTACT, ModbusContactSettings, open_board)
