"""What did not see people, or emergencies, for a while: it makes presence an estimate, and by how much.

Only the last day is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gated.core.effects import Outage

KEEP = timedelta(days=1)
MOST = 1000  # outages that are over and remembered; of a cable that flaps the oldest go


@dataclass(slots=True)
class Outages:
    """Outages by what is out: those that last, with their beginning, and those that are over."""

    lasting: dict[str, datetime] = field(default_factory=dict)
    over: list[tuple[str, datetime, datetime]] = field(default_factory=list)

    def begin(self, what: str, at: datetime) -> None:
        """It is out since `at`, unless it was before."""
        self.lasting.setdefault(what, at)

    def end(self, what: str, at: datetime) -> None:
        """It works again, if it was out."""
        began = self.lasting.pop(what, None)
        if began is not None:
            self.over = [one for one in self.over if at - one[2] < KEEP][1 - MOST :]
            self.over.append((what, began, at))

    def told(self, at: datetime) -> tuple[Outage, ...]:
        """What was out in the last day and how long of it in sum, by name."""
        seconds: dict[str, float] = {}
        for what, began, ended in [*self.over, *((what, began, at) for what, began in self.lasting.items())]:
            if at - ended < KEEP:
                part = (ended - max(began, at - KEEP)).total_seconds()
                seconds[what] = seconds.get(what, 0.0) + max(0.0, part)
        return tuple(Outage(what, seconds[what], what in self.lasting) for what in sorted(seconds))
