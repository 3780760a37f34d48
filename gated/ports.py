"""What gated asks of hardware: one small protocol per capability, and how a driver announces itself.

A driver holds no policy: polarity, retries, debounce policy and decisions live above this line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from gated.errors import DriverFault

__all__ = [
    "Contact",
    "ContactBoard",
    "Driver",
    "DriverFault",
    "Kind",
    "PolledContactBoard",
    "Presentation",
    "Reader",
    "RelayBoard",
    "Settings",
    "Technology",
]


class Technology(StrEnum):
    """How a credential was presented; part of the identifier, so that two families never collide."""

    FELICA = "felica"
    ISO14443A = "iso14443a"
    ISO14443B = "iso14443b"
    QR = "qr"


@dataclass(frozen=True, slots=True)
class Presentation:
    """One credential held up once.

    `payload` is the clear identifier (FeliCa IDm, 8 bytes; ISO 14443 UID, 4 to 10 bytes) or the
    content of a code (1 to 512 bytes). It never appears in a repr, so never in a log.
    `at` is CLOCK_MONOTONIC in seconds when the device delivered it.
    """

    technology: Technology
    payload: bytes = field(repr=False)
    at: float


class Reader(Protocol):
    """A device that reads credentials."""

    def presentations(self) -> AsyncIterator[Presentation]:
        """Yield one item per presentation until closed; a held card or code does not repeat.

        Raises DriverFault when the device is lost.
        """
        ...


class RelayBoard(Protocol):
    """A board of relay coils, numbered as the maker numbers them."""

    async def switch(self, coils: Mapping[int, bool]) -> None:
        """Command coils: True energises. Returns when the command was handed to the device.

        Commanded, not observed. Raises DriverFault when the device is lost or refuses; a coil that the
        board has not, or refuses, keeps no other coil from being commanded.
        """
        ...

    async def observed(self) -> Mapping[int, bool]:
        """Read the coils back from the device; an empty mapping where the board cannot tell."""
        ...


@dataclass(frozen=True, slots=True)
class Contact:
    """The state of one input: `closed` is None while unknown (not read yet, wire fault)."""

    channel: int
    closed: bool | None
    at: float


class ContactBoard(Protocol):
    """A board of contact inputs."""

    def contacts(self) -> AsyncIterator[Contact]:
        """Yield the first state of every configured channel, then each change, bounce suppressed.

        Raises DriverFault when the device is lost: never a silent "open".
        """
        ...


class PolledContactBoard(ContactBoard, Protocol):
    """A board whose driver asks it again and again, and can say when it last answered."""

    @property
    def read_at(self) -> float:
        """CLOCK_MONOTONIC of the last good reading, seconds: proof that the polling goes on."""
        ...


class Kind(StrEnum):
    """What a driver drives; the first word of its module name."""

    READER = "reader"
    RELAY = "relay"
    CONTACT = "contact"


class Settings(BaseModel):
    """Base of a driver's settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Driver:
    """The one object a driver module exports, as `DRIVER`.

    `open(settings)` is an async context manager that yields the port of this kind; entering it raises
    DriverFault before the deadline the driver states when the device is absent; leaving it is clean
    after any failure and never blocks the loop.
    """

    kind: Kind
    settings: type[Settings]
    open: Callable[[Any], AbstractAsyncContextManager[Any]]
