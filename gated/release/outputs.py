"""One board of release outputs: what its coils shall be, written at once, looked at and written again.

It works by level: whatever was lost, refused or switched by somebody else meanwhile, the board is told
the wanted state again until it holds. While a lane is held open its coils are commanded again and again.
Where the board can be told at once (`post` in gated.ports), an opening is on the wire before the task that
drives the board even runs; that task then does all the same, and is what counts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from gated.errors import DriverFault
from gated.ports import RelayBoard
from gated.release.config import Coil
from gated.release.signals import Signals

LOOK_S = 0.5  # time between two looks at an idle board
SWITCH_S = 2.0  # a command that takes longer is a fault of the board


class Told(Protocol):
    """Whoever wants to know how the board does."""

    def board_changed(self, board: OutputBoard) -> None:
        """A command was written, or the board was found to hold something else."""
        ...


class OutputBoard:
    """The release coils of one device; `use` is what its supervisor runs."""

    def __init__(
        self, name: str, coils: Mapping[int, Coil], told: Told, signals: Signals | None = None
    ) -> None:
        self.name = name
        self.lanes = frozenset(coil.lane for coil in coils.values())
        self.refused: dict[int, bool] = {}  # coils that read back otherwise than commanded
        self.moved_at = time.monotonic()  # when the board last answered
        self._coils = coils
        self._told = told
        self._signals = signals
        self._post: Callable[[Mapping[int, bool]], None] | None = None
        self._rehearse: Callable[[Mapping[int, bool]], None] | None = None
        self._opening: dict[tuple[str, ...], dict[int, bool]] = {}
        self._wanted: dict[int, bool] = {}
        self._written: dict[int, bool] = {}
        self._kick = asyncio.Event()
        if signals is not None:
            signals.on_news = self._kick.set

    def expect(self, lanes: Iterable[str]) -> None:
        """Work out beforehand what opening these lanes together means."""
        together = tuple(lanes)
        self._opening[together] = {c: i.energised_opens for c, i in self._coils.items() if i.lane in together}

    def reflex(self, lanes: tuple[str, ...]) -> None:
        """Put the opening of lanes that were expected on the wire where the board can; `open` follows."""
        coils = self._opening.get(lanes)
        if coils and self._post is not None:
            try:  # noqa: SIM105 - no call more than needed before the wire
                self._post(coils)
            except Exception:
                pass  # whatever it is, the task meets it too, and tells it

    def rehearse(self, lanes: tuple[str, ...]) -> None:
        """Go through `reflex` on no wire, where the board can."""
        coils = self._opening.get(lanes)
        if coils and self._rehearse is not None:
            self._rehearse(coils)

    def open(self, lanes: tuple[str, ...], posted: bool = False) -> None:
        """Have these lanes opened, on the wire at once where the board can; returns at once.

        `posted`: a reflex did that just now.
        """
        if lanes not in self._opening:
            self.expect(lanes)
        if not posted:
            self.reflex(lanes)
        if coils := self._opening[lanes]:
            self._wanted.update(coils)
            self._kick.set()

    def secure(self, lane: str) -> None:
        """Have the lane's coils let it be shut; returns at once."""
        for channel, coil in self._coils.items():
            if coil.lane == lane:
                self._wanted[channel] = not coil.energised_opens
        self._kick.set()

    def driven(self, lane: str) -> bool:
        """True when every coil of the lane was written as wanted, and none was seen to be otherwise."""
        mine = [channel for channel, coil in self._coils.items() if coil.lane == lane]
        return all(self._holds(channel) for channel in mine)

    @property
    def settled(self) -> bool:
        """True when nothing wanted is left to write."""
        return self._wanted == self._written

    @property
    def commanded(self) -> bool:
        """True when every coil was commanded, and written."""
        return len(self._wanted) == len(self._coils) and self.settled

    def _holds(self, channel: int) -> bool:
        wanted = self._wanted.get(channel)
        return wanted is not None and self._written.get(channel) is wanted and channel not in self.refused

    async def use(self, port: RelayBoard) -> None:
        """Drive the board while it is open. Raises DriverFault when it is lost."""
        self._post = getattr(port, "post", None)
        self._rehearse = getattr(port, "rehearse", None)
        try:
            while True:
                self._kick.clear()
                news = {c: state for c, state in self._wanted.items() if self._written.get(c) is not state}
                if news:
                    await self._write(port, news)
                elif self._signals is not None and self._signals.due:
                    await self._signals.drive(port)
                elif not await self._kicked():
                    await self._look(port)
        finally:
            self._post = self._rehearse = None
            self._written = {}
            self._told.board_changed(self)

    async def _kicked(self) -> bool:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._kick.wait()
        except TimeoutError:
            return False
        return True

    async def _write(self, port: RelayBoard, coils: Mapping[int, bool]) -> None:
        await self._bounded(lambda: port.switch(coils), "did not take a command")
        self._written.update(coils)
        self._told.board_changed(self)

    async def _look(self, port: RelayBoard) -> None:
        seen: Mapping[int, bool] = {}

        async def ask() -> None:
            nonlocal seen
            seen = await port.observed()

        await self._bounded(ask, "did not answer")
        if self._kick.is_set():  # a new command came meanwhile: what was seen says nothing of it
            return
        refused = {c: s for c, s in seen.items() if c in self._wanted and s is not self._wanted[c]}
        opening = {c: s for c, s in self._wanted.items() if s is self._coils[c].energised_opens}
        if refused != self.refused:
            self.refused = refused
            self._told.board_changed(self)
        again = opening | {channel: self._wanted[channel] for channel in refused}
        if again:
            await self._write(port, again)

    async def _bounded(self, call: Callable[[], Awaitable[None]], what: str) -> None:
        try:
            async with asyncio.timeout(SWITCH_S):
                await call()
        except TimeoutError:
            raise DriverFault(f"{self.name}: the board {what} within {SWITCH_S:g} s") from None
        self.moved_at = time.monotonic()
