"""What is known while one event is handled: the time, the plan, and the effects so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from gated.core.effects import Effect, Record, RecordKind
from gated.core.model import Now, Plan
from gated.core.presence import Presence
from gated.core.schedule import is_open, local_time


@dataclass(slots=True)
class Moment:
    """One handling of one event; it collects the effects in their order."""

    now: Now
    plan: Plan
    presence: Presence
    effects: list[Effect] = field(default_factory=list)
    _local: datetime | None = None

    @property
    def time(self) -> float:
        """Monotonic seconds."""
        return self.now.monotonic

    @property
    def local(self) -> datetime:
        """The site's wall clock."""
        if self._local is None:
            self._local = local_time(self.now.utc, self.plan.timezone)
        return self._local

    @property
    def day(self) -> str:
        """The local day as an ISO date."""
        return self.local.date().isoformat()

    def is_open(self, schedule: str) -> bool:
        """Whether the plan's schedule is open now; one that the plan does not have never is."""
        found = self.plan.schedules.get(schedule)
        return found is not None and is_open(found, self.local, self.plan.holidays)

    def emit(self, effect: Effect) -> None:
        """Add an effect."""
        self.effects.append(effect)

    def audit(self, code: str, **detail: str) -> None:
        """Record an event that cannot be and is ignored."""
        self.effects.append(Record(RecordKind.AUDIT, code, detail=detail))
