"""The time floor on disk, in two places, and the kernel's word on synchronisation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gated import clock
from gated.clock import Clock
from gated.core.trusted_time import TimeState
from gated.journal import Journal


def day(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


async def journalled(state_dir: Path, at: datetime) -> None:
    journal = Journal(state_dir / "journal", clock=lambda: at)
    journal.append("audit", "started")
    journal.close()


def test_a_clock_above_the_floor_is_trusted_and_the_floor_is_kept(tmp_path: Path) -> None:
    one = Clock(tmp_path, needs_synchronisation=False)
    assert one.now().utc_trusted
    assert abs(one.now().utc - datetime.now(UTC)) < timedelta(seconds=5)
    one.keep()
    assert one.fault is None
    kept = datetime.fromisoformat((tmp_path / "time-floor").read_text().strip())
    assert kept >= clock.OLDEST


def test_a_clock_below_the_stored_floor_is_not_trusted(tmp_path: Path) -> None:
    floor = day(30)
    (tmp_path / "time-floor").write_text(floor.isoformat() + "\n")
    verdict = Clock(tmp_path, needs_synchronisation=False).verdict()
    assert verdict.state is TimeState.BELOW_FLOOR
    assert not verdict.now.utc_trusted
    assert verdict.now.utc >= floor


async def test_the_journal_remembers_the_floor_when_the_file_is_wiped(tmp_path: Path) -> None:
    await journalled(tmp_path, day(30))
    assert Clock(tmp_path, needs_synchronisation=False).verdict().state is TimeState.BELOW_FLOOR


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30T00:00:00+00:00", "2099-01-01T00:00:00", "\x00"])
def test_a_floor_that_cannot_be_read_is_the_oldest(tmp_path: Path, text: str) -> None:
    (tmp_path / "time-floor").write_text(text)
    assert Clock(tmp_path, needs_synchronisation=False).now().utc_trusted


def test_where_synchronisation_is_required_the_kernel_decides(tmp_path: Path) -> None:
    strict = Clock(tmp_path, needs_synchronisation=True)
    assert strict.now().utc_trusted is clock.synchronised()
    assert strict.status()["trusted"] is strict.status()["synchronised"]


def test_a_floor_that_cannot_be_kept_is_a_fault_that_passes(tmp_path: Path) -> None:
    where = tmp_path / "state"
    one = Clock(where, needs_synchronisation=False)
    one.keep()
    assert one.fault is not None and "time-floor: cannot be written" in one.fault
    where.mkdir()
    one.keep()
    assert one.fault is None
