"""What gated asks of hardware: one small protocol per capability, and how a driver announces itself.

A driver holds no policy: polarity, retries, debounce policy and decisions live above this line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from gated.errors import DriverFault

__all__ = [
    "Contact",
    "ContactBoard",
    "ContactTraits",
    "Driver",
    "DriverFault",
    "Kind",
    "LastWill",
    "MortalRelayBoard",
    "PolledContactBoard",
    "Presentation",
    "PromptContactBoard",
    "PromptRelayBoard",
    "Reader",
    "RehearsingContactBoard",
    "RehearsingRelayBoard",
    "RelayBoard",
    "RelayTraits",
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
    """The state of one input: `closed` is None while unknown, and `fault` then says why.

    Faults of a supervised line are "cut", "short" and "undefined" (a value between two bands); empty
    where the driver cannot tell.
    """

    channel: int
    closed: bool | None
    at: float
    fault: str = ""


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


class PromptContactBoard(ContactBoard, Protocol):
    """A board whose driver can tell a change within the very callback that read it, without a task switch."""

    def tell(self, changed: Callable[[Contact], None]) -> None:
        """Call `changed` in the loop for every contact instead of yielding it; before `contacts()` is begun.

        `contacts()` is awaited all the same: it keeps the reading going and raises DriverFault.
        """
        ...


class PromptRelayBoard(RelayBoard, Protocol):
    """A board whose driver can put a command on the wire at once."""

    def post(self, coils: Mapping[int, bool]) -> None:
        """Hand a command to the wire and return: no task switch, no acknowledgement. For the emergency.

        Where the wire is in the middle of an exchange the command goes next, before everything else that
        waits. `switch` is called with the same coils afterwards and tells whether the board took them.
        Raises DriverFault when the line is lost.
        """
        ...


class RehearsingContactBoard(PromptContactBoard, Protocol):
    """A board whose driver keeps the way of an alarm warm: it plays one right before each reading."""

    def rehearse(self, changed: Callable[[Contact], None]) -> None:
        """Call `changed` with made-up contacts, the way `tell` does with real ones; nothing may come of it.

        A rehearsal that fails is given up, and no reading is lost by it.
        """
        ...


class RehearsingRelayBoard(PromptRelayBoard, Protocol):
    """A board whose driver can go through a command and send nothing."""

    def rehearse(self, coils: Mapping[int, bool]) -> None:
        """Do what `post` does, on a wire to nobody."""
        ...


@dataclass(frozen=True, slots=True)
class LastWill:
    """What is to be done with an open device when the process that opened it is gone.

    Another process is given `fd`. It writes each of `frames` (bytes) to it, in order, or carries out
    each of `ioctls` (request, argument bytes); twice doing so is harmless.
    """

    fd: int
    frames: tuple[bytes, ...] = ()
    ioctls: tuple[tuple[int, bytes], ...] = ()


class MortalRelayBoard(RelayBoard, Protocol):
    """A board whose driver can say in advance how it is commanded without us."""

    def last_will(self, coils: Mapping[int, bool]) -> LastWill | None:
        """How a survivor commands these coils; None where it cannot. Asked for once the board is open."""
        ...


class RelayTraits(NamedTuple):
    """What a relay board does when nobody drives it; for the grades of `gatectl doctor`.

    `unattended`: what its coils do when the computer dies or the cable is cut: "releases" (de-energised),
    "holds" (the last state for ever), or "unknown". `host_watchdog_s`: the silence, in seconds, after which
    the board itself de-energises; None where it has no such watchdog or it is not configured.
    """

    unattended: Literal["releases", "holds", "unknown"]
    host_watchdog_s: float | None = None
    reads_back: bool = False


class ContactTraits(NamedTuple):
    """What a contact board can tell: `supervised`: cut and short lines are told from open and closed.

    `stale_s`: the silence of the device, in seconds, that is noticed at the latest; None: never.
    """

    supervised: bool = False
    stale_s: float | None = None


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
    traits: Callable[[Any], RelayTraits | ContactTraits] | None = None
    """What such a device does and can tell, by its settings; None where nothing is known of it."""
