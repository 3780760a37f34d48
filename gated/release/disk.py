"""Everything that may block on a disk, in one thread of its own: the latch and the audit trail.

The event loop only hands bytes over. A write that fails is a fault that is shown and is tried again
until it succeeds; nothing that drives an output ever waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from gated.release import latch

TRAIL = "release.jsonl"
NOTHING_LATCHED = latch.encode({})
RETRY_S = 2.0
PENDING = 10_000  # records kept in memory while the disk refuses; beyond it the oldest go

Report = Callable[[str, str | None], None]
"""Called in the event loop with what failed ("latch", "trail") and a sentence, or None when it works."""


class Disk:
    """The writer thread. Construct it in the running event loop; `start` before use, `close` at the end."""

    def __init__(self, directory: Path, report: Report) -> None:
        self._directory = directory
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._latch: bytes | None = None
        self._records: deque[bytes] = deque(maxlen=PENDING)
        self._fresh = False
        self._waiting: list[asyncio.Future[bool]] = []
        self._closing = False
        self._failed: set[str] = set()
        self._trail: int | None = None
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def write_latch(self, data: bytes) -> None:
        """Have the latch file replaced; a newer one wins over one not written yet."""
        with self._wake:
            self._latch = data
            self._fresh = True
            self._wake.notify()

    def record(self, line: bytes) -> None:
        """Append one line to the audit trail."""
        with self._wake:
            self._records.append(line)
            self._fresh = True
            self._wake.notify()

    async def durable(self, timeout_s: float) -> bool:
        """True when all that was handed over so far is on disk; False when that fails or takes too long."""
        done: asyncio.Future[bool] = self._loop.create_future()
        with self._wake:
            self._waiting.append(done)
            self._wake.notify()
        await asyncio.wait({done}, timeout=timeout_s)
        return done.done() and done.result()

    async def close(self, timeout_s: float = 3.0) -> None:
        """Write what is left and end the thread, waiting no longer than `timeout_s` for a hung disk."""
        await self.durable(timeout_s)
        with self._wake:
            self._closing = True
            self._wake.notify()

    # The thread

    def _run(self) -> None:
        while True:
            with self._wake:
                if not (self._fresh or self._waiting or self._closing):
                    self._wake.wait(RETRY_S if self._latch or self._records else None)
                self._fresh = False
                data, self._latch = self._latch, None
                records = list(self._records)
                self._records.clear()
                waiting, self._waiting = self._waiting, []
                closing = self._closing
            good = self._try("latch", functools.partial(self._put_latch, data))
            good &= self._try("trail", functools.partial(self._append, records))
            for future in waiting:
                self._tell(_resolve, future, good)
            if closing:
                if self._trail is not None:
                    os.close(self._trail)
                return

    def _put_latch(self, data: bytes | None) -> None:
        if data is None:
            return
        try:
            latch.write(self._directory, data)
        except OSError:
            with self._wake:
                self._latch = self._latch or data
            if data != NOTHING_LATCHED:  # a restart must not find the gates without their alarm
                latch.spoil(self._directory)
            raise

    def _append(self, records: list[bytes]) -> None:
        if not records:
            return
        try:
            if self._trail is None:
                self._trail = _open_trail(self._directory / TRAIL)
            _append_whole(self._trail, b"".join(records))
        except OSError:
            with self._wake:
                self._records.extendleft(reversed(records))
            raise

    def _try(self, what: str, work: Callable[[], None]) -> bool:
        try:
            if what in self._failed:
                self._directory.mkdir(parents=True, exist_ok=True)
            work()
        except OSError as error:
            if what not in self._failed:
                self._failed.add(what)
                self._tell(
                    self._report, what, f"{self._directory}: {what} cannot be written: {error.strerror}"
                )
            return False
        if what in self._failed:
            self._failed.discard(what)
            self._tell(self._report, what, None)
        return True

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *args)


def _resolve(future: asyncio.Future[bool], good: bool) -> None:
    if not future.done():
        future.set_result(good)


def _open_trail(path: Path) -> int:
    """Open the trail for appending; a last line torn by a power cut is ended so that it spoils no other."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        os.write(fd, b"\n")
    return fd


def _append_whole(fd: int, data: bytes) -> None:
    size = os.fstat(fd).st_size
    try:
        if os.write(fd, data) != len(data):
            raise OSError(errno.ENOSPC, "no space left for the whole record")
        os.fdatasync(fd)
    except OSError:
        os.ftruncate(fd, size)  # half a record would spoil the next one
        raise
