"""Relays on GPIO pins, by gpiozero: any back end it has, chosen as it chooses (GPIOZERO_PIN_FACTORY).

A line that is released, by closing or by the end of the process, becomes an input on most chips: the
relay drops. So `rest` holds until then; wire a relay so that dropping is the state to be in. But it is not
so on all of them: the kernel frees the line when its owner dies, however it dies, and the chip's driver
decides whether the pin then floats, is pulled, or keeps its level. Try it with the chip that you have
(`unattended` is "unknown"). A process that is stopped, not ended, keeps its lines.

There is no `last_will`: the descriptor of a line lies inside gpiozero's back end (lgpio's C library), which
gives it to nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from gpiozero import DigitalOutputDevice
from pydantic import Field, model_validator

from gated.ports import Driver, DriverFault, Kind, RelayTraits, Settings
from gated_drivers._gpio import GivenBack, faults, find_pins
from gated_drivers._rest import at_rest


class GpioRelaySettings(Settings):
    """Which pins the relays hang on."""

    pins: dict[int, int | str] = Field(
        min_length=1, description="channel to pin: a BCM number, or a name such as GPIO17 or J8:11"
    )
    active_low: bool = Field(
        False, description="true: a low pin energises the relay, as on most relay modules"
    )
    rest: dict[int, bool] = Field(default_factory=dict, description="coils commanded on closing")

    @model_validator(mode="after")
    def _rest_exists(self) -> GpioRelaySettings:
        if strange := sorted(set(self.rest) - set(self.pins)):
            raise ValueError(f"rest names channel {strange[0]}, which has no pin")
        return self


class _Pin(GivenBack, DigitalOutputDevice):  # type: ignore[misc]
    """A pin as an output."""


class GpioRelayBoard:
    """A PromptRelayBoard; a pin is taken in its first commanded state, so that opening moves none."""

    def __init__(self, factory: Any, settings: GpioRelaySettings) -> None:
        self._factory = factory
        self._settings = settings
        self._relays: dict[int, DigitalOutputDevice] = {}

    async def switch(self, coils: Mapping[int, bool]) -> None:
        """Command coils; the pins have changed when it returns."""
        self.post(coils)
        if strange := [channel for channel in coils if channel not in self._settings.pins]:
            raise DriverFault(f"GPIO: channel {strange[0]} has no pin")

    def post(self, coils: Mapping[int, bool]) -> None:
        """The same at once, without a word of channels without a pin; a failing pin holds up no other."""
        failed: DriverFault | None = None
        for channel, energised in coils.items():
            if channel not in self._settings.pins:
                continue
            try:
                self._put(channel, energised)
            except DriverFault as fault:
                failed = failed or fault
        if failed is not None:
            raise failed

    def _put(self, channel: int, energised: bool) -> None:
        with faults(f"switching pin {self._settings.pins[channel]}"):
            if channel in self._relays:
                self._relays[channel].value = energised
            else:
                self._relays[channel] = _Pin(
                    self._settings.pins[channel],
                    active_high=not self._settings.active_low,
                    initial_value=energised,
                    pin_factory=self._factory,
                )

    async def observed(self) -> Mapping[int, bool]:
        """Read back the level of each pin commanded so far: that of the pin, not of the relay's contacts."""
        with faults("reading the pins back"):
            return {channel: bool(relay.value) for channel, relay in self._relays.items()}

    def release(self) -> None:
        """Give the pins back."""
        for relay in self._relays.values():
            with suppress(Exception):
                relay.close()
        self._relays.clear()


@asynccontextmanager
async def open_board(settings: GpioRelaySettings) -> AsyncIterator[GpioRelayBoard]:
    """Find the pins and touch none. Fails at once where there is no GPIO chip or no such pin."""
    board = GpioRelayBoard(find_pins(settings.pins.values()), settings)
    try:
        async with at_rest(board, settings.rest):
            yield board
    finally:
        board.release()


def traits(settings: GpioRelaySettings) -> RelayTraits:
    """What a pin does without its owner is the chip's affair; what is read back is the pin's level."""
    return RelayTraits("unknown", reads_back=True)


DRIVER = Driver(Kind.RELAY, GpioRelaySettings, open_board, traits)
