"""Lists: checked whole, every problem by line, swapped in one step, no card number anywhere."""

# Over 300 lines: one file for one command: every way a list can be wrong.

from __future__ import annotations

import json
import string
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.allowlist import Cache, SiteKey
from gated.allowlist.load import Entry, build, build_entries
from gated.allowlist.rows import COLUMNS, shown
from gated.core.model import AccessRights
from gated.errors import InputError, StoreError

TOKYO = ZoneInfo("Asia/Tokyo")
KEY = SiteKey(bytes(range(32)))
HEADER = ",".join(COLUMNS) + "\n"
CARD = "012e4cd8a3f10b77"
ID = KEY.identify("felica", bytes.fromhex(CARD))


def load(path: Path, text: str | bytes, name: str = "list.csv", **more: object) -> Cache:
    source = path / name
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    build(
        source,
        path / "allowlist.db",
        KEY,
        timezone=TOKYO,
        zones={"main", "new", "east"},
        schedules={"office"},
        **more,  # type: ignore[arg-type]
    )
    return Cache(path / "allowlist.db", KEY)


def problems(path: Path, text: str | bytes, name: str = "list.csv") -> list[str]:
    with pytest.raises(InputError) as caught:
        load(path, text, name).close()
    assert not list(path.glob("*.new"))
    return [p.partition("list")[2].partition(": ")[2] for p in caught.value.problems[:-1]]


def test_a_row_becomes_a_credential(tmp_path: Path) -> None:
    row = f"felica,{CARD},new main,office,2026-04-01,2027-03-31T17:15,3,active\n"
    with closing(load(tmp_path, HEADER + row)) as cache:
        found = cache.lookup(ID)
    assert found is not None
    assert not found.denied
    assert found.id == ID
    assert found.rights == AccessRights(
        frozenset({"main", "new"}),
        "office",
        datetime(2026, 3, 31, 15, tzinfo=UTC),
        datetime(2027, 3, 31, 8, 15, tzinfo=UTC),
        3,
    )


def test_a_date_alone_is_good_through_its_last_moment(tmp_path: Path) -> None:
    with closing(load(tmp_path, HEADER + f"felica,{CARD},*,,2026-04-01,2026-04-01,,\n")) as cache:
        found = cache.lookup(ID)
    assert found is not None
    assert found.rights.valid_from == datetime(2026, 3, 31, 15, tzinfo=UTC)
    assert found.rights.valid_until == datetime(2026, 4, 1, 15, tzinfo=UTC)


def test_an_offset_beats_the_site_and_dst_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "l.csv"
    source.write_text(HEADER + f"felica,{CARD},*,,2026-03-29T03:30,2026-04-01T00:00Z,,\n")
    build(source, tmp_path / "allowlist.db", KEY, timezone=ZoneInfo("Europe/Berlin"))
    with closing(Cache(tmp_path / "allowlist.db")) as cache:
        found = cache.lookup(ID)
    assert found is not None
    assert found.rights.valid_from == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert found.rights.valid_until == datetime(2026, 4, 1, tzinfo=UTC)


def test_columns_in_any_order_excel_mark_separators_and_few_columns(tmp_path: Path) -> None:
    text = "\ufeffzones, identifier ,technology\r\nmain,01:2E:4C:D8:A3:F1:0B:77,felica\r\n\r\n"
    with closing(load(tmp_path, text)) as cache:
        assert cache.rows == 1
        assert cache.lookup(ID) is not None


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    rows = [
        {
            "technology": "felica",
            "identifier": CARD,
            "zones": ["main", "new"],
            "per_day_limit": 2,
            "schedule": None,
        },
        {"technology": "iso14443a", "identifier": "04a1b2c3", "zones": "east", "status": "denied"},
    ]
    text = "\n".join(map(json.dumps, rows)) + "\n\n"
    with closing(load(tmp_path, text, "list.jsonl")) as cache:
        first = cache.lookup(ID)
        second = cache.lookup(KEY.identify("iso14443a", bytes.fromhex("04a1b2c3")))
    assert first is not None
    assert (first.rights.zones, first.rights.per_day_limit) == (frozenset({"main", "new"}), 2)
    assert second is not None
    assert second.denied


