"""One relay board's commands: in order, the newest state of each coil, without making anyone else wait.

A command is noted at once and written by the board's own task. While a board is slow or away, commands
for the same coil replace each other: a release that is over by then is never written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from gated.ports import RelayBoard
from gated.supervisor import probe


class Board:
    """The commanded state of one relay device, and the task that brings it to the device.

    `commanded` holds the coils that were commanded in this process, and only those are ever written.
    """

    def __init__(self) -> None:
        self.commanded: dict[int, bool] = {}
        self._pending: dict[int, bool] = {}
        self._written: list[Callable[[], None]] = []
        self._wake = asyncio.Event()

    def command(self, coils: Mapping[int, bool], written: Callable[[], None] | None = None) -> None:
        """Command coils (True energises); `written` is called once they were handed to the device."""
        self.commanded.update(coils)
        self._pending.update(coils)
        if written is not None:
            self._written.append(written)
        self._wake.set()

    async def use(self, port: RelayBoard) -> None:
        """Serve an opened board until it is lost: what is commanded now, then each command.

        At the first opening nothing was commanded yet, so nothing is written. Raises DriverFault.
        """
        self._pending = dict(self.commanded)
        self._written.clear()  # what was asked before is too old to be measured
        if self._pending:
            self._wake.set()
        tasks = {asyncio.ensure_future(self._write(port)), asyncio.ensure_future(probe(port))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, port: RelayBoard) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            coils, self._pending = self._pending, {}
            written, self._written = self._written, []
            if coils:
                await port.switch(coils)
            for tell in written:
                tell()
