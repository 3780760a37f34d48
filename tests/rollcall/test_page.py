"""The printed page: 80 columns, whole pages, everybody on it once."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.rollcall import page
from gated.rollcall.page import FEED, LINES, WIDTH, Sighting, fit, width
from gated.rollcall.sheet import Person, Sheet
from tests.rollcall.test_sheet import SHEET

TOKYO = ZoneInfo("Asia/Tokyo")


def crowd(number: int, areas: int = 3) -> Sheet:
    people = tuple(
        Person(
            f"{n:08x}",
            "visitor" if n % 2 else "staff",
            f"area-{n % areas}",
            "2026-11-24T00:12:00.000+00:00",
            n % 5 > 0,
            "7d21f3aa0102" if n % 2 else "",
            n % 250 if n % 2 else 0,
            250 if n % 2 else 0,
        )
        for n in range(number)
    )
    return replace(SHEET, people=people, drill=True)


@given(st.integers(0, 400), st.integers(1, 40))
def test_every_page_fits_and_everybody_is_on_it_once(number: int, areas: int) -> None:
    sheet = crowd(number, areas)
    text = page.printed(sheet, {}, TOKYO)
    pages = text.split(FEED)
    for n, one in enumerate(pages, 1):
        lines = one.splitlines()
        assert len(lines) <= LINES
        assert all(width(line) <= WIDTH for line in lines)
        assert "ESTIMATE" in lines[0] and "DRILL (訓練)" in lines[0]
        assert lines[0].endswith(f"page {n} of {len(pages)}")
    rows = [line.split()[2] for line in text.splitlines() if line.startswith("[ ] ")]
    assert sorted(rows) == [person.ref for person in sheet.people]
    assert f"TOTAL {number} may be inside" in text
    for area, people in sheet.by_area().items():
        assert f"{area}: {len(people)}," in text


def test_a_page_says_what_is_known() -> None:
    late = replace(SHEET, late_s=73.2, closed_at="2026-11-24T04:00:00.000+00:00", closed_by="sato")
    seen = {"79ffaab7": Sighting("2026-11-24T03:03:00.000Z", "gate-1")}
    lines = page.printed(late, seen, TOKYO).splitlines()
    assert lines[0].startswith("ROLL CALL 20261124-120000  ***  ESTIMATE")
    assert "DRILL" not in lines[0]
    assert lines[1] == "Hall   alarm 2026-11-24 11:59:59 (fire)"
    assert lines[2] == "made 2026-11-24 12:00:00, LATE by 73 s"
    assert lines[3].startswith("CLOSED 2026-11-24 13:00:00 by sato")
    assert "main - 本館: 2, 1 of them in doubt" in lines
    rows = [line for line in lines if line.startswith("[ ] ")]
    assert rows == [
        "[ ] a0b1c2d3          pass                          11-24 10:00",
        "[ ] 01234567          staff                         11-24 08:40 ?",
        "[ ] 79ffaab7          visitor  7d21f3aa0102 2/5     11-24 09:12   12:03 gate-1",
    ]
    assert "1 of them were seen at a reader or in a lane since the alarm" in lines


@pytest.mark.parametrize("late_s", [2.001, None])
def test_late_is_more_than_two_seconds_or_unknown(late_s: float | None) -> None:
    assert replace(SHEET, late_s=late_s).late and not replace(SHEET, late_s=2.0).late


def test_sightings_are_the_last_of_each_and_of_nobody_else() -> None:
    def record(code: str, id: str, at: str, point: str = "reader") -> dict[str, str]:  # noqa: A002
        return {"code": code, "id": id, "at": at, "access_point": point, "lane": "lane"}

    full = "79ffaab7" + "00" * 4
    records = [
        record("emergency_open", full, "2026-11-24T03:01:00.000000Z"),
        record("completed", full, "2026-11-24T03:02:00.000000Z", ""),
        record("emergency_open", "ffffffff00", "2026-11-24T03:02:00.000000Z"),
        record("denied_expired", "0123456700", "2026-11-24T03:02:00.000000Z"),
        record("emergency_open", "", "2026-11-24T03:02:00.000000Z"),
        record("emergency_open", "0123456700", "2026-11-24T05:00:00.000000Z"),
    ]
    closed = replace(SHEET, closed_at="2026-11-24T04:00:00.000+00:00")
    assert page.sightings(closed, records) == {"79ffaab7": Sighting("2026-11-24T03:02:00.000000Z", "lane")}
    assert set(page.sightings(SHEET, records)) == {"79ffaab7", "01234567"}


@given(st.text(max_size=100), st.integers(1, 60))
def test_fit_is_exact_and_steers_no_printer(text: str, columns: int) -> None:
    fitted = fit(text, columns)
    assert width(fitted) == columns and fitted.isprintable()
