"""What the two gpiozero drivers share: finding the GPIO chip, and errors as sentences."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from gpiozero import BadPinFactory, Device

from gated.ports import DriverFault


@contextmanager
def faults(doing: str) -> Iterator[None]:
    """Turn whatever gpiozero and its back end raise into a DriverFault that says what was being done."""
    try:
        yield
    except DriverFault:
        raise
    except Exception as error:  # lgpio's errors derive from Exception alone
        raise DriverFault(f"GPIO: {doing} failed: {str(error) or type(error).__name__}") from error


def find_pins(names: Iterable[int | str]) -> Any:
    """The pin factory, once it knows every one of these pins; no pin is touched. Raises DriverFault."""
    with faults("looking for the GPIO pins of this computer"):
        if Device.pin_factory is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # gpiozero warns of each back end that is not there
                try:
                    Device.ensure_pin_factory()
                except BadPinFactory as error:
                    raise DriverFault(
                        "GPIO: no library works for the pins of this computer; install lgpio beside gated, "
                        "and add the user to the group gpio"
                    ) from error
        factory = Device.pin_factory
        for name in names:
            if not any(factory.board_info.find_pin(name)):
                raise DriverFault(f"GPIO: this computer has no pin {name}; see `pinout`, or write GPIO17")
        return factory
