"""Lamps and buzzers: which are on, and their board being told; after the outputs, and never in their way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping

from gated.errors import DriverFault
from gated.ports import RelayBoard
from gated.release.config import Signal
from gated.release.machine import Machine
from gated.release.tables import Occasion

AGAIN_S = 5.0  # a lamp is told again this often: whatever switched it otherwise does not last
LOOK_S = 1.0  # the same for whether a board of nothing but lamps is still there
SWITCH_S = 1.0

Show = Callable[[str, str | None], None]
"""Called with a board's name and what is wrong with its signals, or None."""


def occasions(machine: Machine, faults: bool) -> set[Occasion]:
    """What there is to signal now."""
    found: set[Occasion] = set()
    if machine.latched and not machine.drill:
        found.add("alarm")
    if machine.drill:
        found.add("drill")
    if machine.reset is not None:
        found.add("relock_warning")
    if machine.inspections:
        found.add("inspection")
    if any(lane.by_hand for lane in machine.lanes.values()):
        found.add("open_by_hand")
    if faults:
        found.add("fault")
    return found


class Signals:
    """The signals of one board."""

    def __init__(self, name: str, signals: Mapping[int, Signal], show: Show) -> None:
        self.name = name
        self._signals = signals
        self._show = show
        self._wanted: dict[int, bool] = {}
        self._driven_at = 0.0
        self._fresh = False
        self._kick = asyncio.Event()
        self.on_news: Callable[[], None] = self._kick.set  # who drives the board hears of news

    def refresh(self, now: set[Occasion]) -> None:
        """Have the signals show this; returns at once."""
        wanted = {c: (s.on in now) is s.energised_on for c, s in self._signals.items()}
        if wanted != self._wanted:
            self._wanted = wanted
            self._fresh = True
            self.on_news()

    @property
    def due(self) -> bool:
        """True when the board is to be told."""
        return self._fresh or (bool(self._wanted) and time.monotonic() > self._driven_at + AGAIN_S)

    async def drive(self, port: RelayBoard) -> None:
        """Tell the board once. A signal that fails is a fault that is shown, and no more."""
        self._fresh, self._driven_at = False, time.monotonic()
        try:
            async with asyncio.timeout(SWITCH_S):
                await port.switch(dict(self._wanted))
        except (DriverFault, TimeoutError) as error:
            names = ", ".join(signal.name for signal in self._signals.values())
            self._show(self.name, f"signals {names}: {error or 'the board does not take a command'}")
        else:
            self._show(self.name, None)

    async def use(self, port: RelayBoard) -> None:
        """Drive a board that has nothing but signals. Raises DriverFault when it is lost."""
        while True:
            self._kick.clear()
            if self.due:
                await self.drive(port)
            await port.observed()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._kick.wait()
