"""What the release keeps: what is latched, in two places; its trail; and the dates of proof.

Nothing here waits: the bytes are handed to a thread for each place (gated.release.disk).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from gated.errors import StoreError
from gated.release import latch
from gated.release.config import ReleaseConfig
from gated.release.disk import OLD_TRAIL, TRAIL, Disk, Report
from gated.release.proven import Proven
from gated.release.words import (
    Audit,
    Effect,
    Latched,
    LatchRestored,
    LatchUnreadable,
    Now,
    Source,
    WriteLatch,
)


class Stores:
    """The state directory, and that of the socket, which is memory. Construct it in the running loop.

    `report` is told which store fails, or works again; `read` when the dates of earlier processes are known.
    """

    def __init__(self, config: ReleaseConfig, report: Report, read: Callable[[], None]) -> None:
        self.proven = Proven(
            config.plan.inputs, config.plan.lanes, config.link_test_days, config.output_test_days
        )
        self.disk = Disk(config.state_dir, report)
        self.memory = Disk(config.socket.parent, lambda what, text: report(f"{what} in memory", text))
        self._places = config.state_dir, config.socket.parent
        self._read = read
        self._found: list[latch.Entries | None] = []
        self._seen_active: dict[str, datetime] = {}
        self._dates_known = self._dates_due = False

    def start(self) -> None:
        """Start what writes to disk, and take up the dates of proof once they were read."""
        self.memory.start()
        self.disk.start()
        self.disk.read_dates(self._dates_read)

    # The latch

    def latched(self) -> Iterable[LatchRestored | LatchUnreadable]:
        """What was latched when the process last ran, here or there; blocks, so before any device opens."""
        lost = []
        for place in self._places:
            try:
                self._found.append(latch.read(place))
            except StoreError as error:
                lost.append(f"{place}: {error}")
        if not lost and self._found[0] is None and _has_records(self._places[0]):
            lost.append("its file is gone though this service ran here before")
        if entries := tuple(entry for entries in self._found for entry in entries or ()):
            yield LatchRestored(entries)
        if lost:
            yield LatchUnreadable("; ".join(lost))

    def even_out(self, latched: Mapping[Source, Latched]) -> None:
        """Have both places say the same; and before the first record, so that a latch never seems gone."""
        if any(entries != tuple(latched.items()) for entries in self._found):
            self.write_latch(latched)

    def write_latch(self, latched: Mapping[Source, Latched]) -> None:
        """Have what is latched written in both places."""
        data = latch.encode(latched)
        self.memory.write_latch(data)
        self.disk.write_latch(data)

    # The dates

    def active(self, name: str, at: datetime) -> None:
        """An input was seen active; written down by the next `prove`."""
        self._seen_active[name] = at

    def prove(self, done: Iterable[tuple[Effect, Now]]) -> None:
        """Keep the dates of what was seen to work, and of the last latching or relocking."""
        proven, seen, self._seen_active = self.proven, self._seen_active, {}
        opened = {}
        for effect, at in done:
            if isinstance(effect, WriteLatch):
                proven.opened_at = at.utc.isoformat()
                self._dates_due = True
            elif isinstance(effect, Audit) and effect.code == "opened":
                opened[effect.detail["lane"]] = at.utc
        self._dates_due |= proven.seen(proven.inputs, seen)
        self._dates_due |= proven.seen(proven.lanes, opened)
        self._write_dates()

    def _dates_read(self, data: bytes) -> None:
        self.proven.restore(data)
        self._dates_known = True
        self._write_dates()
        self._read()

    def _write_dates(self) -> None:
        """Not before those on disk were read: they would be lost."""
        if self._dates_due and self._dates_known:
            self._dates_due = False
            self.disk.write_dates(self.proven.encode())


def _has_records(directory: Path) -> bool:
    for name in (TRAIL, OLD_TRAIL):
        with suppress(OSError):
            if (directory / name).stat().st_size > 0:
                return True
    return False
