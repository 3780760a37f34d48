"""What became of each pass, and where people were last seen to go: the local answer to the fleet port.

SQLite, WAL, synchronous FULL. Writing happens in a thread of its own; `status` reads on the decision path.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from gated.core.events import PresenceEntry
from gated.durable import open_database
from gated.errors import RequestRefused, StoreError
from gated.fleet import Outcome
from gated.passes.claims import Pass, PassClass
from gated.passes.worker import Worker

CLAIM_TIMEOUT_S = 1.5
RETENTION = timedelta(days=7)

# A row may begin as a registration, or, for a pass this gate was never told of, as a use or a revocation.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pass (
    id BLOB PRIMARY KEY, grp BLOB, i INTEGER, n INTEGER, class INTEGER, zones TEXT, not_before INTEGER,
    expires INTEGER, purpose TEXT, registered_at INTEGER, activated_at INTEGER, revoked_at INTEGER,
    revoked_why TEXT, used_at INTEGER, used_access_point TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pass_group ON pass (grp);
CREATE TABLE IF NOT EXISTS presence (
    identifier BLOB PRIMARY KEY, area TEXT NOT NULL, since TEXT NOT NULL, day TEXT NOT NULL,
    uses INTEGER NOT NULL, certain INTEGER NOT NULL
) WITHOUT ROWID;
"""
_STATUS = "SELECT registered_at, activated_at, revoked_at, used_at FROM pass WHERE id = ?"
# The first to write wins: the row changes only while it is neither used nor revoked.
_CLAIM = """
INSERT INTO pass (id, used_at, used_access_point) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET used_at = excluded.used_at, used_access_point = excluded.used_access_point
WHERE used_at IS NULL AND revoked_at IS NULL
"""
_REGISTER = """
INSERT INTO pass (id, grp, i, n, class, zones, not_before, expires, purpose, registered_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET grp = excluded.grp, i = excluded.i, n = excluded.n, class = excluded.class,
    zones = excluded.zones, not_before = excluded.not_before, expires = excluded.expires,
    purpose = excluded.purpose, registered_at = excluded.registered_at
WHERE registered_at IS NULL
"""
_REVOKE = """
INSERT INTO pass (id, revoked_at, revoked_why) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET revoked_at = excluded.revoked_at, revoked_why = excluded.revoked_why
WHERE revoked_at IS NULL
"""
_HOLDER = "SELECT grp, i, n, class FROM pass WHERE id = ?"
_MOVE = "INSERT OR REPLACE INTO presence VALUES (?, ?, ?, ?, ?, ?)"
_PURGE = "DELETE FROM pass WHERE coalesce(expires, used_at, revoked_at) < ?"
_PURGE_PRESENCE = "DELETE FROM presence WHERE since < ?"


class PassStatus(NamedTuple):
    """What the gate knows of a pass; `registered` is False for one it was never told of."""

    registered: bool = False
    activated: bool = False
    revoked: bool = False
    used: bool = False


UNREGISTERED = PassStatus()


class Holder(NamedTuple):
    """The group of a pass, its place i of n there, and its class; all None for one never registered."""

    group: bytes | None
    i: int | None
    n: int | None
    pass_class: int | None


class Registered(NamedTuple):
    """One row of the store, times in whole seconds of UTC."""

    id: bytes
    group: bytes | None
    i: int | None
    n: int | None
    pass_class: int | None
    zones: str | None
    not_before: int | None
    expires: int | None
    purpose: str | None
    registered_at: int | None
    activated_at: int | None
    revoked_at: int | None
    revoked_why: str | None
    used_at: int | None
    used_access_point: str | None


