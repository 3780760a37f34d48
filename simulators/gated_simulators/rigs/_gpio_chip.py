"""A GPIO chip without hardware: gpiozero's mock pins, which keep what was done to them.

It can only stand in the same process as the driver, and so serves the tests, not the building.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from gpiozero import Device, GPIOZeroError
from gpiozero.pins.mock import MockFactory, MockPin

from gated_simulators.rigs import Board


class ChipLost(GPIOZeroError):  # type: ignore[misc]
    """What a pin of a chip that went away answers."""


class WirePins(Protocol):
    """What the rig needs of its driver's settings."""

    @property
    def pins(self) -> Mapping[int, int | str]:
        """Channel to pin."""
        ...


class Pin(MockPin):  # type: ignore[misc]
    """A mock pin that tells its rig of each change of level, and fails while its chip is gone."""

    def _check(self) -> None:
        if self.factory.lost:
            raise ChipLost("the chip does not answer")

    def _get_state(self) -> bool:
        self._check()
        return bool(super()._get_state())

    def _set_function(self, value: str) -> None:
        if value == "output":  # giving a pin back fails for nobody
            self._check()
        super()._set_function(value)

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if (level := self.factory.wired.get(self.info.name)) is not None:  # a wire wins over a resistor
            self.drive(level)

    def drive(self, high: bool) -> None:
        """Put the pin, an input, at a level from outside."""
        if high:
            self.drive_high()
        else:
            self.drive_low()

    def _set_state(self, value: float) -> None:
        self._check()
        super()._set_state(value)
        self.factory.told(self.info.name, bool(value))


class Chip(MockFactory):  # type: ignore[misc]
    """A pin factory whose chip can go away."""

    def __init__(self, told: Callable[[str, bool], None]) -> None:
        super().__init__(pin_class=Pin)
        self.told = told
        self.wired: dict[str, bool] = {}  # pins that something outside drives, and how
        self.lost = False


class GpioRig:
    """The chip and what hangs on its pins: relays that see levels, contacts that make them."""

    def __init__(self, settings: WirePins) -> None:
        self.board = Board()
        self.on_command: list[Callable[[int, bool], None]] = []
        self.active_low = bool(getattr(settings, "active_low", False))
        self._pull = getattr(settings, "pull", None)
        self._chip = Chip(self._level)
        self._names = {channel: self._pin(pin).info.name for channel, pin in settings.pins.items()}
        Device.pin_factory = self._chip

    def _pin(self, name: int | str) -> Any:
        return self._chip.pin(name)

    def _level(self, name: str, high: bool) -> None:
        energised = high != self.active_low
        for channel, known in self._names.items():
            if known == name:
                self.board.command(channel, energised)
                for told in self.on_command:
                    told(channel, energised)

    def set_contact(self, channel: int, closed: bool) -> None:
        """Close or open a contact: the driver's pin goes to the level its wiring gives."""
        self.board.inputs[channel] = closed
        level = closed == (self._pull == "down")
        self._chip.wired[self._names[channel]] = level
        self._pin(self._names[channel]).drive(level)

    def cut(self) -> None:
        """The chip stops answering."""
        self._chip.lost = True
        Device.pin_factory = None

    def mend(self) -> None:
        """It is back."""
        self._chip.lost = False
        Device.pin_factory = self._chip

    def remove(self) -> None:
        """Take the chip out for good."""
        self._chip.reset()
        Device.pin_factory = None


@asynccontextmanager
async def open_rig(settings: WirePins) -> AsyncIterator[GpioRig]:
    """Be the computer's GPIO chip while the context is open."""
    rig = GpioRig(settings)
    try:
        yield rig
    finally:
        rig.remove()
