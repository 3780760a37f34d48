"""From the text of a list to checked rows: CSV or JSON Lines, every problem by line, no card number in any.

Columns: technology, identifier (hex; separators : - and space are ignored), zones (names with a space
between, "*" for every zone), schedule (empty: at any hour), valid_from, valid_until (ISO 8601; without an
offset it is the site's local time; a date alone means from its first, or through its last, moment),
per_day_limit (1 to 1000, empty: none), status ("active", the default, or "denied").
"""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any

from gated.allowlist.layout import Profile, Terms
from gated.errors import InputError

COLUMNS = (
    "technology",
    "identifier",
    "zones",
    "schedule",
    "valid_from",
    "valid_until",
    "per_day_limit",
    "status",
)
REQUIRED = ("technology", "identifier", "zones")
LENGTHS = {"felica": (8,), "iso14443a": (4, 7, 10), "iso14443b": (4, 7, 8, 10)}  # bytes of an identifier
ALL_ZONES = "*"
MAX_PER_DAY = 1000
YEARS = range(2000, 2200)
PIECE = re.compile(r"[0-9A-Fa-f:.\-_]+")

Report = Callable[[int, str], None]
"""Called with a line number and what is wrong there."""


def shown(value: str) -> str:
    """The value for an error text, or nothing when it could be a card number in the wrong column."""
    if len(value) > 40 or re.search(r"[0-9A-Fa-f]{7}", re.sub(r"[\s:.\-_]", "", value)):
        return ""
    return f" {value!r}"