class Store:
    """Passes and presence of one box; implements `gated.fleet.Fleet`."""

    def __init__(
        self,
        path: Path,
        *,
        claim_timeout_s: float = CLAIM_TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or make the store. Raises StoreError, also when SQLite would not keep what it commits."""
        self._path = path
        self._claim_timeout_s = claim_timeout_s
        self._clock = clock
        self._moves: dict[bytes, PresenceEntry] = {}  # not committed yet, the last of each identifier
        self._moving: dict[bytes, PresenceEntry] = {}  # in the batch being committed
        self._lock = threading.Lock()
        self._read_fault: str | None = None
        self._writer = open_database(path, _SCHEMA)
        try:
            self._reader = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
            self._reader.execute("PRAGMA query_only = ON")
            self._status = self._reader.cursor()
        except sqlite3.Error as error:
            self._writer.close()
            raise StoreError(f"{path}: is not a usable store: {error}") from error
        self._worker = Worker(self._writer, self._write_moves, self._moves_written)

    @property
    def fault(self) -> str | None:
        """Why the last read or write failed; None while all is well."""
        return self._read_fault or self._worker.fault

    def status(self, pass_id: bytes) -> PassStatus:
        """What is known of a pass, for the decision. Raises StoreError when the store cannot be read."""
        try:
            rows = self._status.execute(_STATUS, (pass_id,)).fetchall()
        except sqlite3.Error as error:
            self._read_fault = f"{self._path}: cannot be read: {error}"
            raise StoreError(self._read_fault) from error
        self._read_fault = None
        return PassStatus(*(value is not None for value in rows[0])) if rows else UNREGISTERED

    async def claim(self, pass_id: bytes, access_point: str) -> Outcome:
        """Claim a single-use pass: "won" once, durable on return; then "used" for ever.

        "unknown" when it could not be settled in time; never raises.
        """
        values = (pass_id, int(self._clock()), access_point)
        try:
            async with asyncio.timeout(self._claim_timeout_s):
                won = await self._worker.do(lambda database: database.execute(_CLAIM, values).rowcount == 1)
        except (StoreError, TimeoutError):
            return "unknown"
        return "won" if won else "used"

    async def move(self, entry: PresenceEntry) -> None:
        """Remember a presence entry; on the disk soon, retried while the disk refuses."""
        with self._lock:
            quiet = not self._moves
            self._moves[entry.identifier] = entry
        if quiet:
            self._worker.wake()

    async def presence(self) -> Sequence[PresenceEntry]:
        """Every remembered entry. Raises StoreError."""
        rows = await self._worker.do(lambda database: database.execute("SELECT * FROM presence").fetchall())
        return [
            PresenceEntry(identifier, area, datetime.fromisoformat(since), day, uses, bool(certain))
            for identifier, area, since, day, uses, certain in rows
        ]

    async def register(self, passes: Iterable[tuple[Pass, str]]) -> int:
        """Take in passes with their purpose; return how many are new.

        Raises RequestRefused when one is known already with other content, StoreError.
        """
        now = int(self._clock())
        rows = [(*_row(p), purpose, now) for p, purpose in passes]

        def job(database: sqlite3.Connection) -> int:
            for row in rows:
                known = database.execute(
                    "SELECT id, grp, i, n, class, zones, not_before, expires, purpose FROM pass "
                    "WHERE id = ? AND registered_at IS NOT NULL",
                    row[:1],
                ).fetchone()
                if known is not None and known != row[:-1]:
                    raise RequestRefused(f"pass {row[0].hex()} is registered already, with other content")
            return sum(database.execute(_REGISTER, row).rowcount for row in rows)

        return await self._worker.do(job)

    async def activate(self, ids: Sequence[bytes]) -> int:
        """Activate registered passes that are not revoked; return how many changed. Raises StoreError."""
        statement = (
            "UPDATE pass SET activated_at = ? WHERE id = ? AND activated_at IS NULL AND revoked_at IS NULL "
            "AND registered_at IS NOT NULL"
        )
        return await self._each(statement, [(int(self._clock()), pass_id) for pass_id in ids])

    async def revoke(self, ids: Sequence[bytes], why: str) -> int:
        """Revoke passes, known or not; return how many changed. Raises StoreError."""
        return await self._each(_REVOKE, [(pass_id, int(self._clock()), why) for pass_id in ids])

    async def find(self, prefix: str) -> list[Registered]:
        """The passes whose id, or whose group's id, begins with these hex digits. Raises StoreError."""
        pattern = prefix.upper() + "%"
        return await self._worker.do(
            lambda database: [
                Registered(*row)
                for row in database.execute(
                    "SELECT * FROM pass WHERE hex(id) LIKE ? OR hex(grp) LIKE ? ORDER BY grp, i",
                    (pattern, pattern),
                )
            ]
        )

    async def holders(self, ids: Iterable[bytes]) -> dict[bytes, Holder]:
        """What is known of those ids that are passes. Raises StoreError."""
        wanted = list(ids)

        def job(database: sqlite3.Connection) -> dict[bytes, Holder]:
            found = (database.execute(_HOLDER, (one,)).fetchone() for one in wanted)
            return {one: Holder(*row) for one, row in zip(wanted, found, strict=True) if row is not None}

        return await self._worker.do(job)

    async def purge(self, now: datetime, retention: timedelta = RETENTION) -> int:
        """Forget passes and presence `retention` (at least 2 days) after their day; return how many.

        To be called only while the time is trusted: a used pass that is forgotten too early could be used
        again. Raises StoreError.
        """
        if retention < timedelta(days=2):
            raise ValueError("a used pass must be remembered longer than it is valid")
        limit = (now - retention).astimezone(UTC)

        def job(database: sqlite3.Connection) -> int:
            passes = database.execute(_PURGE, (int(limit.timestamp()),)).rowcount
            return passes + database.execute(_PURGE_PRESENCE, (limit.isoformat(),)).rowcount

        gone = await self._worker.do(job)
        if gone:  # outside of a transaction, so that the bytes leave the write-ahead log as well
            await asyncio.to_thread(self._checkpoint)
        return gone

    def close(self) -> None:
        """Write what was remembered, and close; a second call does nothing."""
        self._worker.close()
        self._reader.close()
        self._writer.close()

    async def _each(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> int:
        return await self._worker.do(
            lambda database: sum(database.execute(statement, row).rowcount for row in rows)
        )

    def _checkpoint(self) -> None:
        database = sqlite3.connect(self._path, timeout=1.0)
        try:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            pass  # somebody reads just now; the log is written over later
        finally:
            database.close()

    def _write_moves(self, database: sqlite3.Connection) -> None:
        with self._lock:
            self._moving, self._moves = self._moves, {}
        database.executemany(
            _MOVE,
            [
                (e.identifier, e.area, e.since.astimezone(UTC).isoformat(), e.day, e.uses, e.certain)
                for e in self._moving.values()
            ],
        )

    def _moves_written(self, written: bool) -> None:
        with self._lock:
            if not written:
                self._moves = {**self._moving, **self._moves}
            self._moving = {}


def _row(p: Pass) -> tuple[Any, ...]:
    zones = " ".join(sorted(p.zones))
    start, end = int(p.not_before.timestamp()), int(p.expires.timestamp())
    return p.id, p.group, p.i, p.n, int(PassClass(p.pass_class)), zones, start, end
