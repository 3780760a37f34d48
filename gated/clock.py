"""The machine's clocks as the core wants them, and the time floor on disk.

The floor is kept in two places: a file of its own, and the day of the journal's newest segment; wiping
one does not bring old time back.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from gated.core.model import Now
from gated.core.trusted_time import TimeVerdict, TrustedTime
from gated.journal.segments import segments

OLDEST = datetime(2026, 1, 1, tzinfo=UTC)
"""No gate that runs this software lives earlier."""

KEEP_S = 60.0
"""How often the floor is brought to the disk."""

STA_UNSYNC = 0x40  # adjtimex(2)
TIMESYNCD = Path("/run/systemd/timesync/synchronized")


_LIBC = ctypes.CDLL(None)


class _Timex(ctypes.Structure):
    """The head of struct timex, and room for the rest of it (208 bytes on 64-bit Linux)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def synchronised() -> bool:
    """Whether a time service disciplines the clock: the kernel's word (adjtimex(2), read only).

    Where a sandbox forbids the call, whether systemd-timesyncd has reached a server since boot.
    """
    timex = _Timex()
    if _LIBC.adjtimex(ctypes.byref(timex)) < 0:
        return TIMESYNCD.exists()
    return not timex.status & STA_UNSYNC


def _stored(path: Path) -> datetime:
    """The floor in the file, `OLDEST` when there is none or it cannot be understood."""
    try:
        floor = datetime.fromisoformat(path.read_text(encoding="ascii").strip())
        return floor if floor.tzinfo else OLDEST
    except (OSError, ValueError):
        return OLDEST


def _journalled(directory: Path) -> datetime:
    """The start of the day of the journal's newest segment."""
    try:
        return datetime.fromisoformat(segments(directory)[-1].day).replace(tzinfo=UTC)
    except (OSError, IndexError, ValueError):
        return OLDEST


class Clock:
    """`now()` for the core and the journal; the floor is kept in `state_dir`."""

    def __init__(self, state_dir: Path, needs_synchronisation: bool) -> None:
        """`needs_synchronisation`: the clock is trusted only while a time service vouches for it."""
        self._path = state_dir / "time-floor"
        self._needs = needs_synchronisation
        self._time = TrustedTime(max(OLDEST, _stored(self._path), _journalled(state_dir / "journal")))
        self._synchronised = False
        self._asked_at = float("-inf")
        self.fault: str | None = None

    def now(self) -> Now:
        """This moment, as the core may believe it."""
        return self.verdict().now

    def verdict(self) -> TimeVerdict:
        """This moment, and why it is trusted or not."""
        monotonic = time.monotonic()
        if monotonic - self._asked_at > 1.0:
            self._synchronised, self._asked_at = synchronised(), monotonic
        verdict = self._time.judge(datetime.now(UTC), monotonic, self._synchronised)
        if self._needs and not self._synchronised:
            now = Now(monotonic, verdict.now.utc, utc_trusted=False)
            return TimeVerdict(now, verdict.floor, verdict.state)
        return verdict

    def status(self) -> dict[str, str | bool]:
        """For `gatectl status`: trusted or not and why, the time and the floor."""
        verdict = self.verdict()
        return {
            "trusted": verdict.now.utc_trusted,
            "state": verdict.state.value,
            "synchronised": self._synchronised,
            "utc": verdict.now.utc.isoformat(timespec="seconds"),
            "floor": verdict.floor.isoformat(timespec="seconds"),
        }

    async def keep_forever(self) -> None:
        """Bring the floor to the disk now and then, off the loop."""
        while True:
            await asyncio.to_thread(self._write, self.verdict().floor)
            await asyncio.sleep(KEEP_S)

    def keep(self) -> None:
        """Bring the floor to the disk now. A failure is shown in `fault`."""
        self._write(self.verdict().floor)

    def _write(self, floor: datetime) -> None:
        draft = self._path.with_suffix(".new")
        try:
            with draft.open("w", encoding="ascii") as file:
                file.write(floor.isoformat(timespec="seconds") + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            self.fault = None
        except OSError as error:
            self.fault = f"{self._path}: cannot be written: {error.strerror}"
