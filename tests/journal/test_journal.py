"""The journal against real files, a full disk and SIGKILL."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gated.errors import StoreError
from gated.journal import Journal, follow, read
from gated.journal.segments import decode_line, encode_line

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@asynccontextmanager
async def flushing(journal: Journal) -> AsyncIterator[None]:
    task = asyncio.create_task(journal.flush_forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def codes(directory: Path) -> list[str]:
    return [record["code"] for record in read(directory)]


def test_a_record_is_readable_before_any_flush(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal")) as journal:
        seq = journal.append(
            "decision",
            "granted",
            lane="lane-1",
            access_point="reader-1",
            direction="entry",
            id=b"\x01\xff",
            detail={"note": "改札 \udc80"},
            at=NOON,
        )
        (record,) = read(tmp_path / "journal")
    assert record == {
        "seq": seq,
        "at": "2026-11-21T12:00:00.000000Z",
        "kind": "decision",
        "code": "granted",
        "lane": "lane-1",
        "access_point": "reader-1",
        "direction": "entry",
        "id": "01ff",
        "detail": {"note": "改札 \udc80"},
    }


def test_seq_continues_over_a_restart(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        with closing(Journal(tmp_path)) as journal:
            assert journal.append("audit", f"start-{expected}") == expected
    assert codes(tmp_path) == ["start-1", "start-2", "start-3"]
    assert [r["seq"] for r in read(tmp_path, since_seq=2)] == [3]


def test_a_segment_for_each_day_and_order_kept_when_the_clock_jumps_back(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        for days in (0, 1, -400, 0):
            journal.append("audit", f"day{days}", at=NOON + timedelta(days=days))
    assert codes(tmp_path) == ["day0", "day1", "day-400", "day0"]
    assert len(list(tmp_path.glob("*.jsonl"))) == 4
    assert [r["code"] for r in read(tmp_path, since_seq=2)] == ["day-400", "day0"]


def test_only_one_process_writes(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)), pytest.raises(StoreError, match="another process writes"):
        Journal(tmp_path)


@given(cut=st.integers(min_value=1, max_value=400), junk=st.binary(max_size=40))
def test_a_torn_tail_is_set_aside_and_told(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    directory = tmp_path_factory.mktemp("torn")
    with closing(Journal(directory)) as journal:
        for number in range(3):
            journal.append("audit", f"r{number}", detail={"text": "x" * 50}, at=NOON)
    (segment,) = directory.glob("*.jsonl")
    content = segment.read_bytes()
    torn = content[: max(0, len(content) - cut)] + junk
    segment.write_bytes(torn)

    with closing(Journal(directory)) as journal:
        after = journal.append("audit", "after", at=NOON)
    found = list(read(directory))
    aside = b"".join(path.read_bytes() for path in directory.glob("*.torn"))
    kept = [r for r in found if r["code"].startswith("r")]
    # What remains is a prefix of the truth, nothing vanished, and numbers never repeat.
    assert [r["code"] for r in kept] == [f"r{n}" for n in range(len(kept))]
    assert sum(len(line) for line in content.splitlines(True)[: len(kept)]) + len(aside) == len(torn)
    told = [r for r in found if r["code"] == "journal_torn_tail"]
    assert bool(told) == bool(aside)
    assert all(r["detail"]["bytes"] == str(len(aside)) for r in told)
    assert after == found[-1]["seq"]
    assert len({r["seq"] for r in found}) == len(found)


def test_an_edited_line_is_shown_as_damaged(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.append("decision", "denied_revoked", at=NOON)
        journal.append("decision", "granted", at=NOON)
    (segment,) = tmp_path.glob("*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"denied_revoked", b"granted_revoke"))
    first, second = read(tmp_path)
    assert (first["code"], first["seq"], first["detail"]["line"]) == ("journal_damaged_line", 0, "1")
    assert second["code"] == "granted"


@given(st.binary(max_size=300))
def test_no_bytes_make_the_line_decoder_raise(line: bytes) -> None:
    assert decode_line(line) is None


@given(st.dictionaries(st.text(), st.text()), st.integers(0, 299), st.integers(1, 255))
def test_every_changed_byte_is_found(detail: dict[str, str], place: int, change: int) -> None:
    line = encode_line({"seq": 7, "detail": detail})
    decoded = decode_line(line)
    assert decoded == {"seq": 7, "detail": detail}
    body = bytearray(line[:-1])
    body[place % len(body)] ^= change
    assert decode_line(bytes(body)) is None


async def test_durable_waits_for_the_flush(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        async with flushing(journal):
            for _ in range(3):
                await asyncio.wait_for(journal.durable(journal.append("audit", "x")), 5)


async def test_durable_does_not_return_without_a_flush(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        waiting = asyncio.create_task(journal.durable(journal.append("audit", "x")))
        done, _ = await asyncio.wait({waiting}, timeout=0.05)
        assert not done
        async with flushing(journal):
            await asyncio.wait_for(waiting, 5)


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond `limit` bytes: a real short write, then EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


async def test_a_full_disk_loses_nothing_that_fits_in_memory(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.append("audit", "before", at=NOON)
        (segment,) = tmp_path.glob("*.jsonl")
        with full_disk(segment.stat().st_size + 40):  # room for half a line
            for number in range(5):
                journal.append("audit", f"r{number}", at=NOON)
            assert journal.fault is not None
            assert journal.pending == 5
            assert codes(tmp_path) == ["before"]
        async with flushing(journal):
            await asyncio.wait_for(journal.durable(journal.append("audit", "last", at=NOON)), 10)
        assert journal.fault is None
    assert codes(tmp_path) == ["before", *[f"r{n}" for n in range(5)], "last", "journal_resumed"]
    assert [r["seq"] for r in read(tmp_path)] == list(range(1, 9))


@pytest.mark.parametrize("whole", [0, 2])
def test_it_opens_on_a_full_disk_with_a_torn_tail(tmp_path: Path, whole: int) -> None:
    with closing(Journal(tmp_path)) as journal:
        for number in range(whole + 1):
            journal.append("audit", f"r{number}", at=NOON)
    (segment,) = tmp_path.glob("*.jsonl")
    torn = segment.read_bytes()[:-20]
    segment.write_bytes(torn)
    with full_disk(0):
        journal = Journal(tmp_path, clock=lambda: NOON)
        journal.append("audit", "after", at=NOON)
        assert journal.fault is not None
    journal.close()  # the disk has room again
    found = codes(tmp_path)
    expected = [f"r{n}" for n in range(whole)]
    assert found == [*expected, "journal_damaged_line", "journal_torn_tail", "after", "journal_resumed"]
    assert segment.read_bytes() == torn


async def test_what_does_not_fit_in_memory_is_counted(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, queue_limit=3)) as journal:
        with full_disk(0):
            seqs = [journal.append("audit", f"r{n}", at=NOON) for n in range(10)]
        assert journal.lost == 7
        async with flushing(journal):
            await asyncio.wait_for(journal.durable(seqs[2]), 10)
            with pytest.raises(StoreError, match="was lost"):
                await asyncio.wait_for(journal.durable(seqs[9]), 10)
    *kept, resumed = read(tmp_path)
    assert [r["code"] for r in kept] == ["r0", "r1", "r2"]
    assert resumed["detail"]["lost"] == "7"
    assert (resumed["detail"]["first_lost"], resumed["detail"]["last_lost"]) == ("4", "10")


async def test_a_failed_flush_writes_again_to_another_segment(tmp_path: Path) -> None:
    """The flush thread meets a descriptor that cannot be flushed: a pipe in the segment's place (EINVAL)."""
    with closing(Journal(tmp_path)) as journal:
        journal.append("audit", "r0", at=NOON)
        reading, writing = os.pipe()
        os.dup2(writing, journal._fd)
        os.close(writing)
        journal.append("audit", "r1", at=NOON)  # goes into the pipe: lost to the disk
        last = journal.append("audit", "r2", at=NOON)
        async with flushing(journal):
            await asyncio.wait_for(journal.durable(last), 10)
        assert journal.fault is None
        os.close(reading)
    assert codes(tmp_path)[:3] == ["r0", "r1", "r2"]


