"""Analogue inputs of Modbus RTU boards: registers by function 04 or 03, read again and again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from gated.ports import DriverFault
from gated_drivers._codecs.modbus_rtu import Request, registers
from gated_drivers._modbus_bus import Bus, bus
from gated_drivers._modbus_poll import Poll

OVER = 0.05  # of full scale: as far beyond both its ends an input can measure; the rest are error values

Fresh = Callable[[Mapping[int, float], float], None]


class RegisterPoll:
    """Reads registers every `poll_s` seconds; `fresh(ratios, at)` is called where they arrive."""

    def __init__(
        self,
        line: Bus,
        request: Request,
        channels: list[int],
        full_scale: int,
        signed: bool,
        poll_s: float,
        timeout_s: float,
        fresh: Fresh,
    ) -> None:
        self._line = line
        self._request, self._timeout_s = request, timeout_s
        self._channels, self._full_scale, self._signed = channels, full_scale, signed
        self._fresh = fresh
        self._ended: Callable[[DriverFault], None] | None = None
        self._poll = Poll(line, request, poll_s, timeout_s, self._arrived)

    @property
    def read_at(self) -> float:
        """CLOCK_MONOTONIC of the last good reading, seconds."""
        return self._poll.read_at

    @contextmanager
    def going(self, ended: Callable[[DriverFault], None]) -> Iterator[None]:
        """Keep reading while the context is open; a fault ends it and is told once, in the loop."""
        self._ended = ended
        with self._poll.going(self._die):
            yield
        self._ended = None

    async def read(self) -> dict[int, float]:
        """Read every channel once, by ratio of full scale. Raises DriverFault."""
        return self._ratios(await self._line.ask(self._request, self._timeout_s))

    def _ratios(self, data: bytes) -> dict[int, float]:
        told, ratios = registers(data), dict[int, float]()
        for channel in self._channels:
            value = told[channel - self._request.address]
            if self._signed and value > 0x7FFF:
                value -= 0x10000
            ratio = value / self._full_scale
            if not -OVER <= ratio <= 1 + OVER:
                raise DriverFault(
                    f"{self._line.port}: unit {self._request.unit} tells {value} at register {channel}, "
                    f"impossible with full scale {self._full_scale}; check the module and its settings"
                )
            ratios[channel] = min(1.0, max(0.0, ratio))
        return ratios

    def _arrived(self, data: bytes, at: float) -> None:
        if self._ended is None:
            return
        try:
            ratios = self._ratios(data)
        except DriverFault as fault:
            self._die(fault)
        else:
            self._fresh(ratios, at)

    def _die(self, fault: DriverFault) -> None:
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(fault)


@asynccontextmanager
async def register_poll(
    port: str,
    baudrate: int,
    turnaround_s: float,
    request: Callable[[int, int], Request],
    channels: list[int],
    full_scale: int,
    signed: bool,
    poll_s: float,
    timeout_s: float,
    fresh: Fresh,
) -> AsyncIterator[RegisterPoll]:
    """The board on its line, once it was read; `request` asks for so many registers from an address.

    Deadline: 3 s for the line, `timeout_s` for each of its users.
    """
    first = min(channels)
    async with bus(port, baudrate, turnaround_s) as line:
        ask = request(first, max(channels) - first + 1)
        poll = RegisterPoll(line, ask, channels, full_scale, signed, poll_s, timeout_s, fresh)
        await poll.read()
        yield poll
