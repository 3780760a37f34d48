"""The service manager is told that we work only while we do: the loop turns, the journal reaches the disk,
every device is being served."""

from __future__ import annotations

import asyncio

from gated.devices import Devices
from gated.errors import StoreError
from gated.journal import Journal
from gated.notify import notify, watchdog_s
from gated.report import Report

STATUS_S = 5.0
"""How often the status line is renewed where no watchdog asks."""


async def tell_manager(report: Report, devices: Devices, journal: Journal) -> None:
    """Send WATCHDOG=1 and STATUS for ever, as long as there is progress."""
    interval = watchdog_s() or STATUS_S
    while True:
        faults = report.faults()
        notify(f"STATUS={'serving' if not faults else f'serving, {len(faults)} fault(s): {faults[0]}'}")
        if devices.alive and await flushed(journal, interval):
            notify("WATCHDOG=1")
        await asyncio.sleep(interval)


async def flushed(journal: Journal, within_s: float) -> bool:
    """Whether what was recorded until now reaches the disk in time.

    A disk that refuses is a fault that is shown, and restarting would not mend it; a disk that neither
    takes nor refuses is no progress.
    """
    try:
        async with asyncio.timeout(within_s):
            await journal.durable(journal.seq)
    except StoreError:
        return True
    except TimeoutError:
        return journal.fault is not None
    return True
