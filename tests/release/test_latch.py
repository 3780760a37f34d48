"""The latch file: whole and true, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.errors import StoreError
from gated.release import latch
from gated.release.words import Cause, Latched, Source

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
LATCHED = st.dictionaries(
    st.builds(Source, NAMES, st.sampled_from(Cause)),
    st.builds(Latched, NAMES, st.frozensets(NAMES, max_size=4)),
    max_size=4,
)


@given(LATCHED)
def test_what_was_written_is_what_is_read(latched: dict[Source, Latched]) -> None:
    assert dict(latch.decode(latch.encode(latched))) == latched


@given(LATCHED, st.data())
def test_no_damaged_file_is_believed(latched: dict[Source, Latched], data: st.DataObject) -> None:
    whole = latch.encode(latched)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :]
    for damaged in (flipped, whole[:at]):
        with pytest.raises(StoreError):
            latch.decode(damaged)


@given(st.binary(max_size=200))
def test_garbage_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(StoreError, match="it"):
        latch.decode(data)


def test_writing_replaces_whole_and_leaves_no_other_file(tmp_path: Path) -> None:
    fire = {Source("panel", Cause.FIRE): Latched("2026-11-23", frozenset({"lane-1"}))}
    assert latch.read(tmp_path) is None
    latch.write(tmp_path, latch.encode({}))
    latch.write(tmp_path, latch.encode(fire))
    assert latch.read(tmp_path) == tuple(fire.items())
    assert [path.name for path in tmp_path.iterdir()] == [latch.NAME]


def test_a_torn_temporary_file_changes_nothing(tmp_path: Path) -> None:
    latch.write(tmp_path, latch.encode({}))
    (tmp_path / f"{latch.NAME}.new").write_bytes(b"half")
    assert latch.read(tmp_path) == ()


def test_a_directory_in_its_place_is_unreadable_not_absent(tmp_path: Path) -> None:
    (tmp_path / latch.NAME).mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        latch.read(tmp_path)
