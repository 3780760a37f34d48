"""Signs of life: which devices go on, and what becomes of a driver that hangs.

A driver that neither opens its device nor fails, or does not let go of it, is a fault of that device
alone: it is left behind in a task of its own and tried again, ever more rarely, because each attempt may
cost a thread. But a board that was driving its outputs and does not go on may hold a gate that nobody
here can open any more: then the release shows no life, and the survivor ends it and opens.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

from gated.errors import DriverFault
from gated.ports import ContactBoard, Driver
from gated.release.outputs import OutputBoard
from gated.supervisor import Device

STALE_S = 2.0  # a polled board that was not read for so long has lost its inputs
STUCK_S = 15.0  # what neither works nor fails for so long is stuck
CANCEL_S = 1.0  # a driver that was told to stop opening hangs after so long
RAREST_S = 3600.0  # the longest time between two attempts with a driver that hangs

Show = Callable[[str, str | None], None]
"""Called with a device's name and how its driver hangs, or None when it does not any more."""


class _Held:
    """A device held open by a task of its own."""

    def __init__(self, manager: AbstractAsyncContextManager[Any]) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[Any] = loop.create_future()
        self._over: asyncio.Future[None] = loop.create_future()
        self.task = loop.create_task(self._hold(manager))

    async def _hold(self, manager: AbstractAsyncContextManager[Any]) -> None:
        async with manager as port:
            self.ready.set_result(port)
            await self._over

    def end(self, fault: DriverFault | None) -> None:
        """Have it closed: after `fault`, which the driver must hear of, or in good order."""
        if fault is None:
            self._over.cancel()
        elif not self._over.done():
            self._over.set_exception(fault)
            self._over.exception()  # it is no secret where nobody waits for it
        if not self.ready.done():
            self.task.cancel()

    def ended(self) -> DriverFault | None:
        """How it ended; None while it goes on."""
        if not self.task.done():
            return None
        error = None if self.task.cancelled() else self.task.exception()
        if error is None:
            return DriverFault("the driver ended without a word")
        return error if isinstance(error, DriverFault) else DriverFault(f"{type(error).__name__}: {error}")


class Life:
    """The signs of life of all devices."""

    def __init__(self, show: Show) -> None:
        self.left_behind = False  # a driver hung at some time: a thread of it may still be there
        self._show = show
        self._tried_at: dict[str, float] = {}
        self._hung: dict[str, int] = {}  # how often in a row
        self._not_before: dict[str, float] = {}

    def watched(
        self, name: str, driver: Driver, lost: Callable[[DriverFault], None], closed: Callable[[], None]
    ) -> Driver:
        """The driver, waited for no longer than STUCK_S, be it to open or to close.

        `lost` is called when the device ends by itself, `closed` when it was really given back.
        """

        @asynccontextmanager
        async def opening(settings: Any) -> AsyncIterator[Any]:
            if time.monotonic() < self._not_before.get(name, 0.0):
                raise DriverFault(f"{name}: its driver hangs; it is tried again later, or by a restart")
            self._tried_at[name] = time.monotonic()
            held = _Held(driver.open(settings))
            patience_s, fault = STUCK_S, None

            def gone(task: asyncio.Task[None]) -> None:
                lost(held.ended() or DriverFault(name))

            try:
                await asyncio.wait({held.task, held.ready}, timeout=STUCK_S, return_when="FIRST_COMPLETED")
                if (failed := held.ended()) is not None:
                    raise failed
                if not held.ready.done():
                    patience_s = CANCEL_S
                    raise DriverFault(f"{name}: its driver neither opens it nor fails")
                held.task.add_done_callback(gone)
                self._show(name, None)
                yield held.ready.result()
            except DriverFault as error:
                fault = error
                raise
            finally:
                held.task.remove_done_callback(gone)
                held.end(fault)
                await asyncio.wait({held.task}, timeout=patience_s)
                if held.ended():
                    closed()
                self._note(name, not held.ready.done() and patience_s == CANCEL_S, held.ended() is None)

        return replace(driver, open=opening)

    def _note(self, name: str, opening: bool, closing: bool) -> None:
        """A device was given back, or its driver hangs while it opens or closes it."""
        if not opening and not closing:
            self._show(name, None)
            self._hung.pop(name, None)
            return
        self.left_behind = True
        times = self._hung[name] = self._hung.get(name, 0) + 1
        after_s = min(STUCK_S * 2**times, RAREST_S)
        self._not_before[name] = time.monotonic() + after_s
        does = "neither opens it nor fails" if opening else "does not let go of it"
        self._show(
            name, f"{name}: its driver hangs, it {does}; tried again every {after_s:g} s, and by a restart"
        )

    def check(
        self,
        boards: Mapping[str, OutputBoard],
        inputs: Mapping[str, Device[ContactBoard]],
        unread: Callable[[str], None],
    ) -> str | None:
        """The board that was driving and does not go on, or None; gives up polled boards that fell silent.

        `unread` is told its name, at once: its driver may take its time to let go of it.
        """
        at = time.monotonic()
        for name, device in inputs.items():
            read_at = getattr(device.port, "read_at", None)
            if read_at is not None and at - max(read_at, self._tried_at[name]) > STALE_S:
                device.lost(DriverFault(f"{name}: its inputs were not read for {STALE_S:g} s"))
                unread(name)
        for name, board in boards.items():
            if board.moved_at is not None and at - board.moved_at > STUCK_S:
                return f"the outputs of {name} do not move on"
        return None
