"""The peer of contact_supervised: a converter, on SPI or on Modbus, with a line at each input."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gated_simulators.rigs import _modbus_board
from gated_simulators.rigs._modbus_board import ModbusBoardRig
from gated_simulators.rigs._spi_converter import SpiConverterRig


@asynccontextmanager
async def open_rig(settings: Any) -> AsyncIterator[SpiConverterRig | ModbusBoardRig]:
    """Be the converter of these settings while the context is open."""
    if settings.converter.type == "modbus":
        async with _modbus_board.open_rig(settings.converter) as board:
            board.full_scale = settings.converter.full_scale
            for channel in settings.channels:
                board.line(channel)
            yield board
        return
    rig = SpiConverterRig(settings.converter)
    try:
        yield rig
    finally:
        rig.remove()
