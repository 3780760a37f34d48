"""Supervised contacts: two resistors at the end of each line tell its four states to an analogue converter.

        supply (the converter's full scale)
          |
      [pull_up]                  line                   at the contact, inside its housing
          |
          +---- converter    ----------------[series]--+--[parallel]--+
          |     input        |                         |              |
          +------------------+                         +---contact----+
                             .                                        |
         ground --------------------------------------- --------------+

The contact closed leaves `series`, open `series` + `parallel`; wires that touch leave nothing, a cut one
everything. So the voltage, as a part of full scale, is low when short, then closed, then open, and full when
cut; whatever lies between two of these bands is "undefined": a wrong resistor, a leak, a bad joint. The
circuit is the same for contacts that open and that close at an alarm: which it is, is said where the contact
is used, as for every other contact. Other circuits are told by their `bands`.

Resistors of 2.2 and 8.2 kilohm with a pull-up of 10 kilohm give 0, 0.18, 0.51 and 1.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from functools import cached_property
from types import ModuleType
from typing import Annotated, Literal, Protocol

from pydantic import Field, model_validator

from gated.ports import Contact, ContactTraits, Driver, DriverFault, Kind, Settings
from gated_drivers._codecs import mcp3xxx, modbus_rtu
from gated_drivers._supervised_line import Bands, Settling, Word, bands_of

CLOSED: dict[Word, bool] = {"closed": True, "open": False}
SPI_STALE_S = 0.8  # see _converter_spi: three checks of 0.2 s, and a reading under way
Channel = Annotated[int, Field(ge=0, le=65535)]
Ohm = Annotated[float, Field(gt=0, le=1_000_000)]


def _library(module: str, what: str, extra: str) -> ModuleType:
    """A converter's module, whose library a site with the other converter need not have."""
    try:
        return importlib.import_module(f"gated_drivers.{module}")
    except ImportError as error:
        raise ValueError(
            f"{what} needs {error.name}, which is not installed: install gated[{extra}]"
        ) from error


class SpiConverter(Settings):
    """A Microchip converter on SPI, at a port and device of the computer or on pins of your choice."""

    type: Literal[
        "mcp3001", "mcp3002", "mcp3004", "mcp3008", "mcp3201", "mcp3202",
        "mcp3204", "mcp3208", "mcp3301", "mcp3302", "mcp3304",
    ] = Field(description="the chip")  # fmt: skip
    port: int = Field(0, ge=0, le=6, description="SPI port")
    device: int = Field(0, ge=0, le=2, description="chip select on that port")
    clock_pin: int | str | None = Field(None, description="with the other three, instead of port and device")
    mosi_pin: int | str | None = Field(None, description="from computer to chip (DIN)")
    miso_pin: int | str | None = Field(None, description="from chip to computer (DOUT)")
    select_pin: int | str | None = Field(None, description="chip select (CS)")

    @model_validator(mode="after")
    def _complete(self) -> SpiConverter:
        _library("_converter_spi", "a converter on SPI", "gpio")
        named = {pin: getattr(self, pin) for pin in ("clock_pin", "mosi_pin", "miso_pin", "select_pin")}
        if missing := [pin for pin, value in named.items() if value is None]:
            if len(missing) < len(named):
                raise ValueError(f"{', '.join(missing)} missing: give all four pins, or port and device")
        elif self.model_fields_set & {"port", "device"}:
            raise ValueError("give either port and device or the four pins")
        return self

    def check(self, channels: list[int]) -> None:
        """Raises ValueError for a channel that the chip has not."""
        if max(channels) >= (has := mcp3xxx.CHIPS[self.type].channels):
            raise ValueError(f"the {self.type} has no channel {max(channels)}; it has 0 to {has - 1}")

    def poll(self, channels: list[int], poll_s: float, fresh: Fresh) -> AbstractAsyncContextManager[Poll]:
        """Open it."""
        wiring: dict[str, int | str]
        if self.clock_pin is None:
            wiring = {"port": self.port, "device": self.device}
        else:
            pins = ("clock_pin", "mosi_pin", "miso_pin", "select_pin")
            wiring = {pin: getattr(self, pin) for pin in pins}
        module = _library("_converter_spi", "a converter on SPI", "gpio")
        opened: AbstractAsyncContextManager[Poll] = module.spi_poll(
            self.type, wiring, channels, poll_s, fresh
        )
        return opened

    @property
    def stale_s(self) -> float:
        """The silence that is noticed at the latest, seconds."""
        return SPI_STALE_S

    @property
    def place(self) -> str:
        """Where it is."""
        return f"SPI {self.port}.{self.device}" if self.clock_pin is None else f"SPI at pin {self.select_pin}"


