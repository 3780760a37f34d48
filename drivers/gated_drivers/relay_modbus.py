"""Relay boards that speak Modbus RTU: coils by functions 01 (read), 05 and 0F (write)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import Field
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, WriteMultipleCoilsRequest, WriteSingleCoilRequest

from gated.ports import Driver, DriverFault, Kind, Settings
from gated_drivers._modbus_bus import Bus, bus
from gated_drivers._rest import at_rest

Address = Annotated[int, Field(ge=0, le=65535)]
MOST = 2000  # coils one request may read (Application Protocol 1.1b3, 6.1)


class ModbusRelaySettings(Settings):
    """Where the board is and how it is left."""

    port: str = Field(min_length=1, description="serial device, best by its /dev/serial/by-id name")
    unit: int = Field(1, ge=1, le=247, description="the board's number on the line")
    baudrate: int = Field(9600, ge=300, le=1_000_000, description="bits per second, 8N1")
    timeout_s: float = Field(0.3, gt=0, le=10, description="an answer later than this is a fault; seconds")
    rest: dict[Address, bool] = Field(
        default_factory=dict, description="coils commanded on closing, by address; others stay as they are"
    )


class ModbusRelayBoard:
    """A RelayBoard; coils are numbered by address, from 0."""

    def __init__(self, line: Bus, settings: ModbusRelaySettings) -> None:
        self._line = line
        self._settings = settings
        self._known = set(settings.rest)

    async def switch(self, coils: Mapping[int, bool]) -> None:
        """Command coils, neighbours in one frame; returns when the board has acknowledged."""
        self._known |= set(coils)
        runs = _runs(coils)
        if len(runs) == 1:
            await self._command(*runs[0])
        elif runs:  # queued together, so that no reading slips in between
            await asyncio.gather(*(self._command(first, states) for first, states in runs))

    async def _command(self, first: int, states: list[bool]) -> None:
        kind = WriteSingleCoilRequest if len(states) == 1 else WriteMultipleCoilsRequest
        request: ModbusPDU = kind(address=first, bits=states, dev_id=self._settings.unit)
        await self._line.ask(request, self._settings.timeout_s, command=True)

    async def observed(self) -> Mapping[int, bool]:
        """Read back the coils of `rest` and those commanded so far; coil 0 where there are none."""
        observed: dict[int, bool] = {}
        left = sorted(self._known) or [0]
        while left:
            together = [channel for channel in left if channel - left[0] < MOST]
            observed |= await self._read(together)
            left = left[len(together) :]
        return observed

    async def _read(self, wanted: list[int]) -> dict[int, bool]:
        first, count = wanted[0], wanted[-1] - wanted[0] + 1
        request = ReadCoilsRequest(address=first, count=count, dev_id=self._settings.unit)
        answer = await self._line.ask(request, self._settings.timeout_s)
        if len(answer.bits) < count:
            raise DriverFault(f"{self._settings.port}: the board tells fewer coils than it was asked for")
        return {channel: answer.bits[channel - first] for channel in wanted}


def _runs(coils: Mapping[int, bool]) -> list[tuple[int, list[bool]]]:
    """Coils as runs of neighbours: (first address, states)."""
    runs: list[tuple[int, list[bool]]] = []
    for channel in sorted(coils):
        if runs and channel == runs[-1][0] + len(runs[-1][1]):
            runs[-1][1].append(coils[channel])
        else:
            runs.append((channel, [coils[channel]]))
    return runs


@asynccontextmanager
async def open_board(settings: ModbusRelaySettings) -> AsyncIterator[ModbusRelayBoard]:
    """Open the board: it is read once, nothing is written. Deadline: `timeout_s` for each user of the line.

    Closing commands `rest`, except after a fault: then the board is opened again soon, and must not move.
    """
    async with bus(settings.port, settings.baudrate) as line:
        board = ModbusRelayBoard(line, settings)
        await board.observed()
        async with at_rest(board, settings.rest):
            yield board


DRIVER = Driver(Kind.RELAY, ModbusRelaySettings, open_board)
