"""Bounce suppression for contact boards: which sightings of a contact are changes."""

from __future__ import annotations

from gated.ports import Contact


class Bounce:
    """Tells sightings of contacts from changes: a new state counts once it has lasted `bounce_s` seconds.

    With 0 the first sighting counts. The first state of a channel always counts at once.
    """

    def __init__(self, bounce_s: float) -> None:
        self._bounce_s = bounce_s
        self._told: dict[int, bool] = {}
        self._since: dict[int, float] = {}

    def seen(self, channel: int, closed: bool, at: float) -> Contact | None:
        """The contact was seen in this state at `at` (monotonic seconds); a Contact when that is news."""
        if self._told.get(channel) is closed:
            self._since.pop(channel, None)
            return None
        if channel in self._told and at - self._since.setdefault(channel, at) < self._bounce_s:
            return None
        self._since.pop(channel, None)
        self._told[channel] = closed
        return Contact(channel, closed, at)

    def settles_in(self, now: float) -> float:
        """Seconds until a state seen but not yet told can count, so should be looked at; else infinity."""
        return max(0.0, min(self._since.values(), default=float("inf")) + self._bounce_s - now)
