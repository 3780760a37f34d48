"""The watchdog that some Modbus relay boards have: when nobody speaks to them, they drop their coils.

Which registers switch it on, and how, is in the maker's manual of the board; here they are written and
read back. Once on, every request to the board keeps it quiet, so nothing has to be sent for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from gated.ports import DriverFault, Settings
from gated_drivers._codecs.modbus_rtu import (
    MOST_REGISTERS_WRITTEN,
    read_holding_registers,
    registers,
    write_registers,
)
from gated_drivers._modbus_bus import Bus

Address = Annotated[int, Field(ge=0, le=65535)]
Word = Annotated[int, Field(ge=0, le=65535)]


class HostWatchdog(Settings):
    """The holding registers that make the board drop its coils by itself."""

    registers: dict[Address, Word] = Field(
        min_length=1, description="holding registers to set, by address from 0, as the board's manual says"
    )
    silence_s: float = Field(
        gt=0, le=60, description="the silence after which the board drops its coils by these registers; s"
    )

    async def set_up(self, line: Bus, unit: int, timeout_s: float) -> None:
        """Write what is not so yet (their memory wears) and read it back. Raises DriverFault."""
        for first, values in self._runs():
            read = read_holding_registers(unit, first, len(values))
            if registers(await line.ask(read, timeout_s)) == values:
                continue
            await line.ask(write_registers(unit, first, values), timeout_s, command=True)
            found = registers(await line.ask(read, timeout_s))
            if found != values:
                raise DriverFault(
                    f"{line.port}: unit {unit} keeps {found} in the registers from {first} of its host "
                    f"watchdog, not {values}; check them with the board's manual"
                )

    def _runs(self) -> Iterator[tuple[int, list[int]]]:
        """Neighbours together: (first address, values)."""
        left = sorted(self.registers)
        while left:
            count = 1
            while count < min(len(left), MOST_REGISTERS_WRITTEN) and left[count] == left[0] + count:
                count += 1
            yield left[0], [self.registers[address] for address in left[:count]]
            left = left[count:]
