"""Analogue converters on SPI, by gpiozero: read again and again, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from gated.ports import DriverFault
from gated_drivers._codecs.mcp3xxx import CHIPS, reading, request
from gated_drivers._gpio import faults, find_pins
from gated_drivers._serial_line import in_thread

CHECK_S = 0.2
CHECKS = 3  # so many in a row without a reading are a fault; by count, as the whole process may be stopped
OPEN_S = 1.0
CLOSE_S = 1.0

Fresh = Callable[[Mapping[int, float], float], None]


class SpiPoll:
    """Reads channels of one chip every `poll_s` seconds; `fresh(ratios, at)` is called in the loop.

    `read_at` is CLOCK_MONOTONIC of the last good reading, seconds. A chip that is not there is told by its
    null bit where its wire is pulled high; where it is pulled low, by several channels being 0 to the bit,
    which shorted lines would be too.
    """

    def __init__(self, spi: Any, chip: str, channels: list[int], poll_s: float, fresh: Fresh) -> None:
        self.read_at = time.monotonic()
        self._spi = spi
        self._chip, self._name = CHIPS[chip], chip.upper()
        self._requests = {channel: request(self._chip, channel) for channel in channels}
        self._poll_s = poll_s
        self._fresh = fresh
        self._ended: Callable[[DriverFault], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._go_on, self._leave = threading.Event(), threading.Event()
        self._left = asyncio.Event()
        self._missed = 0
        self._fault: DriverFault | None = None
        threading.Thread(target=self._work, name=f"converter {chip}", daemon=True).start()

    @contextmanager
    def going(self, ended: Callable[[DriverFault], None]) -> Iterator[None]:
        """Keep reading while the context is open; a fault ends it and is told once, in the loop."""
        if self._fault is not None:
            ended(self._fault)
            yield
            return
        self._ended, self._missed = ended, 0
        self._go_on.set()
        self._watching = self._loop.call_later(CHECK_S, self._watch, self.read_at)
        try:
            yield
        finally:
            self._go_on.clear()
            self._ended = None
            self._watching.cancel()

    def read(self) -> dict[int, float]:
        """Read every channel once, by ratio of full scale. Blocks. Raises DriverFault."""
        with faults(f"reading the {self._name} on SPI"):
            answers = {c: reading(self._chip, self._spi.transfer(sent)) for c, sent in self._requests.items()}
        readings = {channel: value for channel, value in answers.items() if value is not None}
        if len(readings) < len(answers):
            raise DriverFault(f"{self._name} on SPI: nobody answers; check its power, its pins and its wires")
        if len(readings) > 1 and not any(readings.values()):
            raise DriverFault(
                f"{self._name} on SPI: only zeros on all of {len(readings)} channels; check its power and "
                "its wires, or look for a short circuit of every line"
            )
        full_scale = (1 << self._chip.bits) - 1
        return {channel: value / full_scale for channel, value in readings.items()}

    def _work(self) -> None:
        """The thread: the only one that touches the chip."""
        due = time.monotonic()
        try:
            while not self._leave.is_set():
                if not self._go_on.wait(CHECK_S) or self._leave.is_set():
                    continue
                ratios = self.read()
                at = self.read_at = time.monotonic()
                self._call(self._arrived, ratios, at)
                due = max(due + self._poll_s, at)
                self._leave.wait(due - at)
        except DriverFault as fault:
            self._call(self._die, fault)
        finally:
            with suppress(Exception):
                self._spi.close()
            self._call(self._left.set)

    def _call(self, what: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(what, *values)

    def _arrived(self, ratios: Mapping[int, float], at: float) -> None:
        if self._ended is not None:
            self._fresh(ratios, at)

    def _watch(self, read_at: float) -> None:
        self._missed = 0 if self.read_at > read_at else self._missed + 1
        if self._missed >= CHECKS:
            self._die(
                DriverFault(f"{self._name} on SPI: no reading for {CHECKS * CHECK_S:g} s; restart gated")
            )
        elif self._ended is not None:
            self._watching = self._loop.call_later(CHECK_S, self._watch, self.read_at)

    def _die(self, fault: DriverFault) -> None:
        self._fault = fault
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(fault)

    async def close(self) -> None:
        """End the thread, which gives the pins back; one that hangs in the kernel is left to itself."""
        self._leave.set()
        self._go_on.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._left.wait()


@asynccontextmanager
async def spi_poll(
    chip: str, wiring: Mapping[str, int | str], channels: list[int], poll_s: float, fresh: Fresh
) -> AsyncIterator[SpiPoll]:
    """The chip on these pins, or this port and device, once it was read. Deadline: 1 s."""
    pins = [pin for key, pin in wiring.items() if key.endswith("_pin")]
    factory = find_pins(pins)
    with faults("taking the pins of SPI"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gpiozero warns when it must move the pins itself
        spi = factory.spi(**wiring)
    poll = SpiPoll(spi, chip, channels, poll_s, fresh)
    try:
        await in_thread(poll.read, OPEN_S, f"reading the {chip.upper()} on SPI")
        yield poll
    finally:
        await poll.close()