async def test_follow_sees_what_is_written_later_and_over_midnight(tmp_path: Path) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.append("audit", "old", at=NOON)
        stream = follow(tmp_path)
        first = asyncio.ensure_future(anext(stream))
        while not first.done() and journal.seq < 500:  # until follow has looked for the first time
            journal.append("audit", "new", at=NOON)
            await asyncio.wait({first}, timeout=0.02)
        assert (await first)["code"] == "new"
        journal.append("audit", "tomorrow", at=NOON + timedelta(days=1))
        async with asyncio.timeout(5):
            async for record in stream:
                if record["code"] == "tomorrow":
                    break
        await stream.aclose()  # type: ignore[attr-defined]


APPENDER = """
import sys
from pathlib import Path
from gated.journal import Journal
journal = Journal(Path(sys.argv[1]))
while True:
    print(journal.append("decision", "granted", lane="lane-1", detail={"n": "x" * 100}), flush=True)
"""


def test_sigkill_loses_no_acknowledged_record(tmp_path: Path) -> None:
    for acknowledged in (1, 50, 500):
        with subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            seqs = [int(process.stdout.readline()) for _ in range(acknowledged)]
            process.kill()
            seqs += [int(line) for line in process.stdout.read().split("\n")[:-1]]
        with closing(Journal(tmp_path)):
            pass
        present = {record["seq"] for record in read(tmp_path)}
        assert set(seqs) <= present
