"""The files under the state directory, opened in order, closed in reverse; one process at a time."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
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
from gated.passes import Desk, Store, Verifier
from gated.rollcall import RollCalls

PURGE_S = 3600.0


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
    passes: Store
    verifier: Verifier
    resolver: Resolver
    desk: Desk
    allowlist: Path
    roll_calls: RollCalls
    last_alive: datetime | None = None  # when a gated was last known to work on it, before this one

    @property
    def fleet(self) -> Fleet:
        """Who settles single use and remembers presence: on one box, its own store."""
        return self.passes

    def faults(self) -> list[str]:
        """What is wrong with the files, a sentence each."""
        stores = (self.journal, self.cache, self.passes, self.roll_calls)
        found = [*(store.fault for store in stores), *self.verifier.problems]
        return [fault for fault in found if fault]

    def list_loaded_at(self) -> str:
        """When the list in use was put there, UTC; empty while there is none."""
        try:
            stamp = self.allowlist.stat().st_mtime
        except OSError:
            return ""
        return datetime.fromtimestamp(stamp, UTC).isoformat(timespec="seconds")


@contextmanager
def open_state(config: Config, clock: Clock) -> Iterator[State]:
    """Open journal, key, list and passes. Raises StoreError."""
    where = config.state_dir
    last_alive = _last_alive(where)
    with ExitStack() as files:
        journal = files.enter_context(closing(Journal(where / "journal", clock=lambda: clock.now().utc)))
        key = SiteKey.load_or_create(where / "site.key")
        # Passes, exits and the guard's assist do not need the list: a damaged one is a fault, not the end.
        cache = Cache(where / "allowlist.db", key, or_empty=True)
        passes = files.enter_context(closing(Store(where / "passes.db")))
        verifier = Verifier(where / "pass-keys")
        resolver = Resolver(cache, key, verifier, passes)
        roll_calls = RollCalls(*config.site.roll_calls, passes.holders, config.site.roll_call_days)
        desk, listed = Desk(passes), where / "allowlist.db"
        yield State(journal, cache, passes, verifier, resolver, desk, listed, roll_calls, last_alive)


def _last_alive(state_dir: Path) -> datetime | None:
    """By the files that a running gated writes: each record, and the time floor once a minute."""
    stamps = []
    for path in (state_dir / "time-floor", *(state_dir / "journal").glob("*")):
        with suppress(OSError):
            stamps.append(path.stat().st_mtime)
    return datetime.fromtimestamp(max(stamps), UTC) if stamps else None


async def purge_forever(state: State, clock: Clock, removed: Callable[[str], None]) -> None:
    """Forget passes, presence and roll calls past their retention, once an hour, while the time is trusted.

    `removed` is told the id of each roll call that is gone.
    """
    while True:
        now = clock.now()
        if now.utc_trusted:
            with suppress(StoreError):  # the store shows its fault itself, and there is a next hour
                await state.passes.purge(now.utc)
            for name in await state.roll_calls.purge(now.utc):
                removed(name)
        await asyncio.sleep(PURGE_S)
