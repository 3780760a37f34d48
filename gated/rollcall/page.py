"""A roll call for people: on a screen, or on paper to be ticked off. Plain text of 80 columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from gated.rollcall.sheet import Person, Sheet

WIDTH = 80
LINES = 60  # of a page: A4 and Letter at six lines an inch, with a margin
FEED = "\f"
COLUMNS = "    REFERENCE         KIND     GROUP, i OF n        INSIDE SINCE  SEEN SINCE"
EVIDENCE = frozenset({"emergency_open", "completed"})
"""Codes of the journal that say that somebody was at a reader or in a lane."""


class Sighting(NamedTuple):
    """Where somebody was seen last since the alarm: no proof that they are out, or in."""

    at: str
    where: str


def sightings(sheet: Sheet, records: Iterable[Mapping[str, Any]]) -> dict[str, Sighting]:
    """By reference, the last sighting of each person in the journal's records since the roll call."""
    refs = {person.ref for person in sheet.people}
    lengths = sorted({len(ref) for ref in refs})
    seen: dict[str, Sighting] = {}
    for record in records:
        if record["code"] not in EVIDENCE or (sheet.closed_at and record["at"] > sheet.closed_at):
            continue
        for ref in {str(record["id"])[:length] for length in lengths} & refs:
            seen[ref] = Sighting(record["at"], record["access_point"] or record["lane"])
    return seen


def screen(sheet: Sheet, seen: Mapping[str, Sighting], timezone: tzinfo) -> str:
    """Everything, without page breaks."""
    lines = [*_head(sheet, timezone), *_doubts(sheet), ""]
    for area, people in sheet.by_area().items():
        lines += [_area(sheet, area, people), *(_row(p, seen, timezone) for p in people), ""]
    return "\n".join([*lines, *_totals(sheet, seen)])


def printed(sheet: Sheet, seen: Mapping[str, Sighting], timezone: tzinfo) -> str:
    """Pages for a printer, each with its head; an area that goes on says so."""
    pages: list[list[str]] = []
    page = [*_doubts(sheet), ""]
    room = LINES - len(_head(sheet, timezone)) - 2
    for area, people in sheet.by_area().items():
        title = _area(sheet, area, people)
        if len(page) + 4 > room:
            pages.append(page)
            page = []
        page += [title, COLUMNS]
        for person in people:
            if len(page) >= room:
                pages.append(page)
                page = [fit(f"{title}, continued", WIDTH), COLUMNS]
            page.append(_row(person, seen, timezone))
        page.append("")
    end = [
        *_totals(sheet, seen),
        "",
        "Everybody accounted for:  [ ] yes   [ ] no, missing: ________________",
        "",
    ]
    end += ["Name ______________________________   Time ____________   Signed _______________"]
    if len(page) + len(end) > room:
        pages.append(page)
        page = []
    pages.append([*page, *end])
    return FEED.join(
        "\n".join([*_head(sheet, timezone, f"page {number} of {len(pages)}"), "", *body]) + "\n"
        for number, body in enumerate(pages, 1)
    )


def _head(sheet: Sheet, timezone: tzinfo, page: str = "") -> list[str]:
    drill = "  ***  DRILL (訓練)" if sheet.drill else ""
    left = f"ROLL CALL {sheet.id}  ***  ESTIMATE{drill}"
    causes = ", ".join(sheet.causes) or "not known"
    alarm = _local(sheet.alarm_at, timezone) if sheet.alarm_at else "time not known"
    made = f"made {_local(sheet.frozen_at, timezone)}"
    if sheet.late:
        made += ", LATE" + ("" if sheet.late_s is None else f" by {sheet.late_s:.0f} s")
    lines = [
        fit(left, WIDTH - len(page)) + page if page else left,
        fit(f"{sheet.site}   alarm {alarm} ({causes})", WIDTH).rstrip(),
        fit(made, WIDTH).rstrip(),
    ]
    if sheet.closed_at:
        closed = f"CLOSED {_local(sheet.closed_at, timezone)} by {sheet.closed_by}: {sheet.closed_why}"
        lines.append(fit(closed, WIDTH).rstrip())
    return lines


def _doubts(sheet: Sheet) -> Iterator[str]:
    yield "Who may be inside, by what the gates saw. Not proof that anybody is in or out."
    for doubt in sheet.doubts:
        yield from _wrapped(f"- {doubt}")
    yield "?: in doubt before the alarm. Every card shown since is evidence, no more."


def _area(sheet: Sheet, area: str, people: list[Person]) -> str:
    title = sheet.titles.get(area, "")
    doubtful = sum(not person.certain for person in people)
    told = f"{area}{f' - {title}' if title else ''}: {len(people)}, {doubtful} of them in doubt"
    return fit(told, WIDTH).rstrip()


def _row(person: Person, seen: Mapping[str, Sighting], timezone: tzinfo) -> str:
    ref = person.ref if len(person.ref) <= 17 else person.ref[:16] + "~"
    group = f"{person.group} {person.i}/{person.n}" if person.group else ""
    last = seen.get(person.ref)
    sighting = f"{_local(last.at, timezone)[11:16]} {last.where}" if last else ""
    since = _local(person.since, timezone)[5:16]
    mark = " " if person.certain else "?"
    cells = f"[ ] {fit(ref, 17)} {fit(person.kind, 8)} {fit(group, 20)} {since} {mark} "
    return (cells + fit(sighting, WIDTH - len(cells))).rstrip()


def _totals(sheet: Sheet, seen: Mapping[str, Sighting]) -> list[str]:
    areas = ", ".join(f"{area} {len(people)}" for area, people in sheet.by_area().items()) or "nobody"
    total = f"TOTAL {len(sheet.people)} may be inside, {sheet.in_doubt} of them in doubt ({areas})"
    return [*_wrapped(total), f"{len(seen)} of them were seen at a reader or in a lane since the alarm"]


def _local(instant: str, timezone: tzinfo) -> str:
    return datetime.fromisoformat(instant).astimezone(timezone).strftime("%Y-%m-%d %H:%M:%S")


def width(text: str) -> int:
    """Columns that a text takes: a wide East Asian character takes two, a combining one none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def fit(text: str, columns: int) -> str:
    """The text in exactly so many columns: cut, or filled with spaces; nothing that steers a printer."""
    text = "".join(c if c.isprintable() else " " for c in text)
    while width(text) > columns:
        text = text[:-1]
    return text + " " * (columns - width(text))


def _wrapped(text: str) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and width(line) + 1 + width(word) > WIDTH:
            yield line
            line = "  " + word
        else:
            line = f"{line} {word}" if line else word
    yield fit(line, WIDTH).rstrip()
