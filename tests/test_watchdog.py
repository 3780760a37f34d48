"""The watchdog is fed by progress: a journal that neither takes nor refuses is none."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gated.journal import Journal
from gated.watchdog import flushed


async def test_a_journal_that_reaches_the_disk_is_progress(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    flushing = asyncio.create_task(journal.flush_forever())
    journal.append("audit", "started")
    assert await flushed(journal, 10.0)
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    journal.append("audit", "later")  # nobody flushes any more
    assert not await flushed(journal, 0.0)
    journal.fault = "the disk is full"  # known and shown: a restart would not mend it
    assert await flushed(journal, 0.0)
    journal.close()
