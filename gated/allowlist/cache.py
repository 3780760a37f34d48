"""The list as the gate uses it: one prepared lookup in a read-only, memory-mapped file."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from urllib.parse import quote

from gated.allowlist.deny import DenyStore
from gated.allowlist.key import SiteKey
from gated.allowlist.layout import FORMAT, Profile, rights_of
from gated.core.model import AccessRights, Credential
from gated.errors import StoreError

_LOOKUP = "SELECT profile, valid_from, valid_until, denied FROM entry WHERE id = ?"
_MMAP_BYTES = 1 << 30
_RIGHTS_KEPT = 4096  # distinct (profile, window) held ready; a site has few
_WARM_UP = 8  # lookups spread over a new list before it is used: first pages mapped, statement prepared


class _List:
    """One opened list file; stays readable when another is renamed over it."""

    def __init__(self, path: Path, key: SiteKey | None) -> None:
        self.database: sqlite3.Connection | None = None
        try:
            self._connect(path, key)
        except sqlite3.Error as error:
            self.close()
            raise StoreError(
                f"{path}: is not a readable list: {error}; load it again: gatectl allowlist load"
            ) from error
        except StoreError:
            self.close()
            raise

    def _connect(self, path: Path, key: SiteKey | None) -> None:
        # immutable: the file is never written in place, so no lock is taken and no other file looked for.
        self.database = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro&immutable=1",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        self.database.execute(f"PRAGMA mmap_size = {_MMAP_BYTES}")
        (found,) = self.database.execute("PRAGMA user_version").fetchone()
        if found != FORMAT:
            raise StoreError(
                f"{path}: is a list of format {found}, this gated reads {FORMAT}; "
                "load it again: gatectl allowlist load"
            )
        self.rows, key_id = self.database.execute("SELECT rows, key_id FROM about").fetchone()
        if key is not None and key_id != key.id:
            raise StoreError(
                f"{path}: was made under another site key, so no card would be known; put the "
                "site.key it was made with back, or load the list again: gatectl allowlist load"
            )
        self.profiles = {
            row[0]: Profile(*row[1:])
            for row in self.database.execute("SELECT id, zones, schedule, per_day_limit FROM profile")
        }
        self._rights: dict[tuple[int, int | None, int | None], AccessRights] = {}
        self._cursor = self.database.cursor()
        for step in range(_WARM_UP):
            self.find(bytes([step * 256 // _WARM_UP]) + bytes(15))

    def find(self, identifier: bytes) -> Credential | None:
        row = self._cursor.execute(_LOOKUP, (identifier,)).fetchone()
        if row is None:
            return None
        window = row[:3]
        rights = self._rights.get(window)
        if rights is None:
            rights = rights_of(self.profiles[window[0]], window[1], window[2])
            if len(self._rights) >= _RIGHTS_KEPT:
                self._rights.clear()
            self._rights[window] = rights
        return Credential(identifier, rights=rights, denied=bool(row[3]))

    def close(self) -> None:
        if self.database is not None:
            self.database.close()


class Cache:
    """Who may pass. `lookup` is for one thread; `swap`, `deny` and `allow_again` are safe from any other."""

    def __init__(self, path: Path, key: SiteKey | None = None) -> None:
        """Open the list at `path` (no file yet: an empty list) and the deny entries beside it.

        With `key`, a list made under another site key is refused. Raises StoreError.
        """
        self._path = path
        self._key = key
        self._lock = threading.Lock()
        self._denied = DenyStore(path.with_name("deny.db"))
        self._list = self._open()
        self.fault: str | None = None
        """Why the last lookup could not be answered; None while all is well."""

    def _open(self) -> _List | None:
        return _List(self._path, self._key) if self._path.exists() else None

    @property
    def rows(self) -> int:
        """The number of credentials in the list."""
        return 0 if self._list is None else int(self._list.rows)

    def lookup(self, identifier: bytes) -> Credential | None:
        """What the list says of an identifier, deny entries included; None when it is not known.

        Never raises: when the file cannot be read, `fault` says so and nobody is known.
        """
        try:
            with self._lock:  # so that a swap closes the old list only between two lookups
                found = None if self._list is None else self._list.find(identifier)
            self.fault = None
        except (sqlite3.Error, KeyError, ValueError, OverflowError) as error:
            self.fault = f"{self._path}: cannot be read: {error}"
            found = None
        if identifier in self._denied.entries:
            rights = AccessRights() if found is None else found.rights
            return Credential(identifier, rights=rights, denied=True)
        return found

    def swap(self) -> int:
        """Use the list that lies at the path now, and the deny entries; return its rows.

        The new one is opened and warmed beside the old one; lookups wait for the exchange of one reference.
        Takes milliseconds: call it from a worker thread. Raises StoreError, and the old list stays.
        """
        fresh = self._open()
        self._denied.reload()
        with self._lock:
            old, self._list = self._list, fresh
        if old is not None:
            old.close()
        return self.rows

    def deny(self, identifier: bytes, why: str) -> None:
        """Deny an identifier from this moment, listed or not; durable on return (waits for the disk).

        Raises StoreError when it is in force but could not be kept.
        """
        self._denied.add(identifier, why)

    def allow_again(self, identifier: bytes) -> bool:
        """Take a deny entry made by hand back; False when there was none. Raises StoreError."""
        return self._denied.remove(identifier)

    def close(self) -> None:
        """Close the list; a second call does nothing."""
        with self._lock:
            old, self._list = self._list, None
        if old is not None:
            old.close()
