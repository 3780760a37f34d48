"""Dry contacts on GPIO pins, by gpiozero, which tells edges from a thread of its own."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

from gpiozero import DigitalInputDevice
from pydantic import Field

from gated.ports import Contact, ContactTraits, Driver, DriverFault, Kind, Settings
from gated_drivers._bounce import Bounce
from gated_drivers._gpio import GivenBack, faults, find_pins

CHECK_S = 0.5  # each pin is read this often besides, so that a lost chip or edge is noticed

Sighting = tuple[int, bool, float]  # channel, closed, CLOCK_MONOTONIC seconds


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


class _Pin(GivenBack, DigitalInputDevice):  # type: ignore[misc]
    """A pin as an input."""


class GpioContactBoard:
    """A PromptContactBoard; a contact is closed when its pin is at the level the contact pulls it to."""

    def __init__(self, factory: Any, settings: GpioContactSettings) -> None:
        self._bounce_s = settings.bounce_s
        self._bounce = Bounce(settings.bounce_s)
        self._loop = asyncio.get_running_loop()
        self._early: deque[Sighting] = deque(maxlen=1000)  # edges while nobody listens
        self._changed: Callable[[Contact], None] | None = None
        self._told: Callable[[Contact], None] | None = None
        self._ended: Callable[[DriverFault], None] = lambda fault: None
        self._timer: asyncio.TimerHandle | None = None
        self._pins: dict[int, DigitalInputDevice] = {}
        pull = {"up": True, "down": False, "none": None}[settings.pull]
        for channel, pin in settings.pins.items():
            device = _Pin(
                pin, pull_up=pull, active_state=False if pull is None else None, pin_factory=factory
            )
            self._pins[channel] = device
            device.when_activated = lambda channel=channel: self._edge(channel, True)
            device.when_deactivated = lambda channel=channel: self._edge(channel, False)

    def tell(self, changed: Callable[[Contact], None]) -> None:
        """Call `changed` within the loop's callback for the edge, instead of yielding the contact."""
        self._changed = changed

    async def contacts(self) -> AsyncIterator[Contact]:
        """The first state of each channel, then changes as they happen."""
        found: asyncio.Queue[Contact | DriverFault] = asyncio.Queue()
        self._bounce = Bounce(self._bounce_s)
        self._told, self._ended = self._changed or found.put_nowait, found.put_nowait
        self._check()
        self._sight(list(self._early))
        self._early.clear()
        try:
            while True:
                item = await found.get()
                if isinstance(item, DriverFault):
                    raise item
                yield item
        finally:
            self._told = None
            if self._timer is not None:
                self._timer.cancel()

    def _check(self) -> None:
        """Look at every pin."""
        try:
            with faults("reading the pins"):
                at = time.monotonic()
                sightings = [(channel, bool(pin.value), at) for channel, pin in self._pins.items()]
        except DriverFault as fault:
            self._told = None
            self._ended(fault)
        else:
            self._sight(sightings)

    def _sight(self, sightings: list[Sighting]) -> None:
        """Tell what is news, and look again when a new state has lasted, or now and then."""
        for sighting in sightings:
            contact = self._bounce.seen(*sighting)
            if contact is not None and self._told is not None:
                self._told(contact)
        if self._timer is not None:
            self._timer.cancel()
        if self._told is not None:
            wait = min(CHECK_S, self._bounce.settles_in(time.monotonic()))
            self._timer = self._loop.call_later(wait, self._check)

    def _seen(self, sighting: Sighting) -> None:
        if self._told is None:
            self._early.append(sighting)
        else:
            self._sight([sighting])

    def _edge(self, channel: int, closed: bool) -> None:
        """Called in gpiozero's thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            self._loop.call_soon_threadsafe(self._seen, (channel, closed, time.monotonic()))

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


def traits(settings: GpioContactSettings) -> ContactTraits:
    """A dry contact: a cut wire looks open, a short circuit closed. A lost chip is seen at the next check."""
    return ContactTraits(supervised=False, stale_s=CHECK_S)


DRIVER = Driver(Kind.CONTACT, GpioContactSettings, open_board, traits)
