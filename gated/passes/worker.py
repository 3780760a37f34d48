"""One thread that owns the writing side of a SQLite store, so that the event loop never waits for a disk.

Jobs that wait together are committed together: many claims cost one flush.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from gated.errors import GatedError, StoreError

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]

RETRY_S = 1.0


class Worker:
    """Runs jobs on the connection in one thread.

    `begin_background(connection)` writes in each batch what nobody awaits, `end_background(committed)`
    says what became of it; it is tried again while it fails. A batch that SQLite refuses is rolled back
    whole and each of its jobs fails.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        begin_background: Job,
        end_background: Callable[[bool], None],
    ) -> None:
        self.fault: str | None = None
        """Why the last batch could not be committed; None while all is well."""
        self._connection = connection
        self._begin_background = begin_background
        self._end_background = end_background
        self._jobs: queue.SimpleQueue[tuple[Job, Future[Any]] | None] = queue.SimpleQueue()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="passes-store", daemon=True)
        self._thread.start()

    async def do(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run the job in a transaction; its result when that is on the disk.

        A job checks before it writes: it may raise GatedError as long as it changed nothing. Raises
        StoreError when SQLite refuses. A job whose caller went away before its turn is not run.
        """
        done: Future[T] = Future()
        self._jobs.put((job, done))
        return await asyncio.wrap_future(done)

    def wake(self) -> None:
        """There is background work."""
        self._jobs.put(None)

    def close(self) -> None:
        """Finish what was asked for, and end the thread; a second call does nothing."""
        if not self._closing:
            self._closing = True
            self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        retry = False
        while True:
            batch, woken = self._next(RETRY_S if retry else None)
            jobs = [(job, done) for job, done in batch if done.set_running_or_notify_cancel()]
            if jobs or woken or retry:
                retry = not self._commit(jobs)
            if self._closing and self._jobs.empty():
                return

    def _next(self, timeout: float | None) -> tuple[list[tuple[Job, Future[Any]]], bool]:
        """Wait for one item, then take whatever else is there."""
        batch: list[tuple[Job, Future[Any]]] = []
        woken = False
        try:
            item = self._jobs.get(timeout=timeout)
            while True:
                if item is None:
                    woken = True
                else:
                    batch.append(item)
                item = self._jobs.get_nowait()
        except queue.Empty:
            return batch, woken

    def _commit(self, jobs: list[tuple[Job, Future[Any]]]) -> bool:
        outcomes: list[tuple[Future[Any], Any, GatedError | None]] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._begin_background(self._connection)
            for job, done in jobs:
                try:
                    outcomes.append((done, job(self._connection), None))
                except GatedError as refusal:
                    outcomes.append((done, None, refusal))
            self._connection.execute("COMMIT")
        except Exception as error:  # whatever it is, the jobs must hear of it and the thread must live
            self._rollback()
            self.fault = f"the store of passes cannot be written: {error}"
            self._end_background(False)
            for _, done in jobs:
                done.set_exception(StoreError(self.fault))
            return False
        self.fault = None
        self._end_background(True)
        for done, result, failure in outcomes:
            if failure is None:
                done.set_result(result)
            else:
                done.set_exception(failure)
        return True

    def _rollback(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # nothing was committed; the next BEGIN says what is wrong
