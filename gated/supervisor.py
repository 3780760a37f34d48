"""Keep a device open: open, use, and on a fault say so, back off and open again, for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from gated.errors import DriverFault
from gated.ports import Driver, RelayBoard, Settings

P = TypeVar("P")

FIRST_BACKOFF_S = 0.2
MAX_BACKOFF_S = 5.0
PROBE_S = 0.5
LEAVE_S = 5.0  # a driver that does not let go of its user for so long is closed all the same

Report = Callable[[str, DriverFault | None], None]
"""Called with the device's name and its fault, or None when it works; only when that changes."""


class Device(Generic[P]):
    """One configured device and its state; `port` is None while it is not open.

    `use(port)` is awaited while the device is open: it returns never, or raises DriverFault.
    """

    def __init__(
        self,
        name: str,
        driver: Driver,
        settings: Settings,
        use: Callable[[P], Awaitable[None]],
        report: Report,
    ) -> None:
        self.name = name
        self.port: P | None = None
        self.fault: DriverFault | None = DriverFault(f"{name}: not opened yet")
        self.closed = asyncio.Event()
        self.closed.set()
        self.opened = 0  # how often it was opened, for status
        self._driver = driver
        self._settings = settings
        self._use = use
        self._report = report
        self._lost: asyncio.Future[None] | None = None
        self._hurry = asyncio.Event()

    def lost(self, fault: DriverFault) -> None:
        """Tell that a call on the port failed: the device is closed and opened again."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(fault)

    def hurry(self) -> None:
        """Try at once to open it again where the next attempt is being waited for."""
        self._hurry.set()

    async def _hurried(self, seconds: float) -> bool:
        self._hurry.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Serve the device until cancelled."""
        backoff = FIRST_BACKOFF_S
        while True:
            try:
                async with self._driver.open(self._settings) as port:
                    self._lost = asyncio.get_running_loop().create_future()
                    self.port = port
                    self.closed.clear()
                    self.opened += 1
                    self._tell(None)
                    backoff = FIRST_BACKOFF_S
                    await self._serve(port)
            except DriverFault as fault:
                self._tell(fault)
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                # Nobody stops us: something inside the driver was cancelled. Nobody would open it again.
                self._tell(DriverFault(f"{self.name}: the driver broke off"))
            except Exception as error:  # a driver's bug is a fault of that device, not the end of the daemon
                self._tell(DriverFault(f"{self.name}: {type(error).__name__}: {error}"))
            finally:
                self.port = None
                self._lost = None
                self.closed.set()
            backoff = FIRST_BACKOFF_S if await self._hurried(backoff) else min(backoff * 2, MAX_BACKOFF_S)

    async def _serve(self, port: P) -> None:
        """Until `use` ends or somebody calls `lost`."""
        assert self._lost is not None
        using = asyncio.ensure_future(self._use(port))
        try:
            await asyncio.wait({using, self._lost}, return_when=asyncio.FIRST_COMPLETED)
            if self._lost.done():
                self._lost.result()
            if using.done():
                using.result()
            raise DriverFault(f"{self.name}: the device ended without a word")
        finally:
            self._lost.cancel()
            using.cancel()
            await asyncio.wait({using}, timeout=LEAVE_S)
            if using.done() and not using.cancelled():
                using.exception()

    def _tell(self, fault: DriverFault | None) -> None:
        changed = (fault is None) != (self.fault is None) or self.opened <= 1
        self.fault = fault
        if changed:
            self._report(self.name, fault)


async def probe(port: RelayBoard) -> None:
    """The `use` of a relay board: ask it now and then, so that a pulled cable is seen while idle."""
    while True:
        await port.observed()
        await asyncio.sleep(PROBE_S)
