"""Relay boards on a serial or USB serial port that take commands of a few bytes.

A further protocol is a module in `_codecs` like `kmtronic`, and a line in PROTOCOLS. All these boards hold
their state when the computer dies; LCUS boards cannot be asked for it.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Literal, Protocol

from pydantic import Field, model_validator

from gated.ports import Driver, DriverFault, Kind, LastWill, RelayTraits, Settings
from gated_drivers._codecs import devantech, kmtronic, lcus, numato
from gated_drivers._open_line import Line, open_line
from gated_drivers._rest import at_rest
from gated_drivers._serial_line import in_thread, why_not_open

OPEN_S = 3.0
CLOSE_S = 1.0
QUIET_S = 0.02  # an answer is whole when nothing follows it for so long; these boards answer within 5 ms
LONGEST = 4096  # bytes kept of what is heard in answer to one question


class Codec(Protocol):
    """What a protocol's module in `_codecs` has."""

    FIRST_CHANNEL: int
    MAX_CHANNELS: int
    PREFIX: bytes

    def command(self, channel: int, energised: bool, /) -> bytes:
        """The bytes that switch one relay."""
        ...

    def question(self, channels: int, /) -> bytes:
        """The bytes that ask for every state; none where the board cannot be asked."""
        ...

    def states(self, heard: bytes, channels: int, /) -> Mapping[int, bool] | None:
        """The states by all that was heard since the question; None where that is no whole answer."""
        ...


PROTOCOLS: dict[str, Codec] = {"lcus": lcus, "kmtronic": kmtronic, "numato": numato, "devantech": devantech}


class SerialRelaySettings(Settings):
    """Where the board is, what it speaks and how it is left."""

    port: str = Field(min_length=1, description="serial device, best by its /dev/serial/by-id name")
    protocol: Literal["lcus", "kmtronic", "numato", "devantech"] = Field(
        "lcus", description="what the board understands"
    )
    baudrate: int = Field(9600, ge=300, le=1_000_000, description="bits per second, 8N1")
    channels: int = Field(
        ge=1, description="relays on the board, numbered from 1; those of numato from 0, as the maker does"
    )
    timeout_s: float = Field(
        0.3,
        gt=QUIET_S,
        le=10,
        description="an answer later than this is a fault, seconds; lcus gives none",
    )
    rest: dict[int, bool] = Field(
        default_factory=dict, description="coils commanded on closing; others stay as they are"
    )

    @property
    def numbers(self) -> range:
        """The channels of the board."""
        first = PROTOCOLS[self.protocol].FIRST_CHANNEL
        return range(first, first + self.channels)

    @model_validator(mode="after")
    def _board_exists(self) -> SerialRelaySettings:
        if self.channels > (most := PROTOCOLS[self.protocol].MAX_CHANNELS):
            raise ValueError(
                f"channels is {self.channels}; boards that speak {self.protocol} have up to {most}"
            )
        if strange := sorted(set(self.rest) - set(self.numbers)):
            has = f"{self.numbers[0]} to {self.numbers[-1]}"
            raise ValueError(f"rest names channel {strange[0]}; the board has {has}")
        return self


class SerialRelayBoard:
    """A relay board, prompt and mortal; commands are written from the loop, as a few bytes never wait."""

    def __init__(self, line: Line, settings: SerialRelaySettings) -> None:
        self._fd: int = line.fd
        self._settings = settings
        self._codec = PROTOCOLS[settings.protocol]
        self._question = self._codec.question(settings.channels)
        self._known = set(settings.rest)
        self._asking = asyncio.Lock()
        self._hangup = select.poll()
        self._hangup.register(self._fd, 0)  # hang-up and error are always told

    async def switch(self, coils: Mapping[int, bool]) -> None:
        """Command coils; returns when the kernel has the bytes. None of these boards acknowledges."""
        self.post(coils)
        if strange := [channel for channel in coils if channel not in self._settings.numbers]:
            raise DriverFault(f"{self._settings.port}: the board has no channel {strange[0]}")

    def post(self, coils: Mapping[int, bool]) -> None:
        """The same at once, and without a word of channels that the board has not."""
        self._known |= set(coils)
        self._write(self._frames(coils))

    def last_will(self, coils: Mapping[int, bool]) -> LastWill:
        """The very bytes that `post` writes."""
        return LastWill(self._fd, (self._frames(coils),))

    async def observed(self) -> Mapping[int, bool]:
        """The coils of `rest` and those commanded so far; nothing where the board cannot tell.

        Raises DriverFault when the line hung up, or no whole answer comes in `timeout_s`.
        """
        if self._hangup.poll(0):
            raise self._lost()
        if not self._question:
            return {}
        async with self._asking:
            states = await self._ask()
        return {channel: on for channel, on in states.items() if channel in self._known}

    async def _ask(self) -> Mapping[int, bool]:
        heard, more, loop = bytearray(), asyncio.Event(), asyncio.get_running_loop()

        def readable() -> None:
            if not (data := self._read()):
                loop.remove_reader(self._fd)  # hung up
            heard.extend(data)
            del heard[:-LONGEST]
            more.set()

        for _ in range(16):  # what came before the question is no answer to it
            if not self._read():
                break
        self._write(self._codec.PREFIX + self._question)
        loop.add_reader(self._fd, readable)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                while True:
                    await more.wait()
                    more.clear()
                    if self._hangup.poll(0):
                        raise self._lost()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(QUIET_S):
                            await more.wait()
                    if not more.is_set():
                        states = self._codec.states(bytes(heard), self._settings.channels)
                        if states is not None:
                            return states
        except TimeoutError:
            if self._hangup.poll(0):
                raise self._lost() from None
            how = "gives damaged answers" if heard else "does not answer"
            raise DriverFault(
                f"{self._settings.port}: the board {how} (waited {self._settings.timeout_s:g} s); check its "
                f"power, that it speaks {self._settings.protocol}, and {self._settings.baudrate} baud"
            ) from None
        finally:
            loop.remove_reader(self._fd)

    def _frames(self, coils: Mapping[int, bool]) -> bytes:
        frames = [self._codec.command(c, on) for c, on in coils.items() if c in self._settings.numbers]
        return self._codec.PREFIX + b"".join(frames) if frames else b""

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, LONGEST)
        except OSError:  # nothing there, or hung up, which the poll tells
            return b""

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            written = 0
        except OSError as error:
            raise self._lost() from error
        if written < len(data):
            raise DriverFault(f"{self._settings.port}: the line takes no more bytes; the adapter is stuck")

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
            lambda: open_line(port, baudrate), OPEN_S, f"opening {port}", undo=lambda line: line.close()
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


def traits(settings: SerialRelaySettings) -> RelayTraits:
    """They hold their state for ever; whether it can be read back is a matter of the protocol."""
    return RelayTraits("holds", reads_back=bool(PROTOCOLS[settings.protocol].question(settings.channels)))


DRIVER = Driver(Kind.RELAY, SerialRelaySettings, open_board, traits)
