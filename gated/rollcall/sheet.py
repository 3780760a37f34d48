"""A roll call on disk: one small file for each, whole and true or refused, readable without gated.

The first line says what the file is, its version, and the length and CRC-32 of the rest; the rest is JSON.
It names nobody: people are the first digits of their keyed identifier or pass, as `gatectl events` shows
them, and what is known of their pass.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from gated.durable import make_directory
from gated.durable import replace as put_in_place
from gated.errors import StoreError

SUFFIX = ".rollcall"
VERSION = 1
LIMIT = 64 << 20  # bytes; 100,000 people are about 15 MB
REF_DIGITS = 8  # hex digits of a reference; two people who share them get all of theirs
LATE_S = 2.0

STAFF, VISITOR, PASS = "staff", "visitor", "pass"


@dataclass(frozen=True, slots=True)
class Person:
    """One who may be inside. `kind` is staff, visitor, or pass (of a kind that is not known here).

    `group` is the id of a pass's group (hex), `i` of `n` its place there; 0 where there is none. `since` is
    in UTC (ISO 8601). `certain`: seen to go there and not put in doubt before the alarm.
    """

    ref: str
    kind: str
    area: str
    since: str
    certain: bool
    group: str = ""
    i: int = 0
    n: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """One roll call. Instants are UTC (ISO 8601), empty while they have not come.

    `late_s` is how long after the alarm it was made (seconds), None where nobody knows when the alarm was.
    `doubts` are sentences: what makes it an estimate. `journal_seq` is the journal's last record before it:
    what was seen of people since comes after. `over_at`: when the release held no lane open any more.
    """

    id: str
    site: str
    drill: bool
    alarm_at: str
    frozen_at: str
    late_s: float | None
    causes: tuple[str, ...]
    doubts: tuple[str, ...]
    journal_seq: int
    titles: dict[str, str]
    people: tuple[Person, ...]
    over_at: str = ""
    closed_at: str = ""
    closed_by: str = ""
    closed_why: str = ""

    @property
    def late(self) -> bool:
        """It was made more than 2 s after the alarm, or nobody knows how long after."""
        return self.late_s is None or self.late_s > LATE_S

    @property
    def in_doubt(self) -> int:
        """How many of the people may not have been where it says, before the alarm already."""
        return sum(not person.certain for person in self.people)

    def by_area(self) -> dict[str, list[Person]]:
        """The people of each area; groups together, then the longest first."""
        areas: dict[str, list[Person]] = {}
        for person in sorted(self.people, key=lambda p: (p.area, p.kind, p.group, p.i, p.since, p.ref)):
            areas.setdefault(person.area, []).append(person)
        return areas


def references(identifiers: Iterable[bytes]) -> dict[bytes, str]:
    """A short reference for each identifier, the whole of it for those whose short ones are the same."""
    full = {identifier: identifier.hex() for identifier in identifiers}
    shared: dict[str, int] = {}
    for text in full.values():
        shared[text[:REF_DIGITS]] = shared.get(text[:REF_DIGITS], 0) + 1
    return {i: text if shared[text[:REF_DIGITS]] > 1 else text[:REF_DIGITS] for i, text in full.items()}


def encode(sheet: Sheet) -> bytes:
    """The file's content."""
    about = {field.name: getattr(sheet, field.name) for field in fields(sheet) if field.name != "people"}
    # Person by person: one long step of C would hold up the thread that lets people through.
    people = ",\n".join([json.dumps(_row(person), ensure_ascii=False) for person in sheet.people])
    body = f'{json.dumps(about, ensure_ascii=False)[:-1]}, "people": [\n{people}]}}'.encode()
    return f"gated roll-call {VERSION} {len(body)} {zlib.crc32(body):08x}\n".encode() + body


def _row(person: Person) -> dict[str, object]:
    return {name: getattr(person, name) for name in Person.__slots__}


