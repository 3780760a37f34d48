"""What the two gpiozero drivers share: finding the GPIO chip, and errors as sentences."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
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


@contextmanager
def _elsewhere() -> Iterator[None]:
    """While lgpio is imported: it makes a FIFO in the current directory, or moves us to LG_WD for it.

    The directory may be read-only, and our relative paths count from it. The FIFO is opened at once and
    never looked for again.
    """
    here, runtime = Path.cwd(), os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    with TemporaryDirectory(prefix="lgpio-", dir=runtime or None, ignore_cleanup_errors=True) as folder:
        given = os.environ.setdefault("LG_WD", folder)
        try:
            yield
        finally:
            os.chdir(here)
            if given == folder:
                del os.environ["LG_WD"]


class GivenBack:
    """Mixed into a device of gpiozero: a pin that could not be taken is given back.

    Otherwise gpiozero calls it in use by that device for as long as anything refers to it: for ever.
    """

    def __init__(self, pin: int | str, *, pin_factory: Any, **options: Any) -> None:
        try:
            super().__init__(pin, pin_factory=pin_factory, **options)  # type: ignore[call-arg]
        except Exception:
            pin_factory.release_all(self)
            raise


def find_pins(names: Iterable[int | str]) -> Any:
    """The pin factory, once it knows every one of these pins; no pin is touched. Raises DriverFault."""
    with faults("looking for the GPIO pins of this computer"):
        if Device.pin_factory is None:
            with _elsewhere(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # gpiozero warns of each back end that is not there
                try:
                    Device.ensure_pin_factory()
                except BadPinFactory as error:
                    raise DriverFault(
                        "GPIO: no library works for the pins of this computer; install lgpio, which comes "
                        "with gated[gpio] up to Python 3.12, and add the user to the group gpio"
                    ) from error
        factory = Device.pin_factory
        for name in names:
            if not any(factory.board_info.find_pin(name)):
                raise DriverFault(f"GPIO: this computer has no pin {name}; see `pinout`, or write GPIO17")
        return factory