def test_every_problem_is_told_by_line_and_none_tells_a_card(tmp_path: Path) -> None:
    text = HEADER + (
        f"felica,{CARD},main,,,,,\n"
        "felica,zz2e4cd8a3f10b77,main,,,,,\n"
        "felica,012e4cd8a3f10b,main,,,,,\n"
        f"felcia,{CARD[:-1]}8,main,,,,,\n"
        f"felica,{CARD[:-1]}9,mian {CARD},offlce,2026-13-01,x,0,maybe\n"
        f"felica,{CARD[:-1]}a,,,2026-04-02,2026-04-01T00:00,1001,\n"
        f"{CARD},felica,main,,,,,\n"
        f"felica,{CARD}\n"
        f"felica,{CARD.upper()},main,,,,,\n"
    )
    found = problems(tmp_path, text)
    assert found == [
        "line 3: column identifier: is not hexadecimal",
        "line 4: column identifier: has 7 bytes; felica has 8",
        "line 5: column technology: there is no such technology 'felcia'; did you mean felica?",
        "line 6: column zones: no zone is called 'mian'; did you mean main?",
        "line 6: column zones: no zone is called; known: east, main, new",
        "line 6: column schedule: no schedule is called 'offlce'; did you mean office?",
        "line 6: column valid_from: is not a date or time such as 2026-04-01T08:30",
        "line 6: column valid_until: is not a date or time such as 2026-04-01T08:30",
        "line 6: column per_day_limit: is not a number from 1 to 1000",
        "line 6: column status: is not active or denied 'maybe'",
        'line 7: column zones: is empty; name at least one zone, or "*" for all',
        "line 7: column valid_until: is not after valid_from",
        "line 7: column per_day_limit: is not a number from 1 to 1000",
        "line 8: column technology: there is no such technology; known: felica, iso14443a, iso14443b",
        "line 9: has 2 columns, the first line has 8",
        "line 10: the same identifier stands in line 2 already",
    ]


@pytest.mark.parametrize("card", ["01 2E 4C D8 A3 F1 0B 77", "012E 4CD8 A3F1 0B77"])
def test_a_card_number_in_pieces_in_the_wrong_column_is_not_told(tmp_path: Path, card: str) -> None:
    rows = [
        f"felica,main,{card},,,,,\n",
        f"{card},felica,main,,,,,\n",
        f"felica,{CARD},main,{card},,,,{card}\n",
    ]
    for row in rows:
        told = "".join(problems(tmp_path, HEADER + row))
        assert not [piece for piece in card.split() if repr(piece) in told]
        assert card not in told
    as_json = json.dumps({"technology": "felica", "identifier": CARD, "zones": card.split()})
    assert problems(tmp_path, as_json, "list.jsonl") == [
        "line 1: column zones: no zone is called; known: east, main, new"
    ]


@pytest.mark.parametrize(
    ("text", "name"), [(HEADER, "list.csv"), (HEADER + "\n\n", "list.csv"), ("", "list.jsonl")]
)
def test_a_file_that_lists_nobody_does_not_lock_everybody_out(tmp_path: Path, text: str, name: str) -> None:
    with closing(load(tmp_path, HEADER + f"felica,{CARD},main,,,,,\n")) as cache:
        assert problems(tmp_path, text, name) == [
            "line 1: nobody is listed; a list in force is never replaced by an empty one"
        ]
        assert cache.swap() == 1


def test_what_spreadsheets_and_exports_do_is_named(tmp_path: Path) -> None:
    text = HEADER + f"felica,{CARD[1:]},main,,,,,\nfelica,{CARD},main,,0001-01-01,9999-12-31,,\n"
    years = "is not in the years 2000 to 2199; leave it empty for no limit"
    assert problems(tmp_path, text) == [
        "line 2: column identifier: has an odd number of digits; did a spreadsheet drop a leading zero?",
        f"line 3: column valid_from: {years}",
        f"line 3: column valid_until: {years}",
    ]
    number = '{"technology": "felica", "identifier": ' + "1" * 5000 + "}"
    assert problems(tmp_path, number, "list.jsonl") == ["line 1: is not JSON"]


def test_duplicates_alone_are_found_and_the_old_list_stays(tmp_path: Path) -> None:
    with closing(load(tmp_path, HEADER + f"felica,{CARD},main,,,,,\n")) as cache:
        before = (tmp_path / "allowlist.db").read_bytes()
        twice = (
            HEADER
            + f"felica,{CARD},new,,,,,\n" * 2
            + "".join(f"felica,{n:016x},new,,,,,\n" for n in range(500))
        )
        assert problems(tmp_path, twice) == ["line 3: the same identifier stands in line 2 already"]
        assert (tmp_path / "allowlist.db").read_bytes() == before
        assert cache.swap() == 1
        assert cache.lookup(ID) is not None


