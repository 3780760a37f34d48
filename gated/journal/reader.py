"""Read a journal, from its start or as it grows; another process may be writing it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from gated.errors import StoreError
from gated.journal.segments import decode_line, segments

_POLL_S = 0.1


def _damaged(file: str, line: int) -> dict[str, Any]:
    """What stands in the place of a line that fails its checksum: shown, never skipped in silence."""
    detail = {"file": file, "line": str(line)}
    empty = dict.fromkeys(("lane", "access_point", "direction", "id"), "")
    return {"seq": 0, "at": "", "kind": "audit", "code": "journal_damaged_line", **empty, "detail": detail}


class _Position:
    """How far a journal was read."""

    def __init__(self, directory: Path, since_seq: int) -> None:
        self._directory = directory
        self._seq = since_seq
        self._first = -1  # the segment being read
        self._offset = 0
        self._line = 0

    def more(self) -> Iterator[dict[str, Any]]:
        """Every record that became readable since the last call."""
        try:
            found = segments(self._directory)
        except OSError as error:
            raise StoreError(f"{self._directory}: the journal cannot be read: {error.strerror}") from error
        for place, segment in enumerate(found):
            is_last = place + 1 == len(found)
            if segment.first < self._first or (not is_last and found[place + 1].first <= self._seq + 1):
                continue
            if segment.first > self._first:
                self._first, self._offset, self._line = segment.first, 0, 0
            yield from self._read(segment.path, is_last)

    def _read(self, path: Path, is_last: bool) -> Iterator[dict[str, Any]]:
        try:
            with path.open("rb") as file:
                file.seek(self._offset)
                for line in file:
                    if is_last and not line.endswith(b"\n"):
                        return  # being written, or torn: the writer sets it aside when it opens again
                    self._offset += len(line)
                    self._line += 1
                    record = decode_line(line)
                    if record is None:
                        yield _damaged(path.name, self._line)
                    elif record["seq"] > self._seq:  # else: written once more after a failed flush
                        self._seq = record["seq"]
                        yield record
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror}") from error


def read(directory: Path, since_seq: int = 0) -> Iterator[dict[str, Any]]:
    """The records after `since_seq`, in order, without their checksums.

    A line whose checksum fails is yielded as an `audit` record `journal_damaged_line` with seq 0, its file
    and its line. Raises StoreError when the journal cannot be read.
    """
    yield from _Position(directory, since_seq).more()


async def follow(directory: Path, since_seq: int | None = None) -> AsyncIterator[dict[str, Any]]:
    """The records after `since_seq` (None: only those written from now on), then each new one, for ever.

    Looks for new ones every 0.1 s. Raises StoreError as `read` does.
    """
    position = _Position(directory, since_seq or 0)
    if since_seq is None:
        for _ in position.more():
            pass
    while True:
        for record in position.more():
            yield record
        await asyncio.sleep(_POLL_S)
