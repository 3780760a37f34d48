"""How a journal lies on disk: append-only files of JSON lines, one for each UTC date, in order of seq.

A file is named after its first seq and its date, so that names sort in order even when a clock jumped. A
line is a JSON object that ends in its own checksum: CRC-32 (IEEE 802.3) of the line as it stands without
that last member, 8 hex digits.
"""

from __future__ import annotations

import json
import mmap
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from gated.durable import fsync, leave_to_owner

_NAME = re.compile(r"(\d{12})-(\d{4}-\d{2}-\d{2})\.jsonl")
_CRC = b',"crc":"'
_TAIL = len(_CRC) + 8 + 2  # the checksum member, the closing quote and brace

# Built once: json.dumps would build an encoder for each record. str() for whatever is no JSON type.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=str).encode


class Segment(NamedTuple):
    """One file of a journal."""

    first: int  # the seq of its first record
    day: str  # UTC date, ISO
    path: Path


def segment_path(directory: Path, first: int, day: str) -> Path:
    """Where the segment that begins with seq `first` on `day` lies."""
    return directory / f"{first:012d}-{day}.jsonl"


def segments(directory: Path) -> list[Segment]:
    """Every segment, oldest first."""
    names = [(_NAME.fullmatch(name), name) for name in sorted(path.name for path in directory.iterdir())]
    return [Segment(int(match[1]), match[2], directory / name) for match, name in names if match]


def encode_line(record: Mapping[str, Any]) -> bytes:
    """The record as a line with its checksum and newline. Never raises on plain strings and numbers."""
    text = _encode(record).encode("utf-8", "backslashreplace")
    return b'%s,"crc":"%08x"}\n' % (text[:-1], crc32(text))


def decode_line(line: bytes) -> dict[str, Any] | None:
    """The record of a line (newline or not), without its checksum; None when the line is not whole."""
    line = line.rstrip(b"\n")
    if len(line) <= _TAIL or line[-_TAIL : -_TAIL + len(_CRC)] != _CRC or not line.endswith(b'"}'):
        return None
    text = line[:-_TAIL] + b"}"
    if line[-10:-2] != b"%08x" % crc32(text):
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and type(record.get("seq")) is int else None


class Recovered(NamedTuple):
    """What was found at the end of a journal."""

    seq: int  # of the last whole record, 0 for none
    last: Segment | None
    torn_bytes: int  # set aside
    torn_file: str  # its name, "" for none


def recover(directory: Path) -> Recovered:
    """Find the last whole record; set what stands behind it aside in a `.torn` file, flushed first.

    A write that a power cut or a full disk cut short leaves such a tail. Where it cannot be set aside (the
    disk is still full) it stays, and `last` is None: another segment has to begin. Raises OSError when
    nothing can be read.
    """
    found = segments(directory)
    if not found:
        return Recovered(0, None, 0, "")
    last = found[-1]
    end, seq = _whole(last.path)
    size = last.path.stat().st_size
    for segment in reversed(found[:-1]):
        if seq:
            break
        seq = _whole(segment.path)[1]
    seq = max(seq, last.first - 1)
    if end == size:
        return Recovered(seq, last, 0, "")
    try:
        return Recovered(seq, last, size - end, _set_aside(last.path, end))
    except OSError:
        return Recovered(max(seq, last.first), None, size - end, "")  # never the name of that segment again


def _whole(path: Path) -> tuple[int, int]:
    """The offset behind the last whole line, and its seq (0, 0: there is none)."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return 0, 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            end = content.rfind(b"\n") + 1
            while end:
                start = content.rfind(b"\n", 0, end - 1) + 1
                record = decode_line(content[start:end])
                if record is not None:
                    return end, int(record["seq"])
                end = start
    return 0, 0


def _set_aside(path: Path, end: int) -> str:
    aside = path.with_suffix(".torn")
    with path.open("rb") as file:
        file.seek(end)
        tail = file.read()
    with aside.open("ab") as file:
        file.write(tail)
    leave_to_owner(aside)
    fsync(aside)
    fsync(path.parent)
    os.truncate(path, end)
    fsync(path)
    return aside.name
