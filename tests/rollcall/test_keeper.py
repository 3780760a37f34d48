"""gated's side: what is known of a pass, what makes it an estimate, and how long it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gated.core.effects import FreezeRollCall, Outage
from gated.core.events import PresenceEntry
from gated.errors import RequestRefused
from gated.passes import Store
from gated.passes.claims import Pass, PassClass
from gated.rollcall import RollCalls, keeper
from gated.rollcall.keeper import Place
from tests.core.sites import NOON

PLACE = Place("Hall", ZoneInfo("Asia/Tokyo"), {"main": "Main building", "east": ""})
DAY = timedelta(days=1)
CARD = bytes(range(16))
GUEST, LENT, STRANGE = (bytes([n]) * 8 for n in (1, 2, 3))
FREEZE = FreezeRollCall(
    entries=tuple(
        PresenceEntry(who, "main", NOON - timedelta(hours=1), certain=who != LENT)
        for who in (CARD, GUEST, LENT, STRANGE)
    ),
    at=NOON,
    alarm_at=NOON - timedelta(seconds=0.25),
    causes=("fire",),
    drill=False,
    after_drill=False,
    outages=(),
    time_trusted=True,
    assumed=(),
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(tmp_path / "passes.db")
    group, end = bytes(6), NOON + DAY
    await opened.register(
        [
            (Pass(GUEST, group, 2, 3, frozenset({"main"}), NOON, end, PassClass.SINGLE_ENTRY), "bank"),
            (Pass(LENT, group, 1, 1, frozenset({"main"}), NOON, end, PassClass.STAFF_DAY), "card"),
        ]
    )
    yield opened
    opened.close()


def calls(tmp_path: Path, store: Store, keep_days: int = 7) -> RollCalls:
    return RollCalls(tmp_path / "disk", tmp_path / "spare", store.holders, keep_days)


async def test_what_is_known_of_each_and_no_more(tmp_path: Path, store: Store) -> None:
    sheet, _ = await calls(tmp_path, store).freeze(FREEZE, PLACE, 7)
    told = [(p.ref, p.kind, p.group, p.i, p.n, p.certain) for p in sheet.people]
    assert told == [
        ("00010203", "staff", "", 0, 0, True),
        ("01010101", "visitor", "00" * 6, 2, 3, True),
        ("02020202", "staff", "00" * 6, 1, 1, False),
        ("03030303", "pass", "", 0, 0, True),
    ]
    assert (sheet.id, sheet.late_s, sheet.late) == ("20261124-120000", 0.25, False)
    assert sheet.titles == {"main": "Main building"}
    assert "1 of 4 entries were in doubt before the alarm" in sheet.doubts
    (path,) = (tmp_path / "disk").iterdir()
    for secret in (CARD.hex(), "bank"):
        assert secret not in path.read_text(encoding="utf-8")


async def test_each_reason_for_doubt_is_a_sentence(tmp_path: Path, store: Store) -> None:
    bad = replace(
        FREEZE,
        alarm_at=NOON - timedelta(seconds=70),
        after_drill=True,
        outages=(Outage("device reader", 12.4, True),),
        time_trusted=False,
        assumed=("lane-2",),
    )
    sheet, _ = await calls(tmp_path, store).freeze(bad, PLACE, 7)
    text = "\n".join(sheet.doubts)
    for words in (
        "made 70 s after the alarm",
        "a drill had opened the gates before",
        "device reader was out for 12 s of the last day, and still is",
        "the clock is not trusted",
        "assumed, not seen, at lane-2",
    ):
        assert words in text
    unknown, _ = await calls(tmp_path, store).freeze(replace(FREEZE, alarm_at=None), PLACE, 7)
    assert unknown.late and "the release did not say when the alarm was" in unknown.doubts


async def test_a_store_that_does_not_answer_delays_nothing(tmp_path: Path) -> None:
    async def never(ids: object) -> dict[bytes, object]:
        raise TimeoutError

    kept = RollCalls(tmp_path / "disk", tmp_path / "spare", never, 7)  # type: ignore[arg-type]
    sheet, _ = await kept.freeze(FREEZE, PLACE, 7)
    assert [person.kind for person in sheet.people] == ["staff", "pass", "pass", "pass"]
    assert any("the store of passes did not answer" in doubt for doubt in sheet.doubts)


async def test_two_of_one_second_are_two_and_both_are_read_again(tmp_path: Path, store: Store) -> None:
    kept = calls(tmp_path, store)
    for _ in range(3):
        await kept.freeze(FREEZE, PLACE, 7)
    again = calls(tmp_path, store)
    await again.load()
    assert [sheet.id for sheet in again.open] == ["20261124-120000" + end for end in ("", "-2", "-3")]
    assert again.lasting == kept.lasting is not None


async def test_it_is_kept_until_it_is_closed_and_so_many_days_more(tmp_path: Path, store: Store) -> None:
    kept = calls(tmp_path, store, keep_days=2)
    sheet, _ = await kept.freeze(FREEZE, PLACE, 7)
    await kept.emergency_over(NOON)
    assert await kept.purge(NOON + 400 * DAY) == []
    assert kept.lasting is None and [one.id for one in kept.open] == [sheet.id]
    closed = await kept.close(sheet.id, "sato", "all met", NOON + DAY)
    assert kept.open == [] and closed.closed_by == "sato"
    with pytest.raises(RequestRefused, match="closed already, by sato"):
        await kept.close(sheet.id, "abe", "again", NOON + DAY)
    assert await kept.purge(NOON + 3 * DAY - timedelta(seconds=1)) == []
    assert await kept.purge(NOON + 3 * DAY + timedelta(seconds=1)) == [sheet.id]
    assert list((tmp_path / "disk").iterdir()) == []
    with pytest.raises(RequestRefused, match="no roll call"):
        kept.find(sheet.id)


async def test_one_that_only_memory_kept_goes_to_the_disk_after_a_restart(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RETRY_S", 0.0)
    disk = tmp_path / "disk"
    disk.write_bytes(b"")
    sheet, _ = await calls(tmp_path, store).freeze(FREEZE, PLACE, 7)
    assert (tmp_path / "spare" / f"{sheet.id}.rollcall").exists()
    again = calls(tmp_path, store)
    await again.load()
    assert again.open == [sheet]
    disk.unlink()
    task = asyncio.create_task(again.retry_forever())
    async with asyncio.timeout(10):
        while not (disk / f"{sheet.id}.rollcall").exists() or list((tmp_path / "spare").iterdir()):
            await asyncio.sleep(0)
    task.cancel()
    assert again.fault is None
    assert datetime.fromisoformat(again.open[0].frozen_at).astimezone(UTC) == NOON
