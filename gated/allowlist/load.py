"""Build a new list file beside the old one and put it in its place in one step.

The whole source is read and checked first. Memory stays small at any size: rows are staged in a private
temporary database of SQLite, then written in the order of their identifiers, which keeps the file dense.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from operator import itemgetter
from pathlib import Path

from gated.allowlist.key import SiteKey
from gated.allowlist.layout import FORMAT, SCHEMA, Profile, Terms, terms_of
from gated.allowlist.rows import Checker, read_csv, read_jsonl
from gated.core.model import AccessRights
from gated.durable import leave_to_owner, make_directory, replace
from gated.errors import InputError, StoreError

EVERYWHERE = AccessRights(frozenset({"*"}))
SHOWN = 100  # problems spelled out; the rest are counted
READERS = {"csv": read_csv, "jsonl": read_jsonl}

_STAGE = """
ATTACH '' AS stage;
CREATE TABLE stage.row (id BLOB, line INTEGER, profile INTEGER, valid_from INTEGER, valid_until INTEGER,
                        denied INTEGER);
"""
_DUPLICATES = """
SELECT line, first FROM (SELECT line, MIN(line) OVER (PARTITION BY id) AS first FROM stage.row)
WHERE line <> first ORDER BY line
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One credential of a list that does not come from a file; `identifier` is the clear card number."""

    technology: str
    identifier: bytes = field(repr=False)
    rights: AccessRights = EVERYWHERE
    denied: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What was loaded: rows in all, and how many of them are deny entries."""

    rows: int
    denied: int


class _Problems:
    """Every problem by line; the first `SHOWN` in words."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._shown: list[tuple[int, str]] = []
        self.count = 0

    def add(self, line: int, problem: str) -> None:
        self.count += 1
        if len(self._shown) < SHOWN:
            self._shown.append((line, problem))

    def check(self) -> None:
        """Raises InputError when there are any."""
        if not self.count:
            return
        lines = [
            f"{self._source}: line {line}: {text}" for line, text in sorted(self._shown, key=itemgetter(0))
        ]
        if self.count > SHOWN:
            lines.append(f"{self._source}: and {self.count - SHOWN} more problems")
        raise InputError([*lines, f"{self._source}: nothing was loaded; the list in force is unchanged"])


class _Stage:
    """Gives profiles their numbers and counts deny entries while rows pass."""

    def __init__(self) -> None:
        self.profiles: dict[Profile, int] = {}
        self.denied = 0

    def row(self, identifier: bytes, line: int, terms: Terms) -> tuple[object, ...]:
        self.denied += terms.denied
        number = self.profiles.setdefault(terms.profile, len(self.profiles))
        return identifier, line, number, terms.valid_from, terms.valid_until, terms.denied


def build(
    source: Path,
    target: Path,
    key: SiteKey,
    *,
    timezone: tzinfo = UTC,
    zones: Collection[str] | None = None,
    schedules: Collection[str] | None = None,
    format: str | None = None,  # noqa: A002 - what the option is called
) -> Report:
    """Check the file `source` whole and put the list it makes at `target`.

    `format` is "csv" or "jsonl"; None goes by the file's extension. Naive times are in `timezone`;
    `zones` and `schedules` are the names the site knows (None: not checked). Raises InputError with every
    line's problem (never with a card number), or StoreError; the old list stays in either case.
    """
    reader = READERS.get(
        format or {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}.get(source.suffix, "")
    )
    if reader is None:
        raise InputError([f"{source}: say which it is: --format csv or --format jsonl"])
    problems = _Problems(source)
    checker = Checker(timezone, zones, schedules)
    stage = _Stage()

    def rows() -> Iterator[tuple[object, ...]]:
        for line, cells in reader(source, problems.add):
            payload, problem = checker.identifier(cells[0], cells[1])
            if problem:
                problems.add(line, problem)
            terms = checker.terms(cells[2:])
            if isinstance(terms, list):
                for problem in terms:
                    problems.add(line, problem)
            elif payload:
                yield stage.row(key.identify(cells[0], payload), line, terms)

        if not problems.count and not stage.profiles:  # a torn export, more likely than a gate for nobody
            problems.add(1, "nobody is listed; a list in force is never replaced by an empty one")

    try:
        with source.open("rb"):
            pass
    except OSError as error:
        raise InputError([f"{source}: cannot be read: {error.strerror}"]) from error
    return _write(target, key, rows(), stage, problems)


def build_entries(entries: Iterable[Entry], target: Path, key: SiteKey) -> Report:
    """Put a list made of `entries` at `target`. Raises InputError on a duplicate, StoreError."""
    stage = _Stage()
    rows = (
        stage.row(key.identify(e.technology, e.identifier), number, terms_of(e.rights, e.denied))
        for number, e in enumerate(entries, 1)
    )
    return _write(target, key, rows, stage, _Problems(target))


def _write(
    target: Path, key: SiteKey, rows: Iterable[tuple[object, ...]], stage: _Stage, problems: _Problems
) -> Report:
    draft = target.with_name(target.name + ".new")
    try:
        make_directory(target.parent)
        with _alone(target):
            try:
                draft.unlink(missing_ok=True)
                descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
                os.close(descriptor)
                leave_to_owner(draft)
                with closing(sqlite3.connect(draft, isolation_level=None)) as database:
                    count = _fill(database, key, rows, stage, problems)
                replace(draft, target)
            finally:
                draft.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{target}: the new list cannot be written: {error}") from error
    return Report(count, stage.denied)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One load at a time for each list."""
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise StoreError(f"{target}: another load is running; wait for it to end") from error
    finally:
        os.close(descriptor)


def _fill(
    database: sqlite3.Connection,
    key: SiteKey,
    rows: Iterable[tuple[object, ...]],
    stage: _Stage,
    problems: _Problems,
) -> int:
    # No journal and no flushes: nobody sees the draft before it is complete and flushed once.
    database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000")
    database.executescript(SCHEMA + _STAGE)
    database.execute("BEGIN")
    database.executemany("INSERT INTO stage.row VALUES (?, ?, ?, ?, ?, ?)", rows)
    try:
        problems.check()
        count = database.execute(
            "INSERT INTO entry SELECT id, profile, valid_from, valid_until, denied FROM stage.row ORDER BY id"
        ).rowcount
    except (InputError, sqlite3.IntegrityError):
        for line, first in database.execute(_DUPLICATES):
            problems.add(line, f"the same identifier stands in line {first} already")
        problems.check()
        raise
    database.executemany(
        "INSERT INTO profile VALUES (?, ?, ?, ?)", [(n, *p) for p, n in stage.profiles.items()]
    )
    database.execute("INSERT INTO about VALUES (?, ?)", (count, key.id))
    database.execute("COMMIT")
    database.execute(f"PRAGMA user_version = {FORMAT}")
    return count
