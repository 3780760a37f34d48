"""Write the journal: each record is handed to the page cache before the relay moves, and flushed in groups.

So a killed process loses nothing, a power cut only what was not flushed yet, and no decision waits for
a disk. When the disk refuses (full, broken), records wait in memory, bounded, and the fault is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from gated.durable import leave_to_owner, make_directory
from gated.errors import StoreError
from gated.journal.segments import encode_line, recover, segment_path

RETRY_S = 0.5
QUEUE_LIMIT = 10_000  # records kept in memory while the disk refuses, about 3 MB


class _Line(NamedTuple):
    seq: int
    day: str
    text: bytes


class Journal:
    """The journal of one process. Every method but the flush itself belongs to one thread, the loop's."""

    def __init__(
        self,
        directory: Path,
        *,
        queue_limit: int = QUEUE_LIMIT,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Open for appending; a torn last line is set aside, and a record says so.

        Raises StoreError when the directory cannot be used or another process writes to it.
        """
        self.fault: str | None = None
        """Why records do not reach the disk now; None while they do."""
        self.lost = 0
        """Records that found no room in memory while the disk refused, since start."""
        self._directory = directory
        self._clock = clock
        self._queue: deque[_Line] = deque()
        self._queue_limit = queue_limit
        self._unflushed: deque[_Line] = deque(maxlen=queue_limit)
        self._outage = _Outage()
        self._fd = -1
        self._size = 0
        self._opened = ("", 0)  # day and first seq of the segment being written
        self._retired: list[int] = []  # older segments that still want a flush
        self._named = False  # a segment was created: the directory wants a flush too
        self._executor = ThreadPoolExecutor(1, "journal")
        self._dirty = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        try:
            make_directory(directory)
            self._lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise StoreError(f"{directory}: the journal cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = recover(directory)
        except OSError as error:
            os.close(self._lock)
            why = "another process writes to it" if isinstance(error, BlockingIOError) else error.strerror
            raise StoreError(f"{directory}: the journal cannot be opened: {why}") from error
        self.seq = self._written = self._durable = found.seq
        if found.last is not None:
            self._opened = (found.last.day, found.last.first)
        if found.torn_bytes:
            detail = {"bytes": str(found.torn_bytes), "file": found.torn_file or "left in its segment"}
            self.append("audit", "journal_torn_tail", detail=detail)

    @property
    def pending(self) -> int:
        """Records that wait in memory for the disk."""
        return len(self._queue)

    def append(
        self,
        kind: str,
        code: str,
        *,
        lane: str = "",
        access_point: str = "",
        direction: str | None = None,
        id: bytes | str = b"",  # noqa: A002 - the record's own word
        detail: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> int:
        """Write one record to the page cache and return its seq; never waits for the disk, never raises.

        `id` is a keyed identifier or pass id (bytes, or hex); `at` an aware instant, now by default.
        """
        self.seq += 1
        stamp = (at.astimezone(UTC) if at else self._clock()).isoformat(timespec="microseconds")
        text = encode_line(
            {
                "seq": self.seq,
                "at": stamp[:26] + "Z",
                "kind": kind,
                "code": code,
                "lane": lane,
                "access_point": access_point,
                "direction": direction or "",
                "id": id.hex() if isinstance(id, bytes) else id,
                "detail": dict(detail) if detail else {},
            }
        )
        line = _Line(self.seq, stamp[:10], text)
        if self._queue or not self._write(line):
            self._keep(line)
        self._dirty.set()
        return line.seq

    async def flush_forever(self) -> None:
        """Bring what was appended to the disk, group by group, in a thread; retry what it refused."""
        loop = asyncio.get_running_loop()
        while True:
            if self._queue:  # new records do not make a sick disk well: keep to the interval
                await asyncio.sleep(RETRY_S)
            else:
                await self._dirty.wait()
                await asyncio.sleep(0)  # the relay of what was just decided goes first
            self._dirty.clear()
            self._retry()
            if self._written > self._durable:
                target, retired, current = self._written, *self._to_flush()
                failed = await loop.run_in_executor(self._executor, self._sync, retired, current)
                self._flushed(target, failed)

    async def durable(self, seq: int) -> None:
        """Return when the record is on the disk; `flush_forever` must run.

        Raises StoreError when the record was lost because the disk refused for too long.
        """
        while self._durable < seq:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        if self._outage.first <= seq <= self._outage.last:
            raise StoreError(f"journal: record {seq} was lost while the disk refused to write")

    def close(self) -> None:
        """Write and flush what is left, and close; a second call does nothing."""
        if self._lock < 0:
            return
        self._executor.shutdown(wait=True)
        self._retry()
        self._flushed(self._written, self._sync(*self._to_flush()))
        for descriptor in (self._fd, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._fd = self._lock = -1

    def _write(self, line: _Line) -> bool:
        """One write() to the page cache; False when the disk refused, and then nothing of it is left."""
        try:
            if self._fd < 0 or line.day != self._opened[0]:
                self._open(line)
            written = os.write(self._fd, line.text)
            if written != len(line.text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self.fault = f"{self._directory}: the journal cannot be written: {error.strerror}"
            self._undo()
            return False
        self._size += written
        self._written = line.seq
        self._unflushed.append(line)
        return True

    def _open(self, line: _Line) -> None:
        """Continue today's segment, or begin a new one."""
        day, first = self._opened
        if self._fd >= 0 or day != line.day:
            day, first = line.day, line.seq
        path = segment_path(self._directory, first, day)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        leave_to_owner(path)
        self._leave()
        self._fd, self._size, self._opened = fd, os.fstat(fd).st_size, (day, first)
        self._named = True

    def _leave(self) -> None:
        if self._fd >= 0:
            self._retired.append(self._fd)
            self._fd = -1
            self._opened = ("", 0)

    def _undo(self) -> None:
        """Take half a line back; where even that fails, begin another segment."""
        if self._fd >= 0:
            try:
                os.ftruncate(self._fd, self._size)
            except OSError:
                self._leave()

    def _keep(self, line: _Line) -> None:
        if len(self._queue) < self._queue_limit:
            self._queue.append(line)
        else:
            self.lost += 1
            self._outage.lose(line.seq)

    def _retry(self) -> None:
        """Write what waits; when all of it is out, say how long the disk refused and what was lost."""
        if not self._queue:
            return
        waited, why = len(self._queue), self.fault or ""
        while self._queue:
            if not self._write(self._queue[0]):
                return
            self._queue.popleft()
        self.fault = None
        self.append("audit", "journal_resumed", detail=self._outage.told(waited, why))

    def _to_flush(self) -> tuple[list[int], list[int]]:
        """The descriptors to flush and close, and those to flush and keep."""
        retired, self._retired = self._retired, []
        current = [fd for fd in (self._fd, self._lock if self._named else -1) if fd >= 0]
        self._named = False
        return retired, current

    def _sync(self, retired: list[int], current: list[int]) -> str | None:
        """Runs in the flush thread: everything to the disk, or why not."""
        failed = None
        for descriptor in [*retired, *current]:
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                failed = f"{self._directory}: the journal cannot be flushed: {error.strerror}"
        for descriptor in retired:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        return failed

    def _flushed(self, target: int, failed: str | None) -> None:
        if failed is None:
            self._durable = max(self._durable, target)
            while self._unflushed and self._unflushed[0].seq <= target:
                self._unflushed.popleft()
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
            return
        # After a failed flush the kernel may have dropped the pages: what is not known to be on the disk
        # is written once more, to another segment; a reader takes each seq once.
        self.fault = failed
        self._queue.extendleft(reversed(self._unflushed))
        self._unflushed.clear()
        self._written = self._durable
        self._leave()
        self._dirty.set()


class _Outage:
    """The seqs that were lost in the last outage; every seq between the two counts as lost."""

    def __init__(self) -> None:
        self.first = self.last = 0
        self._told = True
        self._count = 0

    def lose(self, seq: int) -> None:
        if self._told:
            self._told, self.first, self._count = False, seq, 0
        self.last = seq
        self._count += 1

    def told(self, waited: int, why: str) -> dict[str, str]:
        """What to record when the outage is over."""
        count = 0 if self._told else self._count
        self._told = True
        lost = {"first_lost": str(self.first), "last_lost": str(self.last)} if count else {}
        return {"waited": str(waited), "lost": str(count), "why": why, **lost}
