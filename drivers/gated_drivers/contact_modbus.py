"""Contact boards that speak Modbus RTU: discrete inputs by function 02, asked again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import Field, field_validator

from gated.ports import Contact, ContactTraits, Driver, DriverFault, Kind, Settings
from gated_drivers._bounce import Bounce
from gated_drivers._codecs.modbus_rtu import discrete_inputs, read_discrete_inputs
from gated_drivers._modbus_bus import Bus, bus
from gated_drivers._modbus_poll import Poll
from gated_drivers._modbus_rehearsal import Rehearsal

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
    turnaround_s: float = Field(
        0.0, ge=0, le=0.1, description="silence kept on the line before each request, where boards need it; s"
    )

    @field_validator("channels")
    @classmethod
    def _one_request(cls, channels: list[int]) -> list[int]:
        if max(channels) - min(channels) >= 2000:
            raise ValueError("the channels are more than 2000 addresses apart; configure two devices")
        return channels


class ModbusContactBoard:
    """A PromptContactBoard; a bit that is 1 is a closed contact, as the boards count it."""

    def __init__(self, line: Bus, settings: ModbusContactSettings) -> None:
        first = min(settings.channels)
        self._line = line
        self._settings = settings
        self._request = read_discrete_inputs(settings.unit, first, max(settings.channels) - first + 1)
        self._wires = [(c, c - first >> 3, 1 << (c - first & 7)) for c in settings.channels]
        self._bounce = Bounce(settings.bounce_s)
        self._last = b""
        self._changed: Callable[[Contact], None] | None = None
        self._told: Callable[[Contact], None] = lambda contact: None
        self._rehearsal: Rehearsal | None = None
        self._poll = Poll(line, self._request, settings.poll_s, settings.timeout_s, self._fresh)

    @property
    def read_at(self) -> float:
        """CLOCK_MONOTONIC of the last good reading, seconds."""
        return self._poll.read_at

    @property
    def damaged(self) -> int:
        """What came over the line and was no answer, of any of its devices."""
        return self._line.damaged

    def tell(self, changed: Callable[[Contact], None]) -> None:
        """Call `changed` within the callback that read the answer, instead of yielding the contact."""
        self._changed = changed

    def rehearse(self, changed: Callable[[Contact], None]) -> None:
        """From now on, right before each reading, `changed` is called with contacts that are made up.

        They come the way of the real ones, but over a line to nobody. Whoever must be quick when an
        alarm is told goes through its part then, and commands nothing.
        """
        settings = self._settings
        stage = self._rehearsal = Rehearsal(settings.baudrate)
        double = ModbusContactBoard(stage.line, settings.model_copy(update={"bounce_s": 0.0}))
        double._told = changed
        answers = [discrete_inputs(self._request, closed) for closed in (True, False)]

        def play() -> None:
            answers.reverse()
            stage.ask(double._request, answers[0], lambda data, fault: double._fresh(data, 0.0))

        self._poll.before = play

    def close(self) -> None:
        """Give back what rehearsals took."""
        if self._rehearsal is not None:
            self._rehearsal.close()

    async def contacts(self) -> AsyncIterator[Contact]:
        """The first state of each channel, then changes; a pulse over `poll_s` + `bounce_s` is seen."""
        found: asyncio.Queue[Contact | DriverFault] = asyncio.Queue()
        self._bounce, self._last = Bounce(self._settings.bounce_s), b""
        self._told = self._changed or found.put_nowait
        with self._poll.going(found.put_nowait):
            while True:
                item = await found.get()
                if isinstance(item, DriverFault):
                    raise item
                yield item

    def _fresh(self, data: bytes, at: float) -> None:
        if data == self._last and not self._settings.bounce_s:
            return
        self._last, bounce = data, self._bounce
        for channel, byte, mask in self._wires:
            contact = bounce.seen(channel, data[byte] & mask != 0, at)
            if contact is not None:
                self._told(contact)

    async def read(self) -> dict[int, bool]:
        """Read every channel once. Raises DriverFault."""
        data = await self._line.ask(self._request, self._settings.timeout_s)
        return {channel: data[byte] & mask != 0 for channel, byte, mask in self._wires}


@asynccontextmanager
async def open_board(settings: ModbusContactSettings) -> AsyncIterator[ModbusContactBoard]:
    """Open the board and read it once. Deadline: 3 s for the line, `timeout_s` for each of its users."""
    async with bus(settings.port, settings.baudrate, settings.turnaround_s) as line:
        board = ModbusContactBoard(line, settings)
        await board.read()
        try:
            yield board
        finally:
            board.close()


def traits(settings: ModbusContactSettings) -> ContactTraits:
    """A dry contact: a cut wire looks open. A silent board is a fault after a reading and its time-out."""
    return ContactTraits(supervised=False, stale_s=settings.poll_s + settings.timeout_s)


DRIVER = Driver(Kind.CONTACT, ModbusContactSettings, open_board, traits)
