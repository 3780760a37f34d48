"""One Modbus reading, asked again and again without a task: what contact boards on a line are made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gated.ports import DriverFault
from gated_drivers._codecs.modbus_rtu import Request
from gated_drivers._modbus_bus import Bus, Exchange


class Poll:
    """Asks `request` every `poll_s` seconds; `fresh(data, at)` is called in the callback that read it.

    `read_at` is CLOCK_MONOTONIC of the last good answer, seconds.
    """

    def __init__(
        self,
        line: Bus,
        request: Request,
        poll_s: float,
        timeout_s: float,
        fresh: Callable[[bytes, float], None],
    ) -> None:
        self.read_at = time.monotonic()
        self._line = line
        self._request = request
        self._poll_s = poll_s
        self._timeout_s = timeout_s
        self._fresh = fresh
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._exchange: Exchange | None = None
        self.before: Callable[[], None] | None = None  # called right before each asking
        self._ended: Callable[[DriverFault], None] | None = None

    @contextmanager
    def going(self, ended: Callable[[DriverFault], None]) -> Iterator[None]:
        """Keep asking while the context is open; a fault ends it and is told once, in the loop."""
        self._ended, self._due = ended, self._loop.time()
        self._ask()
        try:
            yield
        finally:
            self._ended = None
            if self._timer is not None:
                self._timer.cancel()
            if self._exchange is not None:
                self._exchange.leave()

    def _ask(self) -> None:
        if self.before is not None:
            try:
                self.before()
            except Exception:  # no rehearsal may ever cost a reading
                self.before = None
        try:
            self._exchange = self._line.submit(self._request, self._timeout_s, self._answered)
        except DriverFault as fault:
            self._answered(b"", fault)

    def _answered(self, data: bytes, fault: DriverFault | None) -> None:
        if self._ended is None:
            return
        if fault is not None:
            ended, self._ended = self._ended, None
            ended(fault)
            return
        at = self.read_at = time.monotonic()
        try:
            self._fresh(data, at)
        finally:
            self._due = max(self._due + self._poll_s, at)
            self._timer = self._loop.call_at(self._due, self._ask)
