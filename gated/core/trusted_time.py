"""The time floor: what the clock may be believed to be (C12).

The floor is an instant that has certainly passed. It rises to the clock only while a time service
vouches for the clock, and otherwise by the seconds that really went by, so a wrong clock can neither
lower it nor drag it into the future (which would lock every visitor out for good). A box that has
no time service at all trusts its clock while it is above the floor and does not jump.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gated.core.model import Now

JUMP = timedelta(hours=1)
"""A clock that runs ahead of the seconds that went by for more than this is not believed."""

STEP_BACK = timedelta(minutes=1)
"""A correction of the clock below the floor that is no reason for doubt; the floor is used meanwhile."""


class TimeState(StrEnum):
    """Why the time is trusted or not."""

    SYNCHRONISED = "synchronised"  # a time service vouches for the clock
    RUNNING = "running"  # no service, but nothing speaks against the clock
    BELOW_FLOOR = "below_floor"  # earlier than an instant that has passed
    JUMPED = "jumped"  # ran ahead of the seconds that went by, and no service vouches for it

    @property
    def trusted(self) -> bool:
        """Whether validity may be judged by the clock."""
        return self in (TimeState.SYNCHRONISED, TimeState.RUNNING)


@dataclass(frozen=True, slots=True)
class TimeVerdict:
    """`now` is for Site.handle. While untrusted, its `utc` is the best instant known not to lie ahead of the
    truth: the floor, or the clock as it ran before it jumped. `floor` is for the store."""

    now: Now
    floor: datetime
    state: TimeState


class TrustedTime:
    """Judges the clock against a floor (aware UTC): at first the stored one, or the date of the build."""

    def __init__(self, floor: datetime) -> None:
        self._floor = floor
        self._floor_at: float | None = None
        self._anchor: tuple[datetime, float] | None = None  # the first clock trusted, or the last vouched for

    def judge(self, utc: datetime, monotonic: float, synchronised: bool) -> TimeVerdict:
        """What to make of a clock that says `utc` at `monotonic` s; `synchronised`: a service vouches."""
        floor = self._raise_by_progress(monotonic)
        state = self._state(utc, monotonic, synchronised)
        if state is TimeState.SYNCHRONISED:
            self._floor = floor = max(floor, utc)
        if state.trusted and (state is TimeState.SYNCHRONISED or self._anchor is None):
            self._anchor = (utc, monotonic)
        best = utc if state.trusted else self._expected(monotonic)
        return TimeVerdict(Now(monotonic, max(floor, best), state.trusted), floor, state)

    def _raise_by_progress(self, monotonic: float) -> datetime:
        if self._floor_at is not None:
            self._floor += timedelta(seconds=max(0.0, monotonic - self._floor_at))
        self._floor_at = monotonic
        return self._floor

    def _state(self, utc: datetime, monotonic: float, synchronised: bool) -> TimeState:
        if utc < self._floor - STEP_BACK:
            return TimeState.BELOW_FLOOR
        if synchronised:
            return TimeState.SYNCHRONISED
        if self._anchor is not None and utc - self._expected(monotonic) > JUMP:
            return TimeState.JUMPED
        return TimeState.RUNNING

    def _expected(self, monotonic: float) -> datetime:
        if self._anchor is None:
            return self._floor
        utc, at = self._anchor
        return utc + timedelta(seconds=monotonic - at)
