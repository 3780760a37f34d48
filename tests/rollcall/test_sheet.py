"""A roll call on disk: what is written is read, and nothing else is."""

from __future__ import annotations

import os
import random
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.errors import StoreError
from gated.rollcall.sheet import Person, Sheet, decode, encode, read_all, references, write

PEOPLE = (
    Person("79ffaab7", "visitor", "main", "2026-11-24T00:12:00.000+00:00", True, "7d21f3aa0102", 2, 5),
    Person("01234567", "staff", "main", "2026-11-23T23:40:00.000+00:00", False),
    Person("a0b1c2d3", "pass", "east", "2026-11-24T01:00:00.000+00:00", True),
)
SHEET = Sheet(
    id="20261124-120000",
    site="Hall",
    drill=False,
    alarm_at="2026-11-24T02:59:59.900+00:00",
    frozen_at="2026-11-24T03:00:00.000+00:00",
    late_s=0.1,
    causes=("fire",),
    doubts=("known by passages alone",),
    journal_seq=7,
    titles={"main": "本館"},
    people=PEOPLE,
)
instants = st.datetimes().map(lambda at: at.isoformat() + "+00:00")
texts = st.text(max_size=12)
people = st.builds(
    Person,
    texts,
    texts,
    texts,
    instants,
    st.booleans(),
    texts,
    st.integers(0, 250),
    st.integers(0, 250),
)
sheets = st.builds(
    Sheet,
    *[texts, texts, st.booleans(), st.just("") | instants, instants, st.none() | st.floats(0, 1e9)],
    *[st.lists(texts).map(tuple), st.lists(texts).map(tuple), st.integers(0, 1 << 60)],
    *[st.dictionaries(texts, texts, max_size=3), st.lists(people, max_size=4).map(tuple)],
    *[st.just("") | instants, st.just("") | instants, texts, texts],
)


@given(sheets)
def test_what_is_written_is_read(sheet: Sheet) -> None:
    assert decode(encode(sheet)) == sheet


def test_any_damage_is_refused() -> None:
    whole = encode(SHEET)
    rng = random.Random(3)
    for _ in range(100_000):
        data = bytearray(whole)
        match rng.randrange(3):
            case 0:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:
                del data[rng.randrange(len(data)) :]
            case 2:
                at = rng.randrange(len(data))
                data[at : at + rng.randrange(9)] = rng.randbytes(rng.randrange(1, 9))
        if bytes(data) == whole:
            continue
        with pytest.raises(StoreError):
            decode(bytes(data))


def _sealed(body: bytes) -> bytes:
    return b"gated roll-call 1 %d %08x\n" % (len(body), zlib.crc32(body)) + body


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"people": 3}', b'{"people": []}', b"[" * 100_000, b'{"people": [{"ref": 1}]}'],
)
def test_a_good_checksum_over_nonsense_is_refused(body: bytes) -> None:
    with pytest.raises(StoreError):
        decode(_sealed(body))


def test_a_value_of_the_wrong_kind_is_refused() -> None:
    good = encode(SHEET).partition(b"\n")[2]
    for old, new in (
        (b'"late_s": 0.1', b'"late_s": "0.1"'),
        (b'"drill": false', b'"drill": "no"'),
        (b'"site": "Hall"', b'"site": 3'),
        (b'"frozen_at": "2026-11-24T03:00:00.000+00:00"', b'"frozen_at": "noon"'),
        (b'"since": "2026-11-24T01:00:00.000+00:00"', b'"since": "2026-11-24T01:00:00"'),
        (b'"certain": true', b'"certain": "yes"'),
        (b'"i": 2', b'"i": "2"'),
    ):
        assert old in good
        with pytest.raises(StoreError):
            decode(_sealed(good.replace(old, new, 1)))
    with pytest.raises(StoreError, match="of version"):
        decode(encode(SHEET).replace(b"roll-call 1", b"roll-call 2"))


def test_the_group_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write(tmp_path, SHEET)
    finally:
        os.umask(before)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_first_directory_counts_and_damage_hides_no_other(tmp_path: Path) -> None:
    disk, spare = tmp_path / "disk", tmp_path / "spare"
    closed = replace(SHEET, closed_at="2026-11-24T04:00:00.000+00:00")
    write(disk, closed)
    write(spare, SHEET)
    write(spare, replace(SHEET, id="20261124-110000", frozen_at="2026-11-24T02:00:00.000+00:00"))
    (disk / "20261124-130000.rollcall").write_bytes(b"torn")
    (disk / "20261124-140000.new").write_bytes(b"a draft of one who was killed")
    found, problems = read_all([disk, spare, tmp_path / "nowhere"])
    assert [(sheet.id, sheet.closed_at != "") for sheet in found] == [
        ("20261124-110000", False),
        ("20261124-120000", True),
    ]
    assert problems == [f"{disk}/20261124-130000.rollcall: cannot be believed: it is not a roll call"]


@given(st.sets(st.binary(min_size=8, max_size=16), max_size=20), st.binary(min_size=4, max_size=4))
def test_references_are_short_and_never_the_same_for_two(found: set[bytes], head: bytes) -> None:
    everybody = found | {head + identifier for identifier in list(found)[:3]}
    refs = references(everybody)
    assert len(set(refs.values())) == len(everybody)
    assert all(identifier.hex().startswith(ref) and len(ref) >= 8 for identifier, ref in refs.items())
