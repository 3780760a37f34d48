"""Deny entries made by hand: in force at once, durable, and untouched when a new list arrives."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from gated.durable import open_database
from gated.errors import StoreError

_SCHEMA = "CREATE TABLE IF NOT EXISTS deny (id BLOB PRIMARY KEY, at INTEGER NOT NULL, why TEXT NOT NULL)"


class DenyStore:
    """The lost, the stolen and the withdrawn. Safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        """Read the entries. Raises StoreError when the file exists and cannot be read."""
        self._path = path
        self._lock = threading.Lock()
        self.entries: set[bytes] = set()
        self._unsaved: set[bytes] = set()  # in force, not on the disk (yet)
        self.reload()

    def reload(self) -> None:
        """Read the entries again. Raises StoreError, and those in force stay."""
        if not self._path.exists():
            return
        try:
            with self._lock, closing(open_database(self._path, _SCHEMA)) as database:
                saved = {bytes(row[0]) for row in database.execute("SELECT id FROM deny")}
                self.entries = saved | self._unsaved
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: cannot be read: {error}") from error

    def add(self, identifier: bytes, why: str) -> None:
        """Deny from this moment; durable on return.

        Raises StoreError when it could not be kept: it is then in force until the process ends.
        """
        self._unsaved.add(identifier)
        self.entries.add(identifier)
        self._write("INSERT OR REPLACE INTO deny VALUES (?, ?, ?)", (identifier, int(time.time()), why))
        self.entries.add(identifier)  # a reload in between replaced the set
        self._unsaved.discard(identifier)

    def remove(self, identifier: bytes) -> bool:
        """Take a deny entry back, durably first; False when there was none. Raises StoreError."""
        removed = self._write("DELETE FROM deny WHERE id = ?", (identifier,))
        self._unsaved.discard(identifier)
        self.entries.discard(identifier)
        return removed

    def _write(self, statement: str, values: tuple[object, ...]) -> bool:
        try:
            with self._lock, closing(open_database(self._path, _SCHEMA)) as database:
                return database.execute(statement, values).rowcount > 0
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: cannot be written: {error}") from error
