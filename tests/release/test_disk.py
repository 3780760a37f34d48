"""The disk thread: what was acknowledged is there, what fails is told and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gated.release import disk as disk_module
from gated.release import latch
from gated.release.disk import OLD_TRAIL, PENDING, TRAIL, Disk
from gated.release.words import Cause, Latched, Source


@asynccontextmanager
async def disk(directory: Path, told: list[tuple[str, str | None]] | None = None) -> AsyncIterator[Disk]:
    opened = Disk(directory, lambda what, text: None if told is None else told.append((what, text)))
    opened.start()
    try:
        yield opened
    finally:
        await opened.close()


async def test_records_and_latch_are_on_disk_when_it_says_so(tmp_path: Path) -> None:
    async with disk(tmp_path) as writer:
        for i in range(100):
            writer.record(b"%d\n" % i)
        writer.write_latch(latch.encode({}))
        assert await writer.durable(5)
        assert (tmp_path / TRAIL).read_bytes() == b"".join(b"%d\n" % i for i in range(100))
        assert latch.read(tmp_path) == ()


async def test_a_failing_disk_is_told_tried_again_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "RETRY_S", 0.1)
    told: list[tuple[str, str | None]] = []
    state = tmp_path / "state"
    state.write_text("a file where the directory should be")
    async with disk(state, told) as writer:
        writer.record(b"one\n")
        writer.write_latch(latch.encode({}))
        assert not await writer.durable(5)
        assert {what for what, text in told if text} == {"latch", "trail"}
        state.unlink()
        writer.record(b"two\n")
        await asyncio.wait_for(_until(lambda: len(told) == 4), 5)
        assert await writer.durable(5)
        assert {what for what, text in told if text is None} == {"latch", "trail"}
    assert (state / TRAIL).read_bytes() == b"one\ntwo\n"
    assert latch.read(state) == ()


async def test_what_the_disk_refused_waits_its_turn_but_no_news_of_an_alarm_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_module, "RETRY_S", 3600.0)
    state = tmp_path / "state"
    state.write_text("a file where the directory should be")
    fire = latch.encode({Source("panel", Cause.FIRE): Latched("2026-11-23", frozenset({"lane-1"}))})
    async with disk(state) as writer:
        writer.record(b"one\n")
        writer.write_latch(latch.encode({}))
        assert not await writer.durable(5)
        state.unlink()
        writer.record(b"two\n")
        assert not await writer.durable(5)
        assert not state.exists()
        writer.write_latch(fire)
        assert not await writer.durable(5)  # the records wait all the same
        assert latch.encode(dict(latch.read(state) or ())) == fire
        assert not (state / TRAIL).exists()
    assert (state / TRAIL).read_bytes() == b"one\ntwo\n"  # the end waits for nothing


async def test_a_backlog_is_written_in_order_and_what_found_no_room_is_counted(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text("a file where the directory should be")
    async with disk(state) as writer:
        writer.record(b"first\n")
        assert not await writer.durable(5)
        for i in range(PENDING + 7):
            writer.record(b"%d\n" % i)
        assert (writer.lost(), writer.lost()) == (7, 0)
        state.unlink()
    whole = [b"first", *(b"%d" % i for i in range(7, PENDING + 7))]
    assert (state / TRAIL).read_bytes().splitlines() == whole


async def test_a_line_torn_by_a_power_cut_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / TRAIL).write_bytes(b'{"code": "alarm"}\n{"code": "al')
    async with disk(tmp_path) as writer:
        writer.record(b"next\n")
    assert (tmp_path / TRAIL).read_bytes().split(b"\n")[1:] == [b'{"code": "al', b"next", b""]


async def test_a_trail_that_is_full_goes_on_in_a_new_file_and_loses_nothing(tmp_path: Path) -> None:
    opened = Disk(tmp_path, lambda what, text: None, limit=100)
    opened.start()
    for i in range(30):
        opened.record(b"record %02d\n" % i)
        assert await opened.durable(5)
        kept = (tmp_path / OLD_TRAIL).read_bytes() if (tmp_path / OLD_TRAIL).exists() else b""
        assert (kept + (tmp_path / TRAIL).read_bytes()).endswith(b"record %02d\n" % i)
        assert len(kept) < 120
    await opened.close()
    assert {path.name for path in tmp_path.iterdir()} == {TRAIL, OLD_TRAIL}
    lines = [line for name in (OLD_TRAIL, TRAIL) for line in (tmp_path / name).read_bytes().splitlines()]
    assert lines == [b"record %02d" % i for i in range(30 - len(lines), 30)]


async def test_a_trail_that_cannot_be_moved_goes_on_where_it_is(tmp_path: Path) -> None:
    told: list[tuple[str, str | None]] = []
    (tmp_path / OLD_TRAIL).mkdir()
    opened = Disk(tmp_path, lambda what, text: told.append((what, text)), limit=10)
    opened.start()
    for i in range(3):
        opened.record(b"record %02d\n" % i)
        assert await opened.durable(5)
    await opened.close()
    assert (tmp_path / TRAIL).read_bytes() == b"record 00\nrecord 01\nrecord 02\n"
    assert [what for what, _ in told] == ["next trail"]


async def test_the_dates_are_kept_and_read_back(tmp_path: Path) -> None:
    read: list[bytes] = []
    async with disk(tmp_path) as writer:
        writer.write_dates(b"{}")
        assert await writer.durable(5)
        writer.read_dates(read.append)
        await asyncio.wait_for(_until(lambda: read == [b"{}"]), 5)


async def _until(true: object) -> None:
    assert callable(true)
    while not true():
        await asyncio.sleep(0)
