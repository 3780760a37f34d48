"""When each line was last proven: an input seen active, a lane seen open; and what has not been for too long.

And when a cause last held a lane open, for whoever did not listen then. Kept as JSON by the disk thread. It
decides about nothing here: losing it loses dates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

NAME = "proven.json"
SKEW = timedelta(days=1)
WORTH = timedelta(minutes=1)  # a contact that bounces all day must not wear the disk out


class Proven:
    """The dates, UTC; `restore` adds what earlier processes knew."""

    def __init__(
        self, inputs: Iterable[str], lanes: Iterable[str], link_test_days: int, output_test_days: int
    ) -> None:
        self.inputs: dict[str, datetime | None] = dict.fromkeys(inputs)
        self.lanes: dict[str, datetime | None] = dict.fromkeys(lanes)
        self._link = timedelta(days=link_test_days)
        self._output = timedelta(days=output_test_days)
        self.opened_at = ""  # when a cause was last latched, or a lane relocked; UTC, ISO 8601
        self._others: dict[str, dict[str, datetime]] = {"inputs": {}, "lanes": {}}

    def encode(self) -> bytes:
        """The file's content; names that the configuration does not know any more are kept."""
        told = {"inputs": self._others["inputs"] | self.inputs, "lanes": self._others["lanes"] | self.lanes}
        dates: dict[str, Any] = {
            kind: {name: at.isoformat(timespec="seconds") for name, at in found.items() if at}
            for kind, found in told.items()
        }
        return json.dumps(dates | {"opened_at": self.opened_at}, ensure_ascii=False).encode(
            "utf-8", "replace"
        )

    def seen(self, known: dict[str, datetime | None], dates: Mapping[str, datetime]) -> bool:
        """Note when these of `inputs` or `lanes` worked; True when that is worth writing down."""
        news = {
            name: at
            for name, at in dates.items()
            if name in known and ((old := known[name]) is None or abs(at - old) > WORTH)
        }
        known |= news
        return bool(news)

    def restore(self, data: bytes) -> None:
        """Take up a file's dates, the later one of each; what makes no sense in it is passed over."""
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return
        opened_at = _date(found.get("opened_at")) if isinstance(found, dict) else None
        if (
            opened_at and not self.opened_at
        ):  # what this process saw itself comes later, whatever the clock says
            self.opened_at = opened_at.isoformat()
        for kind, known in (("inputs", self.inputs), ("lanes", self.lanes)):
            dates = found.get(kind) if isinstance(found, dict) else None
            for name, text in dates.items() if isinstance(dates, dict) else ():
                at = _date(text)
                if at is None:
                    continue
                if name not in known:
                    self._others[kind][name] = at
                elif (mine := known[name]) is None or mine < at:
                    known[name] = at

    def warnings(self, now: datetime) -> list[str]:
        """What was not proven for too long, one sentence each."""
        found = []
        for name, at in self.inputs.items():
            if text := _overdue(at, now, self._link):
                found.append(f"input {name}: {text}; its line is due for a test")
        for name, at in self.lanes.items():
            if text := _overdue(at, now, self._output):
                found.append(f"lane {name}: {text}; its outputs are due for a test")
        return found


def last(dates: Mapping[str, datetime | None], name: str) -> str:
    """A date as the snapshot tells it: ISO 8601, empty where there is none."""
    at = dates.get(name)
    return at.isoformat(timespec="seconds") if at else ""


def _overdue(at: datetime | None, now: datetime, limit: timedelta) -> str | None:
    if at is None:
        return "never tested"
    if at - now > SKEW:  # the clock was wrong then, or is now: no number of days would be true
        return f"its last test is dated {at:%Y-%m-%d}, which is yet to come by the clock of this computer"
    if now - at <= limit:
        return None
    return f"last tested {at:%Y-%m-%d}, {(now - at).days} days ago"


def _date(text: object) -> datetime | None:
    """A date as `encode` wrote it; None for anything else."""
    try:
        at = datetime.fromisoformat(str(text))
        return at.astimezone(UTC) if at.tzinfo else None
    except (ValueError, OverflowError):
        return None
