"""Log lines and notifications, said aside: in a thread, so that a full pipe stops nobody."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

PENDING = 1000  # what a stuck peer may pile up; the rest is dropped


class Aside:
    """Runs small calls in order in a thread of its own."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], None] | None] = queue.Queue(PENDING)
        self._thread = threading.Thread(target=self._run, name="aside", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def say(self, call: Callable[[], None]) -> None:
        """Have `call` made soon; dropped when too many are waiting."""
        with contextlib.suppress(queue.Full):
            self._calls.put_nowait(call)

    def close(self, timeout_s: float = 1.0) -> None:
        """Make the calls that wait and end, within `timeout_s`."""
        try:
            self._calls.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            with contextlib.suppress(OSError):  # nobody reads what we say; the trail on disk has it
                call()
