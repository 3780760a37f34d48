"""A Microchip MCP3xxx converter on mock pins: the bits of its SPI, by the data sheets, and its lines.

Each line is a circuit; its contact is closed as `board.inputs` says.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple, Protocol

from gpiozero import Device
from gpiozero.pins.data import SPI_HARDWARE_PINS

from gated_simulators.rigs import Board
from gated_simulators.rigs._gpio_chip import Chip, Pin
from gated_simulators.rigs._line_circuit import LineCircuit


class Timing(NamedTuple):
    """How a type of converter talks: bits after the start bit, and clocks from there to the null bit."""

    bits: int
    setup: int  # bits after the start bit: mode, channel, order; 0: it has no input
    select: int  # of these, where the channel's number begins
    width: int  # its bits
    wait: int  # clocks between the last of them and the null bit
    sign: bool = False


TIMINGS = {
    "mcp3001": Timing(10, 0, 0, 0, 2),
    "mcp3002": Timing(10, 3, 1, 1, 0),
    "mcp3004": Timing(10, 4, 1, 3, 1),
    "mcp3008": Timing(10, 4, 1, 3, 1),
    "mcp3201": Timing(12, 0, 0, 0, 2),
    "mcp3202": Timing(12, 3, 1, 1, 0),
    "mcp3204": Timing(12, 4, 1, 3, 1),
    "mcp3208": Timing(12, 4, 1, 3, 1),
    "mcp3301": Timing(12, 0, 0, 0, 2, True),
    "mcp3302": Timing(12, 4, 1, 3, 1, True),
    "mcp3304": Timing(12, 4, 1, 3, 1, True),
}


class ConverterSettings(Protocol):
    """What the rig needs of the converter's settings."""

    type: str
    port: int
    device: int
    clock_pin: int | str | None
    mosi_pin: int | str | None
    miso_pin: int | str | None
    select_pin: int | str | None


class SpiConverterRig:
    """The computer's chip of pins with a converter on it. It can only stand in the driver's process."""

    def __init__(self, settings: ConverterSettings) -> None:
        self.board = Board()
        self.lines: dict[int, LineCircuit] = {}
        self.silent = False  # a converter without power
        self.floating = False  # what a data wire that nobody drives is pulled to
        self.running = threading.Event()  # cleared: an exchange over SPI does not end
        self.running.set()
        self.readings = 0
        self._timing = TIMINGS[settings.type]
        self._chip = Chip(self._level)
        pins: dict[str, int | str | None] = {
            "clock": settings.clock_pin,
            "mosi": settings.mosi_pin,
            "miso": settings.miso_pin,
            "select": settings.select_pin,
        }
        if settings.clock_pin is None:
            pins = dict(SPI_HARDWARE_PINS[settings.port])
            pins["select"] = SPI_HARDWARE_PINS[settings.port]["select"][settings.device]
        self._pins: dict[str, Pin] = {use: self._chip.pin(pin) for use, pin in pins.items()}
        self._uses = {pin.info.name: use for use, pin in self._pins.items()}
        self._selected = False
        self._setup: list[bool] | None = None  # bits since the start bit; None before it
        self._out: deque[bool | None] = deque()  # None: not driven
        Device.pin_factory = self._chip

    def line(self, channel: int) -> LineCircuit:
        """The line at one input; a sound one where no other was put there."""
        return self.lines.setdefault(channel, LineCircuit())

    def set_contact(self, channel: int, closed: bool) -> None:
        """Close or open the contact at the end of a line."""
        self.board.inputs[channel] = closed

    def cut(self) -> None:
        """The computer's pins stop answering."""
        self._chip.lost = True
        Device.pin_factory = None

    def mend(self) -> None:
        """They are back."""
        self._chip.lost = False
        Device.pin_factory = self._chip

    def remove(self) -> None:
        """Take the pins out for good."""
        self.running.set()
        self._chip.reset()
        Device.pin_factory = None

    def _level(self, name: str, high: bool) -> None:
        """The computer put one of its outputs at a level."""
        use = self._uses.get(name)
        if use == "select":
            self._selected = not high
            self._setup, self._out = None, deque()
            if self._selected and not self._timing.setup:
                self._convert(0)
        elif use == "clock" and self._selected:
            self.running.wait()
            if high:
                self._clocked_in(bool(self._pins["mosi"].state))
            else:
                self._clocked_out()

    def _clocked_in(self, bit: bool) -> None:
        timing = self._timing
        if not timing.setup:
            return
        if self._setup is None:
            if bit:
                self._setup = []
        elif len(self._setup) < timing.setup:
            self._setup.append(bit)
            if len(self._setup) == timing.setup:
                number = self._setup[timing.select : timing.select + timing.width]
                self._convert(sum(bit << i for i, bit in enumerate(reversed(number))))

    def _convert(self, channel: int) -> None:
        """Sample and hold: the reading, as the bits that follow on the data wire."""
        self.readings += 1
        timing = self._timing
        scale = 1 << timing.bits
        ratio = self.line(channel).ratio(self.board.inputs.get(channel, False))
        value = min(scale - 1, int(ratio * scale))
        # The falling edge that ends the last clock of the set-up comes next; that of no set-up does not.
        self._out = deque([None] * (timing.wait - (0 if timing.setup else 1)))
        self._out.append(False)
        if timing.sign:
            self._out.append(False)
        self._out.extend(bool(value >> i & 1) for i in reversed(range(timing.bits)))

    def _clocked_out(self) -> None:
        bit = self._out.popleft() if self._out and not self.silent else None
        self._pins["miso"].drive(self.floating if bit is None else bit)