class ModbusConverter(Settings):
    """Analogue inputs of a Modbus RTU board, one register each."""

    type: Literal["modbus"] = Field(description="a Modbus RTU board")
    port: str = Field(min_length=1, description="serial device, best by its /dev/serial/by-id name")
    unit: int = Field(1, ge=1, le=247, description="the board's number on the line")
    baudrate: int = Field(9600, ge=300, le=1_000_000, description="bits per second, 8N1")
    registers: Literal["input", "holding"] = Field(
        "input", description="input: function 04; holding: function 03; channels are addresses, from 0"
    )
    full_scale: int = Field(ge=100, le=65535, description="what a register tells at the pull-up's supply")
    signed: bool = Field(False, description="true: registers count from -32768 to 32767")
    timeout_s: float = Field(0.3, gt=0, le=0.9, description="an answer later than this is a fault; seconds")
    turnaround_s: float = Field(
        0.0, ge=0, le=0.1, description="silence kept on the line before each request, where boards need it; s"
    )

    @model_validator(mode="after")
    def _complete(self) -> ModbusConverter:
        _library("_converter_modbus", "a converter on Modbus", "modbus")
        return self

    def check(self, channels: list[int]) -> None:
        """Raises ValueError for channels that one request cannot read."""
        if max(channels) - min(channels) >= modbus_rtu.MOST_REGISTERS_READ:
            raise ValueError(
                f"the channels span over {modbus_rtu.MOST_REGISTERS_READ} addresses; use two devices"
            )

    def poll(self, channels: list[int], poll_s: float, fresh: Fresh) -> AbstractAsyncContextManager[Poll]:
        """Open it."""

        def request(first: int, count: int) -> modbus_rtu.Request:
            read = modbus_rtu.read_input_registers
            if self.registers == "holding":
                read = modbus_rtu.read_holding_registers
            return read(self.unit, first, count)

        module = _library("_converter_modbus", "a converter on Modbus", "modbus")
        opened: AbstractAsyncContextManager[Poll] = module.register_poll(
            self.port,
            self.baudrate,
            self.turnaround_s,
            request,
            channels,
            self.full_scale,
            self.signed,
            poll_s,
            self.timeout_s,
            fresh,
        )
        return opened

    @property
    def stale_s(self) -> float:
        """The silence that is noticed at the latest, seconds, without the pause between two readings."""
        return self.timeout_s

    @property
    def place(self) -> str:
        """Where it is."""
        return self.port


Fresh = Callable[[Mapping[int, float], float], None]


class Poll(Protocol):
    """An open converter, of either type."""

    @property
    def read_at(self) -> float:
        """CLOCK_MONOTONIC of the last good reading, seconds."""
        ...

    def going(self, ended: Callable[[DriverFault], None]) -> AbstractContextManager[None]:
        """Keep reading while the context is open; a fault ends it and is told once, in the loop."""
        ...


