"""Dry contacts on GPIO pins, by gpiozero, which tells edges from a thread of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

from gpiozero import DigitalInputDevice
from pydantic import Field

from gated.ports import Contact, Driver, Kind, Settings
from gated_drivers._bounce import Bounce
from gated_drivers._gpio import faults, find_pins

CHECK_S = 0.5  # each pin is read this often besides, so that a lost chip or edge is noticed


class GpioContactSettings(Settings):
    """Which pins the contacts hang on."""

    pins: dict[int, int | str] = Field(
        min_length=1, description="channel to pin: a BCM number, or a name such as GPIO17 or J8:11"
    )
    pull: Literal["up", "down", "none"] = Field(
        "up",
        description="up: the contact goes to ground; none: likewise, with a resistor outside; down: to 3.3 V",
    )
    bounce_s: float = Field(
        0.0, ge=0, le=1, description="how long a new state lasts before it counts; seconds"
    )


class GpioContactBoard:
    """A ContactBoard; a contact is closed when its pin is at the level the contact pulls it to."""

    def __init__(self, factory: Any, settings: GpioContactSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._edges: asyncio.Queue[tuple[int, bool, float]] = asyncio.Queue()
        self._pins: dict[int, DigitalInputDevice] = {}
        pull = {"up": True, "down": False, "none": None}[settings.pull]
        for channel, pin in settings.pins.items():
            device = DigitalInputDevice(
                pin, pull_up=pull, active_state=False if pull is None else None, pin_factory=factory
            )
            self._pins[channel] = device
            device.when_activated = lambda channel=channel: self._edge(channel, True)
            device.when_deactivated = lambda channel=channel: self._edge(channel, False)

    async def contacts(self) -> AsyncIterator[Contact]:
        """The first state of each channel, then changes as they happen."""
        bounce = Bounce(self._settings.bounce_s)
        sightings = self._read()
        while True:
            for sighting in sightings:
                if (contact := bounce.seen(*sighting)) is not None:
                    yield contact
            try:
                async with asyncio.timeout(min(CHECK_S, bounce.settles_in(time.monotonic()))):
                    sightings = [await self._edges.get()]
            except TimeoutError:
                sightings = self._read()

    def _read(self) -> list[tuple[int, bool, float]]:
        with faults("reading the pins"):
            at = time.monotonic()
            return [(channel, bool(pin.value), at) for channel, pin in self._pins.items()]

    def _edge(self, channel: int, closed: bool) -> None:
        """Called in gpiozero's thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._edges.put_nowait, (channel, closed, time.monotonic()))

    def release(self) -> None:
        """Give the pins back."""
        for pin in self._pins.values():
            with suppress(Exception):
                pin.close()


@asynccontextmanager
async def open_board(settings: GpioContactSettings) -> AsyncIterator[GpioContactBoard]:
    """Take the pins as inputs. Fails at once where there is no GPIO chip, no such pin, or it is in use."""
    factory = find_pins(settings.pins.values())
    with faults("taking the pins as inputs"):
        board = GpioContactBoard(factory, settings)
    try:
        yield board
    finally:
        board.release()


DRIVER = Driver(Kind.CONTACT, GpioContactSettings, open_board)
