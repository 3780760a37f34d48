"""What is latched, in one small file that is either whole and true or refused.

It is kept twice: on disk, and beside the socket, which is memory: a disk that takes nothing any more and
a restart of the service must not lose an alarm together. What either one says is latched is latched.

The first line says what the file is, its version, and the length and CRC-32 of the rest; the rest is
JSON. Writing goes through a temporary file, fsync, rename and an fsync of the directory, so that a
power cut leaves the old or the new file. Where an alarm cannot be written (the disk is full), the old
file is emptied, which needs no room: at the next start it is not believed, and the lanes open.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

from gated.errors import StoreError
from gated.release.words import Cause, Latched, Source

NAME = "latch"
VERSION = 1
LIMIT = 1 << 20  # bytes; a latch of every cause of a large site is a few thousand

Entries = tuple[tuple[Source, Latched], ...]


def encode(latched: Mapping[Source, Latched]) -> bytes:
    """The file's content."""
    body = json.dumps(
        [
            {"input": source.input, "cause": source.cause, "at": entry.at, "lanes": sorted(entry.lanes)}
            for source, entry in latched.items()
        ]
    ).encode()
    return f"gated-release latch {VERSION} {len(body)} {zlib.crc32(body):08x}\n".encode() + body


def decode(data: bytes) -> Entries:
    """What is latched. Raises StoreError, saying what is wrong, on anything that `encode` did not write."""
    if not data:
        raise StoreError("it was left empty, because the disk refused to keep an alarm")
    head, _, body = data.partition(b"\n")
    words = head.split(b" ")
    if len(words) != 5 or words[:2] != [b"gated-release", b"latch"]:
        raise StoreError("it is not a latch file")
    if words[2] != str(VERSION).encode():
        raise StoreError(f"it is of version {words[2]!r}, this gated-release reads version {VERSION}")
    if words[3:] != [str(len(body)).encode(), f"{zlib.crc32(body):08x}".encode()]:
        raise StoreError("its checksum does not match: it was cut short or changed")
    try:
        return tuple(
            (Source(str(row["input"]), Cause(row["cause"])), Latched(str(row["at"]), frozenset(row["lanes"])))
            for row in json.loads(body)
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreError(f"its content makes no sense: {error}") from error


def read(directory: Path) -> Entries | None:
    """What is latched on disk; None where there never was a latch file.

    Raises StoreError when the file is there and cannot be believed.
    """
    try:
        with (directory / NAME).open("rb") as file:
            data = file.read(LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"it cannot be read: {error.strerror}") from error
    return decode(data)


def spoil(directory: Path) -> None:
    """Empty the file durably, so that it cannot say that nothing is latched. Raises OSError."""
    fd = os.open(directory / NAME, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write(directory: Path, data: bytes) -> None:
    """Replace the latch file durably; blocks until it is on disk. Raises OSError."""
    replace(directory, NAME, data)


def replace(directory: Path, name: str, data: bytes) -> None:
    """Replace a small file by another that is whole; blocks until it is on disk. Raises OSError."""
    temporary = directory / f"{name}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.replace(directory / name)
    directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory_fd)
    finally:
        os.close(directory_fd)
