"""Everything that may block on a disk, in one thread of its own: the latch, the audit trail, the dates.

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
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from gated.release import latch, proven

TRAIL = "release.jsonl"
OLD_TRAIL = f"{TRAIL}.1"
TRAIL_LIMIT = 16 << 20  # bytes; beyond it the trail goes on in a new file, and one old file is kept
NOTHING_LATCHED = latch.encode({})
RETRY_S = 2.0  # what the disk refused is not tried again before; new content of a small file is
PENDING = 10_000  # records kept in memory while the disk refuses; beyond it the oldest go, and are counted
BATCH = 200  # records written at a time: the interpreter is never held for long, and the latch goes between

Report = Callable[[str, str | None], None]
"""Called in the event loop with what failed ("latch", "trail", ...) and a sentence, or None when it works."""


class _Kept:
    """A small file that is replaced whole; the newest content wins over one not written yet."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self.data: bytes | None = None  # to be written
        self.fresh = False  # and not tried yet


class Disk:
    """The writer thread. Construct it in the running event loop; `start` before use, `close` at the end.

    The loop and the thread share a lock; whoever holds it does no more than a few assignments.
    """

    def __init__(self, directory: Path, report: Report, limit: int = TRAIL_LIMIT) -> None:
        self._directory = directory
        self._report = report
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._latch = _Kept(self._put_latch)
        self._dates = _Kept(functools.partial(latch.replace, directory, proven.NAME))
        self._records: deque[bytes] = deque()
        self._batch: list[bytes] = []  # taken from the records, and not written yet
        self._lost = 0
        self._fresh = False
        self._waiting: list[asyncio.Future[bool]] = []
        self._asked: list[Callable[[], None]] = []
        self._closing = False
        self._failed: dict[str, float] = {}  # what the disk refused, and when to try it again
        self._trail: int | None = None
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def write_latch(self, data: bytes) -> None:
        """Have the latch file replaced; a newer one wins over one not written yet."""
        self._hand_over(self._latch, data)

    def write_dates(self, data: bytes) -> None:
        """Have the dates of proof replaced."""
        self._hand_over(self._dates, data)

    def record(self, line: bytes) -> None:
        """Append one line to the audit trail."""
        if len(self._records) >= PENDING:
            self._records.popleft()
            self._lost += 1
        self._records.append(line)
        if not self._fresh and "trail" not in self._failed:  # else the thread comes by itself
            with self._wake:
                self._fresh = True
                self._wake.notify()

    def lost(self) -> int:
        """How many records found no room since this was last asked."""
        lost, self._lost = self._lost, 0
        return lost

    def read_dates(self, then: Callable[[bytes], None]) -> None:
        """Have `then` called in the loop with the dates of proof on disk; empty where there are none."""

        def read() -> None:
            data = b""
            with contextlib.suppress(OSError), (self._directory / proven.NAME).open("rb") as file:
                data = file.read(latch.LIMIT)
            self._tell(then, data)

        with self._wake:
            self._asked.append(read)
            self._fresh = True
            self._wake.notify()

    async def durable(self, timeout_s: float) -> bool:
        """True when latch and records so far are on disk; False when that fails or takes too long.

        What failed less than RETRY_S ago is not tried again for that.
        """
        return await self._answer(timeout_s)

    async def close(self, timeout_s: float = 3.0) -> None:
        """Write what is left, whatever failed before, and end the thread; a hung disk has `timeout_s`."""
        await self._answer(timeout_s, closing=True)

    async def _answer(self, timeout_s: float, *, closing: bool = False) -> bool:
        done: asyncio.Future[bool] = self._loop.create_future()
        with self._wake:
            self._waiting.append(done)
            self._closing = closing
            self._wake.notify()
        await asyncio.wait({done}, timeout=timeout_s)
        return done.done() and done.result()

    def _hand_over(self, file: _Kept, data: bytes) -> None:
        with self._wake:
            file.data, file.fresh = data, True
            self._fresh = True
            self._wake.notify()

    # The thread

    def _run(self) -> None:
        while True:
            with self._wake:
                if not (self._fresh or self._waiting or self._closing):
                    self._wake.wait(self._patience())
                self._fresh = False
                waiting, self._waiting = self._waiting, []
                asked, self._asked = self._asked, []
                closing = self._closing
            good = self._try("latch", functools.partial(self._put, self._latch), self._latch.fresh or closing)
            trail = self._try("trail", self._append, closing)
            self._try("next trail", self._rotate)
            self._try("dates", functools.partial(self._put, self._dates), self._dates.fresh or closing)
            for read in asked:
                read()
            if trail and self._records:  # there is more: until it is written, nobody is answered
                with self._wake:
                    self._waiting[:0] = waiting
                    self._fresh = True
                continue
            for future in waiting:
                self._tell(_resolve, future, good and trail)
            if closing:
                if self._trail is not None:
                    os.close(self._trail)
                return

    def _patience(self) -> float | None:
        """Seconds until something is to be tried again."""
        return max(0.0, min(self._failed.values()) - time.monotonic()) if self._failed else None

    def _put(self, file: _Kept) -> None:
        with self._wake:
            data, file.fresh = file.data, False
        if data is None:
            return
        file.write(data)
        with self._wake:
            if file.data is data:  # else a newer one came meanwhile
                file.data = None

    def _put_latch(self, data: bytes) -> None:
        try:
            latch.write(self._directory, data)
        except OSError:
            if data != NOTHING_LATCHED:  # a restart must not find the gates without their alarm
                latch.spoil(self._directory)
            raise

    def _append(self) -> None:
        """Append some of the records; those that the disk refuses are the first of the next attempt."""
        while self._records and len(self._batch) < BATCH:
            self._batch.append(self._records.popleft())
        if not self._batch:
            return
        if self._trail is None:
            self._trail = _open_trail(self._directory / TRAIL)
        _append_whole(self._trail, b"".join(self._batch))
        self._batch.clear()

    def _rotate(self) -> None:
        """Go on in a new file once this one is full; until that works, in the old one."""
        if self._trail is None or os.fstat(self._trail).st_size < self._limit:
            return
        path = self._directory / TRAIL
        path.replace(self._directory / OLD_TRAIL)
        full, self._trail = self._trail, None
        os.close(full)
        self._trail = _open_trail(path)  # there at once: a latch without a trail beside it seems new

    def _try(self, what: str, work: Callable[[], None], at_once: bool = False) -> bool:
        """True when that is done; False when the disk refuses, or did less than RETRY_S ago."""
        failed = what in self._failed
        if failed and not at_once and time.monotonic() < self._failed[what]:
            return False
        try:
            if failed:
                self._directory.mkdir(parents=True, exist_ok=True)
            work()
        except OSError as error:
            self._failed[what] = time.monotonic() + RETRY_S
            if not failed:
                self._tell(
                    self._report, what, f"{self._directory}: {what} cannot be written: {error.strerror}"
                )
            return False
        if failed:
            del self._failed[what]
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