def decode(data: bytes) -> Sheet:
    """The roll call. Raises StoreError, saying what is wrong, on anything that `encode` did not write."""
    head, _, body = data.partition(b"\n")
    words = head.split(b" ")
    if len(words) != 5 or words[:2] != [b"gated", b"roll-call"]:
        raise StoreError("it is not a roll call")
    if words[2] != str(VERSION).encode():
        raise StoreError(f"it is of version {words[2]!r}, this gated reads version {VERSION}")
    if words[3:] != [str(len(body)).encode(), f"{zlib.crc32(body):08x}".encode()]:
        raise StoreError("its checksum does not match: it was cut short or changed")
    try:
        row = json.loads(body)
        people = tuple(Person(**person) for person in row.pop("people"))
        sheet = Sheet(people=people, **row)
        sheet = replace(sheet, causes=tuple(sheet.causes), doubts=tuple(sheet.doubts))
        _check(sheet)
        for person in people:
            _check(person)
        instants = [sheet.frozen_at, *(person.since for person in people)]
        instants += [at for at in (sheet.alarm_at, sheet.over_at, sheet.closed_at) if at]
        if any(datetime.fromisoformat(at).tzinfo is None for at in instants):
            raise ValueError("an instant without its offset")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StoreError(f"its content makes no sense: {error}") from error
    return sheet


_KINDS: dict[str, tuple[type, ...]] = {
    "drill": (bool,),
    "certain": (bool,),
    "late_s": (float, int, type(None)),
    "journal_seq": (int,),
    "i": (int,),
    "n": (int,),
    "causes": (tuple,),
    "doubts": (tuple,),
    "people": (tuple,),
    "titles": (dict,),
}
"""What is no text."""


def _check(one: Sheet | Person) -> None:
    """Raises ValueError on a value of the wrong kind."""
    for field in fields(one):
        if not isinstance(getattr(one, field.name), _KINDS.get(field.name, (str,))):
            raise ValueError(f"{field.name} is of the wrong kind")


def write(directory: Path, sheet: Sheet) -> None:
    """Put the roll call there durably, over an older state of itself; blocks. Raises OSError."""
    make_directory(directory)
    target = directory / f"{sheet.id}{SUFFIX}"
    draft = target.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o640)  # the group may print it, whatever the umask
        file.write(encode(sheet))
    put_in_place(draft, target)


def read_all(directories: Sequence[Path]) -> tuple[list[Sheet], list[str]]:
    """Every roll call, oldest first, and a sentence for each that cannot be read or believed.

    Of one that lies in more than one directory, the first counts. Raises PermissionError for a user who
    may not look.
    """
    found: dict[str, Sheet] = {}
    problems: list[str] = []
    for directory in directories:
        try:
            names = sorted(os.listdir(directory))  # noqa: PTH208 - Path.glob hides that one may not look
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            path = directory / name
            if path.suffix != SUFFIX or path.stem in found:
                continue
            try:
                with path.open("rb") as file:
                    found[path.stem] = decode(file.read(LIMIT))
            except PermissionError:
                raise
            except FileNotFoundError:  # it was removed just now
                continue
            except (OSError, StoreError) as error:
                problems.append(f"{path}: cannot be believed: {error}")
    return sorted(found.values(), key=lambda sheet: (sheet.frozen_at, sheet.id)), problems


def describe(sheet: Sheet) -> dict[str, Any]:
    """What is told of a roll call without its people."""
    return {
        "id": sheet.id,
        "drill": sheet.drill,
        "alarm_at": sheet.alarm_at,
        "frozen_at": sheet.frozen_at,
        "late_s": sheet.late_s,
        "causes": list(sheet.causes),
        "inside": len(sheet.people),
        "in_doubt": sheet.in_doubt,
        "over_at": sheet.over_at,
        "closed_at": sheet.closed_at,
        "closed_by": sheet.closed_by,
    }
