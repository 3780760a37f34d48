"""Every record goes to the journal at once, and to the log when the relays have been told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

from gated.core.effects import Record, RecordKind
from gated.journal import Journal
from gated.logs import log

LOG_AFTER_S = 0.02
"""A log line waits so long, for the relay that its record explains: a log can block, a journal does not."""

LEVEL = {RecordKind.ALARM: "warning", RecordKind.FAULT: "error", RecordKind.AUDIT: "warning"}


class Recorder:
    """Writes records of the core, and those of the shell itself."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._told: list[tuple[Record, Mapping[str, str]]] = []

    def write(
        self, record: Record, note: Mapping[str, str] | None = None, at: datetime | None = None
    ) -> None:
        """Append to the journal (page cache, no wait); `note` adds to the record's detail."""
        detail = {**record.detail, **note} if note else record.detail
        self._journal.append(
            record.kind.value,
            record.code,
            lane=record.lane,
            access_point=record.access_point,
            direction=record.direction.value if record.direction else None,
            id=record.identifier,
            detail=detail,
            at=at,
        )
        if not self._told:
            asyncio.get_running_loop().call_later(LOG_AFTER_S, self.tell)
        self._told.append((record, detail))

    def tell(self) -> None:
        """Log what was recorded and not logged yet."""
        told, self._told = self._told, []
        for record, detail in told:
            _log(record, detail)

    def note(self, kind: RecordKind, code: str, lane: str = "", **detail: str) -> None:
        """A record of the shell's own."""
        self.write(Record(kind, code, lane=lane, detail=detail))


def _log(record: Record, detail: Mapping[str, str]) -> None:
    tell = getattr(log, LEVEL.get(record.kind, "info"))
    tell(
        _message(record, detail),
        event_code=record.code,
        kind=record.kind.value,
        lane=record.lane,
        reason=record.code if record.kind is RecordKind.DECISION else "",
        device=detail.get("device", ""),
        access_point=record.access_point,
        direction=record.direction.value if record.direction else "",
    )


def _message(record: Record, detail: Mapping[str, str]) -> str:
    """One line for people: the code in words, where, and what is known of it."""
    where = record.lane or record.access_point
    what = record.code.replace("_", " ")
    more = ", ".join(f"{name} {value}" for name, value in detail.items() if value)
    return f"{where + ': ' if where else ''}{what}{f' ({more})' if more else ''}"