def _near(value: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(value, known, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"


def read_csv(path: Path, report: Report) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line in the order of COLUMNS; problems of the file's form go to `report`."""
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if not _header_is_good(header, report):
                return
            order = [header.index(name) if name in header else -1 for name in COLUMNS]
            line = reader.line_num
            for cells in reader:
                line += 1  # where the row begins: a quoted cell may hold line breaks
                if len(cells) == len(header):
                    yield line, [cells[place].strip() if place >= 0 else "" for place in order]
                elif cells:
                    report(line, f"has {len(cells)} columns, the first line has {len(header)}")
                line = reader.line_num
    except UnicodeDecodeError:
        report(line + 1, "or a line after it is not UTF-8 text; save the file as CSV UTF-8")
    except csv.Error as error:
        report(line + 1, f"is not CSV: {error}")


def _header_is_good(header: list[str], report: Report) -> bool:
    good = True
    for name in header:
        if name not in COLUMNS:
            report(1, f"there is no such column{shown(name)}; {_near(name, COLUMNS)}")
            good = False
    for name in REQUIRED:
        if name not in header:
            report(1, f"column {name} is required and missing")
            good = False
    if len(set(header)) != len(header):
        report(1, "a column is named twice")
        good = False
    return good


def read_jsonl(path: Path, report: Report) -> Iterator[tuple[int, list[str]]]:
    """The same from JSON Lines: one object a line; zones may be a list, null means empty."""
    line = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line, text in enumerate(file, 1):
                text = text.strip()
                if not text:
                    continue
                try:
                    cells = _json_cells(json.loads(text))
                except (ValueError, RecursionError) as error:  # also a number of thousands of digits
                    place = f" (column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
                    report(line, f"is not JSON{place}")
                except InputError as error:
                    for problem in error.problems:
                        report(line, problem)
                else:
                    yield line, cells
    except UnicodeDecodeError:
        report(line + 1, "or a line after it is not UTF-8 text")


def _json_cells(row: Any) -> list[str]:
    if not isinstance(row, dict):
        raise InputError(["is not a JSON object"])
    problems = [
        f"there is no such key{shown(name)}; {_near(name, COLUMNS)}" for name in row.keys() - set(COLUMNS)
    ]
    problems += [f"key {name} is required and missing" for name in REQUIRED if name not in row]
    cells = []
    for name in COLUMNS:
        value = row.get(name)
        if name == "zones" and isinstance(value, list) and all(isinstance(zone, str) for zone in value):
            value = " ".join(value)
        elif name == "per_day_limit" and type(value) is int:
            value = str(value)
        if value is not None and not isinstance(value, str):
            problems.append(f"column {name}: is not a text")
            value = ""
        cells.append((value or "").strip())
    if problems:
        raise InputError(problems)
    return cells


class Checker:
    """Checks the cells of a row. What is equal on many rows is checked once."""

    _KEPT = 50_000

    def __init__(
        self,
        timezone: tzinfo,
        zones: Collection[str] | None = None,
        schedules: Collection[str] | None = None,
    ) -> None:
        """`zones` and `schedules` are the names the site knows; None leaves them unchecked."""
        self._timezone = timezone
        self._zones = zones
        self._schedules = schedules
        self._checked: dict[tuple[str, ...], Terms | list[str]] = {}

    def identifier(self, technology: str, text: str) -> tuple[bytes, str]:
        """The clear identifier, and what is wrong with it (empty when nothing is)."""
        lengths = LENGTHS.get(technology)
        if lengths is None:
            known = _near(technology, LENGTHS)
            return b"", f"column technology: there is no such technology{shown(technology)}; {known}"
        digits = re.sub(r"[\s:-]", "", text)
        try:
            payload = bytes.fromhex(digits)
        except ValueError:
            if re.fullmatch("[0-9A-Fa-f]+", digits):
                return b"", (
                    "column identifier: has an odd number of digits; did a spreadsheet drop a leading zero?"
                )
            return b"", "column identifier: is not hexadecimal"
        if len(payload) not in lengths:
            wanted = ", ".join(map(str, lengths))
            return b"", f"column identifier: has {len(payload)} bytes; {technology} has {wanted}"
        return payload, ""

    def terms(self, cells: list[str]) -> Terms | list[str]:
        """The checked rest of a row (COLUMNS from zones on), or what is wrong with it."""
        key = tuple(cells)
        found = self._checked.get(key)
        if found is None:
            if len(self._checked) >= self._KEPT:
                self._checked.clear()
            found = self._checked[key] = self._check(*cells)
        return found

    def _check(
        self, zones: str, schedule: str, valid_from: str, valid_until: str, limit: str, status: str
    ) -> Terms | list[str]:
        problems: list[str] = []
        names = zones.split()
        if not names and status != "denied":
            problems.append('column zones: is empty; name at least one zone, or "*" for all')
        for name in names:
            if self._zones is not None and name != ALL_ZONES and name not in self._zones:
                # A card number may be written in pieces, so the whole cell decides what may be shown.
                word = shown(name) if shown(zones) or not PIECE.fullmatch(name) else ""
                problem = f"column zones: no zone is called{word}; {_near(name, self._zones)}"
                problems += [problem] if problem not in problems else []
        if schedule and self._schedules is not None and schedule not in self._schedules:
            known = _near(schedule, self._schedules)
            problems.append(f"column schedule: no schedule is called{shown(schedule)}; {known}")
        start = self._instant("valid_from", valid_from, problems)
        end = self._instant("valid_until", valid_until, problems)
        if start is not None and end is not None and end <= start:
            problems.append("column valid_until: is not after valid_from")
        per_day = int(limit) if re.fullmatch("[0-9]{1,4}", limit, re.ASCII) else None
        if limit and (per_day is None or not 1 <= per_day <= MAX_PER_DAY):
            problems.append(f"column per_day_limit: is not a number from 1 to {MAX_PER_DAY}")
        if status not in ("", "active", "denied"):
            problems.append(f"column status: is not active or denied{shown(status)}")
        if problems:
            return problems
        profile = Profile(" ".join(sorted(set(names))), schedule or None, per_day)
        return Terms(profile, start, end, status == "denied")

    def _instant(self, column: str, text: str, problems: list[str]) -> int | None:
        """Seconds of UTC; a date alone is its first moment, or for an end the first of the next day."""
        if not text:
            return None
        try:
            if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
                day = date.fromisoformat(text) + timedelta(days=column == "valid_until")
                instant = datetime.combine(day, time(), self._timezone)
            else:
                instant = datetime.fromisoformat(text)
                if instant.tzinfo is None:
                    instant = instant.replace(tzinfo=self._timezone)
            if instant.year in YEARS:
                return int(instant.timestamp())
        except OverflowError:
            pass  # the day after 9999-12-31
        except ValueError:
            problems.append(f"column {column}: is not a date or time such as 2026-04-01T08:30")
            return None
        problems.append(
            f"column {column}: is not in the years {YEARS[0]} to {YEARS[-1]}; leave it empty for no limit"
        )
        return None
