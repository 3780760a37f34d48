"""Files that must survive a power cut, and must not be read by others: small helpers, one home.

A command run by root leaves the files it makes to the owner of their directory, so that the daemon, which
runs as a user of its own, can still use them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path

from gated.errors import StoreError

SYNCHRONOUS_FULL = 2  # the value SQLite reports for PRAGMA synchronous


def make_directory(path: Path) -> None:
    """Create the directory (mode 0750) with its parents; a new one belongs to its parent's owner."""
    for missing in [p for p in [*reversed(path.parents), path] if not p.exists()]:
        with contextlib.suppress(FileExistsError):
            missing.mkdir(mode=0o750)
            leave_to_owner(missing)


def leave_to_owner(path: Path) -> None:
    """When run by root, give the file to the owner of its directory."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def fsync(path: Path) -> None:
    """Flush a file's content, or a directory's entries, to the device."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(new: Path, target: Path) -> None:
    """Put `new` in the place of `target` in one step: after a power cut there is one or the other."""
    fsync(new)
    new.replace(target)
    fsync(target.parent)


def create_once(path: Path, content: bytes, mode: int = 0o600) -> bool:
    """Create `path` with `content`, whole or not at all; False when it was there already."""
    make_directory(path.parent)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        leave_to_owner(draft)
        os.link(draft, path)  # unlike a rename, never over an existing file
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    fsync(path.parent)
    return True


def read_private(path: Path) -> bytes:
    """Read a secret. Raises StoreError when others may read it too, FileNotFoundError when it is missing."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise StoreError(f"{path}: others may read this key (mode {mode:04o}); run: chmod 0600 {path}")
    return path.read_bytes()


def open_database(path: Path, schema: str) -> sqlite3.Connection:
    """Open a SQLite store whose commits survive a power cut: WAL, synchronous FULL, both asserted.

    The connection is in autocommit mode and may be handed to one thread. Raises StoreError.
    """
    try:
        if not path.exists():
            create_once(path, b"")
        connection = sqlite3.connect(path, timeout=2.0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path}: cannot be opened: {error}") from error
    try:
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        connection.execute("PRAGMA synchronous = FULL")
        # Deleted rows are overwritten: a purge that leaves the bytes in the file is none.
        connection.execute("PRAGMA secure_delete = ON")
        level = connection.execute("PRAGMA synchronous").fetchone()[0]
        if mode != "wal" or level != SYNCHRONOUS_FULL:
            raise StoreError(f"{path}: SQLite keeps journal mode {mode}, synchronous {level}; need WAL, FULL")
        connection.executescript(schema)
    except sqlite3.Error as error:
        connection.close()
        raise StoreError(f"{path}: is not a usable store: {error}") from error
    except StoreError:
        connection.close()
        raise
    return connection