def test_more_problems_than_shown_are_counted(tmp_path: Path) -> None:
    found = problems(tmp_path, HEADER + "felica,xx,main,,,,,\n" * 250)
    assert len(found) == 101
    assert found[-1] == "and 150 more problems"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["column technology is required and missing"] * 1),
        ("technology,identifier,zones,nmae\n", ["there is no such column 'nmae'"]),
        (HEADER.encode() + "felica,職員".encode("shift-jis"), ["is not UTF-8 text"]),
        (HEADER + 'felica,"01', ["is not CSV"]),
        (HEADER + "felica,\x0001,main,,,,,\n", ["line 2"]),
    ],
)
def test_files_of_a_wrong_form(tmp_path: Path, text: str | bytes, expected: list[str]) -> None:
    found = problems(tmp_path, text)
    for sentence in expected:
        assert any(sentence in problem for problem in found), found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "is not JSON (column 2)"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is not a JSON object"),
        ('{"technology":"felica","identifier":12,"zones":"main"}', "column identifier: is not a text"),
        ('{"technology":"felica","zones":"main"}', "key identifier is required and missing"),
        ('{"' + CARD + '":1}', "there is no such key; known"),
    ],
)
def test_json_lines_of_a_wrong_form(tmp_path: Path, line: str, expected: str) -> None:
    found = problems(tmp_path, line + "\n", "list.jsonl")
    assert any(expected in problem for problem in found), found
    assert CARD not in str(found)


def test_an_unknown_extension_wants_a_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--format"):
        load(tmp_path, HEADER, "list.txt").close()
    load(tmp_path, HEADER + f"felica,{CARD},main,,,,,\n", "list.txt", format="csv").close()


@given(st.binary(max_size=300), st.sampled_from(["list.csv", "list.jsonl"]))
def test_any_bytes_are_a_list_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("junk", numbered=True)
    try:
        load(path, HEADER.encode() + junk, name).close()
    except InputError as error:
        assert error.problems


@given(
    card=st.binary(min_size=8, max_size=8),
    place=st.integers(0, 7),
    cased=st.booleans(),
    gap=st.sampled_from(["", ":", "-", " "]),
)
def test_a_card_number_in_any_column_is_never_told(
    tmp_path_factory: pytest.TempPathFactory, card: bytes, place: int, cased: bool, gap: str
) -> None:
    text = card.hex(gap) if gap else card.hex()
    text = text.upper() if cased else text
    cells = ["felica", "xx", "main", "", "", "", "", ""]
    cells[place] = text
    path = tmp_path_factory.mktemp("told", numbered=True)
    try:
        load(path, HEADER + ",".join(cells) + "\n").close()
    except InputError as error:
        assert text not in str(error)
        assert card.hex() not in str(error).lower().replace(":", "").replace("-", "").replace(" ", "")


@given(st.text(alphabet=string.hexdigits + ":- ", min_size=12, max_size=40))
def test_what_looks_like_a_number_is_not_shown(text: str) -> None:
    digits = sum(c in string.hexdigits for c in text)
    assert digits < 7 or shown(text) == ""


def test_a_list_from_entries_and_their_duplicates(tmp_path: Path) -> None:
    rights = AccessRights(frozenset({"main"}), valid_until=datetime(2027, 1, 1, tzinfo=UTC))
    entries = [Entry("felica", bytes([n]) * 8, rights, denied=n == 3) for n in range(10)]
    report = build_entries(entries, tmp_path / "allowlist.db", KEY)
    assert (report.rows, report.denied) == (10, 1)
    with closing(Cache(tmp_path / "allowlist.db", KEY)) as cache:
        for entry in entries:
            found = cache.lookup(KEY.identify("felica", entry.identifier))
            assert found is not None
            assert (found.rights, found.denied) == (rights, entry.denied)
        # The technology is part of the identifier.
        assert cache.lookup(KEY.identify("iso14443b", bytes(8))) is None
    with pytest.raises(InputError, match="line 2: the same identifier stands in line 1"):
        build_entries([entries[0], entries[0]], tmp_path / "allowlist.db", KEY)


def test_a_second_load_at_the_same_time_is_refused(tmp_path: Path) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[Entry]:
        started.set()
        go_on.wait(10)
        yield Entry("felica", bytes(8))

    target = tmp_path / "allowlist.db"
    loading = threading.Thread(target=build_entries, args=(slow(), target, KEY))
    loading.start()
    started.wait(10)
    with pytest.raises(StoreError, match="another load is running"):
        build_entries([], target, KEY)
    go_on.set()
    loading.join()
    with closing(Cache(target)) as cache:
        assert cache.rows == 1
