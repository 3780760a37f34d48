"""The files under the state directory, opened in order, closed in reverse; one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gated.allowlist import Cache, SiteKey
from gated.clock import Clock
from gated.config import Config
from gated.credentials import Resolver
from gated.durable import make_directory
from gated.errors import StoreError
from gated.fleet import Fleet
from gated.journal import Journal
from gated.passes import Store, Verifier
from gated.passes.desk import Desk


@contextmanager
def lock(state_dir: Path) -> Iterator[bool]:
    """Hold the state directory for this process; True when the last holder ended without leaving.

    Raises StoreError when another living process holds it, or the directory cannot be used.
    """
    path = state_dir / "lock"
    try:
        make_directory(state_dir)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            who = f" (process {holder})" if holder else ""
            raise StoreError(f"{state_dir}: another gated{who} works on it; stop that one first") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield bool(holder)
        os.ftruncate(descriptor, 0)  # only on a clean way out: who dies leaves the number behind
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class State:
    """Everything that outlives the process."""

    journal: Journal
    cache: Cache
    fleet: Fleet
    resolver: Resolver
    desk: Desk
    allowlist: Path

    def list_loaded_at(self) -> str:
        """When the list in use was put there, UTC; empty while there is none."""
        try:
            stamp = self.allowlist.stat().st_mtime
        except OSError:
            return ""
        return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="seconds")


@asynccontextmanager
async def open_state(config: Config, clock: Clock) -> AsyncIterator[State]:
    """Open journal, key, list and passes. Raises StoreError."""
    where = config.state_dir
    journal = Journal(where / "journal", clock=lambda: clock.now().utc)
    try:
        key = SiteKey.load_or_create(where / "site.key")
        cache = Cache(where / "allowlist.db", key)
        store = Store(where / "passes.db")
        verifier = Verifier(where / "pass-keys")
        yield State(
            journal=journal,
            cache=cache,
            fleet=store,
            resolver=Resolver(cache, key, verifier, store),
            desk=Desk(store),
            allowlist=where / "allowlist.db",
        )
    finally:
        journal.close()