class SupervisedContactSettings(Settings):
    """The converter, its inputs, and the resistors at the ends of their lines."""

    converter: Annotated[SpiConverter | ModbusConverter, Field(discriminator="type")] = Field(
        description="what measures the lines"
    )
    channels: list[Channel] = Field(min_length=1, description="inputs of the converter, from 0")
    series_ohm: Ohm = Field(2200, description="resistor in the line, which a closed contact leaves; ohms")
    parallel_ohm: Ohm = Field(8200, description="resistor across the contact; ohms")
    pull_up_ohm: Ohm = Field(10_000, description="from the supply to the converter's input; ohms")
    tolerance: float = Field(0.05, ge=0, le=0.2, description="of every resistor: 0.05 is 5 percent")
    drift: float = Field(
        0.03, ge=0, le=0.2, description="how far the pull-up's supply may be off the converter's full scale"
    )
    line_ohm: float = Field(100.0, ge=0, le=5000, description="of both wires together, at most; ohms")
    bands: dict[Channel, Bands] = Field(
        default_factory=dict,
        description="by channel, where the circuit is another: short, closed, open and cut, each its lower "
        "and upper limit as a part of full scale",
    )
    poll_s: float = Field(0.02, gt=0, le=0.5, description="time from one reading to the next; seconds")
    bounce_s: float = Field(
        0.05, ge=0, le=1, description="how long a new state lasts before it counts, a fault as well; seconds"
    )

    @property
    def port(self) -> str:
        """Where the converter is; devices that name the same serial line share it."""
        return self.converter.place

    @cached_property
    def derived(self) -> Bands:
        """The bands that the resistors give. Raises ValueError where they overlap."""
        return bands_of(
            series=self.series_ohm,
            parallel=self.parallel_ohm,
            pull_up=self.pull_up_ohm,
            tolerance=self.tolerance,
            drift=self.drift,
            line=self.line_ohm,
        )

    def bands_at(self, channel: int) -> Bands:
        """The bands of one channel."""
        return self.bands.get(channel) or self.derived

    @model_validator(mode="after")
    def _possible(self) -> SupervisedContactSettings:
        self.converter.check(self.channels)
        if strange := sorted(set(self.bands) - set(self.channels)):
            raise ValueError(f"bands names channel {strange[0]}, which is not among the channels")
        for channel in self.channels:
            self.bands_at(channel)
        return self


class SupervisedContactBoard:
    """A prompt, polled ContactBoard; a fault of one line leaves the others as they are."""

    def __init__(self, settings: SupervisedContactSettings) -> None:
        self._settings = settings
        self._bands = {channel: settings.bands_at(channel) for channel in settings.channels}
        self._lines: dict[int, Settling] = {}
        self._changed: Callable[[Contact], None] | None = None
        self._told: Callable[[Contact], None] = lambda contact: None
        self.poll: Poll

    @property
    def read_at(self) -> float:
        """CLOCK_MONOTONIC of the last good reading, seconds."""
        return self.poll.read_at

    def tell(self, changed: Callable[[Contact], None]) -> None:
        """Call `changed` within the callback that brought the reading, instead of yielding the contact."""
        self._changed = changed

    async def contacts(self) -> AsyncIterator[Contact]:
        """The first state of each channel, then changes, each once it lasted `bounce_s`."""
        found: asyncio.Queue[Contact | DriverFault] = asyncio.Queue()
        self._lines = {channel: Settling(self._settings.bounce_s) for channel in self._bands}
        self._told = self._changed or found.put_nowait
        with self.poll.going(found.put_nowait):
            while True:
                item = await found.get()
                if isinstance(item, DriverFault):
                    raise item
                yield item

    def fresh(self, ratios: Mapping[int, float], at: float) -> None:
        """A reading arrived: ratios of full scale by channel, at CLOCK_MONOTONIC seconds."""
        for channel, line in self._lines.items():
            word = line.seen(self._bands[channel].word(ratios[channel]), at)
            if word is not None:
                closed = CLOSED.get(word)
                self._told(Contact(channel, closed, at, "" if closed is not None else word))


@asynccontextmanager
async def open_board(settings: SupervisedContactSettings) -> AsyncIterator[SupervisedContactBoard]:
    """Open the converter and read it once. Deadline: 1 s; on Modbus 3 s, `timeout_s` for each user."""
    board = SupervisedContactBoard(settings)
    async with settings.converter.poll(settings.channels, settings.poll_s, board.fresh) as board.poll:
        yield board


def traits(settings: SupervisedContactSettings) -> ContactTraits:
    """Cut and short lines are told."""
    return ContactTraits(supervised=True, stale_s=settings.poll_s + settings.converter.stale_s)


DRIVER = Driver(Kind.CONTACT, SupervisedContactSettings, open_board, traits)
