"""One simulated peer per driver, under the driver's file name: the far end of its wire.

A rig module has `open_rig(settings) -> AsyncContextManager[rig]`: given the driver's own settings it
serves the other end (a pty linked at `settings.port`, a UDP port, an HTTP stream) inside the running
event loop. Every rig can `cut()` its wire and `mend()` it, and keeps a history of what it saw.
"""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass, field
from types import ModuleType
from typing import Protocol

from gated.ports import Settings
from gated.registry import BUILTIN


def rig_module(settings: type[Settings]) -> ModuleType:
    """The rig of the driver with these settings: here for ours, in `rigs` of its own package for another.

    Raises ImportError where there is none.
    """
    package, _, name = settings.__module__.rpartition(".")
    return importlib.import_module(f"{'gated_simulators' if package == BUILTIN else package}.rigs.{name}")


class Rig(Protocol):
    """What every rig can do."""

    def cut(self) -> None:
        """Pull the cable: the driver's side sees a hang-up, the name vanishes."""
        ...

    def mend(self) -> None:
        """Put it back, under the same name; the peer kept its power and its state."""
        ...


@dataclass(frozen=True, slots=True)
class CoilChange:
    """A coil of a simulated board changed (not: was commanded to the state it had)."""

    at: float  # CLOCK_MONOTONIC, seconds
    channel: int
    energised: bool


@dataclass
class Board:
    """What a simulated relay and input board holds; serial and Modbus rigs share it."""

    coils: dict[int, bool] = field(default_factory=dict)
    inputs: dict[int, bool] = field(default_factory=dict)  # True: closed
    history: list[CoilChange] = field(default_factory=list)
    writes: int = 0  # commands received, changes or not

    def command(self, channel: int, energised: bool) -> None:
        """A coil command arrived over the wire."""
        self.writes += 1
        if self.coils.get(channel, False) != energised:
            self.coils[channel] = energised
            self.history.append(CoilChange(time.monotonic(), channel, energised))
